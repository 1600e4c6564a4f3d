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
//! | [`report`] | results as data |
//! | [`suite`] | case files from where they lie |

pub mod case;
pub mod report;
pub mod suite;

pub use case::{Case, CaseFile};
pub use report::{CaseResult, Outcome, Report};
pub use suite::{CaseError, Source};
