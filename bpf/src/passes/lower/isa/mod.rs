//! Instructions that the card has not, by others that it has, with the same results in all 64 bits.

mod arithmetic;
mod jumps;
mod narrow;

use super::edit::{Code, Edits};
use super::frame::Frame;
use super::live::{Live, Registers, bit};
use super::report::{Problem, Report, Rewrite, site};
use super::scope::Scope;
use super::target::{Atomics, Target};
use crate::analysis::{self, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, Module};
use crate::opcode::{alu, atomic, class, jmp, mode};
use narrow::Narrow;

/// An expansion may use instructions that are expanded in turn: a signed modulo becomes an unsigned
/// one, which becomes a division. No chain is longer.
const ROUNDS: usize = 4;

pub(super) fn run(
    module: &mut Module,
    scope: &Scope,
    trace: &Trace,
    target: &Target,
    report: &mut Report,
) {
    for &id in &scope.functions {
        let mut frame = Frame::of(trace, id);
        for round in 0..ROUNDS {
            match function(module, id, frame, target, report, round == 0) {
                Some(slots) => frame = frame.behind(slots),
                None => break,
            }
        }
    }
}

/// Expands what a function holds. If anything was, another round may find more, which must leave
/// these slots of the frame alone.
fn function(
    module: &mut Module,
    id: FunctionId,
    frame: Frame,
    target: &Target,
    report: &mut Report,
    tell: bool,
) -> Option<usize> {
    let function = module.function(id);
    if function.code.iter().all(|inst| taken(target, inst.insn)) {
        return None;
    }
    let mut slots = 0;
    let (live, narrow) = (Live::of(module, id), Narrow::of(function));
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    for (at, inst) in function.code.iter().enumerate() {
        if taken(target, inst.insn) {
            continue;
        }
        let mut code = Code::new(&mut next_id, *inst);
        let mut scratch = Scratch {
            free: live.free(at, inst),
            surely: live.surely(at),
            saved: 0,
            keeps: bit(inst.insn.dst()) | bit(inst.insn.src()) | bit(10),
            frame,
        };
        let place = || site(module, function, inst);
        match expand(target, inst, at, &live, &narrow, &mut scratch, &mut code) {
            Some(()) => {
                slots = slots.max(scratch.saved.count_ones() as usize);
                edits.replace(at, code);
                if tell {
                    let rewrite = match is_atomic(inst.insn) {
                        true => Rewrite::Fetch,
                        false => Rewrite::Instruction,
                    };
                    report.code_changed(rewrite, place(), told(inst.insn));
                }
            }
            None => {
                let problem = refused(target, inst.insn).at(place());
                if !report.problems.contains(&problem) {
                    report.problems.push(problem);
                }
            }
        }
    }
    let any = !edits.is_empty();
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
    any.then_some(slots)
}

fn is_atomic(insn: Insn) -> bool {
    insn.class() == class::STX && insn.code & 0xe0 == mode::ATOMIC
}

fn taken(target: &Target, insn: Insn) -> bool {
    if is_atomic(insn) {
        return match target.atomics {
            Atomics::None => false,
            Atomics::Add => insn.imm == 0,
            Atomics::All => target.isa >= analysis::isa_version(insn),
        };
    }
    target.takes(insn)
}

fn expand(
    target: &Target,
    inst: &Inst,
    at: usize,
    live: &Live,
    narrow: &Narrow,
    scratch: &mut Scratch,
    code: &mut Code<'_>,
) -> Option<()> {
    let insn = inst.insn;
    match insn.class() {
        class::STX if is_atomic(insn) => {
            let unused = insn.imm == atomic::FETCH && live.dead_after(at, insn.src());
            let plain = Insn { imm: 0, ..insn };
            (unused && target.atomics >= Atomics::Add).then(|| code.put(plain))
        }
        class::ALU | class::ALU64 => arithmetic::expand(target, insn, scratch, code),
        class::LDX if insn.code & 0xe0 == mode::MEMSX => {
            arithmetic::signed_load(insn, code);
            Some(())
        }
        class::ST => {
            constant_store(insn, scratch, code);
            Some(())
        }
        class::JMP | class::JMP32 if insn.is_call() || insn.code & 0xf0 == jmp::EXIT => None,
        class::JMP | class::JMP32 => jumps::expand(target, inst, at, narrow, scratch, code),
        _ => None,
    }
}

/// `*(dst + off) = imm`: the constant goes through a register.
fn constant_store(insn: Insn, scratch: &mut Scratch, code: &mut Code<'_>) {
    let [value] = scratch.take(code);
    code.constant(value, insn.imm as i64 as u64);
    let store = class::STX | insn.code & !7;
    code.put(Insn::new(store, insn.dst(), value, insn.off, 0));
    scratch.done(code);
}

fn told(insn: Insn) -> String {
    if is_atomic(insn) {
        return "an atomic addition no longer returns what was there, which nobody used".to_owned();
    }
    format!("{} became others that the card has", described(insn))
}

/// What an instruction is, in words.
fn described(insn: Insn) -> String {
    let version = analysis::isa_version(insn);
    let what = match insn.class() {
        class::ALU | class::ALU64 if insn.off != 0 => "a signed operation",
        class::ALU | class::ALU64 if insn.code & 0xf0 == alu::MOD => "a modulo",
        class::ALU | class::ALU64 if insn.code & 0xf0 == alu::END => "a byte swap",
        class::ALU => "a 32-bit operation",
        class::LDX => "a sign-extending load",
        class::ST => "a store of a constant",
        class::JMP32 if insn.code & 0xf0 == jmp::JA => "a long jump",
        class::JMP32 => "a 32-bit comparison",
        class::JMP => "a jump",
        _ if is_atomic(insn) => "an atomic operation",
        _ => "an instruction",
    };
    format!("{what} (code {:#04x}, version {version})", insn.code)
}

fn refused(target: &Target, insn: Insn) -> Problem {
    let message = match (is_atomic(insn), target.atomics) {
        (true, Atomics::None) => "the card has no atomic operations".to_owned(),
        (true, _) => {
            "the card has no atomic operation but addition, and none that returns what was \
                      there"
                .to_owned()
        }
        _ => format!(
            "{} is not in the card's instruction set, and there is no other way to say it",
            described(insn)
        ),
    };
    let remedy = if is_atomic(insn) {
        "count with __sync_fetch_and_add and do not use its result"
    } else {
        "compile with a lower -mcpu"
    };
    Problem::new("instruction-not-taken", message, remedy)
}

/// Registers for what is computed on the way.
#[derive(Debug)]
pub(super) struct Scratch {
    free: Registers,
    /// Can be saved.
    surely: Registers,
    /// Taken although they hold something: saved on the stack meanwhile.
    saved: Registers,
    /// Not to be taken: operands.
    keeps: Registers,
    frame: Frame,
}

impl Scratch {
    /// Registers to compute in. [`Scratch::done`] must follow on every way.
    fn take<const N: usize>(&mut self, code: &mut Code<'_>) -> [u8; N] {
        let mut chosen = 0;
        let registers = std::array::from_fn(|_| {
            let usable = |register: &u8| bit(*register) & (chosen | self.keeps) == 0;
            let free = (0..10).filter(usable).find(|r| bit(*r) & self.free != 0);
            // An instruction names two registers and at most four are asked for: one is left.
            let saved = || (0..10).filter(usable).find(|r| bit(*r) & self.surely != 0);
            let register = free.or_else(saved).or_else(|| (0..10).find(usable)).unwrap_or(0);
            chosen |= bit(register);
            register
        });
        self.saved = chosen & !self.free;
        self.frame.save(code, self.saved);
        registers
    }

    /// Brings back what was there.
    fn done(&self, code: &mut Code<'_>) {
        for insn in self.frame.restored(self.saved) {
            code.put(insn);
        }
    }

    /// Whether nothing has to be brought back.
    const fn is_clean(&self) -> bool {
        self.saved == 0
    }
}
