//! What the trials of one cell add up to.

use super::Group;
use super::seat::Seat;
use super::subject::Carrier;
use crate::meter::machine::Tsc;
use crate::report::{Measurement, Search};
use crate::search::Outcome;
use crate::stats::Summary;
use crate::trial::{Entry, Finding, Ledger, Severity, Trial, Witness};

/// The cell in the report.
pub(super) fn measurement(seat: &Seat<'_>, group: &Group<'_>, outcome: Outcome) -> Measurement {
    let pps = Summary::of(&outcome.rates);
    let basis: Vec<&Trial> =
        outcome.basis.iter().filter_map(|at| outcome.trials.get(*at)).collect();
    let sum = |of: fn(&Trial) -> u64| basis.iter().map(|t| of(t)).sum::<u64>();
    let (intended, received) = (sum(|t| t.intended), sum(|t| t.received));
    let loss_ratio = match intended {
        0 => 0.0,
        _ => intended.saturating_sub(received) as f64 / intended as f64,
    };
    let median = pps.and_then(|pps| {
        let distance = |trial: &Trial| (trial.pps() - pps.median).abs();
        basis.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    });
    // At full speed the cores that generate are saturated, and do everything else as well unless the
    // device has its own.
    let full = outcome.found == Search::Maximum && !seat.is_remote();
    let nanoseconds = pps.filter(|pps| full && pps.median > 0.0).map(|pps| {
        // Where packets are lost, it is the engine's core that is saturated.
        let cores = if loss_ratio > 0.0 { 1.0 } else { f64::from(group.cores) };
        1e9 * cores / pps.median
    });
    Measurement {
        engine: match seat.carrier {
            Carrier::Engine(wanted) => wanted.kind.to_string(),
            carrier @ Carrier::Control(_) => carrier.to_string(),
        },
        hook: seat.hook.clone(),
        program: group.subject.name.clone(),
        profile: group.profile.name.clone(),
        frame_bytes: group.profile.mean_bytes(),
        cores: if seat.is_remote() { -1 } else { group.cores.try_into().unwrap_or(i32::MAX) },
        measured_by: "real traffic".to_owned(),
        search: outcome.found,
        pps,
        rates: outcome.rates,
        loss_ratio,
        ended: outcome.ended,
        latency: median.and_then(|trial| trial.latency.clone()),
        ledger: sum_of(outcome.trials.iter().filter(|t| t.valid()).map(|t| &t.ledger)),
        nanoseconds,
        cycles: nanoseconds.zip(Tsc::here()).map(|(ns, tsc)| ns * tsc.hz / 1e9),
        findings: findings(seat, &outcome.trials, outcome.findings),
        trials: outcome.trials,
        rejected: outcome.rejected,
    }
}

/// What concerns the cell: of the place, of the search, and of the trials, each code once.
fn findings(seat: &Seat<'_>, trials: &[Trial], of_search: Vec<Finding>) -> Vec<Finding> {
    let mut all = seat.findings.clone();
    all.extend(of_search);
    for finding in trials.iter().flat_map(|trial| &trial.findings) {
        if all.iter().any(|known| known.code == finding.code) {
            continue;
        }
        let with = |trial: &&Trial| trial.findings.iter().any(|f| f.code == finding.code);
        let times = trials.iter().filter(with).count();
        let of = trials.len();
        let message = format!("{} ({times} of {of} trials)", finding.message);
        // A rejected trial was repeated; what counts did not have this.
        let severity = match finding.severity {
            Severity::Invalid if times < of => Severity::Note,
            other => other,
        };
        all.push(Finding { message, severity, ..finding.clone() });
    }
    all
}

/// One ledger in which every count is the sum of those in the same place.
pub(super) fn sum_of<'a>(mut ledgers: impl Iterator<Item = &'a Ledger>) -> Ledger {
    let mut sum = ledgers.next().cloned().unwrap_or_default();
    for ledger in ledgers {
        for stage in &ledger.stages {
            let Some(into) = sum.stages.iter_mut().find(|s| s.name == stage.name) else {
                sum.stages.push(stage.clone());
                continue;
            };
            into.came.packets += stage.came.packets;
            for entry in &stage.out {
                let same = |e: &&mut Entry| e.fate == entry.fate && e.counter == entry.counter;
                match into.out.iter_mut().find(same) {
                    Some(into) => into.packets += entry.packets,
                    None => into.out.push(entry.clone()),
                }
            }
        }
        for witness in &ledger.witnesses {
            let same =
                |w: &&mut Witness| w.counter == witness.counter && w.confirms == witness.confirms;
            match sum.witnesses.iter_mut().find(same) {
                Some(into) => {
                    into.packets += witness.packets;
                    into.expected += witness.expected;
                }
                None => sum.witnesses.push(witness.clone()),
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Count, Fate, Stage};

    fn ledger(name: &str, came: u64, out: &[(Fate, u64)]) -> Ledger {
        let entry = |(fate, packets): &(Fate, u64)| Entry {
            fate: *fate,
            packets: *packets,
            counter: "c".to_owned(),
        };
        let stage = Stage {
            name: name.to_owned(),
            came: Count { packets: came, counter: "c".to_owned() },
            out: out.iter().map(entry).collect(),
        };
        Ledger { stages: vec![stage], witnesses: Vec::new() }
    }

    #[test]
    fn ledgers_add_up_place_by_place() {
        let all = [
            ledger("wire", 10, &[(Fate::Onward, 10)]),
            ledger("wire", 7, &[(Fate::Onward, 5), (Fate::Refused, 2)]),
            ledger("program", 3, &[(Fate::Drop, 3)]),
        ];
        let sum = sum_of(all.iter());
        assert!(sum.balanced());
        let came: Vec<u64> = sum.stages.iter().map(|s| s.came.packets).collect();
        assert_eq!((came, sum.of(Fate::Onward), sum.of(Fate::Refused)), (vec![17, 3], 15, 2));
    }
}
