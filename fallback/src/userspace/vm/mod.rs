//! The machine: runs a program of a module, frame by frame.
//!
//! Nothing is trusted: no verifier has seen the code. What the verifier would have refused ends in a
//! [`Fault`], and the frame is dropped.

pub mod address;
pub mod code;
#[cfg(feature = "compiled")]
pub mod compiled;
pub mod fault;
mod frame;
mod interpreter;
mod memory;
pub mod observer;
pub mod proof;
mod running;
pub mod semantics;

use std::collections::BTreeMap;
use std::sync::Arc;

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{FunctionId, MapId, Module, ProgramId};
use hoist_offload::{Gap, Verdict};

pub use fault::{Fault, FaultKind};
pub use frame::{Arrival, Frame, Metadata};
pub use observer::{Observer, Place};
pub use running::Running;

use super::environment::{Destination, Environment, Helper, Settings};
use super::maps::{self, Maps};
use code::Code;
use interpreter::{Caller, DenseFunction};
use memory::Stack;

/// Instructions that one run may take unless told otherwise.
pub const FUEL: u64 = 1 << 26;
/// Tail calls in one run (`MAX_TAIL_CALL_CNT` of the kernel).
pub const MAX_TAIL_CALLS: u32 = 33;

/// How a machine runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instructions one run may take: backward jumps and calls are charged with the instructions
    /// they may repeat.
    pub fuel: u64,
    /// Clock, randomness, routes.
    pub environment: Settings,
    /// CPUs and interfaces, as far as maps know of them.
    pub maps: maps::Options,
    /// When the program is compiled.
    #[cfg(feature = "compiled")]
    pub compile: compiled::When,
    /// Lets machine code check even what is proven, and ends the run with
    /// [`FaultKind::ProofViolated`] where a proof turns out wrong.
    #[cfg(feature = "compiled")]
    pub paranoid: bool,
    /// Entries that maps start with: key and value bytes in order.
    pub contents: BTreeMap<MapId, Entries>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fuel: FUEL,
            environment: Settings::default(),
            maps: maps::Options::default(),
            #[cfg(feature = "compiled")]
            compile: compiled::When::default(),
            #[cfg(feature = "compiled")]
            paranoid: false,
            contents: BTreeMap::new(),
        }
    }
}

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The verdict; aborted after a fault.
    pub verdict: Verdict,
    /// `r0` as the program returned it; 0 after a fault.
    pub code: u64,
    /// Where the frame goes, where the verdict is to redirect.
    pub redirect: Option<Destination>,
    /// Why the run did not end by itself.
    pub fault: Option<Box<Fault>>,
}

/// A program, its maps, and all it needs to run.
#[derive(Debug)]
pub struct Machine {
    module: Arc<Module>,
    /// The function that a run starts with.
    entry: FunctionId,
    code: Arc<Code>,
    dense: Vec<DenseFunction>,
    callers: Vec<Caller>,
    maps: Maps,
    environment: Environment,
    stack: Stack,
    helpers: Vec<Option<Helper>>,
    kfuncs: Vec<Option<Helper>>,
    fuel: u64,
    #[cfg(feature = "compiled")]
    compiled: compiled::Background,
}

impl Machine {
    /// Makes a machine for one program of a resolved module, with its maps.
    ///
    /// # Errors
    /// What the program needs and this machine has not.
    pub fn new(
        module: &Arc<Module>,
        program: ProgramId,
        options: &Options,
    ) -> Result<Self, Vec<Gap>> {
        let maps = Maps::new(module, program, &options.contents, &options.maps)?;
        let environment = Environment::new(module, program, &options.environment)?;
        let code = Arc::new(Code::decode(module));
        let stack = Stack::default();
        Ok(Self {
            #[cfg(feature = "compiled")]
            compiled: compiled::start(module, program, &code, &maps, &stack, options),
            module: Arc::clone(module),
            entry: module.program(program).function,
            dense: code.functions.iter().map(DenseFunction::new).collect(),
            callers: Vec::with_capacity(address::MAX_CALL_FRAMES),
            code,
            maps,
            environment,
            stack,
            helpers: (0..256).map(super::environment::helper).collect(),
            kfuncs: module.externs.iter().map(|e| super::environment::kfunc(&e.name)).collect(),
            fuel: options.fuel,
        })
    }

    /// Runs the program on one frame.
    #[inline]
    pub fn run(&mut self, frame: &mut Frame<'_>, arrival: &Arrival) -> Ran {
        #[cfg(feature = "compiled")]
        if self.is_compiled_for(frame) {
            return self.run_compiled(frame, arrival);
        }
        self.run_interpreted(frame, arrival)
    }

    #[inline(never)]
    fn run_interpreted(&mut self, frame: &mut Frame<'_>, arrival: &Arrival) -> Ran {
        self.run_with(frame, arrival, None)
    }

    /// Runs the program on one frame under an observer. The interpreter runs it, compiled code or
    /// not.
    pub fn observe(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        observer: &mut dyn Observer,
    ) -> Ran {
        self.run_with(frame, arrival, Some(observer))
    }

    /// Runs another program of the module on a frame, as entries of devmaps and cpumaps want it: with
    /// the same maps and environment. The interpreter runs it.
    pub fn run_program(
        &mut self,
        program: ProgramId,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
    ) -> Ran {
        let entry = std::mem::replace(&mut self.entry, self.module.program(program).function);
        let ran = self.run_interpreted(frame, arrival);
        self.entry = entry;
        ran
    }

    /// What the program finds around it, for changing that between runs.
    pub const fn environment_mut(&mut self) -> &mut Environment {
        &mut self.environment
    }

    #[inline(always)]
    fn run_with(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        observer: Option<&mut dyn Observer>,
    ) -> Ran {
        if !frame.is_sound() {
            let start = Place { function: self.entry, op: 0 };
            return self.faulted(start, FaultKind::InvalidFrame);
        }
        self.stack.reset();
        self.callers.clear();
        self.environment.begin_run();
        let execute: running::Execute =
            if observer.is_some() { interpreter::execute_observed } else { interpreter::execute };
        let mut run = Running {
            frame: frame.reborrow(),
            arrival,
            maps: &mut self.maps,
            environment: &mut self.environment,
            module: &self.module,
            code: &self.code,
            dense: &self.dense,
            callers: &mut self.callers,
            stack: &mut self.stack,
            fuel: self.fuel,
            tail_calls: MAX_TAIL_CALLS,
            faulted: None,
            execute,
            observer: match observer {
                Some(observer) => Some(observer),
                None => None,
            },
            helpers: &self.helpers,
            kfuncs: &self.kfuncs,
            #[cfg(feature = "compiled")]
            native: compiled::Native::default(),
        };
        let executed = execute(&mut run, self.entry, &[address::CONTEXT, 0, 0, 0, 0]);
        let (meta, data, end) = (run.frame.meta, run.frame.data, run.frame.end);
        let executed = executed.map_err(|kind| Box::new((run.faulted, *kind)));
        // One by one: most programs leave the frame where it is, and what was just written in parts
        // is slow to read as a whole.
        if frame.data != data {
            frame.data = data;
        }
        if frame.meta != meta {
            frame.meta = meta;
        }
        if frame.end != end {
            frame.end = end;
        }
        match executed {
            Ok(code) => self.ended(code),
            Err(broken) => self.broken(broken.0, broken.1),
        }
    }

    /// What became of a frame whose run has ended by itself.
    #[inline]
    fn ended(&mut self, code: u64) -> Ran {
        if let Err(kind) = self.environment.end_run(&mut self.maps) {
            return self.broken(None, kind);
        }
        self.maps.end_run();
        let verdict = Verdict::from(code as u32);
        let redirect = match verdict {
            Verdict::Redirect => self.environment.take_redirect(),
            _ => None,
        };
        Ran { verdict, code, redirect, fault: None }
    }

    /// What became of a frame whose run has not.
    #[cold]
    fn broken(&mut self, place: Option<Place>, kind: FaultKind) -> Ran {
        // What the program held is taken from it; the fault that ended the run is what counts.
        let _held = self.environment.end_run(&mut self.maps);
        self.maps.end_run();
        self.faulted(place.unwrap_or(Place { function: self.entry, op: 0 }), kind)
    }

    #[cold]
    fn faulted(&self, place: Place, kind: FaultKind) -> Ran {
        let fault = Fault::new(&self.module, &self.code, place, kind);
        Ran { verdict: Verdict::Aborted, code: 0, redirect: None, fault: Some(Box::new(fault)) }
    }

    /// The maps.
    #[must_use]
    pub const fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The maps, for changing them between runs.
    pub const fn maps_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// The module.
    #[must_use]
    pub const fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// The program's code.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }
}

impl AsMut<Maps> for Machine {
    fn as_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }
}
