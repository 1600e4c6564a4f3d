//! Frames that can be read in a test: built layer by layer, shown as text, compared field by field.
//!
//! ```
//! use hoist_hwtests::frame::{Frame, diff, mac};
//!
//! let sent = Frame::eth(mac(1), mac(2)).vlan(7).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).udp(4000, 53);
//! let got = Frame::eth(mac(1), mac(2)).vlan(8).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).udp(4000, 53);
//! assert_eq!(diff(&sent.bytes(), &got.bytes()).to_string(), "vlan.id at 14: 7 became 8");
//! ```
//!
//! Lengths, checksums and protocol numbers are filled in from what follows; each can be set to
//! something wrong, since programs must survive wrong frames.

use std::net::{Ipv4Addr, Ipv6Addr};

mod diff;
mod dissect;
mod encode;
pub mod notation;

pub use diff::{Difference, diff};
pub use dissect::{Dissection, Field, dissect};

/// A hardware address, first byte first on the wire.
pub type Mac = [u8; 6];

/// All stations.
pub const BROADCAST: Mac = [0xff; 6];

/// The locally administered unicast address `02:00:00:00:00:n`.
#[must_use]
pub const fn mac(n: u8) -> Mac {
    [2, 0, 0, 0, 0, n]
}

/// Bytes that count up from 0 to 250 and again, so that a shift by any likely distance shows.
#[must_use]
pub fn counting(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// The Internet checksum (RFC 1071) of these bytes.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    encode::checksum(&[bytes])
}

/// Ethertypes of `linux/if_ether.h`.
pub(crate) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
}

/// Protocol numbers of `linux/in.h`.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IPIP: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NONE: u8 = 59;
    pub(crate) const DESTINATION: u8 = 60;
}

/// TCP flags, as in the 14th byte of the header.
pub mod tcp {
    /// No more data.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset.
    pub const RST: u8 = 4;
    /// Push.
    pub const PSH: u8 = 8;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

/// A frame under construction, from the destination address on, without FCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    layers: Vec<Layer>,
    changes: Vec<Change>,
}

/// A change of the finished frame, in the order they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Overwrite { at: usize, with: Vec<u8> },
    Insert { at: usize, bytes: Vec<u8> },
    Remove { at: usize, count: usize },
    Pad { to: usize },
    Cut { to: usize },
}

/// One header and what the caller set in it by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    header: Header,
    next: Option<u16>,
    length: Option<u16>,
    checksum: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    Eth { src: Mac, dst: Mac },
    Llc { dsap: u8, ssap: u8, control: u8 },
    Vlan { tpid: u16, tci: u16 },
    Mpls { label: u32, ttl: u8 },
    Arp { operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr) },
    Ipv4 { src: Ipv4Addr, dst: Ipv4Addr, ttl: u8, tos: u8, fragment: u16, options: Vec<u8> },
    Ipv6 { src: Ipv6Addr, dst: Ipv6Addr, hops: u8 },
    Extension { kind: u8, body: Vec<u8> },
    Udp { src: u16, dst: u16 },
    Tcp { src: u16, dst: u16, flags: u8, sequence: u32, acknowledged: u32 },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    Payload(Vec<u8>),
}

impl Frame {
    /// An Ethernet II frame. The ethertype follows from the next layer; without one it is the local
    /// experimental type 0x88b5.
    #[must_use]
    pub fn eth(src: Mac, dst: Mac) -> Self {
        Self::start(Header::Eth { src, dst })
    }

    /// These bytes and nothing else: for frames that no layer describes.
    #[must_use]
    pub fn raw(bytes: &[u8]) -> Self {
        Self::start(Header::Payload(bytes.to_vec()))
    }

    fn start(header: Header) -> Self {
        let frame = Self { layers: Vec::new(), changes: Vec::new() };
        frame.layer(header)
    }

    fn layer(mut self, header: Header) -> Self {
        self.layers.push(Layer { header, next: None, length: None, checksum: None });
        self
    }

    /// An 802.1Q tag with a VLAN id of 0 to 4095; further bits are the priority (13 to 15) and the
    /// drop indicator (12).
    #[must_use]
    pub fn vlan(self, tci: u16) -> Self {
        self.layer(Header::Vlan { tpid: ethertype::VLAN, tci })
    }

    /// An 802.1ad service tag.
    #[must_use]
    pub fn service_vlan(self, tci: u16) -> Self {
        self.layer(Header::Vlan { tpid: ethertype::SERVICE_VLAN, tci })
    }

    /// An 802.2 header: the Ethernet header then carries a length instead of a type.
    #[must_use]
    pub fn llc(self, dsap: u8, ssap: u8, control: u8) -> Self {
        self.layer(Header::Llc { dsap, ssap, control })
    }

    /// An MPLS label stack entry, TTL 64; the last one before another layer is the bottom.
    #[must_use]
    pub fn mpls(self, label: u32) -> Self {
        self.layer(Header::Mpls { label, ttl: 64 })
    }

    /// An ARP request ("who has `target`").
    #[must_use]
    pub fn arp_request(
        self,
        sender: (Mac, impl Into<Ipv4Addr>),
        target: impl Into<Ipv4Addr>,
    ) -> Self {
        let sender = (sender.0, sender.1.into());
        self.layer(Header::Arp { operation: 1, sender, target: ([0; 6], target.into()) })
    }

    /// An ARP reply.
    #[must_use]
    pub fn arp_reply(
        self,
        sender: (Mac, impl Into<Ipv4Addr>),
        target: (Mac, impl Into<Ipv4Addr>),
    ) -> Self {
        let (sender, target) = ((sender.0, sender.1.into()), (target.0, target.1.into()));
        self.layer(Header::Arp { operation: 2, sender, target })
    }

    /// An IPv4 header with TTL 64. After another IP layer it is IPIP.
    #[must_use]
    pub fn ipv4(self, src: impl Into<Ipv4Addr>, dst: impl Into<Ipv4Addr>) -> Self {
        let (src, dst) = (src.into(), dst.into());
        self.layer(Header::Ipv4 { src, dst, ttl: 64, tos: 0, fragment: 0, options: Vec::new() })
    }

    /// An IPv6 header with hop limit 64.
    #[must_use]
    pub fn ipv6(self, src: impl Into<Ipv6Addr>, dst: impl Into<Ipv6Addr>) -> Self {
        self.layer(Header::Ipv6 { src: src.into(), dst: dst.into(), hops: 64 })
    }

    /// An IPv6 extension header of this kind; `body` follows the next-header and length bytes and is
    /// padded to a multiple of 8 octets.
    #[must_use]
    pub fn extension(self, kind: u8, body: &[u8]) -> Self {
        self.layer(Header::Extension { kind, body: body.to_vec() })
    }

    /// A UDP header.
    #[must_use]
    pub fn udp(self, src: u16, dst: u16) -> Self {
        self.layer(Header::Udp { src, dst })
    }

    /// A TCP header with these [`tcp`] flags.
    #[must_use]
    pub fn tcp(self, src: u16, dst: u16, flags: u8) -> Self {
        self.layer(Header::Tcp { src, dst, flags, sequence: 1, acknowledged: 0 })
    }

    /// An ICMP echo request; after IPv6 it is ICMPv6's.
    #[must_use]
    pub fn echo(self, identifier: u16, sequence: u16) -> Self {
        let [a, b] = identifier.to_be_bytes();
        let [c, d] = sequence.to_be_bytes();
        let v6 = matches!(self.innermost_ip(), Some(Header::Ipv6 { .. }));
        let kind = if v6 { 128 } else { 8 };
        self.layer(Header::Icmp { kind, code: 0, rest: [a, b, c, d] })
    }

    /// Bytes that no header describes.
    #[must_use]
    pub fn payload(self, bytes: &[u8]) -> Self {
        self.layer(Header::Payload(bytes.to_vec()))
    }

    /// Zeros at the end until the frame has this many bytes; 60 is the least on a real wire.
    #[must_use]
    pub fn pad_to(mut self, bytes: usize) -> Self {
        self.changes.push(Change::Pad { to: bytes });
        self
    }

    /// The frame ends after at most this many bytes, whatever its headers say.
    #[must_use]
    pub fn cut_to(mut self, bytes: usize) -> Self {
        self.changes.push(Change::Cut { to: bytes });
        self
    }

    fn innermost_ip(&self) -> Option<&Header> {
        self.layers
            .iter()
            .rev()
            .map(|l| &l.header)
            .find(|h| matches!(h, Header::Ipv4 { .. } | Header::Ipv6 { .. }))
    }
}

/// Fields of the last layer, and wrong things.
impl Frame {
    /// TTL or hop limit of the innermost IP or MPLS header.
    #[must_use]
    pub fn ttl(mut self, value: u8) -> Self {
        for layer in self.layers.iter_mut().rev() {
            if let Header::Ipv4 { ttl, .. }
            | Header::Ipv6 { hops: ttl, .. }
            | Header::Mpls { ttl, .. } = &mut layer.header
            {
                *ttl = value;
                break;
            }
        }
        self
    }

    /// Type of service of the innermost IPv4 header.
    #[must_use]
    pub fn tos(mut self, value: u8) -> Self {
        for layer in self.layers.iter_mut().rev() {
            if let Header::Ipv4 { tos, .. } = &mut layer.header {
                *tos = value;
                break;
            }
        }
        self
    }

    /// Flags and offset of the innermost IPv4 header: 0x2000 says more fragments follow, 0x4000
    /// forbids fragmenting, the low 13 bits are the offset in units of 8 octets.
    #[must_use]
    pub fn fragment(mut self, value: u16) -> Self {
        for layer in self.layers.iter_mut().rev() {
            if let Header::Ipv4 { fragment, .. } = &mut layer.header {
                *fragment = value;
                break;
            }
        }
        self
    }

    /// Options of the innermost IPv4 header, padded to a multiple of 4 octets.
    #[must_use]
    pub fn options(mut self, bytes: &[u8]) -> Self {
        for layer in self.layers.iter_mut().rev() {
            if let Header::Ipv4 { options, .. } = &mut layer.header {
                *options = bytes.to_vec();
                break;
            }
        }
        self
    }

    /// What the last layer says comes next, right or wrong: ethertype, protocol or next header.
    #[must_use]
    pub fn next(mut self, number: u16) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.next = Some(number);
        }
        self
    }

    /// The last layer's length field, right or wrong.
    #[must_use]
    pub fn length(mut self, value: u16) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.length = Some(value);
        }
        self
    }

    /// The last layer's checksum, right or wrong. A UDP checksum of 0 means there is none.
    #[must_use]
    pub fn checksum(mut self, value: u16) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.checksum = Some(value);
        }
        self
    }

    /// Overwrites bytes of the finished frame; bytes beyond its end are ignored. No checksum
    /// follows the change.
    #[must_use]
    pub fn patch(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.changes.push(Change::Overwrite { at: offset, with: bytes.to_vec() });
        self
    }

    /// Puts bytes into the finished frame, at its end at the latest. No length follows the change.
    #[must_use]
    pub fn insert(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.changes.push(Change::Insert { at: offset, bytes: bytes.to_vec() });
        self
    }

    /// Takes bytes out of the finished frame, as many as there are. No length follows the change.
    #[must_use]
    pub fn remove(mut self, offset: usize, count: usize) -> Self {
        self.changes.push(Change::Remove { at: offset, count });
        self
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        dissect(&self.bytes()).fmt(f)
    }
}
