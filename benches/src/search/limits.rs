//! Between which loads a search takes place.

use super::run::Ended;
use super::turn::Turn;
use crate::trial::Order;

/// The largest load to try, in whole frames per second: what was asked for, or what the generator
/// offers in a trial at full speed.
pub(super) fn max_load(
    wanted: Option<f64>,
    turn: &mut Turn<'_>,
    seconds: f64,
) -> Result<f64, Ended> {
    let load = match wanted {
        Some(load) => load,
        None => turn.trial(Order { load: None, seconds })?.trial.offered(),
    };
    if load.is_finite() && load >= 1.0 { Ok(load.floor()) } else { Err(Ended::NoTraffic) }
}
