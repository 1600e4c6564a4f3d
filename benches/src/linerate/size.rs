//! Sizes of frames: one, or a mix.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Shortest frame, in bytes with FCS (`minFrameSize` of IEEE 802.3 section 4.4.2).
const SHORTEST: u32 = 64;

/// The mix that CSIT calls `IMIX_v4_1`: bytes with FCS, and parts.
const IMIX: [(u32, u32); 3] = [(64, 28), (570, 16), (1518, 4)];

/// Sizes of frames in bytes, FCS included. Read from `64`, `imix` or `64x28+570x16+1518x4`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Size {
    /// Bytes, and how many of such frames.
    parts: Vec<(u32, u32)>,
}

/// What is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a size of frames: write 64, imix, or a mix as 64x28+570x16+1518x4 (bytes with FCS, no fewer than 64)"
)]
pub struct BadSize(String);

impl Size {
    /// Frames of one size.
    #[must_use]
    pub fn one(bytes: u32) -> Self {
        Self { parts: vec![(bytes, 1)] }
    }

    /// 28 of 64 bytes, 16 of 570, 4 of 1518: 353.83 on average.
    #[must_use]
    pub fn imix() -> Self {
        Self { parts: IMIX.to_vec() }
    }

    /// The sizes of RFC 2544 section 9.1, and the mix.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let sizes = [64, 128, 256, 512, 1024, 1280, 1518].into_iter().map(Self::one);
        sizes.chain([Self::imix()]).collect()
    }

    /// Mean bytes of a frame.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let frames: u64 = self.parts.iter().map(|(_, count)| u64::from(*count)).sum();
        let bytes: u64 =
            self.parts.iter().map(|(bytes, count)| u64::from(*bytes) * u64::from(*count)).sum();
        bytes as f64 / frames as f64
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.to_owned());
        if text.eq_ignore_ascii_case("imix") {
            return Ok(Self::imix());
        }
        let part = |part: &str| -> Option<(u32, u32)> {
            let (bytes, count) = part.split_once('x').unwrap_or((part, "1"));
            let (bytes, count) = (bytes.trim().parse().ok()?, count.trim().parse().ok()?);
            (bytes >= SHORTEST && count > 0).then_some((bytes, count))
        };
        let parts: Option<Vec<_>> = text.split('+').map(part).collect();
        parts.map(|parts| Self { parts }).ok_or_else(bad)
    }
}

impl TryFrom<String> for Size {
    type Error = BadSize;

    fn try_from(text: String) -> Result<Self, BadSize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts.as_slice() {
            [(bytes, _)] => write!(f, "{bytes}"),
            parts if parts == IMIX => f.write_str("imix"),
            parts => {
                let parts: Vec<String> =
                    parts.iter().map(|(bytes, count)| format!("{bytes}x{count}")).collect();
                f.write_str(&parts.join("+"))
            }
        }
    }
}
