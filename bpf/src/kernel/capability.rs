//! Which capability a refused operation lacked (capabilities(7)).

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

use super::KernelError;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const STATUS: &str = "/proc/thread-self/status";

/// The capabilities hoist can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// Loading programs, creating maps.
    CapBpf,
    /// Attaching, and everything else that changes an interface.
    CapNetAdmin,
    /// Sending and receiving raw frames.
    CapNetRaw,
    /// Opening tracepoints.
    CapPerfmon,
    /// Finding objects by id, entering namespaces, mounting.
    CapSysAdmin,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CapBpf, Self::CapNetAdmin, Self::CapNetRaw, Self::CapPerfmon, Self::CapSysAdmin];

    /// As capabilities(7) spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CapBpf => "CAP_BPF",
            Self::CapNetAdmin => "CAP_NET_ADMIN",
            Self::CapNetRaw => "CAP_NET_RAW",
            Self::CapPerfmon => "CAP_PERFMON",
            Self::CapSysAdmin => "CAP_SYS_ADMIN",
        }
    }

    /// The bit in `CapEff`, as `linux/capability.h` numbers it.
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::CapNetAdmin => 12,
            Self::CapNetRaw => 13,
            Self::CapSysAdmin => 21,
            Self::CapPerfmon => 38,
            Self::CapBpf => 39,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The capabilities in effect for the calling thread.
///
/// # Errors
/// `/proc` could not be read.
pub fn effective() -> Result<Vec<Capability>, KernelError> {
    let status = fs::read_to_string(STATUS).map_err(|e| KernelError::io("read", STATUS, &e))?;
    parse(&status).ok_or_else(|| {
        KernelError::new("read", STATUS, 22).saying("there is no line CapEff with a bit mask")
    })
}

fn parse(status: &str) -> Option<Vec<Capability>> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    // With CAP_SYS_ADMIN the kernel grants the two that were split off from it.
    let admin = mask & 1 << Capability::CapSysAdmin.bit() != 0;
    let granted = |capability: &Capability| {
        let implied = matches!(capability, Capability::CapBpf | Capability::CapPerfmon);
        mask & 1 << capability.bit() != 0 || (implied && admin)
    };
    Some(Capability::ALL.into_iter().filter(granted).collect())
}

impl KernelError {
    /// The capability whose lack explains this error, given those in effect. `None` when the error
    /// is not about permission, or when everything the operation asks for was there: then the cause
    /// is elsewhere (a frozen map, a security module, the verifier).
    #[must_use]
    pub fn missing_capability(&self, effective: &[Capability]) -> Option<Capability> {
        // A verifier that spoke was reached, and refuses with the same numbers.
        if ![EPERM, EACCES].contains(&self.errno) || self.log.is_some() {
            return None;
        }
        needs(&self.operation).iter().find(|needed| !effective.contains(needed)).copied()
    }
}

/// What an operation asks for, as the kernel checks it.
fn needs(operation: &str) -> &'static [Capability] {
    use Capability::{CapBpf, CapNetAdmin, CapPerfmon, CapSysAdmin};
    match operation {
        "BPF_PROG_LOAD" => &[CapBpf, CapNetAdmin],
        "BPF_MAP_CREATE" | "BPF_BTF_LOAD" => &[CapBpf],
        "BPF_LINK_CREATE" | "BPF_PROG_QUERY" => &[CapNetAdmin],
        "BPF_RAW_TRACEPOINT_OPEN" => &[CapPerfmon],
        "setns" | "unshare" | "open_tree" | "move_mount" | "mount bpf on" => &[CapSysAdmin],
        _ if operation.starts_with("RTM_") || operation.starts_with("ETHTOOL_") => &[CapNetAdmin],
        _ if operation.ends_with("_BY_ID") || operation.ends_with("_NEXT_ID") => &[CapSysAdmin],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        let cases = [
            ("Name:\tx\nCapEff:\t0000000000000000\n", Some(vec![])),
            ("CapEff:\t0000000000001000\n", Some(vec![Capability::CapNetAdmin])),
            (
                "CapEff:\t0000000000200000\n",
                Some(vec![Capability::CapBpf, Capability::CapPerfmon, Capability::CapSysAdmin]),
            ),
            ("CapEff:\t000001ffffffffff\n", Some(Capability::ALL.to_vec())),
            ("CapEff:\tx\n", None),
            ("", None),
        ];
        for (status, expected) in cases {
            assert_eq!(parse(status), expected, "{status:?}");
        }
        effective().unwrap();
    }

    #[test]
    fn errors_name_the_capability_that_was_missing() {
        use Capability::{CapBpf, CapNetAdmin, CapSysAdmin};
        let cases = [
            ("BPF_PROG_LOAD", EPERM, vec![], Some(CapBpf)),
            ("BPF_PROG_LOAD", EPERM, vec![CapBpf], Some(CapNetAdmin)),
            ("BPF_PROG_LOAD", EPERM, vec![CapBpf, CapNetAdmin], None),
            ("RTM_SETLINK", EPERM, vec![CapBpf], Some(CapNetAdmin)),
            ("BPF_LINK_GET_FD_BY_ID", EPERM, vec![CapBpf], Some(CapSysAdmin)),
            ("BPF_MAP_UPDATE_ELEM", EPERM, vec![], None),
            ("RTM_SETLINK", 16, vec![], None),
        ];
        for (operation, errno, effective, missing) in cases {
            let error = KernelError::new(operation, "it", errno);
            assert_eq!(error.missing_capability(&effective), missing, "{operation}");
        }
        let verifier = KernelError {
            log: Some("R0 !read_ok".to_owned()),
            ..KernelError::new("BPF_PROG_LOAD", "it", EACCES)
        };
        assert_eq!(verifier.missing_capability(&[]), None);
    }
}
