//! A fixed load, held: what is lost of it, how late frames come, and whether that changes with time.

use serde::{Deserialize, Serialize};

use super::maximum::Fixed;
use crate::trial::Order;

/// One trial at a fixed load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soak {
    /// Frames per second.
    pub load: f64,
    /// Length of the trial.
    pub seconds: f64,
}

impl Soak {
    pub(super) const fn start(self) -> Fixed {
        Fixed::new(Order { load: Some(self.load), seconds: self.seconds })
    }
}
