//! The meter: what becomes of packets, counted where each thing happens.
//!
//! A [`Tester`] carries out trials ([`crate::search::Bench`]): it has traffic sent, waits until every
//! straggler has arrived, and takes the differences of counters that others keep. None of them is
//! computed from another, so what vanished between two of them shows ([`ledger`]), and whether the
//! trial may be believed is judged by what was observed beside it ([`findings`]).

mod bare;
pub mod bounce;
pub mod counters;
pub mod cpu;
pub mod dut;
pub mod findings;
pub mod floors;
pub mod histogram;
pub mod ledger;
pub mod machine;
pub mod rate;
pub mod receiver;
pub mod remote;
mod snapshot;
pub mod tester;
pub mod traffic;

use hoist_bpf::kernel::Capability;
use hoist_offload::{Error, privilege};

pub use counters::Reading;
pub use dut::{Dut, Path, Program};
pub use findings::Limits;
pub use rate::{Length, MeterError, Trial, measure};
pub use receiver::{Marks, Receiver};
pub use remote::Remote;
pub use tester::Tester;
pub use traffic::{Injection, Sent, Traffic};

/// What sending from inside the kernel and attaching programs takes.
const NEEDED: [Capability; 4] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapNetRaw, Capability::CapSysAdmin];

/// Whether this process may measure at all.
///
/// # Errors
/// What it lacks, and where to get it.
pub fn permitted() -> Result<(), Error> {
    privilege::require("measure packet rates", &NEEDED)
}
