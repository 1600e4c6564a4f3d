//! Recordings of hosts: everything a plan needs, in one JSON document.

use serde::{Deserialize, Serialize};

use super::{Host, HostReport};
use crate::device::Device;
use crate::error::Error;

/// A host and its interfaces, as written by `hoist probe --record` and read by `--host`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// `hoist.record.v1`.
    pub schema: String,
    /// Set on recordings made by hand from documentation, not on a machine: what they rest on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<String>,
    /// The host.
    pub host: HostReport,
    /// Its interfaces.
    pub devices: Vec<Device>,
}

impl Recording {
    /// The schema name of the current format.
    pub const SCHEMA: &'static str = "hoist.record.v1";

    /// Records a host with every interface of the current network namespace.
    ///
    /// # Errors
    /// The host could not be asked.
    pub fn of(host: &dyn Host) -> Result<Self, Error> {
        Ok(Self::new(host.report()?.clone(), host.devices()?))
    }

    /// A recording of these facts.
    #[must_use]
    pub fn new(host: HostReport, devices: Vec<Device>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), synthetic: None, host, devices }
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// [`Error::Input`] naming `origin` when the text is no recording, or one of another format.
    pub fn from_json(origin: &str, text: &str) -> Result<Self, Error> {
        let wrong = |what: String, hint: &str| Error::Input { what, hint: Some(hint.to_owned()) };
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| {
            wrong(format!("{origin} is not JSON: {e}"), "make one with hoist probe --record FILE")
        })?;
        match value.get("schema").and_then(serde_json::Value::as_str) {
            Some(Self::SCHEMA) => {}
            Some(other) => {
                return Err(wrong(
                    format!("{origin} has schema {other}, not {}", Self::SCHEMA),
                    "make a new one with hoist probe --record FILE",
                ));
            }
            None => {
                return Err(wrong(
                    format!("{origin} is not a recording: it names no schema"),
                    "make one with hoist probe --record FILE",
                ));
            }
        }
        serde_json::from_value(value).map_err(|e| {
            wrong(
                format!("{origin} is not a complete recording: {e}"),
                "make a new one with hoist probe --record FILE",
            )
        })
    }

    /// The recording as indented JSON.
    ///
    /// # Panics
    /// Never: the types hold only strings, numbers and lists, which JSON can express.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data serialises");
        text.push('\n');
        text
    }
}
