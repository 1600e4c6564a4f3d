//! What drivers say of their own devices, held against what came of the cases.
//!
//! The suite's cases know the differences of hoist's own engines. A vendor's are in the vendor's crate
//! ([`Expectation`]), and are held in the same two directions: a difference that is told is known, and one
//! that is told and does not show fails.

use hoist_offload::expectation::Instead;
use hoist_offload::{Expectation, Registry};

use super::report::{CaseResult, Outcome, Reason};
use super::suite;
use super::suite::CaseError;

/// Expectations of a registry's drivers that speak of no case of the suite, in words: they could never
/// show, nor be missed.
///
/// # Errors
/// A case file of the suite cannot be read.
pub fn misnamed(registry: &Registry) -> Result<Vec<String>, CaseError> {
    let sources = suite::builtin()?;
    let named = |e: &Expectation| {
        sources.iter().any(|source| {
            source.file.cases.iter().any(|case| {
                let name = format!("{}/{}", source.name, case.name);
                case.rows.iter().any(|row| row == e.row)
                    && (name.contains(e.case) || e.case.starts_with(&name))
            })
        })
    };
    let all = registry.drivers().flat_map(|driver| {
        driver.expectations().iter().map(move |expectation| (driver.name(), expectation))
    });
    let lost = all.filter(|(_, expectation)| !named(expectation));
    Ok(lost
        .map(|(driver, e)| {
            format!(
                "the driver {driver} expects {}: no case of row '{}' has '{}' in its name",
                e.code, e.row, e.case
            )
        })
        .collect())
}

/// Explains a result by the first expectation that speaks of it.
pub(super) fn explain(expectations: &[(&str, Expectation)], result: &mut CaseResult) {
    let speaks = |e: &Expectation| {
        e.engine == (result.engine, result.hook)
            && result.rows.iter().any(|row| row == e.row)
            && result.case.contains(e.case)
    };
    let Some((driver, said)) = expectations.iter().find(|(_, e)| speaks(e)) else { return };
    let shown = match (&result.outcome, said.instead) {
        (Outcome::NotRun { .. }, _) | (Outcome::Refused { known: Some(_), .. }, _) => return,
        (Outcome::Refused { gaps, .. }, Instead::Refused) => {
            gaps.iter().any(|gap| gap.code == said.code)
        }
        (Outcome::Differs { differences, .. }, Instead::Shows(text)) => {
            differences.iter().any(|difference| difference.contains(text))
        }
        _ => false,
    };
    let reason = || Reason {
        code: said.code.to_owned(),
        why: said.why.to_owned(),
        source: said.source.to_owned(),
    };
    match &mut result.outcome {
        Outcome::Refused { known, .. } | Outcome::Differs { known, .. } if shown => {
            *known = Some(reason());
        }
        // A failure that nobody foresaw speaks for itself.
        Outcome::Refused { .. } | Outcome::Differs { known: None, .. } => {}
        _ => {
            let what = format!(
                "the driver {driver} expects {} here, which does not show: remove it from the driver's \
                 expectations",
                said.code
            );
            result.outcome = Outcome::Differs { known: None, differences: vec![what] };
        }
    }
}

#[cfg(test)]
mod tests {
    use hoist_offload::{Capabilities, Device, Driver, EngineKind, Gap, Hook};

    use super::*;
    use crate::conformance::report::Evidence;

    const SAID: Expectation = Expectation {
        row: "exception-trace",
        case: "aborted",
        engine: (EngineKind::Native, Hook::Xdp),
        code: "acme-silent",
        why: "w",
        source: "s",
        instead: Instead::Shows("traced"),
    };

    fn result(outcome: Outcome) -> CaseResult {
        CaseResult {
            case: "onlookers/aborted frames".to_owned(),
            program: "p".to_owned(),
            engine: EngineKind::Native,
            hook: Hook::Xdp,
            device: "acme0".to_owned(),
            evidence: Evidence::RealTraffic,
            rows: vec!["exception-trace".to_owned()],
            outcome,
        }
    }

    fn differs(text: &str) -> Outcome {
        Outcome::Differs { known: None, differences: vec![text.to_owned()] }
    }

    fn refused(code: &str) -> Outcome {
        Outcome::Refused { known: None, gaps: vec![Gap::new(code, "m")] }
    }

    fn word(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Passed => "passed",
            Outcome::Differs { known: Some(_), .. } => "known",
            Outcome::Differs { known: None, differences }
                if differences[0].contains("the driver acme expects") =>
            {
                "missing"
            }
            Outcome::Differs { known: None, .. } => "unexplained",
            Outcome::Refused { known: Some(_), .. } => "known refusal",
            Outcome::Refused { .. } => "refused",
            Outcome::NotRun { .. } => "not run",
        }
    }

    /// A driver with one expectation that speaks of a case, and others that speak of none.
    #[derive(Debug)]
    struct Vendor;

    static VENDOR: Vendor = Vendor;

    impl Driver for Vendor {
        fn name(&self) -> &'static str {
            "acme"
        }

        fn refine(&self, _: &Device, _: &mut Capabilities) {}

        fn expectations(&self) -> &'static [Expectation] {
            const NO_ROW: Expectation = Expectation { row: "exception-race", ..SAID };
            const NO_CASE: Expectation = Expectation { case: "abborted", ..SAID };
            const OTHER_ROW: Expectation = Expectation { row: "taps", ..SAID };
            &[SAID, NO_ROW, NO_CASE, OTHER_ROW]
        }
    }

    #[test]
    fn an_expectation_without_a_case_is_told() {
        let wrong = misnamed(&Registry::new().driver(&VENDOR)).unwrap();
        let [row, case, other] = wrong.as_slice() else { panic!("{wrong:?}") };
        assert!(row.contains("'exception-race'"), "{row}");
        assert!(case.contains("'abborted'") && other.contains("'taps'"), "{case} {other}");
        assert_eq!(misnamed(&Registry::new()).unwrap(), [""; 0]);
    }

    #[test]
    fn a_drivers_expectation_must_show_as_described() {
        let refuses = Expectation { instead: Instead::Refused, ..SAID };
        for (said, outcome, expected) in [
            (SAID, differs("traced: 0, expected 1"), "known"),
            (SAID, differs("the frame arrived"), "unexplained"),
            (SAID, Outcome::Passed, "missing"),
            (SAID, refused("acme-silent"), "refused"),
            (SAID, Outcome::NotRun { why: String::new() }, "not run"),
            (refuses, refused("acme-silent"), "known refusal"),
            (refuses, refused("other"), "refused"),
            (refuses, differs("traced"), "unexplained"),
            (refuses, Outcome::Passed, "missing"),
            (Expectation { row: "taps", ..SAID }, Outcome::Passed, "passed"),
            (Expectation { case: "unknown", ..SAID }, Outcome::Passed, "passed"),
            (Expectation { case: "", ..SAID }, Outcome::Passed, "missing"),
            (
                Expectation { engine: (EngineKind::Generic, Hook::Xdp), ..SAID },
                Outcome::Passed,
                "passed",
            ),
        ] {
            let mut result = result(outcome);
            explain(&[("acme", said)], &mut result);
            assert_eq!(word(&result.outcome), expected, "{said:?}: {:?}", result.outcome);
        }
    }
}
