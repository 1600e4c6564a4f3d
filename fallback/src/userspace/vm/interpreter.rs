//! Runs code operation by operation, every access checked.

use hoist_bpf::module::FunctionId;

use super::address::{CONTEXT, handled_map};
use super::code::{AtomicOp, Op, Size, Source};
use super::fault::{Access, FaultKind};
use super::memory::StackMark;
use super::observer::{Place, Registers};
use super::running::Running;
use super::semantics::{alu, combined, holds, moved, negated, ordered};

/// Passes of `may_goto` in one function activation (`BPF_MAX_LOOPS` of the kernel).
const MAX_LOOPS: u32 = 8 << 20;

/// A caller, while its callee runs.
#[derive(Clone, Copy)]
struct Caller {
    function: FunctionId,
    next: usize,
    saved: [u64; 4],
    frame_pointer: u64,
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

fn value(source: Source, registers: &Registers) -> u64 {
    match source {
        Source::Register(register) => registers[usize::from(register & 15)],
        Source::Constant(value) => value,
    }
}

fn load(run: &mut Running<'_>, size: Size, address: u64) -> Result<u64, FaultKind> {
    match size {
        Size::B => run.load::<1>(address),
        Size::H => run.load::<2>(address),
        Size::W => run.load::<4>(address),
        Size::D => run.load::<8>(address),
    }
}

fn store(run: &mut Running<'_>, size: Size, address: u64, value: u64) -> Result<(), FaultKind> {
    match size {
        Size::B => run.store::<1>(address, value),
        Size::H => run.store::<2>(address, value),
        Size::W => run.store::<4>(address, value),
        Size::D => run.store::<8>(address, value),
    }
}

fn aligned(address: u64, size: Size, write: bool) -> Result<(), FaultKind> {
    let size = size.bytes();
    if address % size == 0 {
        Ok(())
    } else {
        Err(FaultKind::UnalignedAtomic(Access { address, size, write }))
    }
}

const fn sign_extended(size: Size, value: u64) -> u64 {
    moved(true, size as u8 * 8, value)
}

fn interpret<const OBSERVED: bool>(
    run: &mut Running<'_>,
    function: FunctionId,
    args: [u64; 5],
) -> Result<u64, FaultKind> {
    let code = run.code;
    let mut callers: Vec<Caller> = Vec::new();
    let mut current = function;
    let mut body = &code.functions[function.0 as usize];
    let mut r: Registers = [0; 16];
    r[1..6].copy_from_slice(&args);
    let (frame_pointer, mut mark) = run.stack.enter(body.stack)?;
    r[10] = frame_pointer;
    let mut loops = 0_u32;
    let mut next = 0_usize;
    loop {
        let at = next;
        let place = Place { function: current, op: at as u32 };
        let op = &body.ops[at];
        next += 1;
        let _ = (OBSERVED, place);
        macro_rules! check {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(kind) => {
                        run.faulted.get_or_insert(place);
                        return Err(kind);
                    }
                }
            };
        }
        let mut jump = None;
        match *op {
            Op::Alu { wide, op, dst, source } => {
                let dst = usize::from(dst & 15);
                r[dst] = alu(wide, op, r[dst], value(source, &r));
            }
            Op::Neg { wide, dst } => {
                let dst = usize::from(dst & 15);
                r[dst] = negated(wide, r[dst]);
            }
            Op::Move { wide, dst, source, sign_bits } => {
                r[usize::from(dst & 15)] = moved(wide, sign_bits, value(source, &r));
            }
            Op::Endian { order, width, dst } => {
                let dst = usize::from(dst & 15);
                r[dst] = ordered(order, width, r[dst]);
            }
            Op::LoadImm { dst, value } => r[usize::from(dst & 15)] = value,
            Op::Load { dst, base, off, size, signed } => {
                let address = r[usize::from(base & 15)].wrapping_add_signed(i64::from(off));
                let value = check!(load(run, size, address));
                r[usize::from(dst & 15)] = if signed { sign_extended(size, value) } else { value };
            }
            Op::Store { base, off, size, source } => {
                let address = r[usize::from(base & 15)].wrapping_add_signed(i64::from(off));
                check!(store(run, size, address, value(source, &r)));
            }
            Op::LoadAcquire { dst, base, off, size } => {
                let address = r[usize::from(base & 15)].wrapping_add_signed(i64::from(off));
                check!(aligned(address, size, false));
                r[usize::from(dst & 15)] = check!(load(run, size, address));
            }
            Op::StoreRelease { base, off, size, src } => {
                let address = r[usize::from(base & 15)].wrapping_add_signed(i64::from(off));
                check!(aligned(address, size, true));
                check!(store(run, size, address, r[usize::from(src & 15)]));
            }
            Op::Atomic { op, size, base, off, src } => {
                let address = r[usize::from(base & 15)].wrapping_add_signed(i64::from(off));
                check!(aligned(address, size, true));
                let old = check!(load(run, size, address));
                let r0 = if size == Size::D { r[0] } else { u64::from(r[0] as u32) };
                let new = combined(op, old, r[usize::from(src & 15)], r0);
                check!(store(run, size, address, new));
                match op {
                    AtomicOp::CompareExchange => r[0] = old,
                    AtomicOp::Exchange
                    | AtomicOp::Add { fetch: true }
                    | AtomicOp::Or { fetch: true }
                    | AtomicOp::And { fetch: true }
                    | AtomicOp::Xor { fetch: true } => r[usize::from(src & 15)] = old,
                    _ => {}
                }
            }
            Op::Jump { to } => jump = Some(to),
            Op::Branch { wide, cond, left, right, to } => {
                if holds(wide, cond, r[usize::from(left & 15)], value(right, &r)) {
                    jump = Some(to);
                }
            }
            Op::MayGoto { to } => {
                if loops == MAX_LOOPS {
                    jump = Some(to);
                } else {
                    loops += 1;
                }
            }
            Op::Call(callee) => {
                let called = &code.functions[callee.0 as usize];
                check!(run.charge(u64::from(called.slots)));
                let saved = [r[6], r[7], r[8], r[9]];
                let (frame_pointer, entered) = check!(run.stack.enter(called.stack));
                let caller =
                    Caller { function: current, next, saved, frame_pointer: r[10], loops, mark };
                callers.push(caller);
                (current, body, next, loops, mark) = (callee, called, 0, 0, entered);
                r[0] = 0;
                r[6..10].fill(0);
                r[10] = frame_pointer;
            }
            Op::Helper(number) => {
                let helper = run.helpers.get(number as usize).copied().flatten();
                let helper = check!(helper.ok_or(FaultKind::UnknownHelper(number)));
                r[0] = check!(helper(run, [r[1], r[2], r[3], r[4], r[5]]));
            }
            Op::Kfunc(id) => {
                let kfunc = run.kfuncs.get(id.0 as usize).copied().flatten();
                let name = || run.module.external(id).name.clone();
                let kfunc = check!(kfunc.ok_or_else(|| FaultKind::UnknownKfunc(name())));
                r[0] = check!(kfunc(run, [r[1], r[2], r[3], r[4], r[5]]));
            }
            Op::TailCall => {
                if let Some(callee) = check!(tail_call(run, &r)) {
                    let called = &code.functions[callee.0 as usize];
                    check!(run.charge(u64::from(called.slots)));
                    run.stack.leave(mark);
                    let (frame_pointer, entered) = check!(run.stack.enter(called.stack));
                    (current, body, next, loops, mark) = (callee, called, 0, 0, entered);
                    let context = r[1];
                    r = [0; 16];
                    r[1] = context;
                    r[10] = frame_pointer;
                }
            }
            Op::Exit => {
                run.stack.leave(mark);
                let Some(caller) = callers.pop() else { return Ok(r[0]) };
                r[6..10].copy_from_slice(&caller.saved);
                r[10] = caller.frame_pointer;
                (current, next, loops, mark) =
                    (caller.function, caller.next, caller.loops, caller.mark);
                body = &code.functions[current.0 as usize];
            }
            Op::Invalid(reason) => check!(Err(FaultKind::InvalidInstruction(reason))),
        }
        if let Some(to) = jump {
            let to = to as usize;
            if to <= at {
                check!(run.charge((at - to + 1) as u64));
            }
            next = to;
        }
    }
}

/// The function a tail call goes to; `None` where it falls through (`bpf_tail_call` of the kernel:
/// an index beyond the array, an empty slot, or too many tail calls in this run).
pub(crate) fn tail_call(
    run: &mut Running<'_>,
    r: &Registers,
) -> Result<Option<FunctionId>, FaultKind> {
    let wrong = |argument, what: &str| FaultKind::BadHelperArgument {
        helper: "tail_call",
        argument,
        what: what.to_owned(),
    };
    if r[1] != CONTEXT {
        return Err(wrong(1, "not the context"));
    }
    let map = handled_map(r[2]).ok_or_else(|| wrong(2, "not a map"))?;
    let Some(program) = run.maps.program(map, r[3] as u32) else { return Ok(None) };
    if run.tail_calls == 0 {
        return Ok(None);
    }
    run.tail_calls -= 1;
    Ok(run.module.programs.get(program.0 as usize).map(|program| program.function))
}
