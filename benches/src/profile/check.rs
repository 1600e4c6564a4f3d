//! Whether frames can follow a profile.

use super::frames::{Layout, MOST_ORDER, MOST_SHAPES};
use super::{FCS, Field, MOST_FLOWS, Profile};

/// Longest frame in bytes without tags, FCS included.
const LONGEST: u32 = 1518;
/// Values that a field takes at most: every port above the first, every address of a /16.
const MOST_VALUES: u32 = 60_000;

/// Why there is no such profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No profile that comes with hoist has this name.
    #[error("there is no profile '{name}'; there are {known}, and files that end in .toml")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The text is not a profile, in the parser's words.
    #[error("{0}")]
    Syntax(String),
    /// No frame can follow it.
    #[error("profile '{name}' {what}")]
    Impossible {
        /// The profile.
        name: String,
        /// Why, as the rest of a sentence.
        what: String,
    },
}

impl Profile {
    /// Whether frames can follow it.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self) -> Result<(), ProfileError> {
        let what = self.unnamed().or_else(|| self.bad_sizes()).or_else(|| self.bad_flows());
        what.map_or(Ok(()), |what| Err(self.impossible(what)))
    }

    pub(super) fn impossible(&self, what: String) -> ProfileError {
        ProfileError::Impossible { name: self.name.clone(), what }
    }

    fn unnamed(&self) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("has no name".to_owned());
        }
        if self.burst == 0 {
            return Some("has a burst of 0 frames; 1 is one after another".to_owned());
        }
        if self.vlan.len() > 2 {
            return Some("has more than two tags".to_owned());
        }
        if let Some(id) = self.vlan.iter().find(|id| !(1..=4094).contains(*id)) {
            return Some(format!("has VLAN id {id}; ids are 1 to 4094"));
        }
        let vni = self.vxlan.filter(|vni| *vni >= 1 << 24)?;
        Some(format!("has VXLAN network {vni}; its number has 24 bits"))
    }

    fn bad_sizes(&self) -> Option<String> {
        if self.sizes.is_empty() {
            return Some("has no sizes".to_owned());
        }
        if self.sizes.len() > MOST_SHAPES {
            return Some(format!("has more than {MOST_SHAPES} sizes"));
        }
        let tags = 4 * u32::try_from(self.vlan.len()).unwrap_or(0);
        let (least, most) = (Layout::of(self).least_bytes() + FCS, LONGEST + tags);
        for size in &self.sizes {
            let bytes = size.bytes;
            if size.weight == 0 {
                return Some(format!("gives {bytes} bytes a weight of 0"));
            }
            if bytes < least {
                return Some(format!(
                    "has frames without room: {bytes} bytes is shorter than {least}, which its \
                     headers need"
                ));
            }
            if bytes > most {
                return Some(format!("has frames too long: {bytes} bytes is longer than {most}"));
            }
        }
        let weights: u64 = self.sizes.iter().map(|s| u64::from(s.weight)).sum();
        (weights > MOST_ORDER as u64)
            .then(|| format!("has weights that add up to {weights}; at most {MOST_ORDER} can be"))
    }

    fn bad_flows(&self) -> Option<String> {
        let flows = self.flows();
        if flows == 0 {
            return Some("has 0 flows".to_owned());
        }
        if flows > MOST_FLOWS {
            return Some(format!("has {flows} flows; there can be at most {MOST_FLOWS}"));
        }
        let spread = self.spread();
        let mut seen: Vec<Field> = Vec::new();
        for one in &spread {
            if seen.contains(&one.field) {
                return Some(format!("spreads {:?} twice", one.field));
            }
            seen.push(one.field);
            if one.values == 0 || one.values > MOST_VALUES {
                return Some(format!(
                    "spreads {:?} over {} values; it can take 1, and at most {MOST_VALUES}",
                    one.field, one.values
                ));
            }
        }
        let combinations = spread.iter().map(|s| u64::from(s.values)).product::<u64>();
        (u64::from(flows) > combinations)
            .then(|| format!("has {flows} flows, and its spread makes only {combinations}"))
    }
}
