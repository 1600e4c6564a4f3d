use super::filter;
use super::frame::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSGERR_ATTR_MSG, malformed};
use super::*;
use crate::kernel::{Filter, FilterKey};

fn frame(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `struct nlmsgerr` with the request's header, `echo` bytes of its payload, and a sentence.
fn error(code: i32, echo: usize, sentence: Option<&str>) -> Vec<u8> {
    let mut payload = code.to_ne_bytes().to_vec();
    payload.extend(frame(RTM, 5, 7, &vec![0xaa; echo]));
    if let Some(sentence) = sentence {
        payload.extend(Builder::default().text(NLMSGERR_ATTR_MSG, sentence).build());
    }
    payload
}

const RTM: u16 = 19;
const SENTENCE: &str = "Native and generic XDP can't be active at the same time";

fn read(flags: u16, payload: &[u8]) -> Result<Option<String>, Refusal> {
    let bytes = frame(NLMSG_ERROR, flags, 7, payload);
    let message = Frames::new(&bytes).next().unwrap()?;
    acknowledgement(&message)
}

#[test]
fn acknowledgements() {
    let refusal = |message: Option<&str>| {
        Err(Refusal { errno: libc::EEXIST, message: message.map(str::to_owned) })
    };
    let capped = NLM_F_CAPPED | NLM_F_ACK_TLVS;
    let code = -libc::EEXIST;
    let cases = [
        (NLM_F_CAPPED, error(0, 0, None), Ok(None)),
        (capped, error(0, 0, Some("LRO")), Ok(Some("LRO".to_owned()))),
        (capped, error(code, 0, Some(SENTENCE)), refusal(Some(SENTENCE))),
        (NLM_F_ACK_TLVS, error(code, 9, Some(SENTENCE)), refusal(Some(SENTENCE))),
        (NLM_F_CAPPED, error(code, 0, Some("unannounced")), refusal(None)),
        (0, vec![1, 2], Err(malformed())),
    ];
    for (number, (flags, payload, expected)) in cases.into_iter().enumerate() {
        assert_eq!(read(flags, &payload), expected, "case {number}");
    }
}

#[test]
fn a_datagram_splits_into_messages_and_lies_about_length_are_errors() {
    let mut datagram = frame(16, 0x2, 1, &[1, 2, 3, 4, 5]);
    datagram.extend(frame(NLMSG_DONE, 0x2, 1, &0_u32.to_ne_bytes()));
    let kinds: Vec<_> = Frames::new(&datagram).map(|m| m.unwrap().kind).collect();
    assert_eq!(kinds, [16, NLMSG_DONE]);
    for length in [0_u32, 15, 4096, u32::MAX] {
        let mut datagram = frame(16, 0, 1, &[0; 8]);
        datagram[..4].copy_from_slice(&length.to_ne_bytes());
        let answers: Vec<_> = Frames::new(&datagram).collect();
        assert!(matches!(answers[..], [Err(_)]), "length {length}");
    }
}

#[test]
fn attributes_round_trip_and_survive_truncation() {
    let inner = Builder::default().u32(2, 77).text(3, "veth");
    let bytes = Builder::new(&[9; 4]).u8(1, 5).nest(4, inner).flag(6).raw(7, &[1; 8]).build();
    let attributes = Attributes::after(&bytes, 4);
    assert_eq!(attributes.get(1).unwrap().uint(), Some(5));
    let nested = attributes.get(4).unwrap().nested();
    assert_eq!(nested.get(2).unwrap().u32(), Some(77));
    assert_eq!(nested.get(3).unwrap().text(), Some("veth"));
    assert!(attributes.get(6).unwrap().value.is_empty());
    assert_eq!(attributes.get(7).unwrap().u64(), Some(0x0101_0101_0101_0101));
    for end in 0..bytes.len() {
        for attribute in Attributes::after(&bytes[..end], 4) {
            let _ = attribute.nested().filter_map(|inner| inner.uint()).count();
        }
    }
}

#[test]
fn a_filter_is_read_and_a_chain_head_is_not() {
    let mut header = [0; 20];
    header[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    let info = (49152_u32 << 16) | u32::from(3_u16.to_be());
    header[16..20].copy_from_slice(&info.to_ne_bytes());
    let options = Builder::default().text(7, "prog.o:[tc]").u32(8, 1).u32(9, 8).raw(10, &[0xab; 8]);
    let message = move |options: Builder| Message {
        kind: 44,
        payload: Builder::new(&header).text(1, "bpf").nest(2, options).build(),
    };
    let mut expected = Filter {
        key: FilterKey { priority: 49152, handle: 1 },
        kind: "bpf".to_owned(),
        protocol: 3,
        chain: 0,
        program_id: Some(42),
        name: Some("prog.o:[tc]".to_owned()),
        tag: Some("ab".repeat(8)),
        direct_action: true,
        flags: 8,
    };
    let whole = message(options.clone().u32(11, 42));
    assert_eq!(filter::parse(&whole), Some(expected.clone()));
    assert_eq!(filter::program_id(&whole.payload), Some(42));
    // Classic BPF has no id.
    expected.program_id = None;
    assert_eq!(filter::parse(&message(options.clone())), Some(expected));
    header[8..12].fill(0);
    let head = Builder::new(&header).text(1, "bpf").nest(2, options).build();
    assert_eq!(filter::parse(&Message { kind: 44, payload: head }), None);
}

#[test]
fn the_running_kernel_answers() {
    assert_eq!(route::interface_name(1), "lo");
    assert_eq!(route::interface_name(u32::MAX), format!("interface {}", u32::MAX));
    assert!(generic::Family::resolve("nlctrl", 2).unwrap().is_some());
    assert!(generic::Family::resolve("no-such-family", 1).unwrap().is_none());
    // A table of many messages, in several datagrams.
    let mut control = generic::Family::resolve("nlctrl", 2).unwrap().unwrap();
    let families = control.dump(3, |b| b).unwrap();
    assert!(families.len() > 2, "{families:?}");
}
