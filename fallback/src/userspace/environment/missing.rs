//! What a program needs and this machine has not.

use std::collections::BTreeSet;

use hoist_bpf::analysis::requirements;
use hoist_bpf::module::{ExternKind, Module, ProgramId, Resolution, Target};
use hoist_bpf::names;
use hoist_bpf::requirements::{Need, Requirement, Strength};
use hoist_offload::Gap;

use super::table::{helper, kfunc};

/// `bpf_tail_call`, which is an operation of its own.
const TAIL_CALL: u32 = 12;

/// One gap for each helper and kernel function that the program cannot do without.
pub(super) fn gaps(module: &Module, program: ProgramId) -> Vec<Gap> {
    let mut gaps = symbols(module, program);
    // Following every path takes longer than running a frame; most modules call nothing unusual.
    if called(module).iter().all(offers) {
        return gaps;
    }
    let requirements = requirements(module, program);
    let missing = |r: &&Requirement| {
        r.strength == Strength::Must
            && matches!(r.need, Need::Helper(_) | Need::Kfunc(_))
            && !offers(&r.need)
    };
    gaps.extend(requirements.items.iter().filter(missing).map(gap));
    gaps
}

/// One gap for each variable of the kernel that the program refers to: user space has none of them. Weak
/// ones were resolved to null.
fn symbols(module: &Module, program: ProgramId) -> Vec<Gap> {
    let lacks = |at: usize| {
        let known = module.externs.get(at)?;
        let is_symbol = matches!(known.kind, ExternKind::Ksym | ExternKind::KsymTyped);
        let found = matches!(known.resolution, Resolution::KernelBtf(_) | Resolution::Address(_));
        let wanted = found || !known.weak;
        (is_symbol && wanted && known.resolution != Resolution::Absent).then_some(known)
    };
    if (0..module.externs.len()).all(|at| lacks(at).is_none()) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut functions = vec![module.program(program).function];
    let mut symbols = BTreeSet::new();
    while let Some(id) = functions.pop() {
        let function = module.functions.get(id.0 as usize);
        let (true, Some(function)) = (seen.insert(id), function) else { continue };
        for inst in &function.code {
            match inst.target {
                Target::Call(next) | Target::FunctionAddress(next) => functions.push(next),
                Target::Extern(id) => symbols.extend(lacks(id.0 as usize).map(|e| e.name.as_str())),
                _ => {}
            }
        }
    }
    let gap = |name: &str| {
        Gap::new(
            "missing-ksym",
            format!("{name}: variables of the kernel exist in the kernel alone"),
        )
        .remedy("run it on an engine of the kernel, or declare it __weak and test for null")
    };
    symbols.into_iter().map(gap).collect()
}

/// Whether this machine has what is needed.
fn offers(need: &Need) -> bool {
    match need {
        Need::Helper(number) => *number == TAIL_CALL || helper(*number).is_some(),
        Need::Kfunc(name) => kfunc(name).is_some(),
        _ => true,
    }
}

/// Every helper and kernel function that a module calls anywhere.
fn called(module: &Module) -> BTreeSet<Need> {
    let code = module.functions.iter().flat_map(|f| &f.code).filter(|i| i.insn.is_call());
    code.filter_map(|inst| match inst.target {
        Target::Extern(id) => {
            module.externs.get(id.0 as usize).map(|e| Need::Kfunc(e.name.clone()))
        }
        Target::None if inst.insn.src() == 0 => Some(Need::Helper(inst.insn.imm.cast_unsigned())),
        _ => None,
    })
    .collect()
}

fn gap(requirement: &Requirement) -> Gap {
    let (code, message) = match &requirement.need {
        Need::Helper(number) => {
            ("missing-helper", format!("{}: {}", names::helper(*number), reason(*number)))
        }
        Need::Kfunc(name) => (
            "missing-kfunc",
            format!("{name}: the userspace machine does not have this kernel function"),
        ),
        other => ("missing-feature", format!("{other:?}: the userspace machine does not have it")),
    };
    // The place is taken over from the general form of the gap.
    let gap = Gap::missing(requirement, None).remedy("run it on an engine of the kernel");
    Gap { code: code.to_owned(), message, ..gap }
}

/// Why a helper is missing: kernel state that user space has not, or a helper of other programs.
fn reason(number: u32) -> &'static str {
    match number {
        84..=86 | 99 | 100 | 110 => "sockets belong to the kernel; user space has none of them",
        35 | 80 | 123 | 158 | 175 | 210 | 211 => {
            "tasks and control groups belong to the kernel; frames here come without one"
        }
        153 | 154 => "per-CPU variables of the kernel exist in the kernel alone",
        169..=172 => "timers run beside the program; the userspace machine runs nothing beside it",
        194 => "objects of the kernel exist in the kernel alone",
        _ => "the userspace machine does not have this helper",
    }
}
