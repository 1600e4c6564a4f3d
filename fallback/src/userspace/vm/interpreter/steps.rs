//! Steps that are rare, and telling the observer of any.

use std::ops::ControlFlow;

use hoist_bpf::module::FunctionId;

use super::aligned;
use crate::userspace::vm::address::{CONTEXT, handled_map};
use crate::userspace::vm::code::{AtomicOp, Op, Size};
use crate::userspace::vm::fault::FaultKind;
use crate::userspace::vm::observer::{Place, Registers};
use crate::userspace::vm::running::Running;
use crate::userspace::vm::semantics::combined;

/// `r0` after a tail call that fell through.
pub(crate) const NO_TAIL_CALL: u64 = 0;

/// Notes where a run ended.
#[cold]
pub(super) fn fault(run: &mut Running<'_>, place: Place, kind: FaultKind) -> Box<FaultKind> {
    // A callback's place is nearer than that of the helper that called it.
    let first = run.faulted.is_none();
    run.faulted.get_or_insert(place);
    if first && let Some(observer) = &mut run.observer {
        observer.fault(place, &kind);
    }
    Box::new(kind)
}

pub(super) fn before(
    run: &mut Running<'_>,
    place: Place,
    op: &Op,
    registers: &Registers,
) -> Result<(), Box<FaultKind>> {
    let Some(observer) = run.observer.take() else { return Ok(()) };
    let flow = observer.before(place, op, registers, run);
    run.observer = Some(observer);
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(fault(run, place, FaultKind::Stopped)),
    }
}

pub(super) fn after(run: &mut Running<'_>, place: Place, op: &Op, registers: &Registers) {
    if let Some(observer) = run.observer.take() {
        observer.after(place, op, registers, run);
        run.observer = Some(observer);
    }
}

pub(super) fn read(run: &mut Running<'_>, place: Place, address: u64, size: u64, value: u64) {
    if let Some(observer) = &mut run.observer {
        observer.read(place, address, size, value);
    }
}

pub(super) fn wrote(
    run: &mut Running<'_>,
    place: Place,
    (address, size): (u64, u64),
    before: u64,
    value: u64,
) {
    if let Some(observer) = &mut run.observer {
        let mask = u64::MAX >> (64 - 8 * size);
        observer.wrote(place, address, size, before, value & mask);
    }
}

pub(crate) fn load(run: &mut Running<'_>, size: Size, address: u64) -> Result<u64, FaultKind> {
    match size {
        Size::B => run.load::<1>(address),
        Size::H => run.load::<2>(address),
        Size::W => run.load::<4>(address),
        Size::D => run.load::<8>(address),
    }
}

pub(crate) fn store(
    run: &mut Running<'_>,
    size: Size,
    address: u64,
    value: u64,
) -> Result<(), FaultKind> {
    match size {
        Size::B => run.store::<1>(address, value),
        Size::H => run.store::<2>(address, value),
        Size::W => run.store::<4>(address, value),
        Size::D => run.store::<8>(address, value),
    }
}

/// Operations that touch no control flow and are not worth an arm of the loop.
pub(super) fn rare(
    run: &mut Running<'_>,
    op: &Op,
    r: &mut Registers,
    place: Place,
    observed: bool,
) -> Result<(), FaultKind> {
    let at = |register: u8| usize::from(register & 15);
    match *op {
        Op::LoadAcquire { dst, base, off, size } => {
            let address = r[at(base)].wrapping_add_signed(i64::from(off));
            aligned(address, size, false)?;
            r[at(dst)] = load(run, size, address)?;
            if observed {
                read(run, place, address, size.bytes(), r[at(dst)]);
            }
        }
        Op::StoreRelease { base, off, size, src } => {
            let address = r[at(base)].wrapping_add_signed(i64::from(off));
            aligned(address, size, true)?;
            let old = if observed { load(run, size, address)? } else { 0 };
            store(run, size, address, r[at(src)])?;
            if observed {
                wrote(run, place, (address, size.bytes()), old, r[at(src)]);
            }
        }
        Op::Atomic { op, size, base, off, src } => {
            let address = r[at(base)].wrapping_add_signed(i64::from(off));
            let (old, new) = atomic(run, op, size, address, r[at(src)], r[0])?;
            match op {
                AtomicOp::CompareExchange => r[0] = old,
                _ if op.fetches() => r[at(src)] = old,
                _ => {}
            }
            if observed {
                read(run, place, address, size.bytes(), old);
                wrote(run, place, (address, size.bytes()), old, new);
            }
        }
        Op::Kfunc(id) => {
            let Some(kfunc) = run.kfuncs.get(id.0 as usize).copied().flatten() else {
                let name = run.module.externs.get(id.0 as usize).map(|e| e.name.clone());
                return Err(FaultKind::UnknownKfunc(name.unwrap_or_default()));
            };
            r[0] = kfunc(run, [r[1], r[2], r[3], r[4], r[5]])?;
        }
        Op::Invalid(reason) => return Err(FaultKind::InvalidInstruction(reason)),
        // The loop has arms for all others.
        _ => {}
    }
    Ok(())
}

/// Reads, computes, writes: the machine is the only user of its memory while it runs. Returns what
/// was there and what is there now.
fn atomic(
    run: &mut Running<'_>,
    op: AtomicOp,
    size: Size,
    address: u64,
    operand: u64,
    r0: u64,
) -> Result<(u64, u64), FaultKind> {
    aligned(address, size, true)?;
    let old = load(run, size, address)?;
    let r0 = if size == Size::D { r0 } else { u64::from(r0 as u32) };
    let new = combined(op, old, operand, r0);
    store(run, size, address, new)?;
    Ok((old, new))
}

/// The function a tail call goes to; `None` where it falls through: an index beyond the array, an
/// empty slot, or too many tail calls in this run (`bpf_tail_call` in `___bpf_prog_run`).
pub(crate) fn tail_call(
    run: &mut Running<'_>,
    [context, map, index]: [u64; 3],
) -> Result<Option<FunctionId>, FaultKind> {
    let wrong = |argument, what: &str| FaultKind::BadHelperArgument {
        helper: "tail_call",
        argument,
        what: what.to_owned(),
    };
    if context != CONTEXT {
        return Err(wrong(1, "not the context"));
    }
    let map = handled_map(map).ok_or_else(|| wrong(2, "not a map"))?;
    if run.tail_calls == 0 {
        return Ok(None);
    }
    let Some(program) = run.maps.program(map, index as u32) else { return Ok(None) };
    run.tail_calls -= 1;
    Ok(run.module.programs.get(program.0 as usize).map(|program| program.function))
}
