//! When two forms did the same, and the few ways in which a test run shows the same differently.
//!
//! A test run is not the wire. What follows is everything that is taken as equal though it looks
//! different; each has a name, a reason, and a counter of how often it was applied.
//!
//! | name | what is taken as equal | why |
//! |---|---|---|
//! | `unknown-verdict` | a code above 4 on XDP, 0 on TC | the kernel treats unknown codes as `XDP_ABORTED`; TC reports what was done |
//! | `outer-tag-in-metadata` | a VLAN tag at byte 12 on XDP, absent on TC | the epilogue moves the outermost tag out of the data, where the stack expects it; a test run hands out the data alone |
//! | `redirect-decided-at-once` | `XDP_REDIRECT` on both, but TC returns `TC_ACT_SHOT`, exactly where the frame does not leave | no target, an absent one, or one with too small an MTU drops the frame: on TC before the program returns, on XDP after it; the copies of a broadcast have been sent by then |
//! | `absent-target` | `XDP_REDIRECT` on both, and TC returns `TC_ACT_REDIRECT` though there is no such interface | the translation does not ask about short frames, which fit every MTU; the kernel drops them (`skb_do_redirect`) |
//! | `stray-transport-header` | any difference in a run that cuts the frame after moving its start up by more than a test run's headroom; the program is not run further | a test run leaves the transport header unset, which becomes a number when the kernel makes room (`skb_headers_offset_update`), and then a floor for `bpf_skb_change_tail` (`__bpf_skb_min_len`). Frames that arrive have it set (`__netif_receive_skb_core`) |
//! | `cut-off-tag` | PASS, TX or REDIRECT on both of a frame that ends within its VLAN tag, but TC returns `TC_ACT_SHOT` | the kernel cannot take such a tag out of the data; after PASS it drops the frame on XDP too (`skb_vlan_untag`), and no wire carries frames of less than 60 bytes |

use std::collections::BTreeMap;
use std::fmt;

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::MapId;

use super::run::{Hook, Observed, Way};

/// TC return values.
mod tc {
    /// `TC_ACT_UNSPEC`, also `TCX_NEXT`.
    pub(super) const NEXT: u32 = u32::MAX;
    /// `TC_ACT_SHOT`.
    pub(super) const SHOT: u32 = 2;
    /// `TC_ACT_REDIRECT`.
    pub(super) const REDIRECT: u32 = 7;
}

/// `VLAN_ETH_HLEN`.
const TAGGED_HEADER: usize = 18;

/// Verdicts of XDP.
const PASS: u32 = 2;
const TX: u32 = 3;
const REDIRECT: u32 = 4;

/// How results that look different are the same. See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Normalisation {
    /// `unknown-verdict`.
    UnknownVerdict,
    /// `outer-tag-in-metadata`.
    OuterTagInMetadata,
    /// `redirect-decided-at-once`.
    RedirectDecidedAtOnce,
    /// `absent-target`.
    AbsentTarget,
    /// `stray-transport-header`.
    StrayTransportHeader,
    /// `cut-off-tag`.
    CutOffTag,
}

impl Normalisation {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownVerdict => "unknown-verdict",
            Self::OuterTagInMetadata => "outer-tag-in-metadata",
            Self::RedirectDecidedAtOnce => "redirect-decided-at-once",
            Self::AbsentTarget => "absent-target",
            Self::StrayTransportHeader => "stray-transport-header",
            Self::CutOffTag => "cut-off-tag",
        }
    }
}

/// How often each was applied.
pub type Applied = BTreeMap<Normalisation, u64>;

/// What two forms did differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The verdict.
    Verdict {
        /// On native XDP.
        native: u32,
        /// In the other form.
        other: u32,
    },
    /// The verdict is the same, but TC does something else with the frame.
    Action {
        /// The verdict.
        verdict: u32,
        /// What the TC program returned.
        returned: u32,
    },
    /// The frame.
    Frame {
        /// After native XDP.
        native: Vec<u8>,
        /// After the other form.
        other: Vec<u8>,
    },
    /// A map.
    Map {
        /// Its name.
        name: String,
        /// Entries that are in the native form's map only, or with another value there.
        native: Entries,
        /// The same for the other form's.
        other: Entries,
    },
    /// The other form could not be loaded.
    Refused {
        /// The kernel's words, with the end of the verifier's log.
        cause: String,
    },
    /// A run failed.
    Failed {
        /// The kernel's words.
        cause: String,
    },
}

impl Difference {
    /// What kind it is: shrinking keeps the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Verdict { .. } => "verdict",
            Self::Action { .. } => "action",
            Self::Frame { .. } => "frame",
            Self::Map { .. } => "map",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict { native, other } => write!(f, "verdict {native} became {other}"),
            Self::Action { verdict, returned } => {
                write!(
                    f,
                    "verdict {verdict} was carried out as TC action {}",
                    returned.cast_signed()
                )
            }
            Self::Frame { native, other } => {
                let (from, to) = (native.len(), other.len());
                let at = native.iter().zip(other).position(|(a, b)| a != b);
                let at = at.unwrap_or(from.min(to));
                write!(
                    f,
                    "frame of {from} bytes became one of {to}, different from byte {at} on: "
                )?;
                write!(f, "{:02x?} became {:02x?}", some(native, at), some(other, at))
            }
            Self::Map { name, native, other } => {
                write!(f, "map {name}: {native:02x?} became {other:02x?}")
            }
            Self::Refused { cause } => write!(f, "refused: {cause}"),
            Self::Failed { cause } => write!(f, "a run failed: {cause}"),
        }
    }
}

/// A few bytes from a place on.
fn some(frame: &[u8], at: usize) -> &[u8] {
    &frame[at.min(frame.len())..(at + 16).min(frame.len())]
}

/// What both forms were given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The frame.
    pub sent: &'a [u8],
    /// Where the other form runs.
    pub hook: Hook,
    /// What becomes of the frame where the program redirects it to.
    pub way: Way,
}

/// Compares one run of both forms.
///
/// # Errors
/// How they differ.
pub fn runs(
    given: Given<'_>,
    native: &Observed,
    other: &Observed,
    applied: &mut Applied,
) -> Result<(), Difference> {
    let Given { sent, hook, way } = given;
    let mut verdict = native.verdict;
    if hook == Hook::Tc && verdict > REDIRECT {
        count(applied, Normalisation::UnknownVerdict);
        verdict = 0;
    }
    if verdict != other.verdict {
        return Err(Difference::Verdict { native: native.verdict, other: other.verdict });
    }
    if hook == Hook::Tc {
        action(verdict, way, other, &native.frame, applied)?;
    }
    if native.frame != other.frame {
        if hook == Hook::Tc && tag_moved(native, other, verdict) {
            count(applied, Normalisation::OuterTagInMetadata);
        } else {
            let (native, other) = (native.frame.clone(), other.frame.clone());
            return Err(Difference::Frame { native, other });
        }
    } else if hook == Hook::Tc && other.returned != tc::SHOT && must_move_tag(sent, native) {
        // The tag stayed where the stack does not look for it.
        let mut expected = native.frame.clone();
        expected.drain(12..16);
        return Err(Difference::Frame { native: expected, other: other.frame.clone() });
    }
    Ok(())
}

/// Whether TC does with the frame what the verdict says.
fn action(
    verdict: u32,
    way: Way,
    other: &Observed,
    frame: &[u8],
    applied: &mut Applied,
) -> Result<(), Difference> {
    let returned = other.returned;
    let expected = match verdict {
        PASS => tc::NEXT,
        TX => tc::REDIRECT,
        REDIRECT if way == Way::Open => tc::REDIRECT,
        REDIRECT if way == Way::Absent && returned == tc::REDIRECT => {
            count(applied, Normalisation::AbsentTarget);
            return Ok(());
        }
        _ => tc::SHOT,
    };
    if returned == expected {
        if verdict == REDIRECT && way != Way::Open {
            count(applied, Normalisation::RedirectDecidedAtOnce);
        }
        return Ok(());
    }
    if returned == tc::SHOT && cut_off_tag(frame) {
        count(applied, Normalisation::CutOffTag);
        return Ok(());
    }
    Err(Difference::Action { verdict, returned })
}

/// Whether a frame ends within its VLAN tag.
pub(super) fn cut_off_tag(frame: &[u8]) -> bool {
    tagged(frame) && frame.len() < TAGGED_HEADER
}

/// Whether a frame's ethertype is that of a VLAN tag.
fn tagged(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]))
}

/// Whether the frames differ by the outermost tag alone, which TC keeps beside the data.
fn tag_moved(native: &Observed, other: &Observed, verdict: u32) -> bool {
    let (with, without) = (&native.frame, &other.frame);
    goes_on(verdict)
        && tagged(with)
        && with.len() == without.len() + 4
        && with[..12] == without[..12]
        && with[16..] == without[12..]
}

/// Whether the tag of a frame that goes on must have moved: the frame was of another type when it
/// came.
fn must_move_tag(sent: &[u8], native: &Observed) -> bool {
    let same_type = sent.get(12..14) == native.frame.get(12..14);
    tagged(&native.frame) && !same_type && !cut_off_tag(&native.frame)
}

const fn goes_on(verdict: u32) -> bool {
    matches!(verdict, PASS | TX | REDIRECT)
}

/// Compares the maps of both forms.
///
/// # Errors
/// The first map that differs, with the entries that do.
pub fn maps(
    native: &BTreeMap<MapId, Entries>,
    other: &BTreeMap<MapId, Entries>,
    name: impl Fn(MapId) -> String,
) -> Result<(), Difference> {
    for (&id, entries) in native {
        let others = other.get(&id).map_or(&[][..], Vec::as_slice);
        if entries[..] != *others {
            let (native, other) = (only(entries, others), only(others, entries));
            return Err(Difference::Map { name: name(id), native, other });
        }
    }
    Ok(())
}

/// The entries of `these` that `those` lacks.
fn only(these: &[(Vec<u8>, Vec<u8>)], those: &[(Vec<u8>, Vec<u8>)]) -> Entries {
    these.iter().filter(|&entry| !those.contains(entry)).cloned().collect()
}

/// Notes that a rule was applied.
pub(super) fn count(applied: &mut Applied, what: Normalisation) {
    *applied.entry(what).or_default() += 1;
}

#[cfg(test)]
mod tests;
