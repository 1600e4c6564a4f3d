//! What needs nobody's help: the generic engine, the TC engine and the userspace engine.

use hoist_offload::Engine;

pub mod generic;
pub mod tc;
pub mod userspace;

pub use generic::GENERIC;
pub use tc::{CLSACT, TCX};
pub use userspace::engine::{AF_PACKET, AF_XDP};

/// The engines of this crate that run programs in the kernel, best first.
pub static ENGINES: &[&dyn Engine] = &[&GENERIC, &TCX, &CLSACT];

/// The engines of this crate that run programs in hoist itself, best first.
pub static USERSPACE: &[&dyn Engine] = &[&AF_XDP, &AF_PACKET];
