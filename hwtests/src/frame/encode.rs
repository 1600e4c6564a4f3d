//! From layers to bytes.

use super::{Change, Frame, Header, Layer, ethertype, protocol};

impl Frame {
    /// The finished frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut inner: Vec<u8> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (outer, following) = (&self.layers[..index], self.layers.get(index + 1));
            let mut bytes = layer.encode(outer, following, &inner);
            bytes.append(&mut inner);
            inner = bytes;
        }
        for change in &self.changes {
            match change {
                Change::Pad { to } => inner.resize((*to).max(inner.len()), 0),
                Change::Cut { to } => inner.truncate(*to),
                Change::Overwrite { at, with } => {
                    for (slot, byte) in inner.iter_mut().skip(*at).zip(with) {
                        *slot = *byte;
                    }
                }
                Change::Insert { at, bytes } => {
                    let at = (*at).min(inner.len());
                    inner.splice(at..at, bytes.iter().copied());
                }
                Change::Remove { at, count } => {
                    let at = (*at).min(inner.len());
                    inner.drain(at..at.saturating_add(*count).min(inner.len()));
                }
            }
        }
        inner
    }
}

impl Layer {
    /// The header, given the layers around it and the bytes after it.
    fn encode(&self, outer: &[Self], following: Option<&Self>, inner: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match &self.header {
            Header::Eth { src, dst } => {
                out.extend(dst);
                out.extend(src);
                out.extend(self.ethertype(following, inner).to_be_bytes());
            }
            Header::Vlan { tci, .. } => {
                out.extend(tci.to_be_bytes());
                out.extend(self.ethertype(following, inner).to_be_bytes());
            }
            Header::Llc { dsap, ssap, control } => out.extend([*dsap, *ssap, *control]),
            Header::Mpls { label, ttl } => {
                let last = !matches!(following.map(|l| &l.header), Some(Header::Mpls { .. }));
                let entry = label << 12 | u32::from(last) << 8 | u32::from(*ttl);
                out.extend(entry.to_be_bytes());
            }
            Header::Arp { operation, sender, target } => {
                out.extend([0, 1, 8, 0, 6, 4]);
                out.extend(operation.to_be_bytes());
                for (mac, ip) in [sender, target] {
                    out.extend(mac);
                    out.extend(ip.octets());
                }
            }
            Header::Ipv4 { src, dst, ttl, tos, fragment, options } => {
                let header_len = 20 + options.len().next_multiple_of(4);
                out.extend([0x40 | (header_len / 4) as u8, *tos]);
                out.extend(self.length_or(header_len + inner.len()));
                out.extend([0, 0]);
                out.extend(fragment.to_be_bytes());
                out.extend([*ttl, self.ip_next(following), 0, 0]);
                out.extend(src.octets());
                out.extend(dst.octets());
                out.extend(options);
                out.resize(header_len, 0);
                let sum = self.checksum.unwrap_or_else(|| checksum(&[&out]));
                out[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            Header::Ipv6 { src, dst, hops } => {
                out.extend([0x60, 0, 0, 0]);
                out.extend(self.length_or(inner.len()));
                out.extend([self.ip_next(following), *hops]);
                out.extend(src.octets());
                out.extend(dst.octets());
            }
            Header::Extension { kind, body } => {
                let len = (body.len() + 2).next_multiple_of(8);
                // A fragment header has a fixed size and a reserved byte where others have a length.
                let units = if *kind == protocol::FRAGMENT { 0 } else { len / 8 - 1 };
                out.extend([self.ip_next(following), self.length.unwrap_or(units as u16) as u8]);
                out.extend(body);
                out.resize(len, 0);
            }
            Header::Udp { src, dst } => {
                out.extend(src.to_be_bytes());
                out.extend(dst.to_be_bytes());
                out.extend(self.length_or(8 + inner.len()));
                out.extend([0, 0]);
                self.close(&mut out, 6, outer, protocol::UDP, inner);
            }
            Header::Tcp { src, dst, flags, sequence, acknowledged } => {
                out.extend(src.to_be_bytes());
                out.extend(dst.to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(acknowledged.to_be_bytes());
                out.extend([0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                self.close(&mut out, 16, outer, protocol::TCP, inner);
            }
            Header::Icmp { kind, code, rest } => {
                out.extend([*kind, *code, 0, 0]);
                out.extend(rest);
                let v6 = matches!(ip_around(outer), Some(Header::Ipv6 { .. }));
                if v6 {
                    self.close(&mut out, 2, outer, protocol::ICMPV6, inner);
                } else {
                    let sum = self.checksum.unwrap_or_else(|| checksum(&[&out, inner]));
                    out[2..4].copy_from_slice(&sum.to_be_bytes());
                }
            }
            Header::Payload(bytes) => out.extend(bytes),
        }
        out
    }

    fn length_or(&self, computed: usize) -> [u8; 2] {
        self.length.unwrap_or(computed as u16).to_be_bytes()
    }

    /// The type field of an Ethernet or VLAN header; a length before an 802.2 header.
    fn ethertype(&self, following: Option<&Self>, inner: &[u8]) -> u16 {
        self.next.unwrap_or_else(|| match following.map(|l| &l.header) {
            Some(Header::Llc { .. }) => inner.len() as u16,
            Some(Header::Vlan { tpid, .. }) => *tpid,
            Some(Header::Mpls { .. }) => ethertype::MPLS,
            Some(Header::Arp { .. }) => ethertype::ARP,
            Some(Header::Ipv4 { .. }) => ethertype::IPV4,
            Some(Header::Ipv6 { .. }) => ethertype::IPV6,
            _ => 0x88b5,
        })
    }

    /// The protocol field of an IP header or extension header; 253 (RFC 3692) before a payload.
    fn ip_next(&self, following: Option<&Self>) -> u8 {
        let computed = match following.map(|l| &l.header) {
            Some(Header::Ipv4 { .. }) => protocol::IPIP,
            Some(Header::Ipv6 { .. }) => protocol::IPV6,
            Some(Header::Extension { kind, .. }) => *kind,
            Some(Header::Udp { .. }) => protocol::UDP,
            Some(Header::Tcp { .. }) => protocol::TCP,
            Some(Header::Icmp { kind: 128.., .. }) => protocol::ICMPV6,
            Some(Header::Icmp { .. }) => protocol::ICMP,
            Some(_) => 253,
            None => protocol::NONE,
        };
        self.next.map_or(computed, |n| n as u8)
    }

    /// Writes a checksum over pseudo header, header and payload at byte `at` of the header.
    fn close(&self, out: &mut [u8], at: usize, outer: &[Self], protocol: u8, inner: &[u8]) {
        let len = (out.len() + inner.len()) as u32;
        let pseudo = match ip_around(outer) {
            Some(Header::Ipv4 { src, dst, .. }) => {
                [&src.octets()[..], &dst.octets(), &(u32::from(protocol) << 16 | len).to_be_bytes()]
                    .concat()
            }
            Some(Header::Ipv6 { src, dst, .. }) => {
                let tail = [len.to_be_bytes(), u32::from(protocol).to_be_bytes()].concat();
                [&src.octets()[..], &dst.octets(), &tail].concat()
            }
            _ => Vec::new(),
        };
        let sum = self.checksum.unwrap_or_else(|| match checksum(&[&pseudo, out, inner]) {
            // RFC 768: zero means that there is none.
            0 if protocol == protocol::UDP => 0xffff,
            sum => sum,
        });
        out[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn ip_around(outer: &[Layer]) -> Option<&Header> {
    outer
        .iter()
        .rev()
        .map(|l| &l.header)
        .find(|h| matches!(h, Header::Ipv4 { .. } | Header::Ipv6 { .. }))
}

/// The Internet checksum (RFC 1071). All parts but the last have an even number of bytes.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}
