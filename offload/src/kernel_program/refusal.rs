//! What the kernel's refusals mean, and what to do about them.
//!
//! A refusal that concerns this program on this device becomes a gap with a stable code, the
//! kernel's words and a remedy; a missing privilege names the capability; anything else is a failure.

use hoist_bpf::kernel::loader::LoadError;
use hoist_bpf::kernel::{Capability, Filter, FilterKey, KernelError};

use crate::device::{Device, Slot};
use crate::engine::EngineKind;
use crate::error::{Error, Gap, Refusal};
use crate::privilege::{missing, not_permitted};

mod tc;
mod xdp;

pub(super) const EPERM: i32 = 1;
pub(super) const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const E2BIG: i32 = 7;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
pub(super) const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const ERANGE: i32 = 34;
pub(super) const ENOLINK: i32 = 67;
const EOPNOTSUPP: i32 = 95;
const ENOTCONN: i32 = 107;
const ENOTSUPP: i32 = 524;

/// Turns what the kernel said into what the user is told.
#[derive(Clone, Copy, Debug)]
pub struct Refuser<'a> {
    pub(super) slot: Slot,
    pub(super) device: &'a Device,
    program: &'a str,
}

impl<'a> Refuser<'a> {
    /// For a program that is to run in a slot of a device.
    #[must_use]
    pub const fn new(slot: Slot, device: &'a Device, program: &'a str) -> Self {
        Self { slot, device, program }
    }

    /// A refusal for one reason.
    #[must_use]
    pub fn refused(&self, gap: Gap) -> Error {
        self.refused_for(vec![gap])
    }

    /// A refusal with every reason.
    #[must_use]
    pub fn refused_for(&self, gaps: Vec<Gap>) -> Error {
        Error::Refused {
            device: self.device.name.clone(),
            program: self.program.to_owned(),
            refusals: vec![Refusal {
                engine: self.slot.engine(),
                hook: Some(self.slot.hook()),
                provider: "kernel".to_owned(),
                gaps,
            }],
        }
    }

    /// A refused attach, replace or detach.
    #[must_use]
    pub fn attach(&self, mut error: KernelError) -> Error {
        error.object = format!("{} on {}", self.program, self.device.name);
        let read = match self.slot.mode() {
            Some(_) => xdp::code(self.slot, &error),
            None => tc::code(self.slot, &error),
        };
        let gap = match (read, error.errno) {
            (Some(code), _) => Gap::kernel(code, &error),
            (None, EPERM) => {
                return not_permitted(
                    format!("attaching {} to {}", self.program, self.device.name),
                    &[Capability::CapNetAdmin, Capability::CapBpf],
                );
            }
            (None, ENODEV | ENXIO) => {
                return Error::Kernel {
                    hint: Some(format!(
                        "{} has gone or changed its index; `hoist probe` lists what is there",
                        self.device.name
                    )),
                    error,
                };
            }
            (None, EINVAL | ENOSPC | E2BIG | EOPNOTSUPP | ENOTSUPP) => {
                Gap::kernel("attach-refused", &error)
            }
            (None, _) => return Error::Kernel { error, hint: None },
        };
        let remedy = self.remedy(&gap.code);
        self.refused(Gap { remedy, ..gap })
    }

    /// A filter that could not be added under `key`, where these are.
    pub(super) fn filter(&self, error: KernelError, key: FilterKey, there: &[Filter]) -> Error {
        match tc::in_the_way(self.device, &error, key, there) {
            Some(gap) => self.refused(gap),
            None => self.attach(error),
        }
    }

    /// What tc(8) shows of a filter.
    pub(super) fn filter_name(&self) -> String {
        format!("hoist:{}", self.program)
    }

    /// What to do about a refusal that only the attempt showed.
    fn remedy(&self, code: &str) -> Option<String> {
        match self.slot.mode() {
            Some(_) => xdp::remedy(code, self.slot, self.device),
            None => tc::remedy(code, self.device),
        }
    }

    /// A refused load.
    #[must_use]
    pub fn load(&self, error: LoadError) -> Error {
        match error {
            LoadError::Image { .. } => self.refused(
                Gap::new("not-loadable", error.to_string())
                    .remedy("compile the object again; if it loads with libbpf, report it"),
            ),
            LoadError::Invalid { what } => Error::Input { what, hint: None },
            LoadError::Unresolved { .. } => self.refused(
                Gap::new("missing-ksym", error.to_string())
                    .remedy("run a kernel that has it, or declare the symbol __weak"),
            ),
            LoadError::PinIncompatible { ref map, ref path, .. } => {
                let mut gap = Gap::new("pinned-map-differs", error.to_string()).remedy(format!(
                    "use another pin directory, or remove the old map once nobody needs it: rm {}",
                    path.display()
                ));
                gap.map = Some(map.clone());
                self.refused(gap)
            }
            LoadError::NoSize { ref map } => {
                let mut gap = Gap::new("map-refused", error.to_string()).remedy(
                    "give it max_entries in the source; a loader of its own would set it to the \
                     number of CPUs, interfaces or the like",
                );
                gap.map = Some(map.clone());
                self.refused(gap)
            }
            LoadError::Map { map, error } => self.map(map, error),
            LoadError::Program { error, place, btf, .. } => {
                let silent = error.log.as_deref().is_none_or(str::is_empty);
                if error.errno == EPERM && silent {
                    return not_permitted(
                        format!("loading {}", self.program),
                        &[Capability::CapBpf, Capability::CapNetAdmin],
                    );
                }
                if !matches!(error.errno, EPERM | EACCES | EINVAL | E2BIG | ENOSPC | ERANGE)
                    && !matches!(error.errno, EOPNOTSUPP | ENOTSUPP | ENOENT)
                    && silent
                {
                    return failed(error);
                }
                let log = error.log.as_deref().unwrap_or_default();
                let code = match error.errno {
                    EOPNOTSUPP if silent && self.slot == Slot::Hw => "no-offload",
                    EOPNOTSUPP if silent && self.slot.mode().is_some() => "no-native-support",
                    EACCES if self.slot.engine() == EngineKind::Tc && tc::stack_is_short(log) => {
                        "tc-stack"
                    }
                    _ => "verifier-rejected",
                };
                let mut gap = Gap::kernel(code, &error);
                gap.remedy = self
                    .remedy(code)
                    .or_else(|| verifier_remedy(error.log.as_deref().unwrap_or_default()));
                if let Some(btf) = btf {
                    gap.message += &format!("; the object's BTF was refused before: {btf}");
                }
                if let Some(place) = place {
                    gap.insn = Some(place.insn);
                    gap.line = place.line;
                }
                self.refused(gap)
            }
        }
    }

    fn map(&self, map: String, mut error: KernelError) -> Error {
        let permitted = missing(&[Capability::CapBpf]).is_empty();
        // bpf_obj_do_pin (kernel/bpf/inode.c) says EPERM for a directory of another file system.
        if error.operation == "BPF_OBJ_PIN" && error.errno == EPERM && permitted {
            return Error::Input {
                what: format!("map {map} cannot be pinned: {error}"),
                hint: Some(
                    "pins live on a bpffs only: `findmnt -t bpf` lists those there are, and \
                     `mount -t bpf bpf DIRECTORY` makes one"
                        .to_owned(),
                ),
            };
        }
        if error.operation == "BPF_MAP_UPDATE_ELEM" && error.errno == E2BIG {
            return Error::Input {
                what: format!("map {map} has no room for an entry: {error}"),
                hint: Some(
                    "the keys of an array end below its max_entries, and other maps hold no more \
                     than that: leave entries away"
                        .to_owned(),
                ),
            };
        }
        error.object = format!("map {map}");
        match error.errno {
            EPERM => not_permitted(
                format!("{} of map {map}", error.operation),
                &[Capability::CapBpf, Capability::CapNetAdmin],
            ),
            EINVAL | E2BIG | EOPNOTSUPP | ENOTSUPP => {
                let remedy = match error.errno {
                    E2BIG => format!("give it fewer entries: --max-entries {map}=N"),
                    _ => "compare its type, sizes, entries and flags with what `hoist probe` says \
                          the kernel has"
                        .to_owned(),
                };
                let mut gap = Gap::kernel("map-refused", &error).remedy(remedy);
                gap.map = Some(map);
                self.refused(gap)
            }
            ENOMEM => Error::Kernel {
                error,
                hint: Some(format!("fewer entries need less memory: --max-entries {map}=N")),
            },
            _ => failed(error),
        }
    }
}

fn failed(error: KernelError) -> Error {
    let hint = match error.errno {
        ENOMEM => Some("not enough memory for its maps or its code: use smaller maps".to_owned()),
        _ => None,
    };
    Error::Kernel { error, hint }
}

/// Whether a log has statistics and nothing else. The kernel looks at who owns a map when the verifier
/// is done, and says nothing (`__bpf_prog_map_compatible`, kernel/bpf/core.c).
fn finds_nothing_wrong(log: &str) -> bool {
    const STATISTICS: [&str; 4] = ["processed ", "verification time ", "stack depth ", "func#"];
    let mut lines = log.lines().filter(|line| !line.trim().is_empty()).peekable();
    lines.peek().is_some() && lines.all(|line| STATISTICS.iter().any(|word| line.starts_with(word)))
}

/// What would make the verifier change its mind, where its words tell.
#[must_use]
pub fn verifier_remedy(log: &str) -> Option<String> {
    let unprivileged = ["prohibited", "!root", "leaks addr", "leak pointer", "CAP_PERFMON"];
    if unprivileged.iter().any(|w| log.contains(w))
        && !missing(&[Capability::CapPerfmon]).is_empty()
    {
        return Some(
            "the verifier is stricter without CAP_PERFMON: run with it, or as root".to_owned(),
        );
    }
    let remedy = if finds_nothing_wrong(log) {
        "the verifier has nothing against the code: a DEVMAP, CPUMAP or PROG_ARRAY belongs to the type \
         of program that used it first, so give this engine another pin directory than that of another"
    } else if log.contains("unknown func") || log.contains("invalid func") {
        "`hoist probe` lists the helpers this kernel has; a newer kernel may have this one"
    } else if log.contains("GPL") {
        "declare a GPL-compatible licence, or do without GPL-only helpers"
    } else if log.contains("too large") || log.contains("too many") {
        "make the program smaller, or split it with bounded loops, bpf_loop or tail calls"
    } else {
        "the verifier's log shows the path to that instruction; -v prints it"
    };
    Some(remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_are_too_large_name_the_option() {
        let device = crate::host::sample::device("v0", 4);
        let refuser = Refuser::new(Slot::Native, &device, "acl");
        for (errno, named) in [(E2BIG, true), (ENOMEM, true), (EINVAL, false)] {
            let error = KernelError::new("BPF_MAP_CREATE", "rules", errno);
            let told = refuser.load(LoadError::Map { map: "rules".to_owned(), error });
            let told = format!("{told:?}");
            assert_eq!(told.contains("--max-entries rules=N"), named, "{told}");
        }
    }

    #[test]
    fn a_log_of_statistics_alone_points_at_the_maps() {
        let clean = "func#0 @0\nprocessed 12 insns (limit 1000000) max_states_per_insn 0\n";
        let maps = |log: &str| verifier_remedy(log).unwrap().contains("pin directory");
        assert!(maps(clean));
        assert!(!maps(""));
        assert!(!maps(&format!("0: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access\n{clean}")));
    }
}
