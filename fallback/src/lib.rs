//! What needs nobody's help: the generic engine, the TC engine and the userspace engine.

use hoist_offload::Engine;

pub mod generic;
pub mod tc;
pub mod userspace;

pub use generic::GENERIC;
pub use tc::{CLSACT, TCX};

/// The engines of this crate, best first.
pub static ENGINES: &[&dyn Engine] = &[&GENERIC, &TCX, &CLSACT];
