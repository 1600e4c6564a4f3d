//! Facts of the system that are read from files: release, sysctls, capabilities, configuration.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use hoist_bpf::kernel::Capability;

use crate::fact::Fact;

const JIT: [&str; 4] = [
    "net.core.bpf_jit_enable",
    "net.core.bpf_jit_harden",
    "net.core.bpf_jit_kallsyms",
    "net.core.bpf_jit_limit",
];

/// `uname -r`.
pub(super) fn release() -> String {
    word("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned())
}

/// `uname -v`.
pub(super) fn version() -> String {
    fs::read_to_string("/proc/sys/kernel/version").unwrap_or_default().trim().to_owned()
}

/// `uname -m`. Kernels before 6.1 tell it in no file; there, the architecture this program was
/// built for.
pub(super) fn machine() -> String {
    word("/proc/sys/kernel/arch").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// A number that changes with every boot.
pub(super) fn boot_id() -> Option<String> {
    word("/proc/sys/kernel/random/boot_id")
}

/// The JIT's sysctls.
pub(super) fn jit() -> BTreeMap<String, Fact<i64>> {
    JIT.iter().map(|name| ((*name).to_owned(), sysctl(name))).collect()
}

/// One numeric sysctl.
pub(super) fn sysctl(name: &str) -> Fact<i64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(number) => Fact::kernel(number, path),
            Err(_) => Fact::unknown(format!("{path} holds no number: {}", text.trim())),
        },
        Err(error) => Fact::unknown(format!("{path}: {error}")),
    }
}

/// Size of a file in bytes.
pub(super) fn size(path: &str) -> Fact<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Fact::kernel(metadata.len(), path),
        Err(error) => Fact::unknown(format!("{path}: {error}")),
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asker {
    /// Effective user id.
    pub(super) user: u32,
    /// Effective capabilities, one bit each.
    pub(super) capabilities: u64,
}

/// Who the calling thread is; nobody with nothing where `/proc` cannot be read.
pub(super) fn asker() -> Asker {
    asker_in(&fs::read_to_string("/proc/thread-self/status").unwrap_or_default())
}

fn asker_in(status: &str) -> Asker {
    const NOBODY: u32 = 65534;
    let field = |name| status.lines().find_map(|l| l.strip_prefix(name));
    // `Uid:` lists real, effective, saved and file system ids.
    let user = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
    let set = field("CapEff:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    Asker { user: user.unwrap_or(NOBODY), capabilities: set.unwrap_or(0) }
}

/// Which capabilities are in a set. They decide what may be probed, loaded and attached.
pub(super) fn capabilities(set: u64) -> BTreeMap<String, bool> {
    Capability::ALL.into_iter().map(|c| (c.to_string(), set >> c.bit() & 1 == 1)).collect()
}

/// The kernel's configuration, from the kernel itself or from where distributions put it.
pub(super) fn configuration() -> Fact<String> {
    let own = Path::new("/proc/config.gz");
    let mut tried = vec![own.display().to_string()];
    if let Ok(file) = fs::File::open(own) {
        let mut text = String::new();
        match flate2::read::GzDecoder::new(file).read_to_string(&mut text) {
            Ok(_) => return Fact::kernel(text, own.display().to_string()),
            Err(error) => tried.push(error.to_string()),
        }
    }
    let release = release();
    for path in [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")] {
        match fs::read_to_string(&path) {
            Ok(text) => return Fact::kernel(text, path),
            Err(_) => tried.push(path),
        }
    }
    Fact::unknown(format!("none of these could be read: {}", tried.join(", ")))
}

fn word(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asker_is_read_from_status() {
        let asker = asker_in("Name:\tx\nUid:\t1000\t7\t7\t7\nCapEff:\t000000c000001000\n");
        assert_eq!(asker.user, 7);
        let held = capabilities(asker.capabilities).into_iter().filter(|(_, has)| *has);
        let held: Vec<_> = held.map(|(name, _)| name).collect();
        assert_eq!(held, ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(asker_in("").capabilities, 0);
    }
}
