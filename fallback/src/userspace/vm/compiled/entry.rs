//! Entering machine code.
#![expect(unsafe_code, reason = "machine code is entered through its address")]

use cranelift_jit::JITModule;
use hoist_bpf::module::FunctionId;

use super::super::address::FRAME;
use super::super::fault::FaultKind;
use super::super::interpreter;
use super::super::running::{Executed, Running};
use super::unit::Finished;

type Run = *mut Running<'static>;

/// Machine code of a whole program. Returns `r0`, which counts only if no fault was recorded.
pub(super) type Program = unsafe extern "C" fn(Run) -> u64;

/// Machine code by which a function is entered from a routine, with `r1` to `r5`.
pub(super) type Callback = unsafe extern "C" fn(Run, *const [u64; 5]) -> u64;

/// What a run needs to have of the machine code.
#[derive(Debug, Default)]
pub(crate) struct Native<'a> {
    /// Address of the frame buffer in this process less its VM address.
    pub(crate) frame_delta: u64,
    /// The fault that ends the run.
    pub(crate) raised: Option<Box<FaultKind>>,
    /// The machine code that runs, if any.
    pub(crate) compiled: Option<&'a super::Compiled>,
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

    /// Runs the program. Frames that are too short are left to the interpreter.
    pub(crate) fn run<'a>(
        &'a self,
        run: &mut Running<'a>,
        function: FunctionId,
        args: [u64; 5],
    ) -> Executed {
        if run.frame.end.saturating_sub(run.frame.meta) < LONGEST {
            return interpreter::execute(run, function, args);
        }
        run.native.frame_delta = (run.frame.buffer.as_mut_ptr() as u64).wrapping_sub(FRAME);
        run.native.compiled = Some(self);
        run.execute = execute;
        let pointer: Run = std::ptr::from_mut(run).cast();
        // SAFETY: the code was made for a program of this machine (see `compile`), lives as long as
        // `self`, and gets the exclusive run, which outlives the call. The lifetime is the run's
        // own again in every routine, none of which keeps anything.
        let result = unsafe { (self.program)(pointer) };
        match run.native.raised.take() {
            None => Ok(result),
            Some(kind) => Err(kind),
        }
    }
}

/// Runs a function for a helper: machine code where there is some.
fn execute(run: &mut Running<'_>, function: FunctionId, args: [u64; 5]) -> Executed {
    let compiled = run.native.compiled;
    let callback = compiled.and_then(|c| c.callbacks.get(function.0 as usize).copied().flatten());
    let Some(callback) = callback else { return interpreter::execute(run, function, args) };
    // The machine code clears what it uses.
    let (_frame_pointer, mark) = run.stack.enter(0).map_err(Box::new)?;
    let pointer: Run = std::ptr::from_mut(run).cast();
    // SAFETY: as in `Compiled::run`; `args` outlives the call.
    let result = unsafe { callback(pointer, &raw const args) };
    run.stack.leave(mark);
    match run.native.raised.take() {
        None => Ok(result),
        Some(kind) => Err(kind),
    }
}
