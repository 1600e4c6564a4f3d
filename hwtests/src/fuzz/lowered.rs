//! Programs lowered for a card, to be compared with what they were.
//!
//! No card executes here: the lowered form runs on the host's kernel. What a card then makes of it is
//! the card's matter; that it means the same is shown.

use std::collections::BTreeMap;

use hoist_bpf::kernel::{Entries, Kernel, KernelError};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::names;
use hoist_bpf::opcode::{X, alu, class, mode, size};
use hoist_bpf::passes::lower::{Atomics, Problem, Rewrite, Target, lower};

use super::bench::Refusal;
use super::campaign::Outcome;
use super::run::{Form, Hook};

/// A card that takes next to nothing: the first version of the instruction set, without modulo,
/// conversion to little-endian order, stores of constants and calls; atomic addition; plain maps.
#[must_use]
pub fn least() -> Target {
    let modulo = [class::ALU, class::ALU64].map(|c| [c | alu::MOD, c | X | alu::MOD]).concat();
    let constants = [size::B, size::H, size::W, size::DW].map(|s| class::ST | mode::MEM | s);
    Target {
        isa: 1,
        without: modulo.into_iter().chain([class::ALU | alu::END]).chain(constants).collect(),
        atomics: Atomics::Add,
        calls: false,
        stack: None,
        loops: false,
        global_data: false,
        value_pointers: false,
        map_stores: false,
        per_cpu_maps: false,
        lru_maps: false,
        map_flags: 0,
        most_slots: 4096,
        accept: ["lru-bound", "map-store-race"].map(str::to_owned).into(),
        max_entries: BTreeMap::new(),
    }
}

/// The instruction set of nfp cards, version 3 without what [`least`] lacks, and its maps.
#[must_use]
pub fn card() -> Target {
    Target { isa: 3, calls: true, ..least() }
}

/// Lowers a program for the card that takes least of those that the program can be lowered for.
///
/// # Errors
/// No card that takes less than the host will do.
pub fn lowered(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    lowered_for(least(), module, program)
}

/// The same, beginning with another card.
///
/// # Errors
/// See [`lowered`].
pub fn lowered_for(
    mut target: Target,
    module: &Module,
    program: ProgramId,
) -> Result<Form, Refusal> {
    loop {
        match lower(module, program, &target) {
            Ok(lowered) => {
                let rewrites = lowered.changes.iter().map(|change| change.rewrite).collect();
                return Ok(Form {
                    hook: Hook::Lowered,
                    rewrites,
                    ..Form::native(lowered.module, lowered.program)
                });
            }
            Err(problems) => {
                let before = target.clone();
                problems.iter().for_each(|problem| relax(&mut target, problem));
                if target == before {
                    return Err(refusal(&problems));
                }
            }
        }
    }
}

/// Takes what could not be rewritten, and so nothing else.
fn relax(target: &mut Target, problem: &Problem) {
    match problem.code {
        "map-store" => target.map_stores = true,
        "per-cpu-value" => target.per_cpu_maps = true,
        "counter-not-atomic" => (target.map_stores, target.per_cpu_maps) = (true, true),
        "global-data" if !target.value_pointers => target.value_pointers = true,
        "lowered-stack" if !target.map_stores => target.map_stores = true,
        "global-data" | "lowered-stack" => target.global_data = true,
        "call-not-inlined" => target.calls = true,
        "loop-not-bounded" => target.loops = true,
        "instruction-not-taken" => (target.atomics, target.isa) = (Atomics::All, target.isa.max(3)),
        _ => {}
    }
}

fn refusal(problems: &[Problem]) -> Refusal {
    let mut codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Refusal { code: codes.join(" "), message: messages.join("; ") }
}

/// What random programs give occasion to rewrite, with the share of the programs in which it is to be
/// rewritten at the least. The rest is tried by `hwtests/tests/lowering`.
pub const GATES: [(Rewrite, f64); 12] = [
    (Rewrite::MapFlags, 0.10),
    (Rewrite::LruToHash, 0.02),
    (Rewrite::Constant, 0.02),
    (Rewrite::Table, 0.02),
    (Rewrite::DeadCode, 0.10),
    (Rewrite::Inline, 0.10),
    (Rewrite::Loop, 0.05),
    (Rewrite::Global, 0.30),
    (Rewrite::Counter, 0.02),
    (Rewrite::MapUpdate, 0.05),
    (Rewrite::SharedCounters, 0.02),
    (Rewrite::Instruction, 0.30),
];

/// Whether every rewrite was tried often enough for a campaign to say anything of it.
#[must_use]
pub fn enough(outcome: &Outcome) -> bool {
    let programs = outcome.coverage.programs.max(1) as f64;
    GATES.iter().all(|(rewrite, least)| {
        let count = outcome.rewrites.get(rewrite).copied().unwrap_or(0);
        count as f64 / programs >= *least
    })
}

/// First contents of maps for a form of which per-CPU maps may have become plain ones: what every CPU
/// would have started with.
///
/// # Errors
/// The kernel cannot say how many CPUs there are.
pub fn contents(
    kernel: &dyn Kernel,
    module: &Module,
    contents: &BTreeMap<MapId, Entries>,
) -> Result<BTreeMap<MapId, Entries>, KernelError> {
    let cpus = kernel.possible_cpus()?;
    let fitted = contents.iter().map(|(&id, entries)| {
        let map = module.map(id);
        let plain = map.value_size as usize;
        let bytes =
            if names::is_per_cpu(map.kind) { plain.next_multiple_of(8) * cpus } else { plain };
        let cut = |(key, value): &(Vec<u8>, Vec<u8>)| {
            (key.clone(), value[..bytes.min(value.len())].to_vec())
        };
        (id, entries.iter().map(cut).collect())
    });
    Ok(fitted.collect())
}
