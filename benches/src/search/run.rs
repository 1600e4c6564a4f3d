//! Carrying out a procedure on one or several benches, in turns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::progress::Progress;
use super::rules::Rules;
use super::turn::{Log, Observer, Place, Turn};
use super::{BackToBack, Bench, FrameLoss, Latency, Maximum, Mlr, Soak, Throughput, finding};
use crate::report::Search;
use crate::trial::{Finding, Severity, Trial};

/// Repeats from which a median with a spread can be told.
const ENOUGH: usize = 5;

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "procedure", rename_all = "kebab-case")]
pub enum Procedure {
    /// The rate at full speed.
    Maximum(Maximum),
    /// A fixed load, held.
    Soak(Soak),
    /// RFC 2544 section 26.1.
    Throughput(Throughput),
    /// RFC 2544 section 26.2.
    Latency(Latency),
    /// RFC 2544 section 26.3.
    FrameLoss(FrameLoss),
    /// RFC 2544 section 26.4, RFC 9004.
    BackToBack(BackToBack),
    /// RFC 9971.
    Mlr(Mlr),
}

/// What a procedure found on one bench.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The result.
    pub found: Search,
    /// The result as a rate in frames per second, one for each repeat that came to its end.
    pub rates: Vec<f64>,
    /// Every trial but those that warm up, rejected ones included, in order.
    pub trials: Vec<Trial>,
    /// The trials on which the rates rest, by their places in `trials`.
    pub basis: Vec<usize>,
    /// How many of `trials` were rejected by what was observed.
    pub rejected: usize,
    /// How it ended.
    pub ended: Ended,
    /// What the reader of the result must know.
    pub findings: Vec<Finding>,
}

/// How a procedure ended on one bench.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All that was asked for was measured.
    Complete,
    /// The user stopped it.
    Stopped,
    /// [`Rules::budget`] was used up.
    OutOfTime,
    /// More than [`Rules::retries`] trials one after the other were rejected.
    Rejected,
    /// The generator made no frames.
    NoTraffic,
    /// The bench failed, in its words.
    Failed(String),
}

/// A procedure at work on one bench; keeps what it learns from one turn to the next.
pub(super) trait Searching {
    /// The load at which a turn warms up, as in [`Order`](crate::trial::Order).
    fn warm_up(&self) -> Option<f64> {
        None
    }

    /// One repeat.
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended>;

    /// What was found, however far it came.
    fn found(self: Box<Self>) -> Found;
}

/// What a procedure found, without how.
pub(super) struct Found {
    pub search: Search,
    /// As in [`Outcome`].
    pub rates: Vec<f64>,
    /// As in [`Outcome`].
    pub basis: Vec<usize>,
    pub findings: Vec<Finding>,
}

impl Procedure {
    fn start(&self) -> Box<dyn Searching> {
        match self {
            Self::Maximum(procedure) => Box::new(procedure.start()),
            Self::Soak(procedure) => Box::new(procedure.start()),
            Self::Throughput(procedure) => Box::new(procedure.start()),
            Self::Latency(procedure) => Box::new(procedure.start()),
            Self::FrameLoss(procedure) => Box::new(procedure.start()),
            Self::BackToBack(procedure) => Box::new(procedure.start()),
            Self::Mlr(procedure) => Box::new(procedure.start()),
        }
    }
}

/// Carries out a procedure on every bench, [`Rules::repeats`] times, in turns: all benches once, then
/// all again, the first of them moving on by one each time, so that whatever drifts touches all alike.
///
/// A bench on which it cannot go on is left out from there; when the user stops it or the time is used
/// up, all end. Gives one outcome per bench, in the order of `benches`.
pub fn run(
    procedure: &Procedure,
    benches: &mut [&mut dyn Bench],
    rules: &Rules,
    observer: &mut dyn FnMut(&Progress<'_>),
) -> Vec<Outcome> {
    let mut all: Vec<Subject> = benches.iter().map(|_| Subject::new(procedure)).collect();
    let (mut before, mut done, count) = (0.0, 0, benches.len());
    'all: for repeat in 0..rules.repeats {
        for at in 0..count {
            let bench = (repeat + at) % count;
            let subject = &mut all[bench];
            if subject.ended.is_some() {
                continue;
            }
            let place =
                Place { bench, benches: count, repeat, repeats: rules.repeats, before, done };
            let (ended, taken) = subject.turn(&mut *benches[bench], rules, observer, place);
            before += taken;
            done += 1;
            if let Err(ended) = ended {
                let for_all = matches!(ended, Ended::Stopped | Ended::OutOfTime);
                subject.ended = Some(ended.clone());
                if for_all {
                    for subject in &mut all {
                        subject.ended.get_or_insert(ended.clone());
                    }
                    break 'all;
                }
            }
        }
    }
    all.into_iter().map(Subject::outcome).collect()
}

/// One bench, with what is known about it.
struct Subject {
    search: Box<dyn Searching>,
    log: Log,
    ended: Option<Ended>,
}

impl Subject {
    fn new(procedure: &Procedure) -> Self {
        Self { search: procedure.start(), log: Log::default(), ended: None }
    }

    /// One turn: how it ended, and how many seconds it took.
    fn turn(
        &mut self,
        bench: &mut dyn Bench,
        rules: &Rules,
        observer: Observer<'_>,
        place: Place,
    ) -> (Result<(), Ended>, f64) {
        let mut turn = Turn::new(bench, rules, observer, &mut self.log, place);
        let warm_up = self.search.warm_up();
        let searched = turn.begin(warm_up).and_then(|()| self.search.turn(&mut turn));
        // The device is given back even after a failure, which then is the one to tell.
        let ended = turn.end();
        (searched.and(ended), turn.taken())
    }

    fn outcome(self) -> Outcome {
        let Found { search, rates, basis, mut findings } = self.search.found();
        let Log { trials, rejected } = self.log;
        let ended = self.ended.unwrap_or(Ended::Complete);
        if rejected > 0 {
            findings.push(finding::trials_rejected(rejected, trials.len(), &why(&trials)));
        }
        if (1..ENOUGH).contains(&rates.len()) {
            findings.push(finding::few_repeats(rates.len()));
        }
        Outcome { found: search, rates, trials, basis, rejected, ended, findings }
    }
}

/// For what trials were rejected, each reason once.
fn why(trials: &[Trial]) -> String {
    let codes = trials.iter().filter(|trial| !trial.valid()).flat_map(|trial| {
        let invalid = trial.findings.iter().filter(|f| f.severity == Severity::Invalid);
        let balanced = trial.ledger.balanced();
        let balance = (!balanced).then_some("the ledger does not balance");
        invalid.map(|f| f.code.as_str()).chain(balance)
    });
    codes.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}
