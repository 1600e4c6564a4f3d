//! Calls of subprograms: where a card has none, or has too little stack for their frames, the
//! callee's code takes the place of the call.
//!
//! The callee's frame becomes a part of the caller's below what the caller uses itself, and calls
//! that are not made at the same time share it. What the callee writes of `r6` to `r9` is saved there
//! where the caller still needs it. Pointers to the caller's stack are what they were.

use std::collections::{BTreeMap, BTreeSet};

use super::asm;
use super::edit::{Code, Edits};
use super::frame::each;
use super::live::{Live, Registers, written};
use super::report::{Problem, Report, Rewrite, site};
use super::scope::Scope;
use super::target::{FrameStack, Target};
use crate::analysis::{TAIL_CALL, Trace};
use crate::insn::Insn;
use crate::module::{Function, FunctionId, Inst, InstId, Module, Target as Reference};
use crate::opcode::{X, alu, class, jmp};

/// Registers that a function gives back as it got them.
const KEPT: Registers = 0b11_1100_0000;
const FRAME_POINTER: u8 = 10;

/// Puts the code of callees in the place of calls where the card wants it. Whether any call is gone.
pub(super) fn run(
    module: &mut Module,
    scope: &Scope,
    trace: &Trace,
    target: &Target,
    report: &mut Report,
) -> bool {
    let calls = |module: &Module| {
        let code = scope.functions.iter().flat_map(|id| &module.function(*id).code);
        code.filter(|inst| callee(inst).is_some()).count()
    };
    let wanted = calls(module) > 0 && (!target.calls || !fits(module, scope, trace, target));
    let addressed = !target.calls && scope.functions.iter().any(|id| takes_address(module, *id));
    if !wanted && !addressed {
        return false;
    }
    let mut inliner = Inliner { trace, target, frames: BTreeMap::new(), open: BTreeSet::new() };
    let mut told = Report::default();
    for &id in &scope.functions {
        inliner.function(module, id, &mut told);
    }
    if !target.calls {
        addresses(module, scope, &mut told);
        report.problems.append(&mut told.problems);
    }
    // Where only the stack is short, what the card's profile says of it tells more than a call that
    // stayed.
    let any = !told.changes.is_empty();
    report.changes.append(&mut told.changes);
    any
}

/// The function that an instruction calls.
fn callee(inst: &Inst) -> Option<FunctionId> {
    match inst.target {
        Reference::Call(callee) => Some(callee),
        _ => None,
    }
}

fn takes_address(module: &Module, id: FunctionId) -> bool {
    let code = &module.function(id).code;
    code.iter().any(|inst| matches!(inst.target, Reference::FunctionAddress(_)))
}

/// What a helper calls back stays a function.
fn addresses(module: &Module, scope: &Scope, report: &mut Report) {
    for &id in &scope.functions {
        let function = module.function(id);
        for inst in &function.code {
            if matches!(inst.target, Reference::FunctionAddress(_)) {
                let why = "a helper calls it back";
                report.problems.push(kept(why).at(site(module, function, inst)));
            }
        }
    }
}

fn kept(why: &str) -> Problem {
    let message = format!(
        "a call of a function of the program's own, which the card has not, and its code cannot take \
         the place of the call: {why}"
    );
    let remedy = "declare the function `static inline` with `always_inline`";
    Problem::new("call-not-inlined", message, remedy)
}

/// Whether the frames of the deepest chain of calls fit, as far as the card's stack is known.
fn fits(module: &Module, scope: &Scope, trace: &Trace, target: &Target) -> bool {
    let Some(stack) = &target.stack else { return true };
    let mut known = BTreeMap::new();
    let mut depths = scope.functions.iter().enumerate();
    depths.all(|(at, &id)| {
        let main = at == 0 || module.programs.iter().any(|p| p.function == id);
        !main || depth(module, trace, stack, id, true, &mut known) <= u64::from(stack.most)
    })
}

/// Bytes of stack from a function's frame down.
fn depth(
    module: &Module,
    trace: &Trace,
    stack: &FrameStack,
    id: FunctionId,
    main: bool,
    known: &mut BTreeMap<FunctionId, u64>,
) -> u64 {
    if let Some(&depth) = known.get(&id) {
        return depth;
    }
    // Recursion is refused by the verifier; here it must only end.
    known.insert(id, 0);
    let code = &module.function(id).code;
    let mut own = trace.stack(id);
    if !main {
        own += stack.call_bytes;
        if code.iter().any(|inst| (6..=9).contains(&inst.insn.dst())) {
            own += stack.register_bytes;
        }
    }
    let callees = code.iter().filter_map(callee);
    let below = callees.map(|c| depth(module, trace, stack, c, false, known)).max().unwrap_or(0);
    let depth = u64::from(own.next_multiple_of(stack.frame_bytes.max(1))) + below;
    known.insert(id, depth);
    depth
}

struct Inliner<'a> {
    trace: &'a Trace,
    target: &'a Target,
    /// Bytes of stack of the functions that are done, with what they called.
    frames: BTreeMap<FunctionId, i32>,
    /// Functions that are being worked on, to notice recursion.
    open: BTreeSet<FunctionId>,
}

impl Inliner<'_> {
    /// Works on what a function calls, then on its calls.
    fn function(&mut self, module: &mut Module, id: FunctionId, report: &mut Report) {
        if self.frames.contains_key(&id) || !self.open.insert(id) {
            return;
        }
        let callees: BTreeSet<FunctionId> =
            module.function(id).code.iter().filter_map(callee).collect();
        for &callee in &callees {
            self.function(module, callee, report);
        }
        let own = self.trace.stack(id).next_multiple_of(8) as i32;
        let mut frame = own;
        if !callees.is_empty() {
            frame = self.calls(module, id, own, report);
        }
        self.open.remove(&id);
        self.frames.insert(id, frame);
    }

    /// Replaces the calls of a function; the bytes of stack that it has then.
    fn calls(&self, module: &mut Module, id: FunctionId, own: i32, report: &mut Report) -> i32 {
        let function = module.function(id);
        let live = Live::of(module, id);
        let (mut edits, mut next_id) = (Edits::default(), function.next_id);
        let (mut frame, mut slots, mut unset) = (own, function.slots(), 0);
        for (at, inst) in function.code.iter().enumerate() {
            let Some(callee) = callee(inst) else { continue };
            let place = site(module, function, inst);
            let body = &module.function(callee).code;
            slots += body.iter().map(Inst::slots).sum::<usize>();
            let after = function.code.get(at + 1).map(|next| next.id);
            let (why, after) = match (self.refuses(module, callee, slots), after) {
                (None, Some(after)) => (None, after),
                (why, after) => {
                    (why.or(Some("nothing follows it".to_owned())), after.unwrap_or(inst.id))
                }
            };
            if let Some(why) = why {
                report.problems.push(kept(&why).at(place));
                continue;
            }
            let writes = body.iter().fold(0, |all, inst| all | written(inst.insn));
            let saved = live.across(at, inst) & writes & KEPT;
            unset |= saved & !live.surely(at);
            let below = own + 8 * saved.count_ones() as i32;
            let mut code = Code::new(&mut next_id, *inst);
            save(&mut code, own, saved);
            if let Err(why) = copy(&mut code, body, below, after, restored(own, saved)) {
                report.problems.push(kept(why).at(place));
                continue;
            }
            edits.replace(at, code);
            frame = frame.max(below + self.frames.get(&callee).copied().unwrap_or(0));
            let name = &module.function(callee).name;
            let message = format!("the code of {name} took the place of a call of it");
            report.code_changed(Rewrite::Inline, place, message);
        }
        let function = &mut module.functions[id.0 as usize];
        function.next_id = next_id;
        edits.apply(function);
        clear(function, unset);
        frame
    }

    /// Why a callee's code cannot take the place of a call.
    fn refuses(&self, module: &Module, callee: FunctionId, slots: usize) -> Option<String> {
        if !self.frames.contains_key(&callee) {
            return Some("it calls itself".to_owned());
        }
        let body = &module.function(callee).code;
        if body.is_empty() {
            return Some("it has no code".to_owned());
        }
        // What a subprogram hands over to returns to the subprogram's caller.
        if body.iter().any(|inst| inst.insn == TAIL_CALL) {
            return Some(
                "it makes a tail call, which ends the function and not the program".to_owned(),
            );
        }
        // Where the frame is too short they return 0 from the function (`bpf_gen_ld_abs`,
        // net/core/filter.c).
        let legacy = |inst: &Inst| inst.insn.class() == class::LD && !inst.insn.is_wide();
        if body.iter().any(legacy) {
            return Some(
                "it loads with LD_ABS or LD_IND, which end the function and not the program where \
                 the packet is too short"
                    .to_owned(),
            );
        }
        (slots > self.target.most_slots).then(|| {
            format!("the program would be longer than {} instructions", self.target.most_slots)
        })
    }
}

/// Gives registers a value at a function's start: they are saved at a call to which a way leads that
/// has not set them, though none that reads them afterwards. Jumps to the start do not do so again.
fn clear(function: &mut Function, registers: Registers) {
    let Some(first) = function.code.first().copied() else { return };
    for register in each(registers) {
        let (id, insn) = (InstId(function.next_id), asm::mov_imm(register, 0));
        function.next_id += 1;
        function
            .code
            .insert(0, Inst { id, insn, wide_imm: None, target: Reference::None, ..first });
    }
}

fn slot(own: i32, number: usize) -> i16 {
    (-own - 8 * (number as i32 + 1)) as i16
}

fn save(code: &mut Code<'_>, own: i32, registers: Registers) {
    for (number, register) in each(registers).enumerate() {
        code.put(asm::store64(FRAME_POINTER, slot(own, number), register));
    }
}

fn restored(own: i32, registers: Registers) -> Vec<Insn> {
    let saved = each(registers).enumerate();
    saved.map(|(n, register)| asm::load64(register, FRAME_POINTER, slot(own, n))).collect()
}

/// Writes a callee's code down with its frame `below` bytes further down; what it returns from leads
/// to what brings registers back, and on to `after`.
fn copy(
    code: &mut Code<'_>,
    body: &[Inst],
    below: i32,
    after: InstId,
    restore: Vec<Insn>,
) -> Result<(), &'static str> {
    let names: BTreeMap<InstId, InstId> = body.iter().map(|i| (i.id, code.label())).collect();
    let end = if restore.is_empty() { after } else { code.label() };
    for inst in body {
        let target = match inst.target {
            Reference::Jump(to) => Reference::Jump(names.get(&to).copied().unwrap_or(to)),
            other => other,
        };
        let (id, insn) = (names[&inst.id], inst.insn);
        if insn.class() == class::JMP && insn.code & 0xf0 == jmp::EXIT {
            code.adopt(id, inst, asm::goto(), Reference::Jump(end));
            continue;
        }
        let (insn, more) = shifted(insn, below)?;
        code.adopt(id, inst, insn, target);
        if let Some(more) = more {
            let id = code.label();
            code.adopt(id, inst, more, Reference::None);
        }
    }
    for (number, insn) in restore.into_iter().enumerate() {
        match number {
            0 => code.place(end, insn, Reference::None),
            _ => code.put(insn),
        }
    }
    Ok(())
}

/// An instruction with the frame pointer so many bytes further down, and what must follow it.
fn shifted(insn: Insn, below: i32) -> Result<(Insn, Option<Insn>), &'static str> {
    let far = "its stack would be out of reach";
    let (dst, src) = (insn.dst() == FRAME_POINTER, insn.src() == FRAME_POINTER);
    let moved = || {
        let off = i32::from(insn.off) - below;
        i16::try_from(off).map(|off| Insn { off, ..insn }).map_err(|_| far)
    };
    match insn.class() {
        class::LDX if src => Ok((moved()?, None)),
        class::STX if src => Err("it stores the address of its frame"),
        class::ST | class::STX if dst => Ok((moved()?, None)),
        class::ALU64 if src && insn.code & X != 0 => match insn.code & 0xf0 {
            alu::MOV | alu::ADD if insn.off == 0 => {
                Ok((insn, Some(asm::add_imm(insn.dst(), -below))))
            }
            _ => Err("it computes with the address of its frame"),
        },
        class::ALU if src && insn.code & X != 0 => Err("it computes with the address of its frame"),
        class::JMP | class::JMP32 if !insn.is_call() && (dst || src) => {
            Err("it compares the address of its frame")
        }
        _ => Ok((insn, None)),
    }
}
