//! What the kernel's refusals mean, and what to do about them.
//!
//! A refusal that concerns this program on this device becomes a gap with a stable code, the
//! kernel's words and a remedy; a missing privilege names the capability; anything else is a failure.

use hoist_bpf::kernel::loader::LoadError;
use hoist_bpf::kernel::{Capability, KernelError};

use crate::device::Device;
use crate::engine::{EngineKind, Hook};
use crate::error::{Error, Gap, Refusal};
use crate::privilege::{missing, not_permitted};
use crate::xdp::conditions;

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

/// What `dev_xdp_attach` (net/core/dev.c), `veth_xdp_set` (drivers/net/veth.c) and other drivers say,
/// by a part of the text that has not changed since Linux 6.1, and the code it stands for. The first
/// match wins, so special texts come before general ones.
const TEXTS: &[(&str, &str)] = &[
    ("Cannot attach when an upper device already has a program", "upper-device-has-program"),
    ("Can't replace active", "slot-held"),
    ("XDP program already attached", "slot-held"),
    ("Active program does not match expected", "replace-mismatch"),
    ("does not support XDP in native mode", "no-native-support"),
    ("No native XDP support for the current bonding mode", "bond-mode"),
    ("Slave device does not support XDP", "bond-member-no-native"),
    ("Slave has XDP program loaded", "bond-member-has-program"),
    ("Can't attach device-bound programs in generic mode", "device-bound-generic"),
    ("Program bound to different device", "device-mismatch"),
    ("programs can not be attached to a device", "not-for-interfaces"),
    ("using memory provider", "memory-provider"),
    ("Peer MTU is too large", "peer-mtu-too-large"),
    ("number of rx queues not less than peer tx queues", "queue-mismatch"),
    ("peer is detached", "peer-detached"),
    ("Jumbo frames not supported", "mtu-too-large"),
    ("RX buffer size is too small", "mtu-too-large"),
    ("MTU", "mtu-too-large"),
    ("mtu", "mtu-too-large"),
    ("GRO_HW", "receive-merging-on"),
    ("LRO", "receive-merging-on"),
    (" ring", "not-enough-queues"),
    ("queue", "not-enough-queues"),
    ("TXQ", "not-enough-queues"),
    ("Tx resources", "not-enough-queues"),
];

/// Turns what the kernel said into what the user is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refuser<'a> {
    pub(super) kind: EngineKind,
    pub(super) device: &'a Device,
    program: &'a str,
}

impl<'a> Refuser<'a> {
    pub(super) const fn new(kind: EngineKind, device: &'a Device, program: &'a str) -> Self {
        Self { kind, device, program }
    }

    /// A refusal for one reason.
    pub(super) fn refused(&self, gap: Gap) -> Error {
        Error::Refused {
            device: self.device.name.clone(),
            program: self.program.to_owned(),
            refusals: vec![Refusal {
                engine: self.kind,
                hook: Some(Hook::Xdp),
                provider: "kernel".to_owned(),
                gaps: vec![gap],
            }],
        }
    }

    /// A refused attach, replace or detach.
    pub(super) fn attach(&self, mut error: KernelError) -> Error {
        let text = error.message.as_deref().unwrap_or_default();
        let told = TEXTS.iter().find(|(part, _)| text.contains(part)).map(|&(_, code)| code);
        error.object = format!("{} on {}", self.program, self.device.name);
        let code = match (told, error.errno) {
            (Some(code), _) => code,
            _ if text.contains("Native and generic XDP can't be active") => self.other_mode(),
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
            (None, EBUSY) => "slot-held",
            (None, EEXIST) => self.other_mode(),
            (None, ERANGE) => "mtu-too-large",
            (None, ENOTCONN) => "peer-detached",
            (None, EOPNOTSUPP | ENOTSUPP) if self.kind == EngineKind::Native => "no-native-support",
            (None, EINVAL | ENOSPC | E2BIG | EOPNOTSUPP | ENOTSUPP) => "attach-refused",
            (None, _) => return Error::Kernel { error, hint: None },
        };
        let gap = Gap::kernel(code, &error);
        let remedy = conditions::remedy(code, self.kind, self.device);
        self.refused(Gap { remedy, ..gap })
    }

    /// The mode that excludes this one.
    const fn other_mode(&self) -> &'static str {
        match self.kind {
            EngineKind::Native => "generic-active",
            _ => "native-active",
        }
    }

    /// A refused load.
    pub(super) fn load(&self, error: LoadError) -> Error {
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
                let code = match error.errno {
                    EOPNOTSUPP if silent => "no-native-support",
                    _ => "verifier-rejected",
                };
                let mut gap = Gap::kernel(code, &error);
                gap.remedy = conditions::remedy(code, self.kind, self.device)
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
                let mut gap = Gap::kernel("map-refused", &error).remedy(
                    "compare its type, sizes, entries and flags with what `hoist probe` says the \
                     kernel has",
                );
                gap.map = Some(map);
                self.refused(gap)
            }
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

/// What would make the verifier change its mind, where its words tell.
pub(super) fn verifier_remedy(log: &str) -> Option<String> {
    let unprivileged = ["prohibited", "!root", "leaks addr", "leak pointer", "CAP_PERFMON"];
    if unprivileged.iter().any(|w| log.contains(w))
        && !missing(&[Capability::CapPerfmon]).is_empty()
    {
        return Some(
            "the verifier is stricter without CAP_PERFMON: run with it, or as root".to_owned(),
        );
    }
    let remedy = if log.contains("unknown func") || log.contains("invalid func") {
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
