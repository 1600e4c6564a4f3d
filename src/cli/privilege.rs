//! What this process may do, read from `/proc/self/status` before anything is tried.

use hoist_offload::Error;

/// Capabilities hoist asks for, with their bit in `CapEff` (`linux/capability.h`).
const KNOWN: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_SYS_ADMIN", 21), ("CAP_BPF", 39)];

/// The effective capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Privilege {
    effective: u64,
}

impl Privilege {
    /// Reads them. A system without `/proc` is taken to permit everything: the kernel will tell.
    pub(super) fn current() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { effective: effective(&status).unwrap_or(u64::MAX) }
    }

    /// Whether a capability is there. `CAP_SYS_ADMIN` stands in for `CAP_BPF`, as in the kernel.
    pub(super) fn has(self, capability: &str) -> bool {
        let bit = |name: &str| {
            KNOWN.iter().any(|(n, bit)| *n == name && self.effective & (1 << bit) != 0)
        };
        bit(capability) || (capability == "CAP_BPF" && bit("CAP_SYS_ADMIN"))
    }

    /// Those of `needed` that are missing.
    pub(super) fn missing<'a>(self, needed: &[&'a str]) -> Vec<&'a str> {
        needed.iter().copied().filter(|c| !self.has(c)).collect()
    }

    /// Refuses before the work begins.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] naming what is missing and how to get it.
    pub(super) fn require(self, what: &str, needed: &[&str]) -> Result<(), Error> {
        let missing = self.missing(needed);
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::NotPermitted {
            what: what.to_owned(),
            capability: and(&missing),
            // All that is needed: setcap replaces what the file had.
            hint: remedy(needed),
        })
    }
}

/// `A`, `A and B`, `A, B and C`.
fn and(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// How to get capabilities.
pub(super) fn remedy(needed: &[&str]) -> String {
    if needed.is_empty() {
        return "run it as root; in a container, its capabilities may not reach the host's \
                network namespace"
            .to_owned();
    }
    let mut caps: Vec<String> = needed.iter().map(|c| c.to_lowercase()).collect();
    caps.sort();
    format!("run it with sudo, or once: sudo setcap {}+ep $(command -v hoist)", caps.join(","))
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_their_bits() {
        let both = "Name:\thoist\nCapEff:\t0000008000001000\n";
        let privilege = Privilege { effective: effective(both).expect("has the line") };
        assert!(privilege.has("CAP_BPF") && privilege.has("CAP_NET_ADMIN"));
        assert!(!privilege.has("CAP_SYS_ADMIN"));
        let admin = Privilege { effective: 1 << 21 };
        assert!(admin.has("CAP_BPF"));
        assert_eq!(admin.missing(&["CAP_BPF", "CAP_NET_ADMIN"]), ["CAP_NET_ADMIN"]);
        let error = admin.require("attach", &["CAP_NET_ADMIN"]).expect_err("missing");
        assert!(error.to_string().contains("setcap cap_net_admin+ep"), "{error}");
    }
}
