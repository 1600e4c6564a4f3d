//! From differences to outcomes: known, unexplained, or known and missing.

use hoist_offload::Gap;

use super::case::{Expect, Known};
use super::report::{Evidence, Outcome, Reason};
use super::shot::Shot;

impl From<&Known> for Reason {
    fn from(known: &Known) -> Self {
        Self { code: known.code.clone(), why: known.why.clone(), source: known.source.clone() }
    }
}

/// What came of a shot that was fired. `differences` compares what was seen with an expectation.
///
/// # Errors
/// Those of `differences`.
pub(super) fn fired<E>(
    shot: &Shot,
    engine: &str,
    evidence: Evidence,
    differences: impl Fn(&Expect) -> Result<Vec<String>, E>,
) -> Result<Outcome, E> {
    let plain = match &shot.expect.refused {
        Some(code) => vec![format!("the program runs, expected a refusal with {code}")],
        None => differences(&shot.expect)?,
    };
    let Some(known) = shot.known.iter().find(|k| k.concerns(engine, evidence)) else {
        return Ok(match plain.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Differs { known: None, differences: plain },
        });
    };
    if plain.is_empty() {
        let older = known.kernel.as_ref().is_some_and(|release| !release.is_here());
        return Ok(match known.sometimes || older {
            true => Outcome::Passed,
            false => missing(known),
        });
    }
    let otherwise = match &known.instead {
        None => Vec::new(),
        Some(Expect { refused: Some(_), .. }) => return Ok(missing(known)),
        Some(instead) => differences(&overlay(&shot.expect, instead))?,
    };
    Ok(match otherwise.is_empty() {
        true => Outcome::Differs { known: Some(known.into()), differences: plain },
        false => Outcome::Differs { known: None, differences: otherwise },
    })
}

fn missing(known: &Known) -> Outcome {
    let what =
        format!("the known difference {} does not show: remove it from the case", known.code);
    Outcome::Differs { known: None, differences: vec![what] }
}

/// What came of a shot whose program the engine refuses.
pub(super) fn refused(shot: &Shot, engine: &str, evidence: Evidence, gaps: Vec<Gap>) -> Outcome {
    let named = |code: &str| gaps.iter().any(|gap| gap.code == code);
    if shot.expect.refused.as_deref().is_some_and(named) {
        return Outcome::Passed;
    }
    let known = shot.known.iter().filter(|k| k.concerns(engine, evidence)).find(|k| {
        let code = k.instead.as_ref().and_then(|instead| instead.refused.as_deref());
        code.is_some_and(named)
    });
    Outcome::Refused { known: known.map(Reason::from), gaps }
}

/// The case's expectation with some of its fields replaced.
pub(super) fn overlay(expect: &Expect, instead: &Expect) -> Expect {
    let with = expect.clone();
    // Another verdict sends the frame elsewhere, unless it is said where.
    let at = match instead.verdict {
        Some(_) => instead.at,
        None => instead.at.or(with.at),
    };
    Expect {
        verdict: instead.verdict.or(with.verdict),
        at,
        frame: instead.frame.clone().or(with.frame),
        packet_type: instead.packet_type.or(with.packet_type),
        protocol: instead.protocol.clone().or(with.protocol),
        socket: instead.socket.clone().or(with.socket),
        variables_after: with
            .variables_after
            .into_iter()
            .chain(instead.variables_after.clone())
            .collect(),
        maps_after: with.maps_after.into_iter().chain(instead.maps_after.clone()).collect(),
        onlookers: instead.onlookers.clone().or(with.onlookers),
        unseen: instead.unseen || with.unseen,
        refused: instead.refused.clone(),
    }
}

#[cfg(test)]
mod tests {
    use hoist_offload::Verdict;

    use super::*;
    use crate::conformance::Source;
    use crate::conformance::shot;
    use crate::frame::notation::Names;

    /// A case that expects a pass, with this known difference.
    fn shot(known: &str) -> Shot {
        let text = format!(
            "title = 't'\nprogram = 'p'\n[[case]]\nname = 'c'\nsend = 'eth far > near'\nverdict = 'pass'\n{known}"
        );
        let source = Source::parse("f", None, &text).unwrap();
        shot::of(&source, &Names::lab()).unwrap().remove(0)
    }

    /// The outcome where the program's verdict was this.
    fn outcome(shot: &Shot, engine: &str, verdict: Verdict) -> Outcome {
        let differences = |expect: &Expect| {
            let same = expect.verdict == Some(verdict);
            Ok::<_, ()>(if same { vec![] } else { vec!["another verdict".to_owned()] })
        };
        fired(shot, engine, Evidence::RealTraffic, differences).unwrap()
    }

    const KNOWN: &str = "known = [{ on = ['tc'], code = 'c', why = 'w', source = 's' EXTRA }]";

    #[test]
    fn a_known_difference_must_show_as_described() {
        use Verdict::{Drop, Pass, Tx};
        let known = |extra: &str| shot(&KNOWN.replace("EXTRA", extra));
        let explained = |outcome: Outcome| match outcome {
            Outcome::Passed => "passed",
            Outcome::Differs { known: Some(_), .. } => "known",
            Outcome::Differs { known: None, .. } => "unexplained",
            _ => "other",
        };
        for (extra, engine, verdict, expected) in [
            ("", "native", Pass, "passed"),
            ("", "native", Drop, "unexplained"),
            ("", "tcx", Drop, "known"),
            ("", "tcx", Pass, "unexplained"),
            (", sometimes = true", "tcx", Pass, "passed"),
            (", sometimes = true", "tcx", Drop, "known"),
            (", kernel = '999.0'", "tcx", Pass, "passed"),
            (", kernel = '999.0'", "tcx", Drop, "known"),
            (", kernel = '5.4'", "tcx", Pass, "unexplained"),
            (", instead = { verdict = 'drop' }", "clsact", Drop, "known"),
            (", instead = { verdict = 'drop' }", "clsact", Tx, "unexplained"),
            (", instead = { refused = 'x' }", "clsact", Tx, "unexplained"),
            (", evidence = 'test run'", "tcx", Drop, "unexplained"),
        ] {
            let got = explained(outcome(&known(extra), engine, verdict));
            assert_eq!(got, expected, "{extra} on {engine}: {verdict:?}");
        }
    }

    #[test]
    fn a_refusal_is_expected_known_or_unexplained() {
        let gaps = || vec![Gap::new("x", "m")];
        let of = |shot: &Shot, engine: &str| refused(shot, engine, Evidence::RealTraffic, gaps());
        assert_eq!(of(&shot("refused = 'x'"), "native"), Outcome::Passed);
        assert!(!of(&shot("refused = 'y'"), "native").is_explained());
        let known = shot(&KNOWN.replace("EXTRA", ", instead = { refused = 'x' }"));
        assert!(of(&known, "tcx").is_explained());
        assert!(!of(&known, "native").is_explained());
        assert!(!outcome(&shot("refused = 'x'"), "native", Verdict::Pass).is_explained());
    }
}
