//! From a profile to frames: the pieces that generators put together, and the order they come in.

use hoist_hwtests::frame::{Frame, mac};

use super::{Ends, FCS, Flow, Ip, Profile, ProfileError};
use crate::stamp::Stamp;

/// Different lengths that a profile has at most.
pub(super) const MOST_SHAPES: usize = 16;
/// Longest sequence of lengths before it begins again.
pub(super) const MOST_ORDER: usize = 1024;

const ETHERNET: usize = 14;
const TAG: usize = 4;
const UDP: usize = 8;
/// IPv4, UDP and VXLAN headers, and the inner Ethernet header.
const TUNNEL: usize = 20 + UDP + 8 + ETHERNET;
/// Shortest frame of IEEE 802.3 in bytes, without FCS.
const SHORTEST: usize = 60;
/// The port of VXLAN.
const VXLAN_PORT: u16 = 4789;

/// Where in a frame things are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Start of the (inner) IP header.
    pub ip: usize,
    /// Start of the (inner) UDP header, and so end of the IP header.
    pub udp: usize,
    /// Length of all headers.
    pub header: usize,
    /// Start and length of addresses and ports, which stand together.
    pub tuple: (usize, usize),
    /// The checksum that covers them: of the IPv4 header, or of UDP over IPv6.
    pub checksum: usize,
    /// The source port of a tunnel's outer header.
    pub outer_port: Option<usize>,
}

impl Layout {
    /// The layout of a profile's frames.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let outer = ETHERNET + TAG * profile.vlan.len();
        let ip = outer + profile.vxlan.map_or(0, |_| TUNNEL);
        let (length, addresses) = match profile.ip {
            Ip::V4 => (20, 8),
            Ip::V6 => (40, 32),
        };
        let udp = ip + length;
        Self {
            ip,
            udp,
            header: udp + UDP,
            tuple: (udp - addresses, addresses + 4),
            checksum: if profile.ip == Ip::V4 { ip + 10 } else { udp + 6 },
            outer_port: profile.vxlan.map(|_| outer + 20),
        }
    }

    /// Bytes of headers that are written at once, whole words.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.header.next_multiple_of(8)
    }

    /// The shortest frame, without FCS.
    #[must_use]
    pub fn least_bytes(&self) -> u32 {
        self.words().max(SHORTEST).try_into().unwrap_or(u32::MAX)
    }
}

/// The frames of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// A frame of the first flow, from the destination address on, without FCS, complete.
    pub frame: Vec<u8>,
    /// Sum of the 16-bit words, as the processor loads them, that the checksum covers; without those
    /// of a stamp, and without those of the flow where there are several.
    pub sum: u32,
    /// Whether a stamp begins at an odd byte of what the checksum covers.
    pub odd: bool,
}

/// What is different in the frames of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Addresses and ports.
    pub tuple: Vec<u8>,
    /// Their part of the sum that the checksum covers.
    pub sum: u32,
    /// Source port of the outer header, in the bytes of the wire.
    pub outer_port: [u8; 2],
}

/// Everything that a generator needs to know of the frames it sends.
#[derive(Clone, Debug)]
pub struct Frames {
    profile: Profile,
    ends: Ends,
    layout: Layout,
    shapes: Vec<Shape>,
    order: Vec<u32>,
    stamped: bool,
}

impl Frames {
    /// The frames of a profile between two ends, with room for stamps if they are `stamped`.
    ///
    /// # Errors
    /// The profile is impossible, or its frames have no room for a stamp.
    pub fn of(profile: &Profile, ends: Ends, stamped: bool) -> Result<Self, ProfileError> {
        profile.check()?;
        let layout = Layout::of(profile);
        let least = layout.header + Stamp::BYTES + FCS as usize;
        if let Some(size) = profile.sizes.iter().find(|s| stamped && (s.bytes as usize) < least) {
            return Err(profile.impossible(format!(
                "has no room for stamps in frames of {} bytes; {least} have",
                size.bytes
            )));
        }
        let mut frames = Self {
            profile: profile.clone(),
            ends,
            layout,
            shapes: Vec::new(),
            order: order(profile),
            stamped,
        };
        for size in &profile.sizes {
            let frame = frames.build((size.bytes - FCS) as usize, 0);
            let several = profile.flows() > 1;
            let sum = covered(&frame, &layout, profile.ip, several);
            let odd = (frame.len() - Stamp::BYTES.min(frame.len()) - layout.udp) % 2 == 1;
            frames.shapes.push(Shape { frame, sum, odd });
        }
        Ok(frames)
    }

    /// The profile.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Where things are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// One for each of the profile's lengths.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Which shape comes when: again and again from the first.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Whether frames carry stamps.
    #[must_use]
    pub const fn stamped(&self) -> bool {
        self.stamped
    }

    /// The longest frame, without FCS.
    #[must_use]
    pub fn longest(&self) -> &[u8] {
        let frames = self.shapes.iter().map(|shape| &*shape.frame);
        frames.max_by_key(|frame| frame.len()).unwrap_or_default()
    }

    /// What is different in a flow.
    #[must_use]
    pub fn patch(&self, flow: u32) -> Patch {
        let (ends, flow) = (self.innermost(), Flow::of(&self.profile, flow));
        let ports = [
            ends.ports.0.wrapping_add(flow.source_port),
            ends.ports.1.wrapping_add(flow.destination_port),
        ];
        let mut tuple = Vec::with_capacity(36);
        match self.profile.ip {
            Ip::V4 => {
                let (from, to) = ends.v4;
                tuple.extend((from.to_bits().wrapping_add(flow.source)).to_be_bytes());
                tuple.extend((to.to_bits().wrapping_add(flow.destination)).to_be_bytes());
            }
            Ip::V6 => {
                let (from, to) = ends.v6;
                tuple.extend((from.to_bits() + u128::from(flow.source)).to_be_bytes());
                tuple.extend((to.to_bits() + u128::from(flow.destination)).to_be_bytes());
            }
        }
        let addresses = tuple.len();
        ports.iter().for_each(|port| tuple.extend(port.to_be_bytes()));
        // The checksum of an IPv4 header does not cover the ports.
        let covered = if self.profile.ip == Ip::V4 { addresses } else { tuple.len() };
        let sum = words(&tuple[..covered]);
        Patch { tuple, sum, outer_port: flow.outer_port.to_be_bytes() }
    }

    /// Writes the frame of a number into a buffer that is long enough for the longest, stamped if
    /// need be; its length. Numbers count up from 0 in each stream.
    pub fn write(&self, number: u64, stamp: &Stamp, into: &mut [u8]) -> usize {
        let place = (number % self.order.len() as u64) as usize;
        let shape = &self.shapes[self.order[place] as usize];
        let frame = &mut into[..shape.frame.len()];
        frame.copy_from_slice(&shape.frame);
        let (flows, mut sum) = (u64::from(self.profile.flows()), shape.sum);
        if flows > 1 {
            let patch = self.patch((number % flows) as u32);
            let (at, length) = self.layout.tuple;
            frame[at..at + length].copy_from_slice(&patch.tuple);
            sum += patch.sum;
            if let Some(at) = self.layout.outer_port {
                frame[at..at + 2].copy_from_slice(&patch.outer_port);
            }
        }
        if self.stamped {
            stamp.put(frame);
            if self.profile.ip == Ip::V6 {
                let folded = fold(words(&stamp.bytes()));
                sum += u32::from(if shape.odd { folded.swap_bytes() } else { folded });
            }
        }
        let checksum = match (self.profile.ip, !fold(sum)) {
            (Ip::V6, 0) => 0xffff,
            (_, sum) => sum,
        };
        let at = self.layout.checksum;
        frame[at..at + 2].copy_from_slice(&checksum.to_ne_bytes());
        frame.len()
    }

    /// The frame of a number, built layer by layer: what [`Frames::write`] must equal.
    #[must_use]
    pub fn frame(&self, number: u64) -> Vec<u8> {
        let shape = self.order[(number % self.order.len() as u64) as usize] as usize;
        let flow = (number % u64::from(self.profile.flows())) as u32;
        self.build(self.shapes[shape].frame.len(), flow)
    }

    const fn innermost(&self) -> Ends {
        if self.profile.vxlan.is_some() { self.ends.inner() } else { self.ends }
    }

    fn build(&self, bytes: usize, flow: u32) -> Vec<u8> {
        let flow = Flow::of(&self.profile, flow);
        let (mut outer, tags) =
            (Frame::eth(self.ends.macs.0, self.ends.macs.1), &self.profile.vlan);
        for (at, id) in tags.iter().enumerate() {
            let innermost = at + 1 == tags.len();
            outer = if innermost { outer.vlan(*id) } else { outer.service_vlan(*id) };
        }
        let Some(vni) = self.profile.vxlan else {
            return self.datagram(outer, flow, bytes).bytes();
        };
        let around = ETHERNET + TAG * tags.len() + TUNNEL - ETHERNET;
        let inner = Frame::eth(mac(0x11), mac(0x12));
        let inner = self.datagram(inner, flow, bytes - around).bytes();
        let mut payload = vec![8, 0, 0, 0];
        payload.extend((vni << 8).to_be_bytes());
        payload.extend(inner);
        let (from, to) = self.ends.v4;
        outer.ipv4(from, to).udp(flow.outer_port, VXLAN_PORT).checksum(0).payload(&payload).bytes()
    }

    /// A frame of `bytes` bytes whose last headers are IP and UDP.
    fn datagram(&self, frame: Frame, flow: Flow, bytes: usize) -> Frame {
        let ends = self.innermost();
        let before = frame.bytes().len();
        let ports = (
            ends.ports.0.wrapping_add(flow.source_port),
            ends.ports.1.wrapping_add(flow.destination_port),
        );
        match self.profile.ip {
            Ip::V4 => {
                let from = ends.v4.0.to_bits().wrapping_add(flow.source);
                let to = ends.v4.1.to_bits().wrapping_add(flow.destination);
                let payload = vec![0; bytes - before - 20 - UDP];
                let frame =
                    frame.ipv4(std::net::Ipv4Addr::from(from), std::net::Ipv4Addr::from(to));
                frame.udp(ports.0, ports.1).checksum(0).payload(&payload)
            }
            Ip::V6 => {
                let from = ends.v6.0.to_bits() + u128::from(flow.source);
                let to = ends.v6.1.to_bits() + u128::from(flow.destination);
                let payload = vec![0; bytes - before - 40 - UDP];
                let frame =
                    frame.ipv6(std::net::Ipv6Addr::from(from), std::net::Ipv6Addr::from(to));
                frame.udp(ports.0, ports.1).payload(&payload)
            }
        }
    }
}

/// Lengths in turn, each as evenly as the weights allow (smooth weighted round robin).
fn order(profile: &Profile) -> Vec<u32> {
    let weights: Vec<i64> = profile.sizes.iter().map(|s| i64::from(s.weight)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
            let most = credit.iter().copied().max().unwrap_or(0);
            let chosen = credit.iter().position(|credit| *credit == most).unwrap_or(0);
            credit[chosen] -= total;
            u32::try_from(chosen).unwrap_or(0)
        })
        .collect()
}

/// Sum of what the checksum of a complete frame covers, less the flow's part where there are several.
fn covered(frame: &[u8], layout: &Layout, ip: Ip, several: bool) -> u32 {
    let checksum = u16::from_ne_bytes([frame[layout.checksum], frame[layout.checksum + 1]]);
    // A right checksum is the complement of the sum.
    let all = u32::from(!checksum);
    if !several {
        return all;
    }
    let (at, length) = layout.tuple;
    let addresses = length - 4;
    let tuple = &frame[at..at + if ip == Ip::V4 { addresses } else { length }];
    // In one's complement, taking away is adding the complement.
    all + u32::from(!fold(words(tuple)))
}

/// The 16-bit words of bytes as the processor loads them, added up. At most 64 KiB of them fit.
fn words(bytes: &[u8]) -> u32 {
    let pairs = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    pairs.sum()
}

/// A sum in 16 bits, what is carried out added again (RFC 1071).
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use hoist_hwtests::frame::internet_checksum;

    use super::*;

    fn frames(name: &str, stamped: bool) -> Frames {
        let ends = Ends::between(mac(1), mac(2));
        Frames::of(&Profile::named(name).unwrap(), ends, stamped).unwrap()
    }

    fn own(text: &str, stamped: bool) -> Frames {
        let ends = Ends::between(mac(1), mac(2));
        Frames::of(&Profile::parse(text).unwrap(), ends, stamped).unwrap()
    }

    /// Tunnels, tags, both protocols, mixed odd lengths, several fields.
    const MUCH: &str = "name = 'much'\nip = 'ipv6'\nvlan = [5, 6]\nvxlan = 7\n\
        sizes = [{ bytes = 200, weight = 2 }, { bytes = 203 }]\n\
        spread = [{ field = 'source-address', values = 3 }, { field = 'destination-port', values = 2 }]";

    #[test]
    fn frames_that_are_patched_are_those_that_are_built() {
        let names = ["64", "1518", "imix", "vlan", "vxlan", "ipv6", "flows-5000"];
        let all = names.iter().map(|name| frames(name, false)).chain([own(MUCH, false)]);
        for frames in all {
            for number in (0..200).chain([4_999, 5_000, 1 << 40]) {
                let mut buffer = [0xee; 1600];
                let length = frames.write(number, &Stamp::default(), &mut buffer);
                let name = &frames.profile().name;
                assert_eq!(buffer[..length], frames.frame(number), "{name} {number}");
            }
        }
    }

    #[test]
    fn the_checksum_over_ipv6_covers_the_stamp() {
        let text = MUCH.replace("vxlan = 7\n", "").replace("vlan = [5, 6]\n", "");
        for frames in [frames("ipv6", true), own(&text, true), own(MUCH, true)] {
            for number in 0..100 {
                let stamp = Stamp {
                    token: 0xbeef,
                    stream: 3,
                    sequence: number as u32,
                    intended: number << 30,
                    sent: number * 7919,
                };
                let mut buffer = [0xee; 1600];
                let length = frames.write(number, &stamp, &mut buffer);
                let (frame, layout) = (&buffer[..length], frames.layout());
                assert_eq!(Stamp::of(frame).unwrap().sequence, number as u32);
                let datagram = &frame[layout.udp..];
                let mut covered = frame[layout.udp - 32..layout.udp].to_vec();
                covered.extend((datagram.len() as u32).to_be_bytes());
                covered.extend([0, 0, 0, 17]);
                covered.extend(datagram);
                assert_eq!(internet_checksum(&covered), 0, "{} {number}", frames.profile().name);
            }
        }
    }

    #[test]
    fn lengths_come_as_often_as_their_weights_say_and_evenly() {
        let frames = frames("imix", false);
        let length = |n: &u32| frames.shapes()[*n as usize].frame.len();
        let count = |bytes| frames.order().iter().filter(|n| length(n) == bytes).count();
        assert_eq!([count(60), count(566), count(1514)], [28, 16, 4]);
        let longest: Vec<usize> =
            (0..48).filter(|at| length(&frames.order()[*at]) == 1514).collect();
        assert!(longest.windows(2).all(|w| w[1] - w[0] == 12), "{longest:?}");
    }

    #[test]
    fn a_frame_without_room_for_a_stamp_is_refused() {
        let ends = Ends::between(mac(1), mac(2));
        let profile = Profile { name: "a".to_owned(), ..Profile::of_size(64) };
        assert!(Frames::of(&profile, ends, true).is_ok());
        let tagged = Profile { vlan: vec![1], ..profile };
        let error = Frames::of(&tagged, ends, true).unwrap_err().to_string();
        assert!(error.contains("64 bytes; 66 have"), "{error}");
        assert!(Frames::of(&tagged, ends, false).is_ok());
    }
}
