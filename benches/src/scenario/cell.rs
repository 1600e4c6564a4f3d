//! What the trials of one cell add up to.

use super::Group;
use super::seat::Seat;
use super::subject::Carrier;
use crate::meter::cpu;
use crate::meter::machine::Tsc;
use crate::report::Measurement;
use crate::search::{Ended, Outcome};
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
    let cost = median.and_then(|trial| cpu::cost(trial, Tsc::here().as_ref()));
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
        loss_ratio,
        findings: {
            let failure = failure(&seat.findings, &outcome.ended, outcome.rates.len());
            let of_search = outcome.findings.into_iter().chain(failure).collect();
            findings(&seat.findings, &outcome.trials, of_search)
        },
        rates: outcome.rates,
        ended: outcome.ended,
        latency: median.and_then(|trial| trial.latency.clone()),
        ledger: sum_of(outcome.trials.iter().filter(|t| t.valid()).map(|t| &t.ledger)),
        nanoseconds: cost.map(|cost| cost.nanoseconds),
        cycles: cost.and_then(|cost| cost.cycles),
        trials: outcome.trials,
        rejected: outcome.rejected,
    }
}

/// What concerns the cell: of the place, of the search, and of the trials, each code once.
fn findings(known: &[Finding], trials: &[Trial], of_search: Vec<Finding>) -> Vec<Finding> {
    let mut all = known.to_vec();
    all.extend(of_search);
    let of_trials = trials.iter().flat_map(|trial| &trial.findings);
    for code in of_trials.map(|finding| &finding.code) {
        if all.iter().any(|known| known.code == *code) {
            continue;
        }
        let with = |trial: &&Trial| trial.findings.iter().any(|f| f.code == *code);
        let times = trials.iter().filter(with).count();
        // A rejected trial was repeated: what it had matters as far as what counts had it too.
        let Some((finding, counts)) = worst(trials.iter().filter(|t| t.valid()), code)
            .map(|finding| (finding, true))
            .or_else(|| Some((worst(trials, code)?, !trials.iter().any(Trial::valid))))
        else {
            continue;
        };
        let message = format!("{} ({times} of {} trials)", finding.message, trials.len());
        let severity = if counts { finding.severity } else { Severity::Note };
        all.push(Finding { message, severity, ..finding.clone() });
    }
    all
}

/// The first of the most severe findings of a code.
fn worst<'a>(trials: impl IntoIterator<Item = &'a Trial>, code: &str) -> Option<&'a Finding> {
    let found = trials.into_iter().flat_map(|trial| &trial.findings).filter(|f| f.code == code);
    found.min_by_key(|finding| std::cmp::Reverse(finding.severity))
}

/// Why a cell could not go on, unless its refusals say so.
fn failure(known: &[Finding], ended: &Ended, done: usize) -> Option<Finding> {
    let Ended::Failed(why) = ended else { return None };
    let refused = known.iter().any(|finding| finding.severity == Severity::Invalid);
    let (severity, message) = match done {
        0 => (Severity::Invalid, why.clone()),
        1 => (Severity::Warning, format!("ended after one repeat: {why}")),
        done => (Severity::Warning, format!("ended after {done} repeats: {why}")),
    };
    (!refused).then(|| Finding {
        code: "measurement-failed".to_owned(),
        severity,
        message,
        advice: Some("see that the interfaces are still there and up, then repeat".to_owned()),
    })
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
    use crate::trial::{Count, Fate, Order, Stage};

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

    fn trial(found: &[(&str, Severity)]) -> Trial {
        let finding = |(code, severity): &(&str, Severity)| Finding {
            code: (*code).to_owned(),
            severity: *severity,
            message: format!("{severity:?}"),
            advice: None,
        };
        Trial { findings: found.iter().map(finding).collect(), ..sample() }
    }

    fn sample() -> Trial {
        let order = Order { load: None, seconds: 1.0 };
        Trial {
            order,
            seconds: 1.0,
            intended: 1,
            generated: 1,
            received: 1,
            ledger: Ledger::default(),
            latency: None,
            sequence: None,
            cpus: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Code and severity of each finding of one trial.
    type Findings<'a> = &'a [(&'a str, Severity)];

    #[test]
    fn a_finding_weighs_what_it_weighs_in_the_trials_that_count() {
        use Severity::{Invalid, Note, Warning};
        let cases: [(&[Findings<'_>], Severity, &str); 6] = [
            (&[&[("busy", Invalid)], &[("busy", Warning)]], Warning, "Warning (2 of 2 trials)"),
            (&[&[("busy", Invalid)], &[]], Note, "Invalid (1 of 2 trials)"),
            (&[&[("busy", Warning)], &[("busy", Invalid)]], Warning, "Warning (2 of 2 trials)"),
            (&[&[("busy", Note)], &[("busy", Warning)]], Warning, "Warning (2 of 2 trials)"),
            (&[&[("busy", Invalid)], &[("busy", Invalid)]], Invalid, "Invalid (2 of 2 trials)"),
            (&[&[("busy", Warning), ("x", Invalid)]], Warning, "Warning (1 of 1 trials)"),
        ];
        for (trials, severity, message) in cases {
            let trials: Vec<Trial> = trials.iter().map(|found| trial(found)).collect();
            let all = findings(&[], &trials, Vec::new());
            assert_eq!((all[0].severity, &*all[0].message), (severity, message), "{trials:?}");
        }
    }

    #[test]
    fn what_could_not_go_on_says_why() {
        let ended = Ended::Failed("the device is gone".to_owned());
        let of = |known: &[Finding], ended: &Ended, done| {
            failure(known, ended, done).map(|finding| (finding.severity, finding.message))
        };
        let said = |words: &str| words.to_owned();
        assert_eq!(of(&[], &ended, 0), Some((Severity::Invalid, said("the device is gone"))));
        let late = Some((Severity::Warning, said("ended after 3 repeats: the device is gone")));
        assert_eq!(of(&[], &ended, 3), late);
        let refused = trial(&[("no-such-hook", Severity::Invalid)]).findings;
        assert_eq!(of(&refused, &ended, 0), None);
        assert_eq!(of(&[], &Ended::Complete, 5), None);
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
