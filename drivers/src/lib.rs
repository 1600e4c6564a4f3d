//! What needs the NIC's help: the engines `hw` and `native`, and what is known of each NIC driver.
//!
//! # How a NIC is added
//!
//! One file `nic/<kernel driver>.rs` with a `DRIVER`, and one line in [`DRIVERS`]. A file that is not
//! listed fails a test. Out of tree, a crate depends on `hoist-offload` alone and registers its own
//! [`Driver`](hoist_offload::Driver).

use hoist_offload::Engine;

pub mod hardware;
pub mod native;
pub mod nic;
pub mod rules;
pub mod table;

pub use hardware::{CLASSIFIER, HARDWARE};
pub use native::NATIVE;
pub use nic::DRIVERS;

/// The engines of this crate, best first.
pub static ENGINES: &[&dyn Engine] = &[&HARDWARE, &CLASSIFIER, &NATIVE];
