//! Which capability a refused operation lacked.

use crate::error::Error;

/// Capabilities that XDP needs, with their bit in `CapEff` (`linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    NetAdmin = 12,
    Perfmon = 38,
    Bpf = 39,
}

/// `CAP_SYS_ADMIN` implies all of them.
const SYS_ADMIN: u32 = 21;

impl Privilege {
    const fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// The error for an operation that the kernel did not permit, naming which of the capabilities it
/// takes are not held.
pub(crate) fn not_permitted(what: impl Into<String>, needed: &[Privilege]) -> Error {
    let missing = missing(needed);
    let what = what.into();
    if missing.is_empty() {
        return Error::NotPermitted {
            what,
            capability: "the consent of a security module, seccomp filter or user namespace"
                .to_owned(),
            hint: "every capability is held; see `dmesg | tail` for what refused, and \
                   /proc/sys/kernel/unprivileged_bpf_disabled"
                .to_owned(),
        };
    }
    let names: Vec<_> = missing.iter().map(|p| p.name()).collect();
    Error::NotPermitted {
        what,
        capability: names.join(" and "),
        hint: format!(
            "run as root, or give the command the capability: setcap {}+ep <path of hoist>",
            names.join(",").to_ascii_lowercase()
        ),
    }
}

/// Those of `needed` that this process does not hold.
pub(crate) fn missing(needed: &[Privilege]) -> Vec<Privilege> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    missing_in(&status, needed)
}

fn missing_in(status: &str, needed: &[Privilege]) -> Vec<Privilege> {
    let held = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |bit: u32| held & (1 << bit) != 0;
    needed.iter().copied().filter(|&p| !has(p as u32) && !has(SYS_ADMIN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_told_apart() {
        let both = [Privilege::Bpf, Privilege::NetAdmin];
        for (held, missing) in [
            ("000001ffffffffff", &[][..]),
            ("0000008000001000", &[]),
            ("0000008000000000", &[Privilege::NetAdmin]),
            ("0000000000001000", &[Privilege::Bpf]),
            ("0000000000200000", &[]),
            ("0000000000000000", &both),
        ] {
            assert_eq!(
                missing_in(&format!("Name:\tx\nCapEff:\t{held}\n"), &both),
                missing,
                "{held}"
            );
        }
    }
}
