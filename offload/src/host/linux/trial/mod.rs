//! Finding out by loading: programs and maps that are created and dropped at once, never attached.
//!
//! Only a conclusive answer counts. A refusal without the kernel's explanation, or for want of a
//! privilege, is unknown, not "no".

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{Kernel, KernelError, MapSpec, ProgramSpec};

use crate::capability::Answer;
use crate::fact::Evidence;
use crate::host::report::Finding;

mod features;
mod helpers;
mod kfuncs;
mod maps;
mod offload;
mod programs;

pub(super) use features::{features, tcx};
pub(super) use helpers::Helpers;
pub(super) use kfuncs::{KFUNCS, kfuncs};
pub(super) use maps::map_types;
pub(super) use offload::{is_offload_device, offload, report as offload_report};
pub(super) use programs::program_types;

/// Findings by name.
pub(super) type Findings = BTreeMap<String, Finding>;

pub(super) const SCHED_CLS: u32 = 3;
pub(super) const XDP: u32 = 6;

const BPF_XDP: u32 = 37;
/// Enough for the few instructions of a trial with the verifier's comment.
const LOG_BYTES: usize = 2048;
/// `BPF_LOG_STATS`: complaints, and at the end some figures.
const LOG_COMPLAINTS: u32 = 4;
/// `BPF_LOG_LEVEL1`: besides, every instruction and what is known before it.
const LOG_ALL: u32 = 1;
const NET_ADMIN: &str = "CAP_NET_ADMIN";
const PERFMON: &str = "CAP_PERFMON";
const EPERM: i32 = 1;
const EINVAL: i32 = 22;

/// What every trial needs.
#[derive(Debug)]
pub(super) struct Trial<'k> {
    pub(super) kernel: &'k dyn Kernel,
    /// Capabilities that some loads ask for and the process does not hold.
    missing: Vec<&'static str>,
}

impl<'k> Trial<'k> {
    /// Trials by a process that holds these capabilities.
    pub(super) fn new(kernel: &'k dyn Kernel, held: &BTreeMap<String, bool>) -> Self {
        let has = |name: &str| held.get(name).copied().unwrap_or(false);
        // Loading asked for CAP_SYS_ADMIN before the finer ones existed, and it still will do.
        let lacks = |name: &&str| !has(name) && (*name == NET_ADMIN || !has("CAP_SYS_ADMIN"));
        Self {
            kernel,
            missing: ["CAP_BPF", NET_ADMIN, PERFMON].into_iter().filter(lacks).collect(),
        }
    }

    /// Whether the kernel may hide something for want of a capability.
    fn lacks(&self, capability: &str) -> bool {
        self.missing.contains(&capability)
    }

    /// An error that says nothing about the question.
    fn unsettled(&self, error: &KernelError) -> Finding {
        if error.errno != EPERM {
            return unknown(error.cause());
        }
        let operation = &error.operation;
        if self.missing.is_empty() {
            unknown(format!(
                "{operation} is not permitted although CAP_BPF, {NET_ADMIN} and {PERFMON} are held"
            ))
        } else {
            let missing = self.missing.join(", ");
            unknown(format!("{operation} is not permitted; {missing} would tell"))
        }
    }

    /// A load that either works or is refused: no error number but `EINVAL`, or a verifier's line,
    /// is conclusive.
    fn by_success<T>(&self, result: Result<T, KernelError>) -> Finding {
        match result {
            Ok(_) => yes("accepted"),
            Err(error) => match telling(&error) {
                Some(line) => no(line),
                None if error.errno == EINVAL => no(error.cause()),
                None => self.unsettled(&error),
            },
        }
    }

    /// Loads code as an XDP or SCHED_CLS program under a GPL-compatible licence, asking for the
    /// verifier's words.
    fn load(&self, kind: u32, insns: &[Insn]) -> Result<OwnedFd, KernelError> {
        self.load_spec(&ProgramSpec {
            kind,
            expected_attach_type: if kind == XDP { BPF_XDP } else { 0 },
            insns,
            ..ProgramSpec::default()
        })
    }

    fn load_spec(&self, spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError> {
        let load = |log_level| {
            self.kernel.load_program(&ProgramSpec {
                name: "hoist_trial".to_owned(),
                license: "GPL".to_owned(),
                log_level,
                log_bytes: LOG_BYTES,
                insns: spec.insns,
                ..spec.clone()
            })
        };
        match load(LOG_COMPLAINTS) {
            // Kernels before 5.2 do not know the level, and a refusal without words may be of that.
            Err(error) if error.errno == EINVAL && error.log.is_none() => load(LOG_ALL),
            result => result,
        }
    }

    /// An array of one 8-byte value, for programs that need some map.
    fn array(&self) -> Result<OwnedFd, KernelError> {
        self.kernel.create_map(&MapSpec {
            name: "hoist_trial".to_owned(),
            kind: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            ..MapSpec::default()
        })
    }
}

/// `r0 = value; exit`.
const fn returns(value: i32) -> [Insn; 2] {
    [Insn::new(0xb7, 0, 0, 0, value), EXIT]
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

const fn call(helper: i32) -> Insn {
    Insn::new(0x85, 0, 0, 0, helper)
}

pub(super) fn yes(detail: impl Into<String>) -> Finding {
    Finding { answer: Answer::Yes, evidence: Evidence::trial(detail) }
}

pub(super) fn no(detail: impl Into<String>) -> Finding {
    Finding { answer: Answer::No, evidence: Evidence::trial(detail) }
}

pub(super) fn unknown(detail: impl Into<String>) -> Finding {
    Finding { answer: Answer::Unknown, evidence: Evidence::trial(detail) }
}

/// The verifier's line that says why, unless it only prints instructions, states or statistics.
fn telling(error: &KernelError) -> Option<&str> {
    let log = error.log.as_deref()?;
    log.lines().rev().map(str::trim).find(|line| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time ")
            && !line.starts_with("stack depth ")
            && !line.starts_with("cur state: ")
            && !line.starts_with("old state: ")
            && !line.starts_with(|c: char| c.is_ascii_digit())
    })
}
