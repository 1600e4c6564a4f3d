//! What needs nobody's help: the generic engine.

use hoist_offload::Engine;

pub mod generic;

pub use generic::GENERIC;

/// The engines of this crate, best first.
pub static ENGINES: &[&dyn Engine] = &[&GENERIC];
