//! The conformance suite: what a program must do to a frame, written down once and checked on every
//! engine.
//!
//! A *case file* ([`CaseFile`], `cases/*.toml`) names a program and says of each frame what must come
//! of it. The expectations follow the kernel's documented model of XDP on a NIC, not what some
//! engine happens to do; where an engine is known to do otherwise, the file says so, says why, and
//! says what happens instead. [`run`] sends the frames and fills a [`Report`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | case files as data |
//! | [`shot`] | single frames of a case, everything decided |
//! | [`expected`] | what must be seen of them, in bytes |
//! | [`report`] | results as data |
//! | [`place`] | the laboratory: three namespaces |
//! | `fire`, `observe`, `compare`, `judge` | one shot: fired, seen, compared, explained |
//! | `onlook` | captures, statistics, later programs, the tracepoint |
//! | [`contract`] | refusals that hold for whole classes of programs |
//! | [`expectations`] | what a vendor's drivers say of their own devices |
//! | `machines` | the userspace engine's machine, interpreted and compiled |
//! | `reference` | every map as on the first engine, whatever a case names |
//! | `normalise` | everything that is made equal before it is compared |
//! | [`suite`] | case files from where they lie |

pub mod case;
mod compare;
pub mod contract;
pub mod expectations;
pub mod expected;
mod fire;
mod judge;
mod machines;
mod normalise;
mod observe;
mod onlook;
pub mod place;
mod reference;
pub mod report;
mod run;
mod send;
pub mod shot;
pub mod suite;
mod tables;

pub use case::{Case, CaseFile};
pub use report::{CaseResult, Outcome, Report};
pub use run::{Options, run, run_for, run_with};
pub use suite::{CaseError, Source};
