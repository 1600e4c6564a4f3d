//! Loops: where a card takes no jumps backwards, the body is written down as often as it runs.
//!
//! How often that is, the analysis finds: it follows one copy after the other with what the counter
//! then is. Copies that it does not reach are taken out again; where it still reaches the end of the
//! last one, the loop is not bounded by a constant, or too long.

use std::collections::{BTreeSet, HashMap};

use super::asm;
use super::prune;
use super::report::{Problem, Report, Rewrite, site};
use super::scope::Scope;
use super::target::Target;
use crate::analysis::flow::{Flow, flow};
use crate::analysis::{self, Trace};
use crate::module::{Function, FunctionId, Inst, InstId, Module, ProgramId, Target as Reference};

/// Copies that are tried first, and by how many times more each time.
const FIRST: usize = 8;
const FACTOR: usize = 4;
/// Loops in one program, before which the analysis gives up.
const MOST_LOOPS: usize = 64;

/// Code from the target of a jump backwards to the jump.
#[derive(Clone, Copy, Debug)]
struct Loop {
    start: usize,
    /// The position of the last jump to the start.
    end: usize,
}

/// Writes out every loop that is reached. Whether there was any.
pub(super) fn unroll(
    module: &mut Module,
    program: ProgramId,
    scope: &Scope,
    target: &Target,
    report: &mut Report,
) -> bool {
    let mut any = false;
    for _ in 0..MOST_LOOPS {
        let Ok(trace) = analysis::trace(module, program) else { return any };
        let found = scope.functions.iter().find_map(|&id| {
            let inner = innermost(module.function(id), |at| trace.taken(id, at))?;
            Some((id, inner))
        });
        let Some((id, inner)) = found else { return any };
        let back = module.function(id).code[inner.end];
        let place = site(module, module.function(id), &back);
        match copies(module, program, id, inner, target.most_slots) {
            Some((unrolled, trace, times)) => {
                *module = unrolled;
                prune::prune(module, &scope.functions, &trace, &mut Report::default());
                let message = format!("a loop was written out, {times} times");
                report.code_changed(Rewrite::Loop, place, message);
                any = true;
            }
            None => {
                let message = format!(
                    "a loop whose rounds are not known, or that is longer than {} instructions when \
                     it is written out; the card takes no jumps backwards",
                    target.most_slots
                );
                let remedy = "bound the loop by a constant, or unroll it";
                report.problems.push(Problem::new("loop-not-bounded", message, remedy).at(place));
                return any;
            }
        }
    }
    any
}

/// The shortest loop of a function that is entered at its start alone.
fn innermost(function: &Function, taken: impl Fn(usize) -> bool) -> Option<Loop> {
    let code = &function.code;
    let places: HashMap<InstId, usize> = code.iter().enumerate().map(|(i, x)| (x.id, i)).collect();
    let jumps: Vec<(usize, usize)> = code
        .iter()
        .enumerate()
        .filter_map(|(at, inst)| match inst.target {
            Reference::Jump(to) => Some((at, *places.get(&to)?)),
            _ => None,
        })
        .collect();
    let backwards = jumps.iter().filter(|(at, to)| to <= at && taken(*at));
    let mut loops: Vec<Loop> = Vec::new();
    for &(end, start) in backwards {
        match loops.iter_mut().find(|known| known.start == start) {
            Some(known) => known.end = known.end.max(end),
            None => loops.push(Loop { start, end }),
        }
    }
    let entered_at_start = |inner: &Loop| {
        let within = inner.start..=inner.end;
        jumps
            .iter()
            .all(|(at, to)| within.contains(at) || !within.contains(to) || *to == inner.start)
    };
    loops.into_iter().filter(entered_at_start).min_by_key(|inner| inner.end - inner.start)
}

/// The module with as many copies as are reached, what is known of it, and their number.
fn copies(
    module: &Module,
    program: ProgramId,
    id: FunctionId,
    inner: Loop,
    most: usize,
) -> Option<(Module, Trace, usize)> {
    let length = inner.end + 1 - inner.start;
    let mut count = FIRST;
    loop {
        let mut unrolled = module.clone();
        let starts = write(&mut unrolled.functions[id.0 as usize], inner, count);
        let trace = analysis::trace(&unrolled, program).ok()?;
        let last = starts[count - 1];
        let code = &unrolled.function(id).code;
        let again = |at: &usize| code[*at].target == Reference::Jump(code[last].id);
        let goes_on = (last..last + length).filter(again).any(|at| trace.taken(id, at));
        if !goes_on {
            let times = starts.iter().filter(|start| trace.reached(id, **start)).count();
            return Some((unrolled, trace, times));
        }
        count *= FACTOR;
        if count * length > most {
            return None;
        }
    }
}

/// Writes the body down `count` times; where each copy starts. The last one is still a loop.
fn write(function: &mut Function, inner: Loop, count: usize) -> Vec<usize> {
    let body: Vec<Inst> = function.code[inner.start..=inner.end].to_vec();
    let after = function.code.get(inner.end + 1).map(|inst| inst.id);
    let own: BTreeSet<InstId> = body.iter().map(|inst| inst.id).collect();
    let falls = body.last().is_some_and(|last| matches!(flow(last), Flow::Next | Flow::Branch));
    // The first copy keeps the names, so that what leads to the loop still does.
    let mut names: Vec<HashMap<InstId, InstId>> = vec![own.iter().map(|id| (*id, *id)).collect()];
    for _ in 1..count {
        let fresh = own.iter().map(|id| {
            function.next_id += 1;
            (*id, InstId(function.next_id - 1))
        });
        names.push(fresh.collect());
    }
    let head = body[0].id;
    let (mut code, mut starts) = (function.code[..inner.start].to_vec(), Vec::new());
    for round in 0..count {
        starts.push(code.len());
        let next = names.get(round + 1).unwrap_or(&names[round]);
        for inst in &body {
            let target = match inst.target {
                Reference::Jump(to) if to == head => Reference::Jump(next[&head]),
                Reference::Jump(to) => {
                    Reference::Jump(names[round].get(&to).copied().unwrap_or(to))
                }
                other => other,
            };
            code.push(Inst { id: names[round][&inst.id], target, ..*inst });
        }
        if let (true, Some(after), Some(last)) = (falls && round + 1 < count, after, body.last()) {
            let id = InstId(function.next_id);
            function.next_id += 1;
            let insn = asm::goto();
            code.push(Inst { id, insn, wide_imm: None, target: Reference::Jump(after), ..*last });
        }
    }
    code.extend_from_slice(&function.code[inner.end + 1..]);
    function.code = code;
    starts
}
