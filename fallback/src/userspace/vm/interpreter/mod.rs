//! Runs code operation by operation, every access checked.

mod dense;
mod steps;

use hoist_bpf::module::FunctionId;

use super::code::Op;
use super::fault::{Access, FaultKind};
use super::memory::StackMark;
use super::observer::{Place, Registers};
use super::running::Running;
use super::semantics::{alu, holds, moved};
use super::{address, code};
use dense::{Kind, families};

pub(crate) use dense::DenseFunction;
pub(crate) use steps::{NO_TAIL_CALL, load, store, tail_call};

/// Passes of `may_goto` in one function activation (`BPF_MAX_LOOPS` of the kernel).
pub(crate) const MAX_LOOPS: u32 = 8 << 20;

/// A caller, while its callee runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    function: FunctionId,
    next: usize,
    registers: Registers,
    loops: u32,
    mark: StackMark,
}

/// Runs a function to its end.
pub(crate) fn execute(
    run: &mut Running<'_>,
    function: FunctionId,
    args: [u64; 5],
) -> Result<u64, FaultKind> {
    interpret::<false>(run, function, args)
}

/// Runs a function to its end and tells the observer of every step.
pub(crate) fn execute_observed(
    run: &mut Running<'_>,
    function: FunctionId,
    args: [u64; 5],
) -> Result<u64, FaultKind> {
    interpret::<true>(run, function, args)
}

fn interpret<const OBSERVED: bool>(
    run: &mut Running<'_>,
    function: FunctionId,
    args: [u64; 5],
) -> Result<u64, FaultKind> {
    let (code, dense) = (run.code, run.dense);
    // Calls of an outer execution, of which this one is a callback, lie below.
    let outermost = run.callers.len();
    let mut current = function;
    let mut ops = &*dense[function.0 as usize].ops;
    let (frame_pointer, mut mark) = run.stack.enter(code.functions[function.0 as usize].stack)?;
    let mut r: Registers = [0; 16];
    r[1..6].copy_from_slice(&args);
    r[10] = frame_pointer;
    let mut loops = 0_u32;
    let mut at = 0_usize;
    loop {
        let insn = ops[at];
        let (dst, src) = (usize::from(insn.dst & 15), usize::from(insn.src & 15));
        let before = at;
        let place = Place { function: current, op: at as u32 };
        if OBSERVED {
            let op = &code.functions[current.0 as usize].ops[at];
            steps::before(run, place, op, &r)?;
        }
        macro_rules! check {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(kind) => return Err(steps::fault(run, place, kind)),
                }
            };
        }
        macro_rules! jump {
            () => {{
                let to = insn.off as usize;
                if to <= at {
                    check!(run.charge((at - to + 1) as u64));
                }
                at = to;
            }};
        }
        macro_rules! load {
            ($size:literal, $sign_bits:literal) => {{
                let address = r[src].wrapping_add_signed(i64::from(insn.off));
                let value = check!(run.load::<$size>(address));
                if OBSERVED {
                    steps::read(run, place, address, $size, value);
                }
                r[dst] = moved(true, $sign_bits, value);
                at += 1;
            }};
        }
        macro_rules! store {
            ($size:literal, $value:expr) => {{
                let address = r[dst].wrapping_add_signed(i64::from(insn.off));
                let old = if OBSERVED { run.load::<$size>(address).unwrap_or(0) } else { 0 };
                check!(run.store::<$size>(address, $value));
                if OBSERVED {
                    steps::wrote(run, place, (address, $size), old, $value);
                }
                at += 1;
            }};
        }
        macro_rules! step {
            (
                alu { $($alu:ident: $a64:ident $a64k:ident $a32:ident $a32k:ident,)* }
                branch { $($cond:ident: $b64:ident $b64k:ident $b32:ident $b32k:ident,)* }
                $($other:tt)*
            ) => {
                match insn.kind {
                    $(
                        Kind::$a64 => {
                            r[dst] = alu(true, code::AluOp::$alu, r[dst], r[src]);
                            at += 1;
                        }
                        Kind::$a64k => {
                            r[dst] = alu(true, code::AluOp::$alu, r[dst], insn.constant);
                            at += 1;
                        }
                        Kind::$a32 => {
                            r[dst] = alu(false, code::AluOp::$alu, r[dst], r[src]);
                            at += 1;
                        }
                        Kind::$a32k => {
                            r[dst] = alu(false, code::AluOp::$alu, r[dst], insn.constant);
                            at += 1;
                        }
                    )*
                    $(
                        Kind::$b64 => {
                            if holds(true, code::Condition::$cond, r[dst], r[src]) {
                                jump!();
                            } else {
                                at += 1;
                            }
                        }
                        Kind::$b64k => {
                            if holds(true, code::Condition::$cond, r[dst], insn.constant) {
                                jump!();
                            } else {
                                at += 1;
                            }
                        }
                        Kind::$b32 => {
                            if holds(false, code::Condition::$cond, r[dst], r[src]) {
                                jump!();
                            } else {
                                at += 1;
                            }
                        }
                        Kind::$b32k => {
                            if holds(false, code::Condition::$cond, r[dst], insn.constant) {
                                jump!();
                            } else {
                                at += 1;
                            }
                        }
                    )*
                    $($other)*
                }
            };
        }
        macro_rules! set {
            ($value:expr) => {{
                r[dst] = $value;
                at += 1;
            }};
        }
        families! {
            step {
                Kind::Neg64 => set!(r[dst].wrapping_neg()),
                Kind::Neg32 => set!(u64::from((r[dst] as u32).wrapping_neg())),
                Kind::Move64 => set!(r[src]),
                Kind::MoveK => set!(insn.constant),
                Kind::Move32 => set!(moved(false, 0, r[src])),
                Kind::Extend8 => set!(moved(true, 8, r[src])),
                Kind::Extend16 => set!(moved(true, 16, r[src])),
                Kind::Extend32 => set!(moved(true, 32, r[src])),
                Kind::Extend8To32 => set!(moved(false, 8, r[src])),
                Kind::Extend16To32 => set!(moved(false, 16, r[src])),
                Kind::Swap16 => set!(u64::from((r[dst] as u16).swap_bytes())),
                Kind::Swap32 => set!(u64::from((r[dst] as u32).swap_bytes())),
                Kind::Swap64 => set!(r[dst].swap_bytes()),
                Kind::Cut16 => set!(u64::from(r[dst] as u16)),
                Kind::Cut32 => set!(u64::from(r[dst] as u32)),
                Kind::Nothing => at += 1,
                Kind::Load1 => load!(1, 0),
                Kind::Load2 => load!(2, 0),
                Kind::Load4 => load!(4, 0),
                Kind::Load8 => load!(8, 0),
                Kind::LoadSigned1 => load!(1, 8),
                Kind::LoadSigned2 => load!(2, 16),
                Kind::LoadSigned4 => load!(4, 32),
                Kind::Store1 => store!(1, r[src]),
                Kind::Store2 => store!(2, r[src]),
                Kind::Store4 => store!(4, r[src]),
                Kind::Store8 => store!(8, r[src]),
                Kind::Store1K => store!(1, insn.constant),
                Kind::Store2K => store!(2, insn.constant),
                Kind::Store4K => store!(4, insn.constant),
                Kind::Store8K => store!(8, insn.constant),
                Kind::Jump => jump!(),
                Kind::Helper => {
                    let number = insn.constant as usize;
                    let Some(helper) = run.helpers.get(number).copied().flatten() else {
                        let kind = FaultKind::UnknownHelper(number as u32);
                        return Err(steps::fault(run, place, kind));
                    };
                    r[0] = check!(helper(run, [r[1], r[2], r[3], r[4], r[5]]));
                    at += 1;
                }
                Kind::Exit => {
                    run.stack.leave(mark);
                    if run.callers.len() == outermost {
                        return Ok(r[0]);
                    }
                    let Some(caller) = run.callers.pop() else { return Ok(r[0]) };
                    let returned = r[0];
                    r = caller.registers;
                    r[0] = returned;
                    (current, at, loops, mark) =
                        (caller.function, caller.next, caller.loops, caller.mark);
                    ops = &dense[current.0 as usize].ops;
                }
                Kind::Rare => {
                    let op = &code.functions[current.0 as usize].ops[at];
                    at += 1;
                    match *op {
                        Op::Call(callee) => {
                            let called = &code.functions[callee.0 as usize];
                            check!(run.charge(u64::from(called.slots)));
                            let (frame_pointer, entered) = check!(run.stack.enter(called.stack));
                            run.callers.push(Caller {
                                function: current,
                                next: at,
                                registers: r,
                                loops,
                                mark,
                            });
                            r[0] = 0;
                            r[6..10].fill(0);
                            r[10] = frame_pointer;
                            (current, at, loops, mark) = (callee, 0, 0, entered);
                            ops = &dense[callee.0 as usize].ops;
                        }
                        Op::TailCall => match check!(tail_call(run, [r[1], r[2], r[3]])) {
                            Some(callee) => {
                                let called = &code.functions[callee.0 as usize];
                                check!(run.charge(u64::from(called.slots)));
                                run.stack.leave(mark);
                                let (frame_pointer, entered) =
                                    check!(run.stack.enter(called.stack));
                                r = [0; 16];
                                r[1] = address::CONTEXT;
                                r[10] = frame_pointer;
                                (current, at, loops, mark) = (callee, 0, 0, entered);
                                ops = &dense[callee.0 as usize].ops;
                            }
                            // What the helper returns, the kernel leaves open.
                            None => r[0] = steps::NO_TAIL_CALL,
                        },
                        Op::MayGoto { to } if loops == MAX_LOOPS => {
                            let to = to as usize;
                            if to < at {
                                check!(run.charge((at - to) as u64));
                            }
                            at = to;
                        }
                        Op::MayGoto { .. } => loops += 1,
                        _ => check!(steps::rare(run, op, &mut r, place, OBSERVED)),
                    }
                }
            }
        }
        if OBSERVED {
            let op = &code.functions[place.function.0 as usize].ops[before];
            steps::after(run, place, op, &r);
        }
    }
}

/// An atomic access must be aligned.
pub(crate) const fn aligned(address: u64, size: code::Size, write: bool) -> Result<(), FaultKind> {
    let size = size.bytes();
    if address.is_multiple_of(size) {
        Ok(())
    } else {
        Err(FaultKind::UnalignedAtomic(Access { address, size, write }))
    }
}
