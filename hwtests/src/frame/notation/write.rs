//! From a frame to a line.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Names;
use crate::frame::{Change, Frame, Header, Layer, Mac, counting, ethertype, protocol, tcp};

pub(super) fn frame(frame: &Frame, names: &Names) -> String {
    let mut out = String::new();
    for (index, layer) in frame.layers.iter().enumerate() {
        if index > 0 {
            out.push_str(" / ");
        }
        // Bytes in the place of the first header are the whole frame's.
        match &layer.header {
            Header::Payload(bytes) if index == 0 => word(&mut out, "raw", hex(bytes)),
            _ => Writer { out: &mut out, names }.layer(layer),
        }
    }
    for change in &frame.changes {
        match change {
            Change::Pad { to } => word(&mut out, " / pad", to),
            Change::Cut { to } => word(&mut out, " / cut", to),
            Change::Overwrite { at, with } => {
                word(&mut out, " / patch", format_args!("{at} {}", hex(with)));
            }
            Change::Insert { at, bytes } => {
                word(&mut out, " / insert", format_args!("{at} {}", hex(bytes)));
            }
            Change::Remove { at, count } => {
                word(&mut out, " / remove", format_args!("{at} {count}"));
            }
        }
    }
    out
}

fn word(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{name} {value}");
}

struct Writer<'a> {
    out: &'a mut String,
    names: &'a Names,
}

impl Writer<'_> {
    fn layer(&mut self, layer: &Layer) {
        match &layer.header {
            Header::Eth { src, dst } => {
                let pair = format!("{} > {}", self.mac(*src), self.mac(*dst));
                word(self.out, "eth", pair);
                self.number(" type", layer.next);
            }
            Header::Vlan { tpid, tci } => {
                let service = *tpid == ethertype::SERVICE_VLAN;
                word(self.out, if service { "service-vlan" } else { "vlan" }, tci & 0xfff);
                if tci >> 13 != 0 {
                    word(self.out, " priority", tci >> 13);
                }
                if tci >> 12 & 1 == 1 {
                    self.out.push_str(" drop");
                }
                self.number(" type", layer.next);
            }
            Header::Mpls { label, ttl } => {
                word(self.out, "mpls", format_args!("{label} ttl {ttl}"));
            }
            Header::Llc { dsap, ssap, control } => {
                word(self.out, "llc", format_args!("{dsap:#04x} {ssap:#04x} {control:#04x}"));
            }
            Header::Arp { operation, sender, target } => {
                let kind = if *operation == 1 { "request" } else { "reply" };
                let (sender, target) =
                    (self.host(*sender, false), self.host(*target, *operation == 1));
                word(self.out, "arp", format_args!("{kind} {sender} > {target}"));
            }
            Header::Ipv4 { src, dst, ttl, tos, fragment, options } => {
                let pair = format!("{} > {}", self.ipv4(*src), self.ipv4(*dst));
                word(self.out, "ipv4", pair);
                self.unless(" ttl", *ttl, 64);
                self.unless(" tos", *tos, 0);
                self.number(" fragment", (*fragment != 0).then_some(*fragment));
                if !options.is_empty() {
                    word(self.out, " options", hex(options));
                }
                if let Some(next) = layer.next {
                    word(self.out, " protocol", next & 0xff);
                }
                self.length_and_checksum(layer);
            }
            Header::Ipv6 { src, dst, hops } => {
                let pair = format!("{} > {}", self.ipv6(*src), self.ipv6(*dst));
                word(self.out, "ipv6", pair);
                self.unless(" hops", *hops, 64);
                self.number(" next", layer.next);
                self.length_and_checksum(layer);
            }
            Header::Extension { kind, body } => {
                self.out.push_str(match *kind {
                    protocol::ROUTING => "routing",
                    protocol::FRAGMENT => "fragment",
                    protocol::DESTINATION => "destination",
                    _ => "hop-by-hop",
                });
                if !body.is_empty() {
                    word(self.out, "", hex(body));
                }
                self.number(" next", layer.next);
                self.length_and_checksum(layer);
            }
            Header::Udp { src, dst } => {
                word(self.out, "udp", format_args!("{src} > {dst}"));
                self.length_and_checksum(layer);
            }
            Header::Tcp { src, dst, flags, .. } => {
                word(self.out, "tcp", format_args!("{src} > {dst}"));
                let words = [
                    (tcp::SYN, " syn"),
                    (tcp::ACK, " ack"),
                    (tcp::FIN, " fin"),
                    (tcp::RST, " rst"),
                    (tcp::PSH, " psh"),
                ];
                words
                    .iter()
                    .filter(|(bit, _)| flags & bit != 0)
                    .for_each(|(_, w)| self.out.push_str(w));
                self.length_and_checksum(layer);
            }
            Header::Icmp { rest: [a, b, c, d], .. } => {
                let (id, sequence) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                word(self.out, "icmp", format_args!("echo {id} {sequence}"));
                self.length_and_checksum(layer);
            }
            Header::Payload(bytes) => self.payload(bytes),
        }
    }

    fn payload(&mut self, bytes: &[u8]) {
        let plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'\'';
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.iter().all(plain) => {
                self.out.push('\'');
                self.out.push_str(text);
                self.out.push('\'');
            }
            _ if bytes == counting(bytes.len()) => word(self.out, "bytes", bytes.len()),
            _ => word(self.out, "hex", hex(bytes)),
        }
    }

    fn number(&mut self, name: &str, value: Option<u16>) {
        if let Some(value) = value {
            word(self.out, name, format_args!("{value:#06x}"));
        }
    }

    fn unless(&mut self, name: &str, value: u8, usual: u8) {
        if value != usual {
            word(self.out, name, value);
        }
    }

    fn length_and_checksum(&mut self, layer: &Layer) {
        if let Some(length) = layer.length {
            word(self.out, " length", length);
        }
        self.number(" checksum", layer.checksum);
    }

    fn mac(&self, mac: Mac) -> String {
        self.names.by(|s| s.mac == mac).map_or_else(|| mac_text(mac), str::to_owned)
    }

    fn ipv4(&self, address: Ipv4Addr) -> String {
        self.names.by(|s| s.ipv4 == address).map_or_else(|| address.to_string(), str::to_owned)
    }

    fn ipv6(&self, address: Ipv6Addr) -> String {
        self.names.by(|s| s.ipv6 == address).map_or_else(|| address.to_string(), str::to_owned)
    }

    /// A request's target has no hardware address yet, whoever it is.
    fn host(&self, (mac, ip): (Mac, Ipv4Addr), any_mac: bool) -> String {
        let named = self.names.by(|s| s.ipv4 == ip && (any_mac || s.mac == mac));
        named.map_or_else(|| format!("{}@{ip}", mac_text(mac)), str::to_owned)
    }
}

fn mac_text(mac: Mac) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
