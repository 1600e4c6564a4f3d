//! Searches: which load a device can take. Each is a procedure over trials and knows nothing of
//! packets, so that it can be held against a simulated device.

use crate::trial::{Order, Trial};

/// Whatever can carry out trials: a veth, a NIC, a simulation.
pub trait Bench {
    /// Carries out one trial. An invalid one is a value too: the search decides whether to repeat it,
    /// and counts it.
    ///
    /// # Errors
    /// See [`Halt`].
    fn trial(&mut self, order: Order) -> Result<Trial, Halt>;
}

/// Why no more trials can be had.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The user asked to stop (Ctrl-C). What was measured stays.
    #[error("stopped on request")]
    Stopped,
    /// Something failed for good: the device is gone, permission is missing.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}
