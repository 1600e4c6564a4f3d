//! When a trial counts, and what is done about one that does not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::trial::Trial;

/// What every search keeps to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Least part of the intended frames that the generator has to offer, 0 to 1. Below it a trial
    /// passes no goal, whatever the goal allows to be lost: the load was not offered.
    pub least_offered: f64,
    /// Time worth of unsent frames that are not counted as lost, in seconds: what "stop" may cut off
    /// the end of a schedule.
    pub cut_off: f64,
    /// Length of the trial before each turn that is discarded, in seconds; 0 for none.
    pub warm_up: f64,
    /// Time without traffic before each trial, in seconds (RFC 2544 section 23 wants two for frames
    /// still under way and five to come to rest; CSIT takes half a second).
    pub settle: f64,
    /// How often the procedure is carried out on each bench.
    pub repeats: usize,
    /// How many rejected trials one after the other are repeated before a bench is given up.
    pub retries: usize,
    /// Most time that everything together may take, in seconds; `None` is as long as it takes.
    pub budget: Option<f64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            least_offered: 0.999,
            cut_off: 10e-6,
            warm_up: 0.2,
            settle: 0.1,
            repeats: 5,
            retries: 5,
            budget: None,
        }
    }
}

/// What a search goes by: one trial under the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Part of the intended frames that was lost or, beyond [`Rules::cut_off`], never sent.
    pub loss_ratio: f64,
    /// Whether the generator offered what was intended.
    pub offered: bool,
}

impl Judged {
    /// Whether the trial lost no more than that, of a load that was really offered.
    #[must_use]
    pub fn within(&self, loss_ratio: f64) -> bool {
        self.offered && self.loss_ratio <= loss_ratio
    }
}

impl Rules {
    /// Judges a trial that is valid.
    #[must_use]
    pub fn judge(&self, trial: &Trial) -> Judged {
        let unsent = trial.intended.saturating_sub(trial.generated);
        let spared = trial.order.load.map_or(0.0, |load| (load * self.cut_off).floor());
        let unsent = if unsent as f64 <= spared { 0 } else { unsent };
        let lost = trial.generated.saturating_sub(trial.received) + unsent;
        let intended = trial.intended.max(trial.generated);
        let part = |n: u64| if intended == 0 { 0.0 } else { n as f64 / intended as f64 };
        Judged { loss_ratio: part(lost), offered: 1.0 - part(unsent) >= self.least_offered }
    }

    /// [`Rules::settle`] as a time.
    pub(super) fn settling(&self) -> Duration {
        Duration::try_from_secs_f64(self.settle).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Ledger, Order};

    fn trial(load: f64, intended: u64, generated: u64, received: u64) -> Trial {
        Trial {
            order: Order { load: Some(load), seconds: 1.0 },
            seconds: 1.0,
            intended,
            generated,
            received,
            ledger: Ledger::default(),
            latency: None,
            sequence: None,
            cpus: Vec::new(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn unsent_frames_are_lost_frames_save_those_cut_off_at_the_end() {
        let rules = Rules::default();
        for (what, trial, loss, offered) in [
            ("all came", trial(1e6, 1_000_000, 1_000_000, 1_000_000), 0.0, true),
            ("lost on the way", trial(1e6, 1_000_000, 1_000_000, 990_000), 0.01, true),
            ("ten microseconds cut off", trial(1e6, 1_000_000, 999_990, 999_990), 0.0, true),
            ("eleven", trial(1e6, 1_000_000, 999_989, 999_989), 11e-6, true),
            ("just offered", trial(1e6, 1_000_000, 999_000, 999_000), 0.001, true),
            ("not offered", trial(1e6, 1_000_000, 998_999, 998_999), 0.001_001, false),
            ("both", trial(1e6, 1_000_000, 900_000, 800_000), 0.2, false),
            ("more than intended", trial(1e6, 1_000, 1_001, 1_001), 0.0, true),
            ("nothing at all", trial(1e6, 0, 0, 0), 0.0, true),
        ] {
            let judged = rules.judge(&trial);
            assert!((judged.loss_ratio - loss).abs() < 1e-12, "{what}: {judged:?}");
            assert_eq!(judged.offered, offered, "{what}");
        }
    }

    #[test]
    fn a_load_that_was_not_offered_passes_no_goal() {
        let judged = Rules::default().judge(&trial(1e6, 1_000_000, 998_000, 998_000));
        assert!(judged.loss_ratio < 0.005 && !judged.within(0.005), "{judged:?}");
    }
}
