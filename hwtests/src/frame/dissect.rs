//! From bytes to fields and text. Takes any bytes: what does not parse is payload.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{encode::checksum, ethertype, protocol};

/// One field of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `ipv4.ttl`; the second header of a kind in a frame is `ipv4#2`.
    pub name: String,
    /// Byte offset in the frame.
    pub offset: usize,
    /// Bytes it spans; a field smaller than a byte spans the whole byte.
    pub len: usize,
    /// Its value in the usual notation.
    pub value: String,
}

/// A frame taken apart. Shown as one line: `eth 02:.. > 02:.. | ipv4 10.0.0.1 > 10.0.0.2 ttl 64 | ..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dissection {
    /// Every field, in the order of the frame.
    pub fields: Vec<Field>,
    /// One phrase per header.
    pub layers: Vec<String>,
}

impl Dissection {
    /// A field's value by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.name == name).map(|f| f.value.as_str())
    }
}

impl fmt::Display for Dissection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layers.join(" | "))
    }
}

/// Takes a frame apart.
#[must_use]
pub fn dissect(frame: &[u8]) -> Dissection {
    let mut reader = Reader { frame, at: 0, layer: String::new(), out: Dissection::default() };
    // A header that is cut short leaves the rest to the payload.
    let _ = reader.ethernet();
    reader.payload();
    reader.out
}

/// What follows a header.
enum Next {
    Ether(u16),
    Ip(u8),
    Nothing,
}

struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
    layer: String,
    out: Dissection,
}

impl Reader<'_> {
    /// Starts a header of `len` bytes; `None` when the frame ends before.
    fn header(&mut self, name: &str, len: usize) -> Option<usize> {
        if self.frame.len() < self.at + len {
            return None;
        }
        let before = self
            .out
            .layers
            .iter()
            .filter(|l| l.split(' ').next().and_then(|w| w.split('#').next()) == Some(name))
            .count();
        self.layer = if before == 0 { name.to_owned() } else { format!("{name}#{}", before + 1) };
        let start = self.at;
        self.at += len;
        Some(start)
    }

    fn field(&mut self, name: &str, offset: usize, len: usize, value: impl fmt::Display) {
        self.out.fields.push(Field {
            name: format!("{}.{name}", self.layer),
            offset,
            len,
            value: value.to_string(),
        });
    }

    fn phrase(&mut self, text: impl fmt::Display) {
        self.out.layers.push(format!("{} {text}", self.layer));
    }

    fn u8(&self, at: usize) -> u8 {
        self.frame.get(at).copied().unwrap_or(0)
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.u8(at), self.u8(at + 1)])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2))
    }

    fn ethernet(&mut self) -> Option<()> {
        let at = self.header("eth", 14)?;
        let (dst, src) = (mac_text(&self.frame[at..]), mac_text(&self.frame[at + 6..]));
        self.field("dst", at, 6, &dst);
        self.field("src", at + 6, 6, &src);
        self.phrase(format_args!("{src} > {dst}"));
        let mut next = self.ether_type(at + 12);
        loop {
            next = match next {
                Next::Ether(ethertype::VLAN | ethertype::SERVICE_VLAN) => self.vlan()?,
                Next::Ether(ethertype::MPLS) => self.mpls()?,
                Next::Ether(ethertype::ARP) => self.arp()?,
                Next::Ether(ethertype::IPV4) | Next::Ip(protocol::IPIP) => self.ipv4()?,
                Next::Ether(ethertype::IPV6) | Next::Ip(protocol::IPV6) => self.ipv6()?,
                Next::Ether(len @ ..1536) if usize::from(len) >= 3 => self.llc()?,
                Next::Ip(
                    kind @ (protocol::HOP_BY_HOP
                    | protocol::ROUTING
                    | protocol::FRAGMENT
                    | protocol::DESTINATION),
                ) => self.extension(kind)?,
                Next::Ip(protocol::UDP) => self.udp()?,
                Next::Ip(protocol::TCP) => self.tcp()?,
                Next::Ip(protocol::ICMP | protocol::ICMPV6) => self.icmp()?,
                Next::Ether(_) | Next::Ip(_) | Next::Nothing => return Some(()),
            };
        }
    }

    fn ether_type(&mut self, at: usize) -> Next {
        let number = self.u16(at);
        if number < 1536 {
            self.field("length", at, 2, number);
        } else {
            self.field("type", at, 2, format_args!("{number:#06x}"));
        }
        Next::Ether(number)
    }

    fn vlan(&mut self) -> Option<Next> {
        let at = self.header("vlan", 4)?;
        let tci = self.u16(at);
        self.field("priority", at, 1, tci >> 13);
        self.field("drop", at, 1, tci >> 12 & 1);
        self.field("id", at, 2, tci & 0xfff);
        self.phrase(tci & 0xfff);
        Some(self.ether_type(at + 2))
    }

    fn mpls(&mut self) -> Option<Next> {
        let at = self.header("mpls", 4)?;
        let entry = self.u32(at);
        self.field("label", at, 3, entry >> 12);
        self.field("class", at + 2, 1, entry >> 9 & 7);
        self.field("bottom", at + 2, 1, entry >> 8 & 1);
        self.field("ttl", at + 3, 1, entry & 0xff);
        self.phrase(format_args!("{} ttl {}", entry >> 12, entry & 0xff));
        Some(match (entry >> 8 & 1, self.u8(self.at) >> 4) {
            (0, _) => Next::Ether(ethertype::MPLS),
            (_, 4) => Next::Ether(ethertype::IPV4),
            (_, 6) => Next::Ether(ethertype::IPV6),
            _ => Next::Nothing,
        })
    }

    fn llc(&mut self) -> Option<Next> {
        let at = self.header("llc", 3)?;
        for (i, name) in ["dsap", "ssap", "control"].into_iter().enumerate() {
            self.field(name, at + i, 1, format_args!("{:#04x}", self.frame[at + i]));
        }
        self.phrase(format_args!("{:#04x} > {:#04x}", self.u8(at + 1), self.u8(at)));
        Some(Next::Nothing)
    }

    fn arp(&mut self) -> Option<Next> {
        let at = self.header("arp", 28)?;
        let operation = self.u16(at + 6);
        self.field("hardware", at, 2, self.u16(at));
        self.field("protocol", at + 2, 2, format_args!("{:#06x}", self.u16(at + 2)));
        self.field("lengths", at + 4, 2, format_args!("{:#06x}", self.u16(at + 4)));
        self.field("operation", at + 6, 2, operation);
        self.field("sender-mac", at + 8, 6, mac_text(&self.frame[at + 8..]));
        self.field("sender-ip", at + 14, 4, Ipv4Addr::from(self.u32(at + 14)));
        self.field("target-mac", at + 18, 6, mac_text(&self.frame[at + 18..]));
        self.field("target-ip", at + 24, 4, Ipv4Addr::from(self.u32(at + 24)));
        let (sender, target) = (self.u32(at + 14), self.u32(at + 24));
        let word = if operation == 1 { "asks for" } else { "answers" };
        self.phrase(format_args!("{} {word} {}", Ipv4Addr::from(sender), Ipv4Addr::from(target)));
        Some(Next::Nothing)
    }

    fn ipv4(&mut self) -> Option<Next> {
        let len = usize::from(self.u8(self.at) & 15) * 4;
        let at = self.header("ipv4", len.max(20))?;
        let (src, dst) = (Ipv4Addr::from(self.u32(at + 12)), Ipv4Addr::from(self.u32(at + 16)));
        let (next, fragment) = (self.u8(at + 9), self.u16(at + 6));
        self.field("version", at, 1, self.u8(at) >> 4);
        self.field("header-length", at, 1, len);
        self.field("tos", at + 1, 1, self.u8(at + 1));
        self.field("length", at + 2, 2, self.u16(at + 2));
        self.field("id", at + 4, 2, self.u16(at + 4));
        self.field("fragment", at + 6, 2, format_args!("{fragment:#06x}"));
        self.field("ttl", at + 8, 1, self.u8(at + 8));
        self.field("protocol", at + 9, 1, next);
        self.field("checksum", at + 10, 2, format_args!("{:#06x}", self.u16(at + 10)));
        self.field("src", at + 12, 4, src);
        self.field("dst", at + 16, 4, dst);
        if len > 20 {
            self.field("options", at + 20, len - 20, hex(&self.frame[at + 20..at + len]));
        }
        let valid = checksum(&[&self.frame[at..self.at]]) == 0;
        let note = if valid { "" } else { " bad checksum" };
        self.phrase(format_args!("{src} > {dst} ttl {}{note}", self.u8(at + 8)));
        // Only the first fragment has the next header.
        Some(if fragment & 0x1fff == 0 { Next::Ip(next) } else { Next::Nothing })
    }

    fn ipv6(&mut self) -> Option<Next> {
        let at = self.header("ipv6", 40)?;
        let address = |reader: &Self, from: usize| {
            let words: [u16; 8] = std::array::from_fn(|i| reader.u16(from + 2 * i));
            Ipv6Addr::from(words)
        };
        let (src, dst) = (address(self, at + 8), address(self, at + 24));
        self.field("version", at, 1, self.u8(at) >> 4);
        self.field("class", at, 2, self.u16(at) >> 4 & 0xff);
        self.field("flow", at + 1, 3, self.u32(at) & 0xf_ffff);
        self.field("length", at + 4, 2, self.u16(at + 4));
        self.field("next", at + 6, 1, self.u8(at + 6));
        self.field("hops", at + 7, 1, self.u8(at + 7));
        self.field("src", at + 8, 16, src);
        self.field("dst", at + 24, 16, dst);
        self.phrase(format_args!("{src} > {dst} hops {}", self.u8(at + 7)));
        Some(Next::Ip(self.u8(at + 6)))
    }

    fn extension(&mut self, kind: u8) -> Option<Next> {
        let fixed = kind == protocol::FRAGMENT;
        let len = if fixed { 8 } else { (usize::from(self.u8(self.at + 1)) + 1) * 8 };
        let at = self.header("extension", len)?;
        self.field("next", at, 1, self.u8(at));
        self.field("length", at + 1, 1, self.u8(at + 1));
        self.field("body", at + 2, len - 2, hex(&self.frame[at + 2..at + len]));
        self.phrase(kind);
        let later_fragment = fixed && self.u16(at + 2) >> 3 != 0;
        Some(if later_fragment { Next::Nothing } else { Next::Ip(self.u8(at)) })
    }

    fn udp(&mut self) -> Option<Next> {
        let at = self.header("udp", 8)?;
        self.ports(at);
        self.field("length", at + 4, 2, self.u16(at + 4));
        self.field("checksum", at + 6, 2, format_args!("{:#06x}", self.u16(at + 6)));
        Some(Next::Nothing)
    }

    fn tcp(&mut self) -> Option<Next> {
        let len = usize::from(self.u8(self.at + 12) >> 4) * 4;
        let at = self.header("tcp", len.max(20))?;
        self.ports(at);
        self.field("sequence", at + 4, 4, self.u32(at + 4));
        self.field("acknowledged", at + 8, 4, self.u32(at + 8));
        self.field("header-length", at + 12, 1, len);
        self.field("flags", at + 13, 1, format_args!("{:#04x}", self.u8(at + 13)));
        self.field("window", at + 14, 2, self.u16(at + 14));
        self.field("checksum", at + 16, 2, format_args!("{:#06x}", self.u16(at + 16)));
        self.field("urgent", at + 18, 2, self.u16(at + 18));
        if len > 20 {
            self.field("options", at + 20, len - 20, hex(&self.frame[at + 20..at + len]));
        }
        Some(Next::Nothing)
    }

    fn ports(&mut self, at: usize) {
        let (src, dst) = (self.u16(at), self.u16(at + 2));
        self.field("src", at, 2, src);
        self.field("dst", at + 2, 2, dst);
        self.phrase(format_args!("{src} > {dst}"));
    }

    fn icmp(&mut self) -> Option<Next> {
        let at = self.header("icmp", 8)?;
        self.field("type", at, 1, self.u8(at));
        self.field("code", at + 1, 1, self.u8(at + 1));
        self.field("checksum", at + 2, 2, format_args!("{:#06x}", self.u16(at + 2)));
        self.field("rest", at + 4, 4, hex(&self.frame[at + 4..at + 8]));
        self.phrase(format_args!("type {} code {}", self.u8(at), self.u8(at + 1)));
        Some(Next::Nothing)
    }

    fn payload(&mut self) {
        let rest = &self.frame[self.at..];
        if rest.is_empty() {
            return;
        }
        let (at, len, text) = (self.at, rest.len(), hex(rest));
        self.layer = "payload".to_owned();
        self.field("bytes", at, len, text);
        self.phrase(format_args!("{len} bytes"));
    }
}

fn mac_text(bytes: &[u8]) -> String {
    let six: Vec<String> = bytes.iter().take(6).map(|b| format!("{b:02x}")).collect();
    six.join(":")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
