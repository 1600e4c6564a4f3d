//! Numbers of a firmware: those that are known, those that are assumed, and those that the user says.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Profile;

/// One number that decides what a card takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is.
    pub about: String,
    /// What is counted.
    pub unit: Unit,
    /// The number; `None` where it is not known.
    #[serde(default)]
    pub value: Option<u64>,
    /// How it is known.
    pub origin: Origin,
    /// Where it comes from: a function of the driver that reads it, or a document.
    pub source: String,
}

/// What a parameter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// 1 for yes, 0 for no.
    Bool,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

/// How a parameter is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Fixed by the driver's source: no firmware can have more.
    Known,
    /// What a public document says of the firmware.
    Assumed,
    /// Only the card can tell.
    Unknown,
    /// The user said so.
    User,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "known",
            Self::Assumed => "assumed",
            Self::Unknown => "unknown",
            Self::User => "given",
        })
    }
}

/// What the user says of a firmware, by the parameter's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters {
    /// The numbers; 1 for yes and 0 for no.
    pub values: BTreeMap<String, u64>,
}

impl Parameters {
    /// Nothing said: the profile's own numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more number.
    #[must_use]
    pub fn with(mut self, name: &str, value: u64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }
}

impl FromStr for Parameters {
    type Err = String;

    /// Reads `NAME=NUMBER`, `NAME=yes` or `NAME=no`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
        let value = match value {
            "yes" | "true" => 1,
            "no" | "false" => 0,
            number => number
                .parse()
                .map_err(|_| format!("{number:?} is neither a whole number nor yes or no"))?,
        };
        Ok(Self::default().with(name, value))
    }
}

impl Profile {
    /// A parameter as it counts: as the user says, or as the profile has it. The user's word that
    /// something is there does not make it more than the driver can take.
    #[must_use]
    pub fn parameter(&self, name: &str, parameters: &Parameters) -> Option<Parameter> {
        let known = self.parameters.get(name)?;
        Some(match parameters.values.get(name) {
            Some(&said) => Parameter {
                value: Some(match (known.origin, known.value) {
                    (Origin::Known, Some(most)) => said.min(most),
                    _ => said,
                }),
                origin: Origin::User,
                source: "given by the user".to_owned(),
                ..known.clone()
            },
            None => known.clone(),
        })
    }

    /// The first name that the user gave and the profile does not have.
    #[must_use]
    pub fn unknown_parameter<'a>(&self, parameters: &'a Parameters) -> Option<&'a str> {
        parameters
            .values
            .keys()
            .map(String::as_str)
            .find(|name| !self.parameters.contains_key(*name))
    }
}
