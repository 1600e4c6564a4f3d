//! The rate at full speed: the generator sends as fast as it can, and what arrives is counted.

use serde::{Deserialize, Serialize};

use super::run::{Ended, Found, Searching};
use super::turn::Turn;
use crate::report::Search;
use crate::trial::Order;

/// One trial at full speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maximum {
    /// Length of the trial.
    pub seconds: f64,
}

impl Default for Maximum {
    fn default() -> Self {
        Self { seconds: 1.0 }
    }
}

impl Maximum {
    pub(super) const fn start(self) -> Fixed {
        Fixed::new(Order { load: None, seconds: self.seconds })
    }
}

/// The same trial again and again.
pub(super) struct Fixed {
    order: Order,
    rates: Vec<f64>,
    basis: Vec<usize>,
}

impl Fixed {
    pub(super) const fn new(order: Order) -> Self {
        Self { order, rates: Vec::new(), basis: Vec::new() }
    }
}

impl Searching for Fixed {
    fn warm_up(&self) -> Option<f64> {
        self.order.load
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let taken = turn.trial(self.order)?;
        self.rates.push(taken.trial.pps());
        self.basis.push(taken.index);
        Ok(())
    }

    fn found(self: Box<Self>) -> Found {
        let search = match self.order.load {
            None => Search::Maximum,
            Some(load) => Search::Soak { load },
        };
        Found { search, rates: self.rates, basis: self.basis, findings: Vec::new() }
    }
}
