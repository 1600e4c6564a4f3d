//! What machine code calls: checked memory, helpers, faults.
//!
//! Each routine takes the run as machine code got it from [`super::entry`]: exclusive for as long as
//! machine code runs, and no Rust reference to it is in use meanwhile.
#![expect(unsafe_code, reason = "entered from machine code with a pointer to the run")]

use hoist_bpf::module::{FunctionId, MapId};

use super::super::code::{Invalid, Op, Size};
use super::super::fault::{Access, FaultKind};
use super::super::interpreter;
use super::super::observer::Place;
use super::super::running::Running;
use super::entry::{maps, whole};
use crate::userspace::environment;
use crate::userspace::maps::Found;

/// What [`raise`] records.
pub(super) const INVALID: i64 = 0;
/// What [`raise`] records.
pub(super) const OUT_OF_FUEL: i64 = 1;
/// What [`raise`] records.
pub(super) const CALL_DEPTH: i64 = 2;

type Run = *mut Running<'static>;

const fn place(site: u64) -> Place {
    Place { function: FunctionId((site >> 32) as u32), op: site as u32 }
}

impl Running<'_> {
    /// Records a fault, which machine code looks for after each routine. The innermost place counts.
    #[cold]
    fn record(&mut self, site: u64, kind: FaultKind) {
        self.faulted.get_or_insert(place(site));
        self.native.raised = Some(Box::new(kind));
    }

    fn recorded<T: Default>(&mut self, site: u64, result: Result<T, FaultKind>) -> T {
        result.unwrap_or_else(|kind| {
            self.record(site, kind);
            T::default()
        })
    }
}

/// Set in an access that writes.
pub(super) const WRITE: u64 = 1 << 8;
/// Set in an access that was proven and is checked all the same.
pub(super) const PROVEN: u64 = 1 << 9;

/// What is wrong with an access, seen from the proof.
#[cold]
fn violated(access: u64, kind: FaultKind, address: u64) -> FaultKind {
    if access & PROVEN == 0 {
        return kind;
    }
    let write = access & WRITE != 0;
    FaultKind::ProofViolated(Access { address, size: size(access).bytes(), write })
}

/// An access as machine code describes it: its bytes, and flags.
const fn size(access: u64) -> Size {
    match access & 0xff {
        1 => Size::B,
        2 => Size::H,
        4 => Size::W,
        _ => Size::D,
    }
}

/// A fault of an operation that has no other cause than itself.
#[cold]
pub(super) extern "C" fn raise(run: Run, site: u64, kind: u64) {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let place = place(site);
    let function = run.code.functions.get(place.function.0 as usize);
    let kind = match (kind as i64, function.and_then(|f| f.ops.get(place.op as usize))) {
        (OUT_OF_FUEL, _) => FaultKind::OutOfFuel,
        (CALL_DEPTH, _) => FaultKind::CallDepth,
        (_, Some(Op::Invalid(reason))) => FaultKind::InvalidInstruction(*reason),
        _ => FaultKind::InvalidInstruction(Invalid::End),
    };
    run.record(site, kind);
}

/// A load that is not proven and lies outside of what machine code compares with.
pub(super) extern "C" fn load(run: Run, site: u64, address: u64, access: u64) -> u64 {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let result = interpreter::load(run, size(access), address);
    run.recorded(site, result.map_err(|kind| violated(access, kind, address)))
}

/// Likewise a store.
pub(super) extern "C" fn store(run: Run, site: u64, address: u64, access: u64, value: u64) {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let result = interpreter::store(run, size(access), address, value);
    run.recorded(site, result.map_err(|kind| violated(access, kind, address)));
}

/// Likewise a load that must be aligned.
pub(super) extern "C" fn load_aligned(run: Run, site: u64, address: u64, access: u64) -> u64 {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let size = size(access);
    let result = interpreter::aligned(address, size, false)
        .and_then(|()| interpreter::load(run, size, address));
    run.recorded(site, result)
}

/// Likewise a store that must be aligned.
pub(super) extern "C" fn store_aligned(run: Run, site: u64, address: u64, access: u64, value: u64) {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let size = size(access);
    let result = interpreter::aligned(address, size, true)
        .and_then(|()| interpreter::store(run, size, address, value));
    run.recorded(site, result);
}

/// The address in this process of memory that an atomic operation reads and writes; null after a
/// fault.
pub(super) extern "C" fn atomic(run: Run, site: u64, address: u64, access: u64) -> u64 {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let size = size(access);
    let result = interpreter::aligned(address, size, true)
        // The read comes first, and with it what is wrong with reading.
        .and_then(|()| interpreter::load(run, size, address))
        .and_then(|_| run.bytes_mut(address, size.bytes()).map(|b| b.as_mut_ptr() as u64));
    run.recorded(site, result)
}

/// Clears what is not clean yet of the innermost function's stack.
pub(super) extern "C" fn clear_stack(run: Run) {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    run.stack.clear_rest();
}

/// Calls a helper by its number with `r1` to `r5`.
pub(super) extern "C" fn helper(run: Run, site: u64, number: u64, args: *const [u64; 5]) -> u64 {
    // SAFETY: as the module says; `args` points to five words on machine code's own stack.
    let (run, args) = unsafe { (whole(run), *args) };
    let helper = run.helpers.get(number as usize).copied().flatten();
    let result = match helper {
        Some(helper) => helper(run, args),
        None => Err(FaultKind::UnknownHelper(number as u32)),
    };
    run.recorded(site, result)
}

/// `bpf_map_lookup_elem` in a map that is known to have values, with a key whose bytes are known to
/// be the program's.
pub(super) extern "C" fn lookup_key(
    run: Run,
    site: u64,
    map: u64,
    key: *const u8,
    len: u64,
    address: u64,
) -> u64 {
    // SAFETY: as the module says; the key lies on the stack of the machine, which the maps have no
    // part in.
    let found = unsafe {
        let key = std::slice::from_raw_parts(key, len as usize);
        maps(run).lookup(MapId(map as u32), key)
    };
    match found {
        Ok(Some(Found::Value(address))) => address,
        Ok(None) => 0,
        _ => lookup(run, site, map, address),
    }
}

/// `bpf_map_lookup_elem` in a map that is known; `key` is the VM address of the key.
pub(super) extern "C" fn lookup(run: Run, site: u64, map: u64, key: u64) -> u64 {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let result = environment::lookup_in(run, MapId(map as u32), key);
    run.recorded(site, result)
}

/// Calls a kernel function by the number of its extern with `r1` to `r5`.
pub(super) extern "C" fn kfunc(run: Run, site: u64, external: u64, args: *const [u64; 5]) -> u64 {
    // SAFETY: as the module says; `args` points to five words on machine code's own stack.
    let (run, args) = unsafe { (whole(run), *args) };
    let kfunc = run.kfuncs.get(external as usize).copied().flatten();
    let result = match kfunc {
        Some(kfunc) => kfunc(run, args),
        None => {
            let external = run.module.externs.get(external as usize);
            Err(FaultKind::UnknownKfunc(external.map_or_else(String::new, |e| e.name.clone())))
        }
    };
    run.recorded(site, result)
}

/// The machine code that takes the place of the function that calls; null to go on, or after a
/// fault.
pub(super) extern "C" fn tail_call(
    run: Run,
    site: u64,
    context: u64,
    map: u64,
    index: u64,
    frame_pointer: u64,
) -> u64 {
    // SAFETY: as the module says.
    let run = unsafe { whole(run) };
    let result = replace(run, [context, map, index], frame_pointer);
    run.recorded(site, result)
}

fn replace(run: &mut Running<'_>, args: [u64; 3], frame_pointer: u64) -> Result<u64, FaultKind> {
    let Some(callee) = interpreter::tail_call(run, args)? else { return Ok(0) };
    let code = run.code;
    let slots = code.functions.get(callee.0 as usize).map_or(0, |function| function.slots);
    run.charge(u64::from(slots))?;
    run.stack.replace(frame_pointer);
    // Compiled with every program that tail calls; a machine function has an address.
    Ok(run.native.subprogram(callee).map_or(0, |entry| entry as u64))
}
