//! A report of simulated devices, for tests.

use std::collections::BTreeMap;

use super::{Environment, Floor, Measurement, Report, SCHEMA, Step};
use crate::search::simulated::{Device, Simulation};
use crate::search::{Bench, FrameLoss, Latency, Maximum, Mlr, Procedure, Rules, Soak, run};
use crate::stats::Summary;
use crate::trial::{Cpu, Finding, Severity};

/// Engines with their hooks, and millions of packets per second that each takes.
const ENGINES: [(&str, &str, f64); 5] = [
    ("native", "xdp", 7.03),
    ("generic", "xdp", 2.69),
    ("tc", "tcx", 2.42),
    ("tc", "clsact", 2.21),
    ("user", "af_xdp", 3.72),
];

/// A machine.
pub(crate) fn environment() -> Environment {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    Environment {
        hoist: "0.1.0".to_owned(),
        started: "2026-11-20T23:59:01Z".to_owned(),
        kernel: "6.18.44".to_owned(),
        machine: map(&[
            ("cpu", "AMD EPYC 9R45"),
            ("cpus", "0-1"),
            ("governor", ""),
            ("hypervisor", "KVM"),
            ("mitigations", "spectre_v2: Mitigation: Enhanced / Automatic IBRS"),
        ]),
        devices: [("v0".to_owned(), map(&[("driver", "veth"), ("mtu", "1500")]))].into(),
        command: ["hoist", "bench", "--json"].map(str::to_owned).to_vec(),
    }
}

/// One cell, measured on a simulated device.
pub(crate) fn cell(
    (engine, hook): (&str, &str),
    (profile, frame_bytes): (&str, f64),
    procedure: &Procedure,
    device: Device,
    seed: u64,
) -> Measurement {
    let mut device = Simulation::new(device, seed);
    let mut benches: [&mut dyn Bench; 1] = [&mut device];
    let outcome = run(procedure, &mut benches, &Rules::default(), &mut |_| {}).remove(0);
    let basis = || outcome.basis.iter().map(|place| &outcome.trials[*place]);
    let lost = basis().map(|t| t.loss_ratio()).sum::<f64>() / basis().count().max(1) as f64;
    Measurement {
        engine: engine.to_owned(),
        hook: hook.to_owned(),
        program: "drop".to_owned(),
        profile: profile.to_owned(),
        frame_bytes,
        cores: 1,
        measured_by: "real traffic".to_owned(),
        search: outcome.found.clone(),
        pps: Summary::of(&outcome.rates),
        rates: outcome.rates.clone(),
        loss_ratio: lost,
        ended: outcome.ended.clone(),
        latency: basis().next().and_then(|trial| trial.latency.clone()),
        ledger: outcome.trials[0].ledger.clone(),
        nanoseconds: Some(142.3),
        cycles: Some(369.0),
        trials: outcome.trials.clone(),
        rejected: outcome.rejected,
        findings: outcome.findings,
    }
}

/// A device that takes that many million packets per second, with the noise of a virtual machine.
pub(crate) fn device(mpps: f64) -> Device {
    Device { capacity: mpps * 1e6, ceiling: mpps * 1e6, ..Device::inline() }
}

/// The matrix of engines and frame sizes at full speed, and searches on two of them.
pub(crate) fn report(seed: u64) -> Report {
    let mut results = Vec::new();
    let maximum = Procedure::Maximum(Maximum::default());
    for (number, (engine, hook, mpps)) in ENGINES.into_iter().enumerate() {
        for (name, bytes) in [("64", 64.0), ("512", 512.0), ("imix", 353.83), ("1518", 1518.0)] {
            let slower = 1.0 - bytes / 40_000.0;
            let seed = seed * 100 + number as u64 * 10 + bytes as u64;
            results.push(cell(
                (engine, hook),
                (name, bytes),
                &maximum,
                device(mpps * slower),
                seed,
            ));
        }
    }
    let split = |mpps: f64| Device { capacity: mpps * 1e6, ..Device::split() };
    let loss = Procedure::FrameLoss(FrameLoss { seconds: 1.0, ..FrameLoss::default() });
    let latency = Procedure::Latency(Latency { load: Some(1.5e6), ..Latency::default() });
    let soak = Procedure::Soak(Soak { load: 2e6, seconds: 10.0 });
    for (engine, hook, mpps) in [ENGINES[0], ENGINES[1]] {
        for procedure in
            [Procedure::Mlr(Mlr::default()), loss.clone(), latency.clone(), soak.clone()]
        {
            results.push(cell((engine, hook), ("64", 64.0), &procedure, split(mpps), seed));
        }
    }
    results[0].trials[0].cpus =
        vec![Cpu { cpu: 0, role: "generator".to_owned(), busy: 0.998, steal: 0.001, foreign: 0.0 }];
    let floor = |name: &str, about: &str, rates: &[f64]| {
        Summary::of(rates).map(|pps| Floor { name: name.to_owned(), about: about.to_owned(), pps })
    };
    let floors = [
        floor("generator alone", "frames made and thrown away again", &[16.2e6, 16.4e6, 16.5e6]),
        floor("bounce", "one hop between two XDP_TX programs", &[19.5e6, 19.6e6, 19.65e6]),
    ];
    Report {
        schema: SCHEMA.to_owned(),
        environment: environment(),
        recipe: vec![Step {
            command: "ethtool -K v0 gro on".to_owned(),
            why: "a veth polls only with GRO".to_owned(),
            before: Some("off".to_owned()),
        }],
        floors: floors.into_iter().flatten().collect(),
        results,
        findings: vec![Finding {
            code: "shared-processor".to_owned(),
            severity: Severity::Warning,
            message: "generator and program share processor 0".to_owned(),
            advice: Some("give the device a core of its own".to_owned()),
        }],
        interrupted: false,
    }
}
