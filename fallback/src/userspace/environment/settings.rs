//! How an environment is set up.

use std::sync::Arc;

use super::clock::Clock;
use super::routing::Index;

/// How an environment is set up.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which clock programs read.
    pub clock: Clock,
    /// Where `bpf_get_prandom_u32` starts: the same seed gives the same numbers.
    pub seed: u64,
    /// Interfaces, routes and neighbours.
    pub routing: Arc<Index>,
}
