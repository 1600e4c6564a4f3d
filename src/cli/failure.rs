//! How a command ends badly: what is said, and the exit status.

use std::io;
use std::process::ExitCode;

use hoist_offload::bpf::kernel::{Capability, KernelError, capability};
use hoist_offload::{Error, Gap, privilege};
use serde::Serialize;

/// Exit statuses; documented in `hoist --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, or a check failed.
    Refused = 1,
    /// Wrong usage or input.
    Usage = 2,
    /// A privilege is missing.
    NotPermitted = 3,
    /// The kernel or the system failed.
    System = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command stopped.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error to be told.
    Error(Error),
    /// Something to be told that is no [`Error`] of the library: a check of the command's own.
    Words(Words, Exit),
    /// Everything was told already (a plan without an engine); only the status is left.
    Told(Exit),
    /// Output could not be written. A closed pipe is success: the reader has had enough.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Self::Error(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Wrong input, with the next step.
    pub(super) fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Error(Error::Input { what: what.into(), hint: Some(hint.into()) })
    }

    /// The exit status.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Error(error) => exit_of(error),
            Self::Words(_, exit) | Self::Told(exit) => *exit,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::System,
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Refused { .. } => Exit::Refused,
        Error::Input { .. } => Exit::Usage,
        Error::NotPermitted { .. } => Exit::NotPermitted,
        Error::Kernel { error, .. } if is_permission(error) => Exit::NotPermitted,
        Error::Host { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        _ => Exit::System,
    }
}

/// `EPERM`, and `EACCES` where it is not the verifier's.
fn is_permission(error: &KernelError) -> bool {
    error.errno == 1 || (error.errno == 13 && error.log.is_none())
}

/// What is said of an error: one sentence, and the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Words {
    /// The stable code, where it is a refusal with a section in docs/refusals.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// The sentence.
    pub error: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The verifier's log, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl From<Gap> for Words {
    fn from(gap: Gap) -> Self {
        Self { code: Some(gap.code), error: gap.message, next: gap.remedy, log: None }
    }
}

/// The words for an error. `capable` names capabilities the process lacks, for the next step of a
/// bare `EPERM`.
pub(super) fn words(error: &Error, missing: &[Capability]) -> Words {
    let plain = |what: &str, next: Option<String>| Words {
        code: None,
        error: what.to_owned(),
        next,
        log: None,
    };
    match error {
        Error::Input { what, hint } => plain(what, hint.clone()),
        Error::NotPermitted { what, capability, hint } => {
            plain(&format!("{what}: not permitted; needs {capability}"), Some(hint.clone()))
        }
        Error::Kernel { error, hint } => Words {
            code: None,
            error: error.to_string(),
            next: hint.clone().or_else(|| next_for(error, missing)),
            log: error.log.clone(),
        },
        Error::Host { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            plain(&error.to_string(), Some(privilege::remedy(missing)))
        }
        other => plain(&other.to_string(), None),
    }
}

/// The words for output that could not be written.
pub(super) fn output_words(error: &io::Error) -> Words {
    Words { code: None, error: format!("writing output: {error}"), next: None, log: None }
}

fn next_for(error: &KernelError, missing: &[Capability]) -> Option<String> {
    match error.errno {
        1 | 13 if error.log.is_none() => {
            // What this operation lacked, where that can be told; else all that is missing.
            let held = capability::effective().unwrap_or_default();
            let lacked = error.missing_capability(&held);
            Some(privilege::remedy(lacked.as_ref().map_or(missing, std::slice::from_ref)))
        }
        16 => Some("'hoist status' shows what holds it".to_owned()),
        19 => Some("the interface is gone; 'hoist probe' lists those there are".to_owned()),
        12 => Some("free memory, or make the maps smaller".to_owned()),
        _ if error.log.is_some() => Some("-v prints the verifier's log whole".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(errno: i32, log: Option<&str>) -> Error {
        Error::Kernel {
            error: KernelError {
                operation: "BPF_PROG_LOAD".into(),
                object: "drop".into(),
                errno,
                message: None,
                log: log.map(str::to_owned),
            },
            hint: None,
        }
    }

    #[test]
    fn every_class_of_error_has_its_status() {
        let refused =
            Error::Refused { device: "a".into(), program: "p".into(), refusals: Vec::new() };
        let host = |kind| Error::Host {
            operation: "open",
            object: "x".into(),
            source: io::Error::from(kind),
        };
        let not_permitted = Error::NotPermitted {
            what: "w".into(),
            capability: "CAP_BPF".into(),
            hint: "h".into(),
        };
        let cases = [
            (refused, Exit::Refused),
            (Error::Input { what: "w".into(), hint: None }, Exit::Usage),
            (not_permitted, Exit::NotPermitted),
            (kernel(1, None), Exit::NotPermitted),
            (kernel(13, None), Exit::NotPermitted),
            (kernel(13, Some("R0 !read_ok")), Exit::System),
            (kernel(22, None), Exit::System),
            (host(io::ErrorKind::PermissionDenied), Exit::NotPermitted),
            (host(io::ErrorKind::NotFound), Exit::System),
        ];
        for (error, exit) in cases {
            assert_eq!(exit_of(&error), exit, "{error}");
        }
        let pipe = Failure::Output(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(pipe.exit(), Exit::Done);
    }

    #[test]
    fn a_bare_eperm_names_what_is_missing() {
        let words = words(&kernel(1, None), &[Capability::CapBpf]);
        assert!(words.next.is_some_and(|n| n.contains("CAP_BPF") || n.contains("cap_bpf")));
    }
}
