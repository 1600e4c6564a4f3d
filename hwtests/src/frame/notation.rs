//! Frames in one line: `eth far > near / vlan 7 / ipv4 far > near ttl 3 / udp 1000 > 2000 / 'hello'`.
//!
//! Layers stand in the order of the wire, separated by `/`. What is left out is filled in as
//! [`Frame`] does; what is given is taken, right or wrong.
//!
//! | layer | and, in any order |
//! |---|---|
//! | `eth SRC > DST` | `type N` |
//! | `vlan ID` (802.1Q), `service-vlan ID` (802.1ad) | `priority N`, `drop`, `type N` |
//! | `mpls LABEL` | `ttl N` |
//! | `llc DSAP SSAP CONTROL` | |
//! | `arp request SENDER > TARGET`, `arp reply SENDER > TARGET`: names, or `MAC@IP` | |
//! | `ipv4 SRC > DST` | `ttl N`, `tos N`, `fragment N` (flags and offset), `options HEX`, `protocol N`, `length N`, `checksum N` |
//! | `ipv6 SRC > DST` | `hops N`, `next N`, `length N` |
//! | `hop-by-hop`, `routing`, `fragment`, `destination` (IPv6 extension headers) | a body in hex, `next N`, `length N` |
//! | `udp SRC > DST` | `length N`, `checksum N` |
//! | `tcp SRC > DST` | `syn`, `ack`, `fin`, `rst`, `psh`, `checksum N` |
//! | `icmp echo ID SEQUENCE` | `checksum N` |
//! | `'text'` or `"text"`; `bytes N` (N bytes that count up); `hex HEX` | |
//! | `raw HEX`: these bytes and no header; alone or first | |
//! | `pad N`, `cut N`: the frame has at least, at most N bytes, headers unchanged | |
//! | `patch OFFSET HEX` overwrites, `insert OFFSET HEX`, `remove OFFSET N`, in the order given | |
//!
//! Numbers are decimal or `0x` hexadecimal; HEX is pairs of digits in one word. Addresses are written
//! in the usual way or by the names of the laboratory ([`Names`]): `near`, `far`, `third`, `other`
//! (nobody), `broadcast`, `multicast`, `zero`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{BROADCAST, Frame, Mac, mac};

mod cursor;
mod read;
mod write;

#[cfg(test)]
mod tests;

/// A name and the addresses it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// The word.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address.
    pub ipv6: Ipv6Addr,
}

/// The words that stand for addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    stations: Vec<Station>,
}

impl Default for Names {
    fn default() -> Self {
        Self::lab()
    }
}

impl Names {
    /// The laboratory's: `near` is the device under test, `far` sends to it, `third` is behind the
    /// port that redirects go out of, `other` is nobody.
    #[must_use]
    pub fn lab() -> Self {
        let station = |name: &str, mac: Mac, ipv4: [u8; 4], ipv6: Ipv6Addr| Station {
            name: name.to_owned(),
            mac,
            ipv4: ipv4.into(),
            ipv6,
        };
        let v6 = |n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n);
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        Self {
            stations: vec![
                station("near", mac(1), [10, 0, 0, 1], v6(1)),
                station("far", mac(2), [10, 0, 0, 2], v6(2)),
                station("exit", mac(3), [10, 0, 1, 1], v6(3)),
                station("third", mac(4), [10, 0, 1, 2], v6(4)),
                station("other", mac(0x99), [10, 9, 9, 9], v6(0x99)),
                station("broadcast", BROADCAST, [255; 4], all),
                station("multicast", [1, 0, 0x5e, 0, 0, 1], [224, 0, 0, 1], all),
                station("zero", [0; 6], [0; 4], Ipv6Addr::UNSPECIFIED),
            ],
        }
    }

    /// The same with other addresses for one name, for a device that has its own.
    #[must_use]
    pub fn with(mut self, station: Station) -> Self {
        self.stations.retain(|s| s.name != station.name);
        self.stations.insert(0, station);
        self
    }

    /// What a name stands for.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Station> {
        self.stations.iter().find(|s| s.name == name)
    }

    fn by(&self, matches: impl Fn(&Station) -> bool) -> Option<&str> {
        self.stations.iter().find(|s| matches(s)).map(|s| s.name.as_str())
    }
}

/// Why a line is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What would have fitted there.
    pub expected: String,
    /// What stands there; empty at the end of the line.
    pub found: String,
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: expected {}, found ", self.column, self.expected)?;
        match self.found.as_str() {
            "" => f.write_str("the end"),
            found => write!(f, "'{found}'"),
        }
    }
}

impl std::error::Error for NotationError {}

impl Frame {
    /// Reads a frame in one line.
    ///
    /// ```
    /// use hoist_hwtests::frame::{Frame, notation::Names};
    ///
    /// let frame = Frame::parse("eth far > near / ipv4 far > near / udp 1 > 2 / 'hi'", &Names::lab());
    /// assert_eq!(frame.unwrap().bytes().len(), 14 + 20 + 8 + 2);
    /// let wrong = Frame::parse("eth far > near / ipv4 far", &Names::lab()).unwrap_err();
    /// assert_eq!(wrong.to_string(), "column 26: expected '>', found the end");
    /// ```
    ///
    /// # Errors
    /// The first place that does not fit, and what would.
    pub fn parse(line: &str, names: &Names) -> Result<Self, NotationError> {
        read::frame(line, names)
    }

    /// The frame in one line, which [`Frame::parse`] reads again as an equal frame.
    #[must_use]
    pub fn notation(&self, names: &Names) -> String {
        write::frame(self, names)
    }
}
