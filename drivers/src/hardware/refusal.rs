//! What the kernel means when it refuses a load for a device.
//!
//! Before the verifier begins it says an error number and no more, and the same number for many things
//! (`bpf_prog_dev_bound_init`, `bpf_map_offload_map_alloc`); a driver says some of its reasons in the
//! verifier's log and the others in the kernel's. Since hoist sends no request that is malformed, the
//! number and the place tell what is left.

use hoist_bpf::kernel::loader::{LoadError, Place};
use hoist_bpf::kernel::{Kernel, KernelError, LogLines};
use hoist_offload::kernel_program::Refuser;
use hoist_offload::{Device, Error, Gap, Profile};

const EPERM: i32 = 1;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// What the kernel's log got since the load began.
pub(super) struct DriverLog(Option<LogLines>);

impl DriverLog {
    /// Where the log may not be read, nothing is heard.
    pub(super) fn open(kernel: &dyn Kernel) -> Self {
        Self(kernel.kernel_log().ok())
    }

    /// The lines that name the driver, in order.
    fn of(self, driver: &str) -> Vec<String> {
        let lines = self.0.into_iter().flatten();
        lines.filter(|line| !driver.is_empty() && line.contains(driver)).collect()
    }
}

/// Turns a refused load into what the user is told.
pub(super) fn of(
    kernel: &dyn Kernel,
    refuser: &Refuser<'_>,
    (device, card): (&Device, Option<&Profile>),
    error: LoadError,
    log: DriverLog,
) -> Error {
    let gone = |refusal: &KernelError| {
        let silent = refusal.log.as_deref().is_none_or(str::is_empty);
        refusal.errno == ENODEV
            || (refusal.errno == EINVAL
                && silent
                && matches!(kernel.interface_name(device.ifindex), Ok(None)))
    };
    match error {
        LoadError::Program { error, .. } | LoadError::Map { error, .. } if gone(&error) => {
            Error::Kernel {
                error: KernelError { message: Some(went(device)), errno: ENODEV, ..error },
                hint: Some("`hoist probe` lists the interfaces that are there".to_owned()),
            }
        }
        LoadError::Program { program, error, place, btf } => {
            let heard = log.of(device.driver_name());
            let explained = explained(card, &error, &heard, place.as_deref());
            if !explained.is_empty() {
                return refuser.refused_for(explained);
            }
            match program_gap(device, &error, &heard) {
                Some(gap) => refuser.refused(placed(gap, place)),
                None => refuser.load(LoadError::Program { program, error, place, btf }),
            }
        }
        LoadError::Map { map, error } if error.operation == "BPF_MAP_CREATE" => {
            let mut gap = map_gap(device, &map, &error, log);
            gap.map = Some(map);
            refuser.refused(gap)
        }
        other => refuser.load(other),
    }
}

/// What the card's profile knows of the driver's words. Each gap is at the instruction where the
/// verifier stopped, and has its log.
fn explained(
    card: Option<&Profile>,
    error: &KernelError,
    heard: &[String],
    place: Option<&Place>,
) -> Vec<Gap> {
    let Some(profile) = card else { return Vec::new() };
    let log = error.log.as_deref().unwrap_or_default();
    let mut gaps = profile.explain(log, &heard.join("\n"));
    for gap in &mut gaps {
        gap.message += &format!(" ({error})");
        gap.log.clone_from(&error.log);
        if let (Some(place), Some(_)) = (place, &gap.insn) {
            gap.insn = Some(place.insn.clone());
            gap.line.clone_from(&place.line);
        }
    }
    gaps
}

fn went(device: &Device) -> String {
    format!("{} is gone, or its NIC is, since it was looked at", device.name)
}

fn placed(mut gap: Gap, place: Option<Box<Place>>) -> Gap {
    if let Some(place) = place {
        gap.insn = Some(place.insn);
        gap.line = place.line;
    }
    gap
}

/// `None` where it is the verifier that refuses, or a privilege is missing: as on the host.
fn program_gap(device: &Device, error: &KernelError, heard: &[String]) -> Option<Gap> {
    let (dev, driver) = (&device.name, device.driver_name());
    let Some(text) = error.log.as_deref().filter(|log| !log.is_empty()) else {
        let why = match error.errno {
            EOPNOTSUPP => format!("the driver {driver} of {dev} knows no BPF (no ndo_bpf)"),
            EINVAL => format!("the driver {driver} of {dev} has registered no NIC for BPF"),
            _ => return None,
        };
        let gap = Gap { message: format!("{why} ({error})"), ..Gap::kernel("no-offload", error) };
        return Some(gap.remedy("use --engine native,generic"));
    };
    if text.contains("offload device mismatch between prog and map") {
        let what = "a map of the program is not in this NIC: maps of the host, but for perf event \
                    arrays, and those of other NICs cannot be used";
        let gap = Gap::kernel("map-elsewhere", error);
        return Some(
            Gap { message: format!("{what} ({error})"), ..gap }
                .remedy("give this engine a pin directory of its own"),
        );
    }
    if let Some(words) = driver_words(text, driver).filter(|_| error.errno != EPERM) {
        let what = format!("{driver} refused the program: {words} ({error})");
        return Some(Gap { message: what, ..Gap::kernel("driver-refused", error) });
    }
    if !only_statistics(text) {
        return None;
    }
    let stage = match text.contains("processed 0 insns") {
        true => "before it was verified",
        false => "after it was verified",
    };
    let said = match heard {
        [] => "and gave no reason".to_owned(),
        lines => format!("and wrote to the kernel's log: {}", lines.join("; ")),
    };
    let what = format!("{driver} refused the program {stage} {said} ({error})");
    Some(
        Gap { message: what, ..Gap::kernel("driver-refused", error) }
            .remedy("`hoist lint` shows what a card of this kind does not take"),
    )
}

/// What a driver wrote into the verifier's log, if that is where the log ends. `[netdevsim] Hello from
/// netdevsim!` is there on every path, so that it says nothing where the verifier has more to say.
fn driver_words(log: &str, driver: &str) -> Option<String> {
    let last = log.lines().map(str::trim).rfind(|line| !line.is_empty() && !statistics(line))?;
    let (who, words) = last.strip_prefix('[')?.split_once(']')?;
    (who == driver).then(|| words.trim().to_owned())
}

fn statistics(line: &str) -> bool {
    const WORDS: [&str; 5] =
        ["processed ", "verification time ", "stack depth ", "func#", "max_states_per_insn"];
    WORDS.iter().any(|word| line.starts_with(word))
}

fn only_statistics(log: &str) -> bool {
    log.lines().map(str::trim).filter(|line| !line.is_empty()).all(statistics)
}

/// A map that the kernel or the driver did not make in the NIC.
fn map_gap(device: &Device, map: &str, error: &KernelError, log: DriverLog) -> Gap {
    let (dev, driver) = (&device.name, device.driver_name());
    if error.errno == EPERM {
        let what = format!("map {map}: a map in a NIC needs CAP_SYS_ADMIN ({error})");
        return Gap { message: what, ..Gap::kernel("nic-map-not-permitted", error) }
            .remedy("run as root, or use --engine native,generic");
    }
    let heard = log.of(driver);
    let said = match heard.as_slice() {
        [] => String::new(),
        lines => format!("; {driver} wrote to the kernel's log: {}", lines.join("; ")),
    };
    let what = format!("map {map} cannot be made in the NIC of {dev}: {}{said}", error.cause());
    Gap { message: what, ..Gap::kernel("nic-map-refused", error) }
        .remedy("compare its type, entries, sizes and flags with what the NIC takes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose word a log ends with.
    #[test]
    fn a_driver_is_heard_where_it_has_the_last_word() {
        let hello = "0: (b7) r0 = 1\n[netdevsim] Hello from netdevsim!\n1: (95) exit\n";
        let counts = "processed 2 insns (limit 1000000) max_states_per_insn 0\n";
        let said = |log: &str| driver_words(log, "netdevsim");
        let refused = "0: (b7) r0 = 1\n[netdevsim] Hello from netdevsim!\n";
        assert_eq!(said(&format!("{refused}{counts}")).as_deref(), Some("Hello from netdevsim!"));
        assert_eq!(said(&format!("{hello}R0 !read_ok\n{counts}")), None);
        assert_eq!(said(counts), None);
        assert_eq!(driver_words(&format!("{refused}{counts}"), "nfp"), None);
        assert!(only_statistics(counts) && !only_statistics(refused));
    }
}
