//! hoist runs one unmodified XDP program on the best engine an interface offers, and says why.

pub mod cli;
mod file;
pub mod semantics;
pub mod session;
mod suggest;

pub use hoist_offload as offload;

use hoist_offload::Registry;

/// Every engine and driver of this build: the list that a vendor's own build adds to with
/// [`Registry::driver`].
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    let kernel = hoist_drivers::ENGINES.iter().chain(hoist_fallback::ENGINES);
    for engine in kernel.chain(hoist_fallback::USERSPACE) {
        registry = registry.engine(*engine);
    }
    for driver in hoist_drivers::DRIVERS {
        registry = registry.driver(*driver);
    }
    registry
}
