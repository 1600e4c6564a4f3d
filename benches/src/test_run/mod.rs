//! Nanoseconds per frame of a program, by `BPF_PROG_TEST_RUN`.
//!
//! The kernel runs the program and takes the time itself, in the same loop for every program type,
//! so no network, no interrupt and no system call is in the figure. Two things need care:
//!
//! - A repeated run gets the frame that the run before left behind, not a fresh one. A program that
//!   resizes frames would soon run out of room, and one that counts the time to live down would soon
//!   drop. [`Runs`] says how often a program may run on one frame and still do the same work.
//!   Where that is once, each run is a call of its own; the kernel starts its clock after the frame
//!   has been built and stops it right after the program, so a call's own cost is not in the figure
//!   either, but the caches are those of a program that runs now and then.
//! - The loop itself costs something, and not the same for XDP (a direct call while it repeats) and
//!   TC (an indirect one). Figures are therefore taken in turn with programs that do nothing, and
//!   ratios are taken of what is left after subtracting those.

mod cases;
mod load;
mod row;
mod side;

pub use cases::{Case, Effect, cases};
pub use load::{Entry, Kind, LoadFailure, Source};
pub use row::{Column, Row, RowError, prepare};
pub use side::{Runs, Side, SideError, Verdict};
