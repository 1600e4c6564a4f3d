use super::simulated::{Device, Simulation, Stop};
use super::*;
use crate::report::Search;

fn outcome(procedure: &Procedure, device: Device, rules: &Rules) -> Outcome {
    let mut device = Simulation::new(device, 1);
    let found = run(procedure, &mut [&mut device], rules, &mut |_| {}).remove(0);
    assert!(!device.held, "the device was not given back");
    found
}

fn once() -> Rules {
    Rules { repeats: 1, ..Rules::default() }
}

fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn quick() -> Throughput {
    Throughput { seconds: 0.25, final_seconds: 1.0, ..Throughput::default() }
}

#[test]
fn throughput_is_the_highest_load_of_which_nothing_is_lost() {
    for capacity in [1_234.0, 56_789.0, 1e6, 9_876_543.0] {
        let search = Procedure::Throughput(quick());
        let outcome = outcome(&search, Device::ideal(capacity), &Rules::default());
        assert_eq!(outcome.rates.len(), 5);
        for rate in &outcome.rates {
            assert!(*rate <= capacity && *rate >= capacity * 0.995 - 4.0, "{capacity}: {rate}");
        }
        for place in &outcome.basis {
            let trial = &outcome.trials[*place];
            assert!(trial.loss_ratio() == 0.0 && trial.order.seconds == 1.0, "{trial:?}");
        }
        assert_eq!(codes(&outcome), ["short-trials"]);
    }
}

#[test]
fn a_load_that_fails_its_long_trial_is_searched_again_below() {
    // The buffer hides the overload of short trials: 0.25 s * 0.02 Mpps = 5000 frames.
    let device = Device { buffer: 6_000.0, ..Device::ideal(1e6) };
    let outcome = outcome(&Procedure::Throughput(quick()), device, &once());
    assert!((outcome.rates[0] - 1.006e6).abs() < 6e3, "{:?}", outcome.rates);
    let long: Vec<_> = outcome.trials.iter().filter(|t| t.order.seconds == 1.0).collect();
    assert!(long.len() > 1 && long[0].loss_ratio() > 0.0, "the first long trial lost frames");
}

#[test]
fn a_device_that_always_loses_has_no_throughput() {
    let device = Device { gaps: 1000.0, gap: 0.01, ..Device::ideal(1e6) };
    let outcome = outcome(&Procedure::Throughput(quick()), device, &once());
    assert_eq!((outcome.rates.len(), outcome.ended.clone()), (0, Ended::Complete));
    assert!(codes(&outcome).contains(&"no-lower-bound"), "{:?}", codes(&outcome));
}

#[test]
fn latency_is_taken_at_the_throughput() {
    let latency = Latency { throughput: quick(), seconds: 1.0, ..Latency::default() };
    let found = outcome(&Procedure::Latency(latency), Device::ideal(1e6), &once());
    let Search::Latency { load, trials, typical, worst_case, delay_variation } = found.found else {
        panic!("{:?}", found.found);
    };
    assert!(trials == 20 && load > 0.99e6 && load <= 1e6, "{trials} {load}");
    assert!(typical < worst_case && delay_variation < worst_case, "{typical} {worst_case}");
    assert_eq!(codes(&found), ["short-trials"]);

    let few = Latency { load: Some(1e5), trials: 3, ..latency };
    assert!(
        codes(&outcome(&Procedure::Latency(few), Device::ideal(1e6), &once()))
            .contains(&"few-tests")
    );
}

#[test]
fn frame_loss_falls_until_two_loads_in_succession_lose_nothing() {
    let curve = FrameLoss { max_load: Some(2e6), seconds: 0.5, ..FrameLoss::default() };
    let found = outcome(&Procedure::FrameLoss(curve), Device::ideal(1.25e6), &Rules::default());
    let Search::FrameLoss { steps, .. } = &found.found else { panic!("{:?}", found.found) };
    let parts: Vec<i64> = steps.iter().map(|s| (s.part * 100.0).round() as i64).collect();
    assert_eq!(parts, [100, 90, 80, 70, 60, 50]);
    for step in steps {
        let expected = (1.0 - 1.25e6 / step.load).max(0.0);
        assert!((step.loss_ratio.median - expected).abs() < 1e-6, "{step:?}");
        assert_eq!(step.loss_ratio.runs, 5);
    }
    // One clean trial is not enough: here every other one is.
    let flapping = Device { flap: 0.1, ..Device::ideal(1.25e6) };
    let found = outcome(&Procedure::FrameLoss(curve), flapping, &once());
    let Search::FrameLoss { steps, .. } = &found.found else { panic!("{:?}", found.found) };
    assert!(steps.len() > 6, "{steps:?}");
}

#[test]
fn bursts_tell_how_much_a_device_stores() {
    let device = Device { buffer: 5_000.0, ceiling: 10e6, ..Device::ideal(4e6) };
    let bursts = BackToBack {
        rate: Some(8e6),
        throughput: Some(4e6),
        width: 0.001,
        ..BackToBack::default()
    };
    let found = outcome(&Procedure::BackToBack(bursts), device.clone(), &once());
    let Search::BackToBack(result) = &found.found else { panic!("{:?}", found.found) };
    // While n frames come at 8, n / 2 leave at 4: the longest burst is twice the buffer.
    let frames = result.frames.unwrap();
    assert!((frames.mean - 10_000.0).abs() <= 11.0 && frames.runs == 50, "{frames:?}");
    assert!((result.implied_seconds - 10_000.0 / 8e6).abs() < 2e-6, "{result:?}");
    assert!((result.corrected_seconds - 5_000.0 / 8e6).abs() < 1e-6, "{result:?}");
    assert!(codes(&found).is_empty() || codes(&found) == ["few-repeats"], "{:?}", codes(&found));

    let keeps_up = BackToBack { rate: Some(4e6), ..bursts };
    let found = outcome(&Procedure::BackToBack(keeps_up), device.clone(), &once());
    assert!(codes(&found).contains(&"no-burst-limit"), "{:?}", codes(&found));

    let short = BackToBack { longest: 0.000_5, tests: 2, ..bursts };
    let found = outcome(&Procedure::BackToBack(short), device.clone(), &once());
    assert!(codes(&found).contains(&"burst-not-exhausted"), "{:?}", codes(&found));

    let searched = BackToBack { rate: None, throughput: None, search: quick(), tests: 3, ..bursts };
    let found = outcome(&Procedure::BackToBack(searched), device, &once());
    let Search::BackToBack(result) = &found.found else { panic!("{:?}", found.found) };
    assert!((result.throughput - 4e6).abs() < 0.03e6 && result.rate == 9.5e6, "{result:?}");
}

#[test]
fn rejected_trials_are_repeated_and_counted_whatever_their_result() {
    let device = Device { disturbed: 0.3, ..Device::ideal(1e6) };
    let rules = Rules { repeats: 40, ..Rules::default() };
    let maximum = Procedure::Maximum(Maximum::default());
    let found = outcome(&maximum, device, &rules);
    let invalid = found.trials.iter().filter(|trial| !trial.valid()).count();
    assert!(found.rejected == invalid && invalid > 5, "{} {invalid}", found.rejected);
    assert_eq!((found.rates.len(), found.trials.len()), (40, 40 + invalid));
    assert!(found.basis.iter().all(|place| found.trials[*place].valid()));
    let finding = found.findings.iter().find(|f| f.code == "trials-rejected").unwrap();
    assert!(finding.message.contains("simulated-disturbance"), "{finding:?}");

    let hopeless = outcome(&maximum, Device { disturbed: 1.0, ..Device::ideal(1e6) }, &rules);
    assert_eq!((hopeless.ended, hopeless.trials.len()), (Ended::Rejected, rules.retries + 1));
}

#[test]
fn what_was_measured_stays_however_a_run_ends() {
    let soak = Procedure::Soak(Soak { load: 1e5, seconds: 1.0 });
    // Each turn is a trial that warms up and one that counts.
    for (halt, budget, ended, rates) in [
        (None, None, Ended::Complete, 5),
        (Some((7, Stop::Asked)), None, Ended::Stopped, 3),
        (Some((7, Stop::Gone)), None, Ended::Failed("the device is gone".to_owned()), 3),
        (None, Some(3.5), Ended::OutOfTime, 2),
        (None, Some(0.1), Ended::OutOfTime, 0),
    ] {
        let mut device = Simulation::new(Device::ideal(1e6), 1);
        device.halt = halt;
        let rules = Rules { budget, ..Rules::default() };
        let found = run(&soak, &mut [&mut device], &rules, &mut |_| {}).remove(0);
        assert_eq!((found.ended, found.rates.len()), (ended, rates), "{halt:?} {budget:?}");
        assert!(!device.held, "{halt:?} {budget:?}");
        assert!(budget.is_none_or(|budget| device.now().as_secs_f64() <= budget + 0.1));
    }
}

/// A bench that writes down whose turn it is.
struct Named<'a>(char, &'a std::cell::RefCell<String>, Simulation);

impl Bench for Named<'_> {
    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        self.2.trial(order)
    }

    fn begin(&mut self) -> Result<(), Halt> {
        self.1.borrow_mut().push(self.0);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        self.1.borrow_mut().push('.');
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        self.2.pause(time)
    }

    fn now(&self) -> Duration {
        self.2.now()
    }
}

#[test]
fn benches_take_turns_and_one_that_fails_does_not_end_the_others() {
    let turns = std::cell::RefCell::new(String::new());
    let named = |name| Named(name, &turns, Simulation::new(Device::ideal(1e6), 1));
    let (mut a, mut b, mut c) = (named('a'), named('b'), named('c'));
    b.2.halt = Some((2, Stop::Gone));
    let rules = Rules { repeats: 4, ..Rules::default() };
    let maximum = Procedure::Maximum(Maximum::default());
    let found = run(&maximum, &mut [&mut a, &mut b, &mut c], &rules, &mut |_| {});
    assert_eq!(turns.borrow().as_str(), "a.b.c.b.c.a.c.a.a.c.");
    let rates: Vec<usize> = found.iter().map(|outcome| outcome.rates.len()).collect();
    assert_eq!(rates, [4, 1, 4]);
    assert_eq!(found[1].ended, Ended::Failed("the device is gone".to_owned()));
}

#[test]
fn a_stop_ends_all_benches() {
    let (mut a, mut b) =
        (Simulation::new(Device::ideal(1e6), 1), Simulation::new(Device::ideal(1e6), 2));
    a.halt = Some((4, Stop::Asked));
    let maximum = Procedure::Maximum(Maximum::default());
    let found = run(&maximum, &mut [&mut a, &mut b], &Rules::default(), &mut |_| {});
    assert!(found.iter().all(|outcome| outcome.ended == Ended::Stopped), "{found:?}");
    assert!(found.iter().all(|outcome| outcome.rates.len() == 2), "{found:?}");
}

#[test]
fn progress_tells_what_is_under_way_and_how_long_it_takes_yet() {
    let mut device = Simulation::new(Device::ideal(1e6), 1);
    let (mut phases, mut bounds, mut left) = (Vec::new(), 0, Vec::new());
    let rules = Rules { repeats: 2, ..Rules::default() };
    run(&Procedure::Mlr(Mlr::default()), &mut [&mut device], &rules, &mut |progress| {
        phases.push(match progress.phase {
            Phase::WarmUp(_) => 'w',
            Phase::Trial(_) => 't',
            Phase::Done { accepted, .. } => {
                if accepted {
                    'd'
                } else {
                    'r'
                }
            }
        });
        bounds = bounds.max(progress.bounds.iter().filter(|b| b.lower.is_some()).count());
        left.push(progress.left);
    });
    assert_eq!(phases.iter().filter(|phase| **phase == 'w').count(), 2);
    assert_eq!(phases[..3], ['w', 't', 'd']);
    assert_eq!(bounds, 2, "both goals had a lower bound in the end");
    assert_eq!(left[0], None);
    let second: Vec<f64> = left.into_iter().flatten().collect();
    assert!(second.windows(2).all(|pair| pair[1] <= pair[0]) && *second.last().unwrap() < 0.5);
}

#[test]
fn procedures_and_rules_are_data() {
    for procedure in [
        Procedure::Maximum(Maximum::default()),
        Procedure::Soak(Soak { load: 1e6, seconds: 60.0 }),
        Procedure::Throughput(Throughput::default()),
        Procedure::Latency(Latency::default()),
        Procedure::FrameLoss(FrameLoss::default()),
        Procedure::BackToBack(BackToBack::default()),
        Procedure::Mlr(Mlr::default()),
    ] {
        let text = serde_json::to_string(&procedure).unwrap();
        assert_eq!(serde_json::from_str::<Procedure>(&text).unwrap(), procedure, "{text}");
    }
    let rules: Rules = serde_json::from_str(r#"{"repeats": 9}"#).unwrap();
    assert_eq!(rules, Rules { repeats: 9, ..Rules::default() });
}
