//! How fast: a packet generator inside the kernel, a meter that counts where packets arrive, and
//! the arithmetic of honest comparisons.
//!
//! Three rules hold for every figure (docs/benchmarking.md has the reasons):
//!
//! 1. Packets are counted where they arrive, never where they are made, and what was sent must
//!    equal what was counted.
//! 2. Two things are compared in interleaved pairs and quoted as a ratio of medians.
//! 3. Idle time is not part of a rate: it is taken while traffic runs.

pub mod counter;
pub mod forms;
pub mod generator;
pub mod linerate;
pub mod meter;
pub mod pairs;
pub mod profile;
pub mod random;
pub mod report;
pub mod scenario;
pub mod search;
pub mod stamp;
pub mod stats;
pub mod test_run;
pub mod trial;

pub use counter::ReceiveCounter;
pub use generator::Generator;
pub use meter::{Trial, measure};
