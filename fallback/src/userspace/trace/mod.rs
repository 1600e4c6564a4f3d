//! Following one frame through a program, instruction by instruction, and saying why its verdict is
//! what it is.
//!
//! ```text
//!  Machine::observe --> Recorder --steps----> Trace::steps     what each instruction did
//!                          |-----visited--> why::reasons     which of it made the verdict
//! ```
//!
//! Only what was asked for is kept as [`Step`]s; where the run went is kept whole, in a few bytes for
//! each instruction, so that the reasons do not depend on what is listed.

use std::fmt;

use hoist_bpf::module::{MapId, SourceLine};
use serde::Serialize;

use super::vm::{Arrival, Frame, Machine, Ran};

mod calls;
mod flow;
mod listing;
mod naming;
mod pointers;
mod recorder;
mod spots;
mod steps;
mod visited;
mod why;

pub use spots::{NoSuchPlace, Spots};
pub use steps::{Access, Branch, Call, Effect, Register, Setting, State, Step};
pub use why::{Reason, What};

use listing::Listing;
use recorder::Recorder;

/// Instructions that are listed unless told otherwise.
pub const LISTED: usize = 10_000;

/// The two parts of an entry, for [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// Puts a map's keys and values into words; `None` leaves them as bytes.
pub type Decoder<'d> = dyn Fn(MapId, Part, &[u8]) -> Option<String> + 'd;

/// What of a run is kept.
pub struct Options<'d> {
    /// Only instructions at these places are listed, with the whole state where one is reached; empty:
    /// every instruction is.
    pub breaks: Spots,
    /// The run stops before the first instruction at one of these places.
    pub until: Spots,
    /// Most steps that are kept.
    pub limit: usize,
    /// How keys and values are written.
    pub decode: &'d Decoder<'d>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("breaks", &self.breaks)
            .field("until", &self.until)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            breaks: Spots::default(),
            until: Spots::default(),
            limit: LISTED,
            decode: &|_, _, _| None,
        }
    }
}

/// One frame's way through a program.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What was listed, in the order of execution.
    pub steps: Vec<Step>,
    /// Instructions that were executed.
    pub executed: u64,
    /// Instructions that were to be listed but are more than the limit.
    pub left_out: u64,
    /// The result.
    pub ran: Ran,
    /// Where the run was stopped, if [`Options::until`] stopped it; there is no verdict then.
    pub stopped: Option<Position>,
    /// What made the verdict, in the order of execution.
    pub reasons: Vec<Reason>,
}

/// A place in the program, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The function's name.
    pub function: String,
    /// Slot from the start of the function, as disassembly counts.
    pub slot: u32,
    /// The source line, where the object has line information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<SourceLine>,
}

/// Runs the program on a frame and keeps what happens.
pub fn follow(
    machine: &mut Machine,
    frame: &mut Frame<'_>,
    arrival: &Arrival,
    options: &Options<'_>,
) -> Trace {
    let listing = Listing::of(machine.module(), machine.code());
    let module = machine.module().clone();
    let mut recorder = Recorder::new(&module, &listing, options);
    let ran = machine.observe(frame, arrival, &mut recorder);
    let recorder = recorder.done(&ran);
    let stopped = recorder.stopped.map(|at| listing.position(at));
    let reasons = match stopped {
        Some(_) => Vec::new(),
        None => why::reasons(machine.code(), &listing, &recorder.visited, &ran),
    };
    Trace {
        executed: recorder.visited.executed(),
        left_out: recorder.left_out,
        steps: recorder.steps,
        ran,
        stopped,
        reasons,
    }
}
