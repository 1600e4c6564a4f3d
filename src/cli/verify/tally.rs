//! Results added up: one word for each row of the contract and each engine.

use std::collections::BTreeSet;

use hoist_hwtests::conformance::report::Evidence;
use hoist_hwtests::conformance::{CaseResult, Outcome};
use serde::Serialize;

/// What several results come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    /// Nothing was tried.
    NotRun,
    /// The engine does not run the programs that would show it, and says why.
    Refused,
    /// As the contract says.
    Passed,
    /// Otherwise, as the cases say it would be.
    Differs,
    /// Otherwise, and nobody said why.
    Failed,
}

impl Word {
    /// As it is printed.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::NotRun => "not run",
            Self::Refused => "refused",
            Self::Passed => "passed",
            Self::Differs => "differs",
            Self::Failed => "FAILED",
        }
    }

    /// One result.
    pub(crate) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            _ if !outcome.is_explained() => Self::Failed,
            Outcome::Passed => Self::Passed,
            Outcome::Differs { .. } => Self::Differs,
            Outcome::Refused { .. } => Self::Refused,
            Outcome::NotRun { .. } => Self::NotRun,
        }
    }
}

/// What results come to, and how they were seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    /// The weightiest word.
    pub outcome: Word,
    /// How what was run was seen.
    pub evidence: BTreeSet<Evidence>,
}

/// Adds up. The word that weighs most wins: a row holds only if nothing contradicts it.
pub(crate) fn sum<'a>(results: impl IntoIterator<Item = &'a CaseResult>) -> Sum {
    let mut sum = Sum { outcome: Word::NotRun, evidence: BTreeSet::new() };
    for result in results {
        let word = Word::of(&result.outcome);
        sum.outcome = sum.outcome.max(word);
        if word > Word::Refused {
            sum.evidence.insert(result.evidence);
        }
    }
    sum
}

/// Engines by the names that pin them, in the order in which they appear.
pub(crate) fn engines(results: &[CaseResult]) -> Vec<&'static str> {
    let mut engines = Vec::new();
    for result in results {
        if !engines.contains(&result.engine_name()) {
            engines.push(result.engine_name());
        }
    }
    engines
}

#[cfg(test)]
mod tests {
    use hoist_hwtests::conformance::report::Reason;
    use hoist_offload::{EngineKind, Hook};

    use super::*;

    fn result(evidence: Evidence, outcome: Outcome) -> CaseResult {
        CaseResult {
            case: "f/c".to_owned(),
            program: "p".to_owned(),
            engine: EngineKind::Native,
            hook: Hook::Xdp,
            device: "v0".to_owned(),
            evidence,
            rows: Vec::new(),
            outcome,
        }
    }

    #[test]
    fn what_contradicts_weighs_more_than_what_agrees() {
        let reason = || Some(Reason { code: "c".into(), why: "w".into(), source: "s".into() });
        let not_run = || Outcome::NotRun { why: "no".into() };
        let refused = |known| Outcome::Refused { known, gaps: Vec::new() };
        let differs = |known| Outcome::Differs { known, differences: Vec::new() };
        let cases = [
            (vec![], Word::NotRun),
            (vec![not_run(), refused(reason())], Word::Refused),
            (vec![refused(reason()), Outcome::Passed, not_run()], Word::Passed),
            (vec![Outcome::Passed, differs(reason()), Outcome::Passed], Word::Differs),
            (vec![differs(None), Outcome::Passed], Word::Failed),
            (vec![refused(None), differs(reason())], Word::Failed),
        ];
        for (outcomes, word) in cases {
            let results: Vec<_> =
                outcomes.into_iter().map(|o| result(Evidence::TestRun, o)).collect();
            assert_eq!(sum(&results).outcome, word, "{results:#?}");
        }
        let seen = sum(&[
            result(Evidence::RealTraffic, not_run()),
            result(Evidence::TestRun, Outcome::Passed),
        ]);
        assert_eq!(seen.evidence, BTreeSet::from([Evidence::TestRun]), "only what was run");
    }
}
