//! `--accept`: which codes there are to accept.

use hoist_offload::Error;
use hoist_offload::bpf::passes::lower::ACCEPTABLE;

use crate::suggest;

/// Conditions of an engine that are told as `Severity::Breaks`: packets would be lost or changed.
const OF_ENGINES: [&str; 4] =
    ["half-checksum-passed", "merged-packets", "rx-queue-index-differs", "tx-peer-no-napi"];

/// Whose differences are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Those that rewriting a program for a card makes.
    Lowering,
    /// Those and the engines'.
    Any,
}

/// Checks that every code is one that can be accepted.
///
/// # Errors
/// [`Error::Input`] with the first one that is not, and the code that may be meant.
pub(super) fn check(codes: &[String], of: Of) -> Result<(), Error> {
    let (mut known, whose) = (
        ACCEPTABLE.to_vec(),
        match of {
            Of::Lowering => "that lowering makes",
            Of::Any => "that can be accepted",
        },
    );
    if of == Of::Any {
        known.extend(OF_ENGINES);
    }
    let Some(code) = codes.iter().find(|code| !known.contains(&code.as_str())) else {
        return Ok(());
    };
    Err(Error::Input {
        what: format!("--accept {code}: this is no difference {whose}"),
        hint: Some(suggest::instead(code, "code", &known)),
    })
}
