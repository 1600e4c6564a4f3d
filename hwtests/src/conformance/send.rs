//! How shots are fired.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use hoist_bpf::Insn;
use hoist_bpf::kernel::FilterKey;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::case::How;
use super::onlook;
use super::place::Place;
use super::shot::Shot;
use crate::capture::Sender;
use crate::dut::Failure;
use crate::frame::dissect;
use crate::lab::{End, LabError, Port, Veth};
use crate::require;

/// Payload of each segment of a merged frame, in bytes.
pub(super) const SEGMENT: usize = 1000;

/// How long a TCP connection may take: the kernel sends a lost SYN again after one second.
const CONNECT: Duration = Duration::from_secs(2);
const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;

/// Sends frames out of the far end.
#[derive(Debug)]
pub(super) struct Gun {
    raw: Sender,
    offloading: Sender,
    /// Connections stay open until all shots are fired, so that what closes them disturbs none.
    streams: Vec<TcpStream>,
}

const REDIRECT: i32 = 23;
/// The receive hash of frames that went through a TC program.
const HASH: i32 = 0x600d_f00d;
/// A veth without NAPI hands frames on by the backlog, soon after they were sent.
const SOON: Duration = Duration::from_millis(10);

/// Gives the buffer a receive hash, as a NIC does, and keeps its address in r6.
fn hashed() -> [Insn; 3] {
    const SET_HASH: i32 = 48;
    [
        Insn::new(0xbf, 6, 1, 0, 0), // r6 = the buffer
        Insn::new(0xb4, 2, 0, 0, HASH),
        Insn::new(0x85, 0, 0, 0, SET_HASH),
    ]
}

/// Sends on the second CPU, which a socket past the queueing discipline takes the transmit queue from
/// (`packet_pick_tx_queue`).
fn on_second_cpu(from: &Port, frame: &[u8]) -> Result<(), Failure> {
    let fire = || -> Result<(), Failure> {
        let mut second = CpuSet::new();
        second.set(1);
        sched_setaffinity(None, &second)?;
        Ok(Sender::bypassing_qdisc(from)?.send(frame)?)
    };
    // A thread of its own: where it may run is changed.
    let fired = thread::scope(|scope| scope.spawn(fire).join());
    fired.map_err(|_| "the sender panicked")?
}

/// Sends to the other port, where a TC program says: ingress of the device under test.
fn requeue(place: &Place, frame: &[u8]) -> Result<(), Failure> {
    const BPF_F_INGRESS: i32 = 1;
    let (exit, third) = place.exit.as_ref().ok_or("there is no second port")?;
    let near = i32::try_from(place.dut.port().ifindex)?;
    let mut insns = hashed().to_vec();
    insns.extend([
        Insn::new(0xb4, 1, 0, 0, near),          // w1 = the device
        Insn::new(0xb4, 2, 0, 0, BPF_F_INGRESS), // w2 = its ingress
        Insn::new(0x85, 0, 0, 0, REDIRECT),
        Insn::new(0x95, 0, 0, 0, 0),
    ]);
    through(place, exit, third, &insns, frame)
}

/// Sends to a port beside the far end, where a TC program says: out of the far end. With `tag` it puts
/// the frame's tag beside the data before.
fn redirected(place: &Place, frame: &[u8], tag: bool) -> Result<(), Failure> {
    const VLAN_PUSH: i32 = 18;
    let far = i32::try_from(place.far.ifindex)?;
    let (mut insns, mut bare) = (hashed().to_vec(), frame.to_vec());
    if tag {
        let Some([0x81, 0x00, a, b]) = frame.get(12..16) else {
            return Err("not a frame with an 802.1Q tag".into());
        };
        bare.drain(12..16);
        insns.extend([
            Insn::new(0xbf, 1, 6, 0, 0), // r1 = the buffer
            Insn::new(0xb4, 2, 0, 0, i32::from(0x8100_u16.to_be())), // w2 = the protocol
            Insn::new(0xb4, 3, 0, 0, i32::from(u16::from_be_bytes([*a, *b]))), // w3 = the tag
            Insn::new(0x85, 0, 0, 0, VLAN_PUSH),
        ]);
    }
    insns.extend([
        Insn::new(0xb4, 1, 0, 0, far), // w1 = the far end
        Insn::new(0xb4, 2, 0, 0, 0),   // w2 = out of it
        Insn::new(0x85, 0, 0, 0, REDIRECT),
        Insn::new(0x95, 0, 0, 0, 0),
    ]);
    let namespace = &place.far.namespace;
    let ends = (End::new("x0", 0x70), End::new("x1", 0x71));
    let beside = Veth::create((namespace, ends.0), (namespace, ends.1))?;
    through(place, &beside.near, &beside.far, &insns, &bare)
}

/// Sends out of `from` to its peer `to`, whose ingress runs a TC program meanwhile.
fn through(
    place: &Place,
    to: &Port,
    from: &Port,
    insns: &[Insn],
    frame: &[u8],
) -> Result<(), Failure> {
    const KEY: FilterKey = FilterKey { priority: 1, handle: 1 };
    let kernel = place.dut.kernel();
    let program = onlook::load(&**kernel, insns)?;
    let fire = || -> Result<(), Failure> {
        Sender::open(from)?.send(frame)?;
        thread::sleep(SOON);
        Ok(())
    };
    if require::kernel(6, 6) {
        let _link = to.namespace.run(|| kernel.link_tcx(program.as_fd(), to.ifindex))?;
        return fire();
    }
    to.namespace.run(|| {
        kernel.add_clsact(to.ifindex)?;
        kernel.add_filter(to.ifindex, KEY, program.as_fd(), "through")
    })?;
    let fired = fire();
    to.namespace.run(|| {
        let id = kernel.program_info(program.as_fd())?.id;
        kernel.remove_filter(to.ifindex, KEY, id)?;
        kernel.remove_clsact(to.ifindex)
    })?;
    fired
}

impl Gun {
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let (raw, offloading) = (Sender::open(&place.far)?, Sender::offloading(&place.far)?);
        Ok(Self { raw, offloading, streams: Vec::new() })
    }

    /// Fires once. Returns the frame as it leaves, for sockets the payload's frame as it was asked for.
    pub(super) fn fire(&mut self, place: &Place, shot: &Shot, frame: &[u8]) -> Result<(), Failure> {
        match shot.how {
            How::Raw => Ok(self.raw.send(frame)?),
            How::PartialChecksum | How::Merged => {
                let transport = Transport::find(frame).ok_or("not a UDP or TCP frame")?;
                Ok(self.offloading.send(&transport.offloaded(shot.how, frame))?)
            }
            How::Socket => self.speak(place, frame),
            How::Requeued => requeue(place, frame),
            How::TagBeside => redirected(place, frame, true),
            How::Redirected => redirected(place, frame, false),
            How::SecondQueue => on_second_cpu(&place.far, frame),
        }
    }

    fn speak(&mut self, place: &Place, frame: &[u8]) -> Result<(), Failure> {
        let transport = Transport::find(frame).ok_or("not a UDP or TCP frame")?;
        let payload = &frame[transport.payload..];
        let far = &place.far.namespace;
        let (from, to) = transport.ends;
        if transport.protocol == UDP {
            let send = || -> io::Result<()> {
                let socket = UdpSocket::bind(from)?;
                socket.send_to(payload, to).map(drop)
            };
            return Ok(far.run(send).map_err(|e| LabError::io("send UDP to", to, &e))?);
        }
        let connect = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
            stream.set_write_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(payload)?;
            Ok(stream)
        };
        match far.run(connect) {
            Ok(stream) => self.streams.push(stream),
            // What does not arrive is seen where it is missing.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => return Err(LabError::io("send TCP to", to, &error).into()),
        }
        Ok(())
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the transport header of a frame is.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    protocol: u8,
    v6: bool,
    header: usize,
    payload: usize,
    checksum: usize,
    ends: (SocketAddr, SocketAddr),
    pseudo: Vec<u8>,
}

impl Transport {
    pub(super) fn find(frame: &[u8]) -> Option<Self> {
        let fields = dissect(frame);
        let offset = |name: &str| fields.fields.iter().find(|f| f.name == name).map(|f| f.offset);
        let (protocol, name) = match (offset("udp.src"), offset("tcp.src")) {
            (Some(_), _) => (UDP, "udp"),
            (_, Some(_)) => (TCP, "tcp"),
            _ => return None,
        };
        let header = offset(&format!("{name}.src"))?;
        let checksum = offset(&format!("{name}.checksum"))?;
        let payload = match protocol {
            UDP => header + 8,
            _ => header + usize::from(frame.get(header + 12)? >> 4) * 4,
        };
        let v6 = offset("ipv6.src").is_some();
        let ip = if v6 { "ipv6" } else { "ipv4" };
        let address = |end: &str| {
            let text = fields.get(&format!("{ip}.{end}"))?;
            text.parse::<std::net::IpAddr>().ok()
        };
        let port = |end: &str| fields.get(&format!("{name}.{end}"))?.parse::<u16>().ok();
        let ends = (
            SocketAddr::new(address("src")?, port("src")?),
            SocketAddr::new(address("dst")?, port("dst")?),
        );
        let length = if v6 { 16 } else { 4 };
        let source = offset(&format!("{ip}.src"))?;
        let mut pseudo = frame.get(source..source + 2 * length)?.to_vec();
        pseudo.extend([0, protocol]);
        pseudo.extend(u16::try_from(frame.len().checked_sub(header)?).unwrap_or(0).to_be_bytes());
        Some(Self { protocol, v6, header, payload, checksum, ends, pseudo })
    }

    /// The frame with its checksum unfinished, behind the header that says so (`struct
    /// virtio_net_hdr`).
    fn offloaded(&self, how: How, frame: &[u8]) -> Vec<u8> {
        let (kind, segment) = match how {
            How::Merged if self.protocol == UDP => (GSO_UDP_L4, SEGMENT),
            How::Merged if self.v6 => (GSO_TCPV6, SEGMENT),
            How::Merged => (GSO_TCPV4, SEGMENT),
            _ => (0, 0),
        };
        let numbers = [
            if kind == 0 { 0 } else { self.payload },
            segment,
            self.header,
            self.checksum - self.header,
        ];
        let mut out = vec![NEEDS_CSUM, kind];
        out.extend(numbers.iter().flat_map(|n| (*n as u16).to_ne_bytes()));
        out.extend(self.unfinished(frame));
        out
    }

    /// The frame with the sum of the pseudo header alone where the checksum belongs.
    pub(super) fn unfinished(&self, frame: &[u8]) -> Vec<u8> {
        let mut out = frame.to_vec();
        // The sum itself, not its complement (include/linux/skbuff.h, CHECKSUM_PARTIAL).
        let sum = !crate::frame::internet_checksum(&self.pseudo);
        out[self.checksum..self.checksum + 2].copy_from_slice(&sum.to_be_bytes());
        out
    }

    /// The frame with its checksum computed.
    pub(super) fn finished(&self, frame: &[u8]) -> Vec<u8> {
        let mut out = frame.to_vec();
        out[self.checksum..self.checksum + 2].fill(0);
        let summed = [&self.pseudo[..], &out[self.header..]].concat();
        let sum = match crate::frame::internet_checksum(&summed) {
            0 if self.protocol == UDP => 0xffff,
            sum => sum,
        };
        out[self.checksum..self.checksum + 2].copy_from_slice(&sum.to_be_bytes());
        out
    }

    /// The bytes behind the transport header.
    pub(super) const fn payload(&self) -> usize {
        self.payload
    }
}
