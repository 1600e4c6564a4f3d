//! Traffic profiles as data: which frames are sent, without how many of them a second.
//!
//! A profile is a name ([`Profile::named`]) or a file that says the same in TOML
//! ([`Profile::parse`]). From a profile and two [`Ends`] come [`Frames`]: for each length a whole
//! frame, for each flow what differs, and in which order they follow. Every generator sends what
//! [`Frames::frame`] says, whatever it is made of.
//!
//! ```
//! use hoist_benches::profile::Profile;
//!
//! let mine = Profile::parse("name = 'mine'\nsizes = [{ bytes = 64, weight = 3 }, { bytes = 1518 }]")?;
//! assert_eq!(mine.mean_bytes(), (3.0 * 64.0 + 1518.0) / 4.0);
//! assert_eq!(Profile::named("flows-1000")?.flows(), 1000);
//! # Ok::<(), hoist_benches::profile::ProfileError>(())
//! ```

use serde::{Deserialize, Serialize};

mod builtin;
mod check;
mod ends;
mod flow;
mod frames;

pub use builtin::RFC2544_SIZES;
pub use check::ProfileError;
pub use ends::Ends;
pub use flow::{Flow, MOST_FLOWS};
pub use frames::{Frames, Layout, Shape};

/// Bytes of the frame check sequence, which is part of a frame's length and of no buffer.
pub const FCS: u32 = 4;
/// Bits on the wire beside a frame's own: preamble, start delimiter, gap (IEEE 802.3).
pub const WIRE_OVERHEAD_BYTES: u32 = 20;

/// Which frames are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// What reports call it.
    pub name: String,
    /// Lengths of frames, mixed as evenly as their weights allow.
    pub sizes: Vec<Size>,
    /// The (inner) network protocol.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ip: Ip,
    /// How many flows there are, one frame of each in turn. Without it, as many as `spread` makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<u32>,
    /// What flows differ in, the first changing fastest. Without it, the source port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// VLAN ids, the outermost first: one is 802.1Q, of two the outer is 802.1ad.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// VXLAN network identifier of a tunnel around each frame, over IPv4 (RFC 7348).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<u32>,
    /// Frames that are due at once, where there is an intended load.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub burst: u32,
}

/// One length of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Size {
    /// Length in bytes, FCS included, the outer headers of a tunnel too.
    pub bytes: u32,
    /// How often it comes in relation to the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

/// A network protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ip {
    /// IPv4. UDP carries no checksum then, as RFC 768 allows.
    #[default]
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6, where UDP has its checksum (RFC 8200 section 8.1).
    #[serde(rename = "ipv6")]
    V6,
}

/// A field in which flows differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spread {
    /// Which.
    pub field: Field,
    /// How many values it takes, counting up from the first.
    pub values: u32,
}

/// Fields of the (inner) headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Source address.
    SourceAddress,
    /// Destination address.
    DestinationAddress,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
}

impl Profile {
    /// Frames of one length and one flow.
    #[must_use]
    pub fn of_size(bytes: u32) -> Self {
        Self {
            name: bytes.to_string(),
            sizes: vec![Size { bytes, weight: 1 }],
            ip: Ip::V4,
            flows: None,
            spread: Vec::new(),
            vlan: Vec::new(),
            vxlan: None,
            burst: 1,
        }
    }

    /// Mean length of a frame in bytes, FCS included.
    #[must_use]
    pub fn mean_bytes(&self) -> f64 {
        let weight: f64 = self.sizes.iter().map(|s| f64::from(s.weight)).sum();
        let bytes: f64 = self.sizes.iter().map(|s| f64::from(s.bytes) * f64::from(s.weight)).sum();
        if weight > 0.0 { bytes / weight } else { 0.0 }
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> u32 {
        let product = |all: u64, s: &Spread| all.saturating_mul(u64::from(s.values));
        let spread = self.spread.iter().fold(1, product);
        self.flows.unwrap_or_else(|| spread.try_into().unwrap_or(u32::MAX))
    }

    /// What flows differ in.
    #[must_use]
    pub fn spread(&self) -> Vec<Spread> {
        if self.spread.is_empty() && self.flows() > 1 {
            return vec![Spread { field: Field::SourcePort, values: self.flows() }];
        }
        self.spread.clone()
    }

    /// Frames per second of a wire of this many bits per second that carries nothing else.
    #[must_use]
    pub fn line_rate(&self, bits_per_second: f64) -> f64 {
        bits_per_second / (8.0 * (self.mean_bytes() + f64::from(WIRE_OVERHEAD_BYTES)))
    }
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_one(value: &u32) -> bool {
    *value == 1
}

fn is_default(ip: &Ip) -> bool {
    *ip == Ip::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_the_guide_is_one() {
        let guide = include_str!("../../docs/guide/bench.md");
        let profiles: Vec<&str> = guide
            .split("```toml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap_or_default())
            .collect();
        assert!(!profiles.is_empty());
        for text in profiles {
            Profile::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
