//! One run of a program: what helpers see of it.

use super::code::{Code, Invalid};
use super::fault::FaultKind;
use super::frame::{Arrival, Frame};
use super::interpreter::{Caller, DenseFunction};
use super::memory::Stack;
use super::observer::{MapEffect, Observer, Place};
use crate::userspace::environment::{Environment, Helper};
use crate::userspace::maps::Maps;
use hoist_bpf::module::{FunctionId, MapId, Module};

/// How a function ended: with its `r0`, or not.
pub(crate) type Executed = Result<u64, Box<FaultKind>>;
/// A function that runs code: the interpreter's or compiled code's.
pub(crate) type Execute = fn(&mut Running<'_>, FunctionId, &[u64; 5]) -> Executed;

/// One run.
pub struct Running<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// How it came.
    pub arrival: &'a Arrival,
    /// The machine's maps.
    pub maps: &'a mut Maps,
    /// The machine's environment.
    pub environment: &'a mut Environment,
    /// The module, for names.
    pub module: &'a Module,
    pub(crate) code: &'a Code,
    pub(crate) dense: &'a [DenseFunction],
    pub(crate) callers: &'a mut Vec<Caller>,
    pub(crate) stack: &'a mut Stack,
    /// Instructions left.
    pub(crate) fuel: u64,
    /// Tail calls left.
    pub(crate) tail_calls: u32,
    /// Where the fault was that ended the run.
    pub(crate) faulted: Option<Place>,
    pub(crate) execute: Execute,
    pub(crate) observer: Option<&'a mut (dyn Observer + 'a)>,
    pub(crate) helpers: &'a [Option<Helper>],
    pub(crate) kfuncs: &'a [Option<Helper>],
    #[cfg(feature = "compiled")]
    pub(crate) native: super::compiled::Native<'a>,
}

impl std::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("frame", &self.frame)
            .field("arrival", self.arrival)
            .field("fuel", &self.fuel)
            .finish_non_exhaustive()
    }
}

impl Running<'_> {
    /// Calls a function of the program by its handle, as `bpf_loop` does.
    ///
    /// # Errors
    /// The handle is none, the budget is used up, or the function's own fault.
    pub fn call_back(&mut self, function: u64, args: [u64; 5]) -> Result<u64, FaultKind> {
        let known = super::address::addressed_function(function)
            .filter(|function| (function.0 as usize) < self.code.functions.len());
        let Some(function) = known else {
            return Err(FaultKind::InvalidInstruction(Invalid::Function));
        };
        // A callback without a loop of its own would cost nothing, however often it is called.
        self.charge(u64::from(self.code.functions[function.0 as usize].slots))?;
        (self.execute)(self, function, &args).map_err(|kind| *kind)
    }

    /// Tells the observer, if there is one, what was done to a map.
    #[inline]
    pub fn map_effect(&mut self, map: MapId, effect: MapEffect<'_>) {
        if let Some(observer) = &mut self.observer {
            observer.map(map, effect);
        }
    }

    /// Whether somebody watches: then effects on maps are worth describing.
    #[inline]
    #[must_use]
    pub const fn observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Charges a run for work that a helper does in a loop, one for each step.
    ///
    /// # Errors
    /// [`FaultKind::OutOfFuel`].
    #[inline]
    pub fn charge(&mut self, instructions: u64) -> Result<(), FaultKind> {
        match self.fuel.checked_sub(instructions) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(FaultKind::OutOfFuel),
        }
    }
}
