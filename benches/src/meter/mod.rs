//! The meter: what becomes of packets, counted where each thing happens.
//!
//! A [`Tester`] carries out trials ([`crate::search::Bench`]): it has traffic sent, waits until every
//! straggler has arrived, and takes the differences of counters that others keep. None of them is
//! computed from another, so what vanished between two of them shows ([`ledger`]), and whether the
//! trial may be believed is judged by what was observed beside it ([`findings`]).

pub mod counters;
pub mod dut;
pub mod histogram;
pub mod ledger;
pub mod rate;
pub mod tester;
pub mod traffic;

pub use counters::Reading;
pub use dut::{Dut, Path, Program};
pub use rate::{Length, MeterError, Trial, measure};
pub use tester::Tester;
pub use traffic::{Injection, Sent, Traffic};
