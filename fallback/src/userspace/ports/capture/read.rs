//! Reading captures: pcap and pcapng, in either byte order, micro- and nanoseconds.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use hoist_offload::error::Error;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapReadError, PcapReader, PcapTsResolution};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReadError, PcapNgReader, PcapNgState};

/// Bytes read at once: a frame or another block must fit in whole. Larger than any frame, and so large
/// that long lists of names or keys, which pcapng files may hold too, still fit.
const CHUNK: usize = 4 << 20;
/// First word of a pcapng file, the same in both byte orders.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// First bytes of packed files (RFC 1952, RFC 8878, xz's file format), and what unpacks them.
const PACKED: [(&[u8], &str); 3] = [
    (&[0x1f, 0x8b], "zcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstdcat"),
    (&[0xfd, b'7', b'z', b'X'], "xzcat"),
];
/// Bit of pcap's link type field that says that its upper four bits hold the length of the frame
/// check sequence, in units of two bytes.
const FCS_PRESENT: u32 = 1 << 26;

type Stream = io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// A frame of a capture, where it was read to.
#[derive(Debug)]
pub(super) struct Captured<'a> {
    /// From the destination address, without frame check sequence.
    pub(super) bytes: &'a [u8],
    /// Its length on the wire, likewise.
    pub(super) wire_bytes: u32,
    /// When, in nanoseconds since 1970.
    pub(super) time_ns: u64,
    /// Number of the interface, from 0.
    pub(super) interface: u32,
}

/// A capture that is being read.
pub(super) struct Source {
    name: String,
    format: Format,
    /// Frames so far, to name the one where reading fails.
    frames: u64,
}

enum Format {
    Pcap { reader: PcapReader<Stream>, nanoseconds: bool, fcs_bytes: usize },
    PcapNg(Box<PcapNgReader<Stream>>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new(name: String, mut from: Box<dyn Read + Send>) -> Result<Self, Error> {
        let mut magic = Vec::with_capacity(4);
        from.by_ref().take(4).read_to_end(&mut magic).map_err(|source| host(&name, source))?;
        let is_pcapng = magic == PCAPNG;
        if let Some((_, tool)) = PACKED.iter().find(|(start, _)| magic.starts_with(start)) {
            return Err(Error::Input {
                what: format!("{name} is packed, and hoist unpacks nothing"),
                hint: Some(format!("unpack it on the way: {tool} FILE | hoist ... - OBJ")),
            });
        }
        let stream = Cursor::new(magic).chain(from);
        let format = if is_pcapng {
            let reader = PcapNgReader::with_capacity(stream, CHUNK);
            Format::PcapNg(Box::new(reader.map_err(|e| not_a_capture(&name, ng(e)))?))
        } else {
            let reader = PcapReader::with_capacity(stream, CHUNK);
            let reader = reader.map_err(|e| not_a_capture(&name, plain(e)))?;
            let field = u32::from(reader.header().datalink);
            let has_fcs = field & FCS_PRESENT != 0;
            ethernet(&name, DataLink::from(field & 0xffff))?;
            Format::Pcap {
                nanoseconds: reader.header().ts_resolution == PcapTsResolution::NanoSecond,
                fcs_bytes: if has_fcs { (field >> 28) as usize * 2 } else { 0 },
                reader,
            }
        };
        Ok(Self { name, format, frames: 0 })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Lends the next frame; `None` at the end.
    pub(super) fn next<R>(
        &mut self,
        mut take: impl FnMut(Captured<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let Self { name, format, frames } = self;
        match format {
            Format::Pcap { reader, nanoseconds, fcs_bytes } => {
                let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
                let packet = packet.map_err(|e| broken(name, *frames, plain(e)))?;
                *frames += 1;
                let unit = if *nanoseconds { 1 } else { 1000 };
                let seconds = u64::from(packet.ts_sec) * 1_000_000_000;
                let time_ns = seconds + u64::from(packet.ts_frac) * unit;
                Ok(Some(take(captured(&packet.data, packet.orig_len, *fcs_bytes, time_ns, 0))))
            }
            Format::PcapNg(reader) => loop {
                let Some(block) = reader.next_block() else { return Ok(None) };
                let (block, state) = block.map_err(|e| broken(name, *frames, ng(e)))?;
                // Without a time of its own, a frame has that of the epoch.
                let (data, wire_bytes, time, interface) = match &block {
                    Block::EnhancedPacket(p) => {
                        (&p.data, p.original_len, p.timestamp, p.interface_id)
                    }
                    Block::SimplePacket(p) => (&p.data, p.original_len, Duration::ZERO, 0),
                    Block::Packet(p) => {
                        (&p.data, p.original_len, p.timestamp, u32::from(p.interface_id))
                    }
                    _ => continue,
                };
                *frames += 1;
                let fcs_bytes = interface_of(name, state, interface)?;
                let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                return Ok(Some(take(captured(data, wire_bytes, fcs_bytes, time_ns, interface))));
            },
        }
    }
}

/// A frame without its check sequence: how much of that the capture holds depends on where it was cut.
fn captured(
    data: &[u8],
    wire_bytes: u32,
    fcs_bytes: usize,
    time_ns: u64,
    interface: u32,
) -> Captured<'_> {
    let wire = (wire_bytes as usize).max(data.len()).saturating_sub(fcs_bytes);
    Captured {
        bytes: data.get(..wire).unwrap_or(data),
        wire_bytes: u32::try_from(wire).unwrap_or(u32::MAX),
        time_ns,
        interface,
    }
}

/// Bytes of check sequence behind the frames of an interface, if it is one with Ethernet frames.
fn interface_of(name: &str, state: &PcapNgState, interface: u32) -> Result<usize, Error> {
    let Some(described) = state.interfaces().get(interface as usize) else {
        return Err(broken(name, 0, Broken::Format(format!("no interface {interface}"))));
    };
    ethernet(name, described.linktype)?;
    Ok(described.options.iter().find_map(fcs_bytes).unwrap_or(0))
}

fn fcs_bytes(option: &InterfaceDescriptionOption<'_>) -> Option<usize> {
    match option {
        InterfaceDescriptionOption::IfFcsLen(bytes) => Some(usize::from(*bytes)),
        _ => None,
    }
}

fn ethernet(name: &str, link: DataLink) -> Result<(), Error> {
    if link == DataLink::ETHERNET {
        return Ok(());
    }
    Err(Error::Input {
        what: format!(
            "{name} holds no Ethernet frames but link type {link:?} ({}), and XDP programs see Ethernet \
             frames only",
            u32::from(link)
        ),
        hint: Some(
            "capture on one Ethernet interface ('tcpdump -i eth0'), not on all ('-i any') or a tunnel"
                .to_owned(),
        ),
    })
}

/// Why reading does not go on.
enum Broken {
    Io(io::Error),
    Format(String),
}

fn plain(error: PcapReadError) -> Broken {
    match error {
        PcapReadError::Io(error) => Broken::Io(error),
        other => Broken::Format(other.to_string()),
    }
}

fn ng(error: PcapNgReadError) -> Broken {
    match error {
        PcapNgReadError::Io(error) => Broken::Io(error),
        other => Broken::Format(words(&other)),
    }
}

/// An error with its causes, which the outermost keeps to itself.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn host(name: &str, source: io::Error) -> Error {
    Error::Host { operation: "read", object: name.to_owned(), source }
}

fn not_a_capture(name: &str, why: Broken) -> Error {
    let why = match why {
        Broken::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return host(name, error);
        }
        Broken::Io(_) => "it is shorter than a capture's header".to_owned(),
        Broken::Format(why) => why,
    };
    Error::Input {
        what: format!("{name} is no capture file: {why}"),
        hint: Some("hoist reads pcap and pcapng, as tcpdump -w and dumpcap write them".to_owned()),
    }
}

fn broken(name: &str, frames: u64, why: Broken) -> Error {
    let why = match why {
        Broken::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return host(name, error);
        }
        Broken::Io(_) => {
            "it ends within the next one, as a capture does that was cut off, or that one's \
                          length is wrong"
                .to_owned()
        }
        Broken::Format(why) => why,
    };
    Error::Input {
        what: format!("{name} can be read up to packet {frames} only: {why}"),
        hint: Some(match frames {
            0 => "capinfos(1) says more about the file".to_owned(),
            _ => "the packets before it were run; capinfos(1) says more about the file".to_owned(),
        }),
    }
}
