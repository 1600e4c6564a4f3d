//! The package MLRsearch of PyPI as a second opinion: its answers were recorded by
//! `benches/oracle/mlrsearch.py`, which makes the same histories as this does.

use super::Mlr;
use super::classify::{Class, Observed, Target};
use crate::random::Random;
use crate::report::Search;
use crate::search::simulated::{Device, Simulation};
use crate::search::{Procedure, Rules, run};

const ANSWERS: &str = include_str!("../../../oracle/mlrsearch.txt");

/// A goal and trials at one load, as the script makes them.
fn history(random: &mut Random) -> (Target, Vec<Observed>) {
    fn choice(random: &mut Random, values: &[f64]) -> f64 {
        values[random.below(values.len())]
    }
    let seconds = choice(random, &[0.25, 0.5, 1.0, 2.0, 60.0]);
    let duration_sum = seconds * choice(random, &[1.0, 2.0, 3.0, 7.0, 21.0]);
    let loss = choice(random, &[0.0, 1_000.0, 5_000.0]);
    let exceed_ratio = choice(random, &[0.0, 0.2, 0.25, 0.5, 0.75]);
    let target =
        Target { seconds, duration_sum, loss_ratio: loss / 1e6, exceed_ratio, width: 0.005 };
    let trials = (0..random.below(26))
        .map(|_| {
            let part = choice(random, &[0.25, 0.5, 1.0, 2.0]);
            let lost = [0.0, loss / 2.0, loss, loss * 2.0, 10_000.0, 1_000_000.0];
            let loss_ratio = choice(random, &lost) / 1e6;
            Observed { seconds: seconds * part, loss_ratio, offered: true }
        })
        .collect();
    (target, trials)
}

#[test]
fn ten_thousand_random_histories_are_classified_as_the_package_does() {
    let answers = ANSWERS.lines().filter(|line| !line.starts_with(['#', 's']));
    let (mut random, mut seen) = (Random::new(9971), [0; 3]);
    for (number, answer) in answers.enumerate() {
        let (target, trials) = history(&mut random);
        let (letter, at) = match target.classify(&target.sums(&trials)) {
            Class::Lower => ("L", 0),
            Class::Upper => ("U", 1),
            Class::Undecided => ("?", 2),
        };
        seen[at] += 1;
        let loss = target.quantile_loss(&trials);
        let loss = loss.map_or_else(|| "-".to_owned(), |loss| (loss * 1e6).round().to_string());
        assert_eq!(format!("{letter} {loss}"), answer, "history {number}: {target:?} {trials:?}");
    }
    assert_eq!(seen.iter().sum::<usize>(), 10_000);
    assert!(seen.iter().all(|n| *n > 1_000), "{seen:?}");
}

#[test]
fn an_ideal_device_gets_the_result_that_the_package_finds() {
    let searches = ANSWERS.lines().filter_map(|line| line.strip_prefix("search "));
    let mut count = 0;
    for search in searches {
        let numbers: Vec<f64> = search.split(' ').map(|n| n.parse().unwrap()).collect();
        let mut device = Simulation::new(Device::ideal(numbers[0]), 1);
        let procedure = Procedure::Mlr(Mlr {
            min_load: Some(10_000.0),
            max_load: Some(20_000_000.0),
            ..Mlr::default()
        });
        let rules = Rules { repeats: 1, ..Rules::default() };
        let outcomes = run(&procedure, &mut [&mut device], &rules, &mut |_| {});
        let Search::Mlr { goals, .. } = &outcomes[0].found else { panic!("{outcomes:?}") };
        for (found, package) in goals.iter().zip(&numbers[1..]) {
            let lower = found.lower.unwrap().median;
            let apart = (lower - package).abs() / package;
            // Both are within one width below the truth, at a place of their own.
            assert!(apart <= 2.0 * found.goal.width, "{search}: {} {lower}", found.goal.name);
        }
        count += 1;
    }
    assert_eq!(count, 5);
}
