use std::io::Cursor;
use std::sync::{Arc, Mutex};

use super::*;

/// A pcap file's header: magic number (which says byte order and unit), snapshot length, link type.
fn header(magic: u32, link: u32, big: bool) -> Vec<u8> {
    let mut bytes = word(magic, big);
    bytes.extend(half(2, big));
    bytes.extend(half(4, big));
    for field in [0, 0, 65_535, link] {
        bytes.extend(word(field, big));
    }
    bytes
}

fn record(seconds: u32, fraction: u32, wire: u32, frame: &[u8], big: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [seconds, fraction, frame.len() as u32, wire] {
        bytes.extend(word(field, big));
    }
    bytes.extend(frame);
    bytes
}

fn word(value: u32, big: bool) -> Vec<u8> {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec()
}

fn half(value: u16, big: bool) -> Vec<u8> {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }.to_vec()
}

/// A pcapng block of a type, little endian.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (padded + 12) as u32;
    let mut bytes = [kind.to_le_bytes(), length.to_le_bytes()].concat();
    bytes.extend(body);
    bytes.resize(padded + 8, 0);
    bytes.extend(length.to_le_bytes());
    bytes
}

fn section() -> Vec<u8> {
    block(
        0x0a0d_0d0a,
        &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
    )
}

fn interface(link: u16, options: &[u8]) -> Vec<u8> {
    let head = [&link.to_le_bytes()[..], &[0; 6]].concat();
    block(1, &[&head, options].concat())
}

fn enhanced(interface: u32, time: u64, wire: u32, frame: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in [interface, (time >> 32) as u32, time as u32, frame.len() as u32, wire] {
        body.extend(field.to_le_bytes());
    }
    body.extend(frame);
    block(6, &body)
}

type Seen = Vec<(Vec<u8>, Arrival)>;

/// Reads a whole capture; the error that ended it, if one did.
fn read(bytes: Vec<u8>, options: Options) -> (Seen, Outcomes, Option<String>) {
    let mut seen = Vec::new();
    let opened = Capture::new("a.pcap".to_owned(), Box::new(Cursor::new(bytes)), None, options);
    let mut port = match opened {
        Ok(port) => port,
        Err(error) => return (seen, Outcomes::default(), Some(error.to_string())),
    };
    let ended = loop {
        let turn = port.receive(&mut |frame, arrival| {
            seen.push((frame.bytes().to_vec(), *arrival));
            Action::Drop
        });
        match turn {
            Ok(Batch::End) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.to_string()),
        }
    };
    (seen, port.outcomes(), ended)
}

#[test]
fn every_kind_of_pcap_is_read() {
    let frame: Vec<u8> = (0..60).collect();
    for (magic, big, nanoseconds) in [
        (0xa1b2_c3d4, false, 5_000_007_000),
        (0xa1b2_c3d4, true, 5_000_007_000),
        (0xa1b2_3c4d, false, 5_000_000_007),
        (0xa1b2_3c4d, true, 5_000_000_007),
    ] {
        let file = [header(magic, 1, big), record(5, 7, 60, &frame, big)].concat();
        let (seen, outcomes, ended) = read(file, Options::default());
        assert_eq!(ended, None);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].0, frame);
        assert_eq!(seen[0].1.time_ns, Some(nanoseconds));
        assert_eq!(seen[0].1.ingress_ifindex, 1);
        assert_eq!(outcomes.of(Outcome::Dropped), 1);
    }
}

#[test]
fn packed_captures_are_told_from_broken_ones() {
    for start in [&[0x1f, 0x8b, 8, 0][..], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X']] {
        let (_, _, ended) = read([start, &[0; 60]].concat(), Options::default());
        assert!(ended.unwrap().starts_with("a.pcap is packed"));
    }
}

#[test]
fn interfaces_of_a_pcapng_file_have_their_own_clocks() {
    // if_tsresol 9: nanoseconds; the default is microseconds; 0x94: units of 2^-20 seconds.
    let nano = [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let binary = [9, 0, 1, 0, 0x94, 0, 0, 0, 0, 0, 0, 0];
    let frame = [7_u8; 61];
    let file = [
        section(),
        interface(1, &nano),
        interface(1, &[]),
        interface(1, &binary),
        block(0x4444, b"unknown"),
        enhanced(0, 5_000_000_007, 61, &frame),
        enhanced(1, 5_000_007, 61, &frame),
        enhanced(2, 5 << 20, 61, &frame),
        block(3, &[&61_u32.to_le_bytes()[..], &frame].concat()),
    ]
    .concat();
    let (seen, _, ended) = read(file, Options { ifindex: 10, ..Options::default() });
    assert_eq!(ended, None);
    let arrivals: Vec<_> =
        seen.iter().map(|(_, a)| (a.ingress_ifindex, a.time_ns.unwrap())).collect();
    assert_eq!(arrivals, [(10, 5_000_000_007), (11, 5_000_007_000), (12, 5_000_000_000), (10, 0)]);
    assert!(seen.iter().all(|(bytes, _)| bytes == &frame));
}

#[test]
fn frames_cut_short_are_counted_and_left_out_on_demand() {
    let file = [
        header(0xa1b2_c3d4, 1, false),
        record(0, 0, 1514, &[1; 96], false),
        record(0, 0, 64, &[2; 64], false),
    ]
    .concat();
    let (seen, outcomes, _) = read(file.clone(), Options::default());
    assert_eq!((seen.len(), outcomes.of(Outcome::CutShort)), (2, 1));
    let (seen, outcomes, _) = read(file, Options { cut_short: false, ..Options::default() });
    assert_eq!((seen.len(), outcomes.of(Outcome::CutShort)), (1, 1));
    assert_eq!(seen[0].0, [2; 64]);
}

#[test]
fn frame_check_sequences_are_no_part_of_the_frame() {
    // pcap: the link type's upper bits say how long it is; pcapng: if_fcslen.
    let plain = [
        header(0xa1b2_c3d4, 1 | 1 << 26 | 2 << 28, false),
        record(0, 0, 64, &[1; 64], false),
        // Cut within the sequence, and before it.
        record(0, 0, 64, &[1; 62], false),
        record(0, 0, 64, &[1; 40], false),
    ]
    .concat();
    let fcs = [13, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    let ng = [
        section(),
        interface(1, &fcs),
        enhanced(0, 0, 64, &[1; 64]),
        enhanced(0, 0, 64, &[1; 62]),
        enhanced(0, 0, 64, &[1; 40]),
    ]
    .concat();
    for file in [plain, ng] {
        let (seen, outcomes, ended) = read(file, Options::default());
        assert_eq!(ended, None);
        let lengths: Vec<_> = seen.iter().map(|(bytes, _)| bytes.len()).collect();
        assert_eq!(lengths, [60, 60, 40]);
        assert_eq!(outcomes.of(Outcome::CutShort), 1);
    }
}

#[test]
fn what_is_no_capture_of_ethernet_says_so() {
    let raw_ip = 101;
    for (file, part) in [
        (Vec::new(), "no capture file: it is shorter than a capture's header"),
        (b"\x7fELF and so on and so forth".to_vec(), "no capture file"),
        (header(0xa1b2_c3d4, raw_ip, false), "link type RAW (101)"),
        ([section(), interface(raw_ip as u16, &[]), enhanced(0, 0, 20, &[0; 20])].concat(), "RAW"),
        ([section(), enhanced(3, 0, 20, &[0; 20])].concat(), "up to packet 0 only"),
    ] {
        let (seen, _, ended) = read(file, Options::default());
        assert!(seen.is_empty());
        let ended = ended.unwrap();
        assert!(ended.contains(part), "{ended}");
    }
}

#[test]
fn a_file_that_breaks_off_gives_the_frames_before() {
    let records = [record(0, 0, 60, &[1; 60], false), record(0, 0, 60, &[2; 60], false)].concat();
    let plain = [header(0xa1b2_c3d4, 1, false), records].concat();
    let blocks = [enhanced(0, 0, 60, &[1; 60]), enhanced(0, 0, 60, &[2; 60])].concat();
    let ng = [section(), interface(1, &[]), blocks].concat();
    for whole in [plain, ng] {
        for length in 0..whole.len() {
            let (seen, _, ended) = read(whole[..length].to_vec(), Options::default());
            assert!(seen.len() < 2, "{length} bytes");
            let sane = ended
                .as_ref()
                .is_none_or(|e| e.contains("no capture") || e.contains("ends within"));
            assert!(sane, "{length} bytes: {ended:?}");
        }
        assert_eq!(read(whole, Options::default()).0.len(), 2);
    }
}

#[test]
fn spoiled_bytes_never_panic() {
    let ng =
        [section(), interface(1, &[9, 0, 1, 0, 9, 0, 0, 0]), enhanced(0, 1 << 40, 60, &[1; 60])];
    let plain = [header(0xa1b2_c3d4, 1, false), record(0, 0, 60, &[1; 60], false)];
    for whole in [ng.concat(), plain.concat()] {
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut spoiled = whole.clone();
                spoiled[at] = value;
                read(spoiled, Options::default());
            }
        }
    }
}

/// A file in memory that two hold.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_leaves_is_written_with_its_way_and_time() {
    let frames: Vec<u8> = (0..5)
        .flat_map(|at| record(at, 1, 60 + at, &vec![at as u8; 60 + at as usize], false))
        .collect();
    let file = [header(0xa1b2_3c4d, 1, false), frames].concat();
    let written = Shared::default();
    let output = Writer::new("out".to_owned(), Box::new(written.clone())).unwrap();
    let input = Box::new(Cursor::new(file));
    let mut port = Capture::new("in".to_owned(), input, Some(output), Options::default()).unwrap();
    let actions = [
        Action::Drop,
        Action::Pass,
        Action::Transmit,
        Action::Redirect(7),
        Action::Broadcast([7, 9].into()),
    ];
    let batch = port.receive(&mut |frame, _| {
        let at = frame.bytes()[0];
        frame.data -= 1;
        frame.buffer[255] = 0xaa;
        actions[usize::from(at)].clone()
    });
    assert_eq!(batch.unwrap(), Batch::Frames(5));
    port.finish().unwrap();

    let bytes = written.0.lock().unwrap().clone();
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&bytes[..]).unwrap();
    let mut ways = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, state) = block.unwrap();
        let pcap_file::pcapng::Block::EnhancedPacket(packet) = block else { continue };
        let interface = &state.interfaces()[packet.interface_id as usize];
        let name = interface.options.iter().find_map(|option| {
            match option {
            pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption::IfName(
                name,
            ) => Some(name.to_string()),
            _ => None,
        }
        });
        let at = usize::from(packet.data[1]);
        assert_eq!(packet.data.len(), 61 + at);
        assert_eq!(packet.timestamp.as_nanos(), at as u128 * 1_000_000_000 + 1);
        ways.push((at, name.unwrap()));
    }
    let expected =
        [(1, "pass"), (2, "tx"), (3, "redirect:7"), (4, "redirect:7"), (4, "redirect:9")];
    assert_eq!(ways, expected.map(|(at, name)| (at, name.to_owned())));
}
