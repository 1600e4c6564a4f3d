//! What this thread may do, and what to say of what it may not.

use hoist_bpf::kernel::Capability;
use hoist_bpf::kernel::capability::effective;

use crate::error::Error;

/// Those of `needed` that this thread does not hold. Where that cannot be read nothing is missing:
/// the kernel will tell.
#[must_use]
pub fn missing(needed: &[Capability]) -> Vec<Capability> {
    effective().map_or_else(|_| Vec::new(), |held| lacking(&held, needed))
}

/// Refuses before the work begins.
///
/// # Errors
/// [`Error::NotPermitted`] naming what is missing and how to get it.
pub fn require(what: impl Into<String>, needed: &[Capability]) -> Result<(), Error> {
    match missing(needed).as_slice() {
        [] => Ok(()),
        missing => Err(lacks(what.into(), missing, needed)),
    }
}

/// The error for an operation that the kernel did not permit, naming which of the capabilities it
/// takes are not held.
pub fn not_permitted(what: impl Into<String>, needed: &[Capability]) -> Error {
    let missing = effective().map_or_else(|_| needed.to_vec(), |held| lacking(&held, needed));
    if missing.is_empty() {
        return Error::NotPermitted {
            what: what.into(),
            capability: "the consent of a security module, a seccomp filter or the user namespace"
                .to_owned(),
            hint: "the capabilities are held; `dmesg | tail` may say what refused".to_owned(),
        };
    }
    lacks(what.into(), &missing, needed)
}

/// How to get capabilities.
#[must_use]
pub fn remedy(needed: &[Capability]) -> String {
    if needed.is_empty() {
        return "run it as root; in a container, its capabilities may not reach the host's \
                network namespace"
            .to_owned();
    }
    let mut names: Vec<String> = needed.iter().map(|c| c.name().to_lowercase()).collect();
    names.sort();
    format!("run it with sudo, or once: sudo setcap {}+ep $(command -v hoist)", names.join(","))
}

fn lacking(held: &[Capability], needed: &[Capability]) -> Vec<Capability> {
    needed.iter().copied().filter(|c| !held.contains(c)).collect()
}

fn lacks(what: String, missing: &[Capability], needed: &[Capability]) -> Error {
    let names: Vec<&str> = missing.iter().map(|c| c.name()).collect();
    let capability = match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    };
    // All that is needed: setcap replaces what the file had.
    Error::NotPermitted { what, capability, hint: remedy(needed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{CapBpf, CapNetAdmin, CapNetRaw};

    #[test]
    fn what_is_missing_is_named_and_all_that_is_needed_is_granted() {
        let needed = [CapNetRaw, CapNetAdmin, CapBpf];
        for (held, named) in [
            (&[][..], "needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF"),
            (&[CapBpf], "needs CAP_NET_RAW and CAP_NET_ADMIN"),
            (&[CapBpf, CapNetAdmin], "needs CAP_NET_RAW"),
        ] {
            let missing = lacking(held, &needed);
            let text = lacks("to try".to_owned(), &missing, &needed).to_string();
            assert!(text.contains(&format!("{named}\n")), "{text}");
            assert!(text.contains("setcap cap_bpf,cap_net_admin,cap_net_raw+ep"), "{text}");
        }
        assert_eq!(lacking(&needed, &needed), []);
    }
}
