use super::*;
use crate::random::Random;
use crate::report::sample;
use crate::search::{Maximum, Procedure};
use crate::trial::Finding;

fn cell(mpps: f64, seed: u64) -> Report {
    let maximum = Procedure::Maximum(Maximum::default());
    let native = ("native", "xdp");
    let cell = sample::cell(native, ("64", 64.0), &maximum, sample::device(mpps), seed);
    Report { results: vec![cell], ..sample::report(0) }
}

fn one(before: &Report, after: &Report) -> Compared {
    compare(before, after, &Options::default()).cells.remove(0)
}

/// Both reports with these rates.
fn rates(before: &[f64], after: &[f64]) -> Compared {
    let with = |rates: &[f64]| {
        let mut report = cell(5.0, 1);
        report.results[0].rates = rates.to_vec();
        report.results[0].pps = Summary::of(rates);
        report
    };
    one(&with(before), &with(after))
}

#[test]
fn changes_are_told_from_noise_and_from_trifles() {
    use Verdict::{Faster, Same, Slower, Unclear};
    let base = [5.00e6, 5.01e6, 5.02e6, 5.03e6, 5.04e6];
    let times = |factor: f64| base.map(|rate| rate * factor);
    for (what, after, verdict) in [
        ("nothing", base, Same),
        ("a steady trifle", times(0.97), Same),
        ("a tenth less", times(0.9), Slower),
        ("a tenth more", times(1.1), Faster),
        ("less, but for one repeat", [4.5e6, 4.5e6, 4.5e6, 4.5e6, 5.05e6], Unclear),
        ("all over the place", [2.0e6, 9.0e6, 4.0e6, 8.0e6, 3.0e6], Unclear),
    ] {
        let found = rates(&base, &after);
        assert_eq!(found.verdict, verdict, "{what}: {found:?}");
        let interval = found.interval.unwrap();
        let ratio = found.ratio.unwrap();
        assert!(interval.low <= ratio && ratio <= interval.high, "{what}: {found:?}");
    }
    let few = rates(&base[..3], &times(0.5)[..3]);
    assert_eq!((few.verdict, few.interval), (Unclear, None));
    assert!(few.reasons[0].contains("too few"), "{few:?}");
}

/// A rate under the noise of one kind.
fn noisy(kind: &str, random: &mut Random) -> f64 {
    5e6 * match kind {
        "steady" => 1.0 + 0.002 * random.normal(),
        "drifting" => 1.0 + 0.05 * random.normal(),
        "wild" => (0.3 * random.normal()).exp(),
        // As a generator and its device on two processors of a virtual machine: now 5, now 9.
        _ => [1.0, 1.8][random.below(2)] * (1.0 + 0.03 * random.normal()),
    }
}

#[test]
fn false_alarms_are_as_rare_as_promised() {
    let mut random = Random::new(3);
    let options = Options { least_effect: 0.0, ..Options::default() };
    for kind in ["steady", "drifting", "wild", "two-faced"] {
        let mut alarms = 0;
        for _ in 0..5_000 {
            let mut draw =
                || -> Vec<f64> { (0..5).map(|_| noisy(kind, &mut random).ln()).collect() };
            let shift = rank::shift(&draw(), &draw(), options.confidence).unwrap();
            let verdict = judge(&shift, &options);
            alarms += usize::from(matches!(verdict, Verdict::Faster | Verdict::Slower));
        }
        // 2 of 252 arrangements are extreme: 0.79 %, plus three standard errors.
        assert!(alarms < 60, "{kind}: {alarms} of 5000");
    }
}

#[test]
fn regressions_are_found_in_spite_of_noise() {
    let mut random = Random::new(4);
    let options = Options::default();
    let mut found = 0;
    for _ in 0..2_000 {
        let mut draw = |factor: f64| -> Vec<f64> {
            (0..5).map(|_| (factor * (1.0 + 0.02 * random.normal())).ln()).collect()
        };
        let shift = rank::shift(&draw(1.0), &draw(0.88), options.confidence).unwrap();
        found += usize::from(judge(&shift, &options) == Verdict::Slower);
    }
    assert!(found > 1_900, "{found} of 2000");
}

#[test]
fn simulated_devices_compare_as_they_are() {
    assert_eq!(one(&cell(7.0, 1), &cell(7.0, 2)).verdict, Verdict::Same);
    assert_eq!(one(&cell(7.0, 1), &cell(6.2, 2)).verdict, Verdict::Slower);
    let faster = one(&cell(6.2, 1), &cell(7.0, 2));
    assert_eq!(faster.verdict, Verdict::Faster);
    assert!(faster.line().contains("times the rate ("), "{}", faster.line());
}

#[test]
fn other_circumstances_are_named_and_prevent_a_verdict() {
    let before = cell(7.0, 1);
    let change = |change: &dyn Fn(&mut Report)| {
        let mut after = cell(5.0, 2);
        change(&mut after);
        compare(&before, &after, &Options::default())
    };
    type Change = Box<dyn Fn(&mut Report)>;
    let machine = |name: &'static str, value: &'static str| -> Change {
        Box::new(move |report| {
            report.environment.machine.insert(name.to_owned(), value.to_owned());
        })
    };
    let cases: [(&str, Change); 5] = [
        (
            "kernel: 6.18.44 before, 7.0 after",
            Box::new(|r| r.environment.kernel = "7.0".to_owned()),
        ),
        ("cpu: AMD EPYC 9R45 before, another after", machine("cpu", "another")),
        ("governor: not known before, powersave after", machine("governor", "powersave")),
        ("smt: not known before, on after", machine("smt", "on")),
        (
            "v0 driver: veth before, ice after",
            Box::new(|report| {
                let facts = report.environment.devices.get_mut("v0").unwrap();
                facts.insert("driver".to_owned(), "ice".to_owned());
            }),
        ),
    ];
    for (words, by) in cases {
        let found = change(&*by);
        assert_eq!(found.verdict, Verdict::Incomparable, "{words}");
        assert_eq!(found.differences, [words]);
        assert!(found.sentence().contains(words), "{}", found.sentence());
    }
    let harmless = change(&*machine("load_average", "0.00 0.00 0.00"));
    assert_eq!(harmless.verdict, Verdict::Slower, "{:?}", harmless.differences);

    let mut after = cell(5.0, 2);
    after.environment.kernel = "7.0".to_owned();
    let across = Options { across: true, ..Options::default() };
    let found = compare(&before, &after, &across);
    assert_eq!((found.verdict, found.differences.len()), (Verdict::Slower, 1));
}

#[test]
fn cells_that_cannot_be_compared_say_why() {
    let before = cell(7.0, 1);
    let reason = |change: &dyn Fn(&mut Measurement)| {
        let mut after = cell(5.0, 2);
        change(&mut after.results[0]);
        let found = one(&before, &after);
        assert_eq!(found.verdict, Verdict::Incomparable);
        found.reasons.join("; ")
    };
    let invalid = Finding {
        code: "no-napi".to_owned(),
        severity: Severity::Invalid,
        message: "the peer does not poll".to_owned(),
        advice: None,
    };
    assert!(reason(&|cell| cell.pps = None).contains("no rate"));
    assert!(reason(&|cell| cell.findings.push(invalid.clone())).contains("does not poll"));
    assert!(reason(&|cell| cell.frame_bytes = 128.0).contains("128 after"));
    assert!(reason(&|cell| cell.ended = Ended::Rejected).contains("did not come to its end"));

    let mut after = cell(7.0, 1);
    after.results[0].engine = "generic".to_owned();
    let found = compare(&before, &after, &Options::default());
    let verdicts: Vec<_> = found.cells.iter().map(|cell| cell.verdict).collect();
    assert_eq!(verdicts, [Verdict::Incomparable; 2]);
    assert!(found.cells[0].reasons[0].contains("the second report has no such cell"));
}

#[test]
fn the_worst_cell_decides() {
    let (mut before, mut after) = (sample::report(1), sample::report(2));
    assert_eq!(compare(&before, &after, &Options::default()).verdict, Verdict::Same);
    after.results[3].rates.iter_mut().for_each(|rate| *rate *= 1.5);
    assert_eq!(compare(&before, &after, &Options::default()).verdict, Verdict::Faster);
    after.results[4].rates.iter_mut().for_each(|rate| *rate *= 0.5);
    let found = compare(&before, &after, &Options::default());
    assert_eq!(found.verdict, Verdict::Slower);
    assert!(found.sentence().starts_with("1 of 28 cells slower"), "{}", found.sentence());
    before.results.clear();
    after.results.clear();
    let nothing = compare(&before, &after, &Options::default());
    assert_eq!(nothing.verdict, Verdict::Incomparable);
    assert!(nothing.sentence().contains("nothing to compare"));
}
