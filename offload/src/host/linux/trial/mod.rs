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
mod programs;

pub(super) use features::features;
pub(super) use helpers::helpers;
pub(super) use kfuncs::{KFUNCS, kfuncs};
pub(super) use maps::map_types;
pub(super) use programs::program_types;

/// Findings by name.
pub(super) type Findings = BTreeMap<String, Finding>;

pub(super) const SCHED_CLS: u32 = 3;
pub(super) const XDP: u32 = 6;

const BPF_XDP: u32 = 37;
/// Enough for the few instructions of a trial with the verifier's comment.
const LOG_BYTES: usize = 2048;
const EPERM: i32 = 1;
const EINVAL: i32 = 22;

/// What every trial needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'k> {
    pub(super) kernel: &'k dyn Kernel,
    /// Whether the process holds `CAP_PERFMON`, without which the kernel hides some helpers.
    pub(super) perfmon: bool,
    /// Whether it holds everything that loading any type of program asks for.
    pub(super) privileged: bool,
}

impl Trial<'_> {
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
        self.kernel.load_program(&ProgramSpec {
            name: "hoist_trial".to_owned(),
            license: "GPL".to_owned(),
            log_level: 1,
            log_bytes: LOG_BYTES,
            insns: spec.insns,
            ..spec.clone()
        })
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

/// A load that either works or is refused: no error number but `EINVAL`, or a verifier's line,
/// is conclusive.
fn by_success<T>(result: Result<T, KernelError>) -> Finding {
    match result {
        Ok(_) => yes("accepted"),
        Err(error) => match telling(&error) {
            Some(line) => no(line),
            None if error.errno == EINVAL => no(error.cause()),
            None => unsettled(&error),
        },
    }
}

/// An error that says nothing about the question.
fn unsettled(error: &KernelError) -> Finding {
    if error.errno == EPERM {
        unknown(format!(
            "{} is not permitted; CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON would tell",
            error.operation
        ))
    } else {
        unknown(error.cause())
    }
}

/// The verifier's line that says why, unless it only prints instructions, states or statistics.
fn telling(error: &KernelError) -> Option<&str> {
    let log = error.log.as_deref()?;
    log.lines().rev().map(str::trim).find(|line| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time ")
            && !line.starts_with("stack depth ")
            && !line.starts_with(|c: char| c.is_ascii_digit())
    })
}
