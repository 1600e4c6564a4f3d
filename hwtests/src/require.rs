//! Whether a test that needs more than an ordinary user can run here.
//!
//! A test that cannot run says so by name and returns; it never counts as passed silently. Where
//! the environment variable `HOIST_REQUIRE` (a list separated by commas) names the tier, being
//! unable to run is a failure instead: continuous integration sets it.

use std::path::Path;

use hoist_bpf::kernel::Capability;
use hoist_offload::privilege;

use crate::vm::{Lab, Machine, VmError};

/// What the veth tier needs: CAP_SYS_ADMIN for making and entering network namespaces.
const VETH: [Capability; 4] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapNetRaw, Capability::CapSysAdmin];

/// Whether the test `name` of the veth tier can run: namespaces, veth pairs, packet sockets, BPF.
///
/// ```no_run
/// # fn the_test() {
/// if !hoist_hwtests::require::veth("drop_program_drops") {
///     return;
/// }
/// # }
/// ```
///
/// # Panics
/// When it cannot and `HOIST_REQUIRE` contains `veth`.
#[must_use]
pub fn veth(name: &str) -> bool {
    let missing: Vec<&str> = privilege::missing(&VETH).into_iter().map(Capability::name).collect();
    verdict("veth", name, (!missing.is_empty()).then(|| missing.join(", ")))
}

/// Like [`veth`], for a test that also needs files of another package, for example Debian's
/// `xdp-tools`. All of `files` must exist.
///
/// # Panics
/// When it cannot run and `HOIST_REQUIRE` contains `veth`.
#[must_use]
pub fn veth_and_files(name: &str, files: &[&Path]) -> bool {
    let absent: Vec<String> =
        files.iter().filter(|f| !f.exists()).map(|f| f.display().to_string()).collect();
    veth(name) && verdict("veth", name, (!absent.is_empty()).then(|| absent.join(", ")))
}

/// Like [`veth`], for a test that also needs a program on the search path.
///
/// # Panics
/// When it cannot run and `HOIST_REQUIRE` contains `veth`.
#[must_use]
pub fn veth_and_command(name: &str, command: &str) -> bool {
    veth(name) && self::command(name, command)
}

/// Where netdevsim makes devices.
const NETDEVSIM: &str = "/sys/bus/netdevsim/new_device";

/// Whether the test `name` of the netdevsim tier can run: what [`veth`] needs, and a kernel with
/// netdevsim. The VM laboratory has one (see the guide for contributors).
///
/// # Panics
/// When it cannot and `HOIST_REQUIRE` contains `netdevsim`.
#[must_use]
pub fn netdevsim(name: &str) -> bool {
    let absent = !Path::new(NETDEVSIM).exists();
    veth(name) && verdict("netdevsim", name, absent.then(|| "netdevsim".to_owned()))
}

/// Like [`netdevsim`], for a test that also needs the knobs of hoist's simulated card
/// (`hwtests/vm/netdevsim/card.c`), which stock netdevsim lacks.
///
/// # Panics
/// When it cannot run and `HOIST_REQUIRE` contains `netdevsim-card`.
#[must_use]
pub fn netdevsim_card(name: &str) -> bool {
    let absent = !netdevsim_is_card();
    netdevsim(name)
        && verdict("netdevsim-card", name, absent.then(|| "netdevsim with hoist's card".to_owned()))
}

/// Whether the netdevsim that is loaded has the knobs of hoist's simulated card.
#[must_use]
pub fn netdevsim_is_card() -> bool {
    Path::new("/sys/module/netdevsim/parameters/card").exists()
}

/// Whether a test that needs nothing but a program on the search path can run.
#[must_use]
pub fn command(name: &str, command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(command).exists());
    verdict("veth", name, (!found).then(|| format!("the command {command}")))
}

/// What the test `name` of the vm tier boots, when this host can have it.
///
/// # Panics
/// When it cannot and `HOIST_REQUIRE` contains `vm`, and on any failure that is not a lack.
#[must_use]
pub fn vm(name: &str, machine: Machine) -> Option<Lab> {
    match Lab::open(machine) {
        Ok(lab) => Some(lab),
        Err(VmError::Missing(what)) => {
            let _ = verdict("vm", name, Some(what));
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Whether the running kernel is a PREEMPT_RT one.
#[must_use]
pub fn preempt_rt() -> bool {
    let version = std::fs::read_to_string("/proc/version").unwrap_or_default();
    version.contains("PREEMPT_RT")
}

/// Whether the running kernel is of this version or a later one, for what older kernels lack or do
/// otherwise.
#[must_use]
pub fn kernel(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Reports a test that cannot run because `missing` is missing.
///
/// # Panics
/// When something is missing and `HOIST_REQUIRE` contains `tier`.
#[must_use]
pub fn verdict(tier: &str, name: &str, missing: Option<String>) -> bool {
    let Some(missing) = missing else {
        return true;
    };
    let required = std::env::var("HOIST_REQUIRE").unwrap_or_default();
    assert!(
        !requires(&required, tier),
        "{name} must run (HOIST_REQUIRE={required}) but needs {missing}"
    );
    report(&format!("not run: {name}: needs {missing}\n"));
    false
}

/// Whether the value of `HOIST_REQUIRE` names a tier.
fn requires(value: &str, tier: &str) -> bool {
    value.split(',').any(|t| t.trim() == tier)
}

/// Writes past the test harness's capture, which hides the output of tests that return.
fn report(line: &str) {
    use std::io::Write as _;
    let stderr = std::io::stderr();
    // A closed stderr leaves nobody to tell.
    let _ = stderr.lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_listed_with_commas() {
        for (value, required) in
            [("", false), ("veth", true), ("vm, veth", true), ("vethx", false), ("vm", false)]
        {
            assert_eq!(requires(value, "veth"), required, "{value:?}");
        }
    }

    #[test]
    fn nothing_missing_runs() {
        assert!(verdict("veth", "a test", None));
    }
}
