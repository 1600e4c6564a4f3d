//! Runs code operation by operation, every access checked.

mod dense;
mod fuse;
mod steps;

use hoist_bpf::module::FunctionId;

use super::code::Op;
use super::fault::{Access, FaultKind};
use super::memory::StackMark;
use super::observer::{Place, Registers};
use super::running::{Executed, Running};
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
pub(crate) fn execute(run: &mut Running<'_>, function: FunctionId, args: &[u64; 5]) -> Executed {
    interpret::<false>(run, function, args)
}

/// Runs a function to its end and tells the observer of every step.
pub(crate) fn execute_observed(
    run: &mut Running<'_>,
    function: FunctionId,
    args: &[u64; 5],
) -> Executed {
    interpret::<true>(run, function, args)
}

fn interpret<const OBSERVED: bool>(
    run: &mut Running<'_>,
    function: FunctionId,
    args: &[u64; 5],
) -> Executed {
    // Calls of an outer execution, of which this one is a callback, lie below.
    let outermost = run.callers.len();
    let mut current = function;
    let first = &run.dense[function.0 as usize];
    let mut ops = first.ops(OBSERVED);
    let (frame_pointer, mut mark) = run.stack.enter(first.stack).map_err(Box::new)?;
    let mut r: Registers = [0; 16];
    r[1..6].copy_from_slice(args);
    r[10] = frame_pointer;
    let mut loops = 0_u32;
    let mut rest = ops.iter();
    // Functions end in operations that do not fall through.
    while let Some(insn) = rest.next() {
        let (dst, src) = (insn.dst.index(), insn.src.index());
        macro_rules! at {
            () => {
                ops.len() - rest.len() - 1
            };
        }
        macro_rules! place {
            () => {
                Place { function: current, op: at!() as u32 }
            };
        }
        // Not computed at each step where nobody asks for it.
        let observed = if OBSERVED { place!() } else { Place { function: current, op: 0 } };
        if OBSERVED {
            let op = &run.code.functions[current.0 as usize].ops[at!()];
            steps::before(run, observed, op, &r)?;
        }
        macro_rules! check {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(kind) => return Err(steps::fault(run, place!(), kind)),
                }
            };
        }
        macro_rules! jump {
            () => {{
                if insn.cost != 0 {
                    check!(run.charge(u64::from(insn.cost)));
                }
                rest = ops.get(insn.off as usize..).unwrap_or_default().iter();
            }};
        }
        macro_rules! load {
            ($quick:ident, $size:literal, $sign_bits:literal) => {{
                let address = r[src].wrapping_add_signed(i64::from(insn.off));
                let value = match run.$quick::<$size>(address) {
                    Some(value) => value,
                    None => check!(run.load::<$size>(address)),
                };
                if OBSERVED {
                    steps::read(run, observed, address, $size, value);
                }
                r[dst] = moved(true, $sign_bits, value);
            }};
        }
        macro_rules! store {
            ($quick:ident, $size:literal, $value:expr) => {{
                let address = r[dst].wrapping_add_signed(i64::from(insn.off));
                let old = if OBSERVED { run.load::<$size>(address).unwrap_or(0) } else { 0 };
                if run.$quick::<$size>(address, $value).is_none() {
                    check!(run.store::<$size>(address, $value));
                }
                if OBSERVED {
                    steps::wrote(run, observed, (address, $size), old, $value);
                }
            }};
        }
        macro_rules! leave {
            ($returned:expr) => {{
                let returned = $returned;
                run.stack.leave(mark);
                if run.callers.len() == outermost {
                    return Ok(returned);
                }
                let Some(caller) = run.callers.pop() else { return Ok(returned) };
                r = caller.registers;
                r[0] = returned;
                (current, loops, mark) = (caller.function, caller.loops, caller.mark);
                ops = run.dense[current.0 as usize].ops(OBSERVED);
                rest = ops.get(caller.next..).unwrap_or_default().iter();
            }};
        }
        macro_rules! enter {
            ($callee:expr, $called:expr, $entered:expr) => {{
                (current, loops, mark) = ($callee, 0, $entered);
                ops = $called.ops(OBSERVED);
                rest = ops.iter();
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
                        Kind::$a64 => r[dst] = alu(true, code::AluOp::$alu, r[dst], r[src]),
                        Kind::$a64k => r[dst] = alu(true, code::AluOp::$alu, r[dst], insn.operand()),
                        Kind::$a32 => r[dst] = alu(false, code::AluOp::$alu, r[dst], r[src]),
                        Kind::$a32k => r[dst] = alu(false, code::AluOp::$alu, r[dst], insn.operand()),
                    )*
                    $(
                        Kind::$b64 => {
                            if holds(true, code::Condition::$cond, r[dst], r[src]) {
                                jump!();
                            }
                        }
                        Kind::$b64k => {
                            if holds(true, code::Condition::$cond, r[dst], insn.operand()) {
                                jump!();
                            }
                        }
                        Kind::$b32 => {
                            if holds(false, code::Condition::$cond, r[dst], r[src]) {
                                jump!();
                            }
                        }
                        Kind::$b32k => {
                            if holds(false, code::Condition::$cond, r[dst], insn.operand()) {
                                jump!();
                            }
                        }
                    )*
                    $($other)*
                }
            };
        }
        macro_rules! set {
            ($value:expr) => {
                r[dst] = $value
            };
        }
        families! {
            step {
                Kind::Neg64 => set!(r[dst].wrapping_neg()),
                Kind::Neg32 => set!(u64::from((r[dst] as u32).wrapping_neg())),
                Kind::Move64 => set!(r[src]),
                Kind::MoveK => set!(insn.wide()),
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
                Kind::Nothing => {}
                Kind::Load1 => load!(load_frame, 1, 0),
                Kind::Load2 => load!(load_frame, 2, 0),
                Kind::Load4 => load!(load_frame, 4, 0),
                Kind::Load8 => load!(load_frame, 8, 0),
                Kind::LoadSigned1 => load!(load_frame, 1, 8),
                Kind::LoadSigned2 => load!(load_frame, 2, 16),
                Kind::LoadSigned4 => load!(load_frame, 4, 32),
                Kind::Store1 => store!(store_frame, 1, r[src]),
                Kind::Store2 => store!(store_frame, 2, r[src]),
                Kind::Store4 => store!(store_frame, 4, r[src]),
                Kind::Store8 => store!(store_frame, 8, r[src]),
                Kind::Store1K => store!(store_frame, 1, insn.operand()),
                Kind::Store2K => store!(store_frame, 2, insn.operand()),
                Kind::Store4K => store!(store_frame, 4, insn.operand()),
                Kind::Store8K => store!(store_frame, 8, insn.operand()),
                Kind::LoadStack1 => load!(load_stack, 1, 0),
                Kind::LoadStack2 => load!(load_stack, 2, 0),
                Kind::LoadStack4 => load!(load_stack, 4, 0),
                Kind::LoadStack8 => load!(load_stack, 8, 0),
                Kind::StoreStack1 => store!(store_stack, 1, r[src]),
                Kind::StoreStack2 => store!(store_stack, 2, r[src]),
                Kind::StoreStack4 => store!(store_stack, 4, r[src]),
                Kind::StoreStack8 => store!(store_stack, 8, r[src]),
                Kind::StoreStack1K => store!(store_stack, 1, insn.operand()),
                Kind::StoreStack2K => store!(store_stack, 2, insn.operand()),
                Kind::StoreStack4K => store!(store_stack, 4, insn.operand()),
                Kind::StoreStack8K => store!(store_stack, 8, insn.operand()),
                Kind::SumK => {
                    set!(r[src].wrapping_add(insn.operand()));
                    rest.next();
                }
                Kind::SumKGt => {
                    set!(r[src].wrapping_add(insn.operand()));
                    rest.nth(1);
                    if r[dst] > r[insn.third.index()] {
                        jump!();
                    }
                }
                Kind::Move32Of2 => {
                    set!(moved(false, 0, r[src]));
                    rest.next();
                }
                Kind::Move32Of3 => {
                    set!(moved(false, 0, r[src]));
                    rest.nth(1);
                }
                Kind::Extend32Of2 => {
                    set!(moved(true, 32, r[src]));
                    rest.next();
                }
                Kind::Extend32Of3 => {
                    set!(moved(true, 32, r[src]));
                    rest.nth(1);
                }
                Kind::Jump => jump!(),
                Kind::Helper => {
                    let number = insn.constant as u32;
                    let Some(helper) = run.helpers.get(number as usize).copied().flatten() else {
                        let kind = FaultKind::UnknownHelper(number);
                        return Err(steps::fault(run, place!(), kind));
                    };
                    r[0] = check!(helper(run, [r[1], r[2], r[3], r[4], r[5]]));
                }
                Kind::Exit => leave!(r[0]),
                Kind::Return => leave!(insn.wide()),
                Kind::Rare => {
                    let at = at!();
                    let op = &run.code.functions[current.0 as usize].ops[at];
                    match *op {
                        Op::Call(callee) => {
                            let called = &run.dense[callee.0 as usize];
                            check!(run.charge(u64::from(called.slots)));
                            let (frame_pointer, entered) = check!(run.stack.enter(called.stack));
                            run.callers.push(Caller {
                                function: current,
                                next: at + 1,
                                registers: r,
                                loops,
                                mark,
                            });
                            r[0] = 0;
                            r[6..10].fill(0);
                            r[10] = frame_pointer;
                            enter!(callee, called, entered);
                        }
                        Op::TailCall => match check!(tail_call(run, [r[1], r[2], r[3]])) {
                            Some(callee) => {
                                let called = &run.dense[callee.0 as usize];
                                check!(run.charge(u64::from(called.slots)));
                                run.stack.leave(mark);
                                let (frame_pointer, entered) =
                                    check!(run.stack.enter(called.stack));
                                run.stack.begin_program();
                                r = [0; 16];
                                r[1] = address::CONTEXT;
                                r[10] = frame_pointer;
                                enter!(callee, called, entered);
                            }
                            // What the helper returns, the kernel leaves open.
                            None => r[0] = steps::NO_TAIL_CALL,
                        },
                        Op::MayGoto { to } if loops == MAX_LOOPS => {
                            let to = to as usize;
                            if to <= at {
                                check!(run.charge((at - to + 1) as u64));
                            }
                            rest = ops.get(to..).unwrap_or_default().iter();
                        }
                        Op::MayGoto { .. } => loops += 1,
                        _ => check!(steps::rare(run, op, &mut r, place!(), OBSERVED)),
                    }
                }
            }
        }
        if OBSERVED {
            let op = &run.code.functions[observed.function.0 as usize].ops[observed.op as usize];
            steps::after(run, observed, op, &r);
        }
    }
    Err(Box::new(FaultKind::InvalidInstruction(code::Invalid::End)))
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
