//! Which capability a refused operation lacked, as an error that says how to get it.

use hoist_bpf::kernel::Capability;
use hoist_bpf::kernel::capability::effective;

use crate::error::Error;

/// The error for an operation that the kernel did not permit, naming which of the capabilities it
/// takes are not held.
pub(crate) fn not_permitted(what: impl Into<String>, needed: &[Capability]) -> Error {
    let what = what.into();
    let missing = missing(needed);
    if missing.is_empty() {
        return Error::NotPermitted {
            what,
            capability: "the consent of a security module, a seccomp filter or the user namespace"
                .to_owned(),
            hint: "the capabilities are held; `dmesg | tail` may say what refused".to_owned(),
        };
    }
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let grants = names.join(",").to_ascii_lowercase();
    Error::NotPermitted {
        what,
        capability: names.join(" and "),
        hint: format!("run it as root, or grant the capability: setcap {grants}+ep FILE"),
    }
}

/// Those of `needed` that this thread does not hold. Where that cannot be read, all of them.
pub(crate) fn missing(needed: &[Capability]) -> Vec<Capability> {
    let held = effective().unwrap_or_default();
    needed.iter().copied().filter(|c| !held.contains(c)).collect()
}
