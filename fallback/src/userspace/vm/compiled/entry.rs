//! Entering machine code, and leaving it.
#![expect(unsafe_code, reason = "machine code is entered through its address")]

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use cranelift_jit::JITModule;
use hoist_bpf::module::FunctionId;
use hoist_offload::Verdict;

use super::super::address::FRAME;
use super::super::fault::FaultKind;
use super::super::frame::{Arrival, Frame};
use super::super::interpreter;
use super::super::running::{Executed, Running};
use super::super::{MAX_TAIL_CALLS, Machine, Ran};
use super::background::Background;
use super::unit::Finished;
use crate::userspace::maps::Maps;

type Run = *mut Running<'static>;

/// Machine code of a whole program. Returns `r0`, which counts only if no fault was recorded.
pub(super) type Program = unsafe extern "C" fn(Run) -> u64;

/// Machine code by which a function is entered from a routine, with `r1` to `r5`.
pub(super) type Callback = unsafe extern "C" fn(Run, *const [u64; 5]) -> u64;

/// What a run needs to have of the machine code.
#[derive(Debug, Default)]
pub(crate) struct Native<'a> {
    /// Address of the frame buffer in this process less its VM address.
    pub(super) frame_delta: u64,
    /// The fault that ends the run.
    pub(super) raised: Option<Box<FaultKind>>,
    /// The machine code that runs, if any.
    compiled: Option<&'a super::Compiled>,
    /// The machine, as long as only those fields of the run are there that machine code uses: the
    /// frame, how it came, the stack, the fuel and these.
    machine: Option<NonNull<Machine>>,
}

impl Native<'_> {
    /// The machine code of a function as others call it.
    pub(super) fn subprogram(&self, function: FunctionId) -> Option<usize> {
        self.compiled?.subprograms.get(function.0 as usize).copied().flatten()
    }
}

/// Executable memory, given back with the last address into it.
pub(super) struct CodeMemory(Option<Box<JITModule>>);

impl Drop for CodeMemory {
    fn drop(&mut self) {
        if let Some(module) = self.0.take() {
            // SAFETY: `Compiled` holds this value and all addresses; it is borrowed for as long as
            // machine code runs, and no address is handed out.
            unsafe { module.free_memory() };
        }
    }
}

/// Bytes of the longest access: machine code compares with bounds that are at least so far apart.
/// Helpers leave no frame shorter than an Ethernet header that was not so before.
const LONGEST: u32 = 8;

impl super::Compiled {
    /// Takes over what was generated.
    pub(super) fn adopt(finished: Finished) -> Self {
        let callbacks = finished.callbacks.into_iter();
        // SAFETY: these are addresses of machine functions that were generated with the signatures
        // of `Role::Callback`, which is that of the type.
        let callback = |address: usize| unsafe { std::mem::transmute::<usize, Callback>(address) };
        Self {
            // SAFETY: likewise of `Role::Program`.
            program: unsafe { std::mem::transmute::<usize, Program>(finished.program) },
            subprograms: finished.subprograms,
            callbacks: callbacks.map(|address| address.map(callback)).collect(),
            _memory: CodeMemory(Some(Box::new(finished.module))),
        }
    }
}

/// The run, all of it: most programs end without calling a routine, so the rest of it is made for the
/// first one that asks.
///
/// # Safety
/// `run` is what [`Machine::run_compiled`] passed to machine code, and no reference to it is in use.
#[inline]
pub(super) unsafe fn whole<'a>(run: Run) -> &'a mut Running<'static> {
    // SAFETY: this field is there from the start; the caller's promise covers the rest.
    unsafe {
        if let Some(machine) = (*run).native.machine {
            complete(run, machine);
        }
        &mut *run
    }
}

/// The maps of a run, whole or not.
///
/// # Safety
/// As [`whole`].
#[inline]
pub(super) unsafe fn maps<'a>(run: Run) -> &'a mut Maps {
    // SAFETY: the machine outlives the run, and until the run is whole nothing else refers to its
    // maps; then the run does.
    unsafe {
        match (*run).native.machine {
            Some(machine) => &mut (*machine.as_ptr()).maps,
            None => &mut *(*run).maps,
        }
    }
}

/// Makes a run whole.
///
/// # Safety
/// As [`whole`]; the run is not whole, and `machine` is its machine.
unsafe fn complete(run: Run, machine: NonNull<Machine>) {
    let machine = machine.as_ptr();
    // SAFETY: the fields that are read are there, and moved into the new value; those of the machine
    // that are borrowed are others than the stack, to which the run has a reference already.
    unsafe {
        (*machine).callers.clear();
        (*machine).environment.begin_run();
        let native = &raw const (*run).native;
        run.write(Running {
            frame: (&raw const (*run).frame).read(),
            arrival: (*run).arrival,
            maps: &mut (*machine).maps,
            environment: &mut (*machine).environment,
            module: &(*machine).module,
            code: &(*machine).code,
            dense: &(*machine).dense,
            callers: &mut (*machine).callers,
            stack: (&raw const (*run).stack).read(),
            fuel: (*run).fuel,
            tail_calls: MAX_TAIL_CALLS,
            faulted: None,
            execute,
            observer: None,
            helpers: &(*machine).helpers,
            kfuncs: &(*machine).kfuncs,
            native: Native { machine: None, ..native.read() },
        });
    }
}

impl Machine {
    /// Whether there is machine code, and it takes the frame.
    #[inline]
    pub(in super::super) fn is_compiled_for(&mut self, frame: &Frame<'_>) -> bool {
        let length = frame.end.saturating_sub(frame.meta);
        self.compiled.poll().is_some() && frame.is_sound() && length >= LONGEST
    }

    /// Runs the machine code, which is there, on a frame that it takes.
    #[inline]
    pub(in super::super) fn run_compiled(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
    ) -> Ran {
        let fuel = self.fuel;
        let frame_delta = (frame.buffer.as_mut_ptr() as u64).wrapping_sub(FRAME);
        let machine = NonNull::from(&mut *self);
        let mut space = MaybeUninit::<Running<'_>>::uninit();
        let run = space.as_mut_ptr();
        // SAFETY: the machine outlives this function, and is used through this pointer alone until
        // the machine code has returned. That was made for a program of this machine (see `start`),
        // gets the exclusive run, and keeps nothing of it. The lifetime that is cut off is the run's
        // own again in every routine.
        let code = unsafe {
            let Background::Ready(compiled) = &(*machine.as_ptr()).compiled else {
                return self.run_interpreted(frame, arrival);
            };
            (*machine.as_ptr()).stack.reset();
            (&raw mut (*run).frame).write(frame.reborrow());
            (&raw mut (*run).arrival).write(arrival);
            (&raw mut (*run).stack).write(&mut (*machine.as_ptr()).stack);
            (&raw mut (*run).fuel).write(fuel);
            let native = Native {
                frame_delta,
                raised: None,
                compiled: Some(compiled),
                machine: Some(machine),
            };
            (&raw mut (*run).native).write(native);
            (compiled.program)(run.cast())
        };
        // SAFETY: as written above; routines leave it in place.
        if unsafe { (*run).native.machine.is_some() } {
            // No routine was called: nothing was redirected, nothing went wrong, nothing is held.
            return Ran { verdict: Verdict::from(code as u32), code, redirect: None, fault: None };
        }
        // SAFETY: the run is whole.
        let run = unsafe { space.assume_init() };
        let (meta, data, end) = (run.frame.meta, run.frame.data, run.frame.end);
        let (raised, faulted) = (run.native.raised, run.faulted);
        (frame.meta, frame.data, frame.end) = (meta, data, end);
        match raised {
            None => self.ended(code),
            Some(kind) => self.broken(faulted, *kind),
        }
    }
}

/// Runs a function for a helper: machine code where there is some.
fn execute(run: &mut Running<'_>, function: FunctionId, args: &[u64; 5]) -> Executed {
    let compiled = run.native.compiled;
    let callback = compiled.and_then(|c| c.callbacks.get(function.0 as usize).copied().flatten());
    let Some(callback) = callback else { return interpreter::execute(run, function, args) };
    // The machine code clears what it uses.
    let (_frame_pointer, mark) = run.stack.enter(0).map_err(Box::new)?;
    let pointer: Run = std::ptr::from_mut(run).cast();
    // SAFETY: as in `Machine::run_compiled`, the run being whole; `args` outlives the call.
    let result = unsafe { callback(pointer, std::ptr::from_ref(args)) };
    run.stack.leave(mark);
    match run.native.raised.take() {
        None => Ok(result),
        Some(kind) => Err(kind),
    }
}
