//! What searches find out beside their result.

use crate::trial::{Finding, Severity};

/// Adds a finding unless one of that code is there.
pub(super) fn add(findings: &mut Vec<Finding>, finding: Finding) {
    if findings.iter().all(|f| f.code != finding.code) {
        findings.push(finding);
    }
}

/// The result is what the generator can do, not what the device can.
pub(super) fn generator_limit(load: f64) -> Finding {
    Finding {
        code: "generator-was-the-limit".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "the generator was the limit: it offers no more than about {:.3} Mpps",
            load / 1e6
        ),
        advice: Some(
            "the device may be able to do more: generate on more cores, or on cores of their own"
                .to_owned(),
        ),
    }
}

/// A generator that can do more missed its schedule.
pub(super) fn generator_interrupted(load: f64, full: f64) -> Finding {
    Finding {
        code: "generator-interrupted".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "the generator missed its schedule at {:.3} Mpps, although it makes {:.3} at full speed",
            load / 1e6,
            full / 1e6
        ),
        advice: Some(
            "something else used its processor: measure on a machine that does nothing else"
                .to_owned(),
        ),
    }
}

/// Even the smallest load allowed was too much.
pub(super) fn no_lower_bound(goal: &str, repeats: usize, of: usize) -> Finding {
    Finding {
        code: "no-lower-bound".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{goal}: in {repeats} of {of} repeats even the smallest load allowed lost too much"
        ),
        advice: Some(
            "where loss does not fall with the load, something else than the device loses frames: \
             give it a core of its own, or ask for a goal that allows some loss"
                .to_owned(),
        ),
    }
}

/// The largest load allowed passed.
pub(super) fn no_upper_bound(goal: &str, repeats: usize, of: usize) -> Finding {
    Finding {
        code: "no-upper-bound".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{goal}: in {repeats} of {of} repeats the largest load allowed passed, so the device \
             can do at least that"
        ),
        advice: Some("allow a larger load, if the medium can carry more".to_owned()),
    }
}

/// The traffic allowed was used up.
pub(super) fn unfinished(goal: &str, repeats: usize, of: usize, limit: f64) -> Finding {
    Finding {
        code: "search-unfinished".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{goal}: in {repeats} of {of} repeats the bounds were not as close as the goals want after \
             {limit} s of traffic"
        ),
        advice: Some(
            "loss changes from trial to trial: give the device a core of its own, or allow more time"
                .to_owned(),
        ),
    }
}

/// The trials that the result rests on are shorter than the document wants.
pub(super) fn short_trials(seconds: f64, wanted: f64, source: &str) -> Finding {
    Finding {
        code: "short-trials".to_owned(),
        severity: Severity::Note,
        message: format!("trials of {seconds} s, where {source} wants {wanted} s"),
        advice: None,
    }
}

/// Fewer tests than the document wants.
pub(super) fn few_tests(tests: usize, wanted: usize, source: &str) -> Finding {
    Finding {
        code: "few-tests".to_owned(),
        severity: Severity::Note,
        message: format!("{tests} tests, where {source} wants at least {wanted}"),
        advice: None,
    }
}

/// The bench gives no latency.
pub(super) fn no_latency() -> Finding {
    Finding {
        code: "no-latency".to_owned(),
        severity: Severity::Warning,
        message: "frames came back without stamps, or not at all: there is no latency".to_owned(),
        advice: Some(
            "latency needs a program that sends frames on, and a profile with stamps".to_owned(),
        ),
    }
}

/// Back-to-back frames say nothing where the device keeps up.
pub(super) fn no_burst_limit(throughput: f64, rate: f64) -> Finding {
    Finding {
        code: "no-burst-limit".to_owned(),
        severity: Severity::Note,
        message: format!(
            "the device takes {:.3} Mpps, as many as can be sent ({:.3}): it has no need to store \
             frames, and no burst can show how many it could (RFC 9004 section 6.1)",
            throughput / 1e6,
            rate / 1e6
        ),
        advice: None,
    }
}

/// The longest burst that was allowed came through.
pub(super) fn burst_not_exhausted(seconds: f64) -> Finding {
    Finding {
        code: "burst-not-exhausted".to_owned(),
        severity: Severity::Warning,
        message: format!("bursts of {seconds} s, the longest that were sent, came through whole"),
        advice: Some("allow longer bursts".to_owned()),
    }
}

/// Trials were not used.
pub(super) fn trials_rejected(rejected: usize, of: usize, why: &str) -> Finding {
    Finding {
        code: "trials-rejected".to_owned(),
        severity: if rejected * 5 > of { Severity::Warning } else { Severity::Note },
        message: format!("{rejected} of {of} trials were rejected by what was observed: {why}"),
        advice: None,
    }
}

/// Fewer repeats than a median with a spread needs.
pub(super) fn few_repeats(repeats: usize) -> Finding {
    Finding {
        code: "few-repeats".to_owned(),
        severity: Severity::Note,
        message: match repeats {
            1 => "one repeat: too few to tell a change from noise; five are enough".to_owned(),
            _ => format!("{repeats} repeats: too few to tell a change from noise; five are enough"),
        },
        advice: None,
    }
}
