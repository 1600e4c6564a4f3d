//! Frames that bounce, and the floors.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hoist_benches::meter::floors::{self, Effort};
use hoist_benches::meter::{Length, Limits, Reading, bounce};
use hoist_benches::stamp::Stamp;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::EngineKind;

use crate::world::{frame, generator, kernel, lab, under_test};

/// Tests run together.
const ANYHOW: Limits = Limits {
    foreign_warning: 1.1,
    foreign_invalid: 1.1,
    steal_warning: 1.1,
    steal_invalid: 1.1,
    least_offered: 0.0,
};

const SHORT: Length =
    Length { warm_up: Duration::from_millis(20), window: Duration::from_millis(100) };

fn bounce(lab: &Lab) -> Result<bounce::Bounce, Box<dyn std::error::Error + Send + Sync>> {
    let frame = frame(lab, Stamp::default(), 18);
    bounce::measure(&kernel(), lab.near(), lab.far(), frame, SHORT, &AtomicBool::new(false))
}

#[test]
fn frames_bounce_until_a_program_is_taken_off() {
    if !require::veth("frames_bounce_until_a_program_is_taken_off") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let dut = under_test(&lab, "swap_tx", EngineKind::Native).unwrap();
    for _ in 0..2 {
        let found = bounce(&lab).unwrap();
        assert_eq!(found.lost, 0, "{found:?}");
        assert!(found.pps > 0.0 && found.hops > found.pps, "{found:?}");
        let still = Reading::of(lab.near()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let more = Reading::of(lab.near()).unwrap().since(&still);
        assert_eq!(more.statistic("rx_packets").packets, 0, "they bounce on");
    }
    drop(dut);
}

#[test]
fn a_program_that_sends_nothing_back_is_named() {
    if !require::veth("a_program_that_sends_nothing_back_is_named") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let _dut = under_test(&lab, "drop", EngineKind::Native).unwrap();
    let error = bounce(&lab).unwrap_err().to_string();
    assert!(error.contains("v0") && error.contains("XDP_TX"), "{error}");
}

#[test]
fn every_floor_is_a_rate() {
    if !require::veth("every_floor_is_a_rate") {
        return;
    }
    let lab = lab();
    let (kernel, effort) = (kernel(), Effort { runs: 2, seconds: 0.05, limits: ANYHOW });
    let frame = frame(&lab, Stamp::default(), 18);
    let mut found = vec![floors::generator(&kernel, &frame, effort).unwrap()];
    let traffic = generator(&lab);
    let (near, far) = (lab.near(), lab.far());
    found.push(floors::empty_program(&kernel, far, near, traffic, effort).unwrap().0);
    found.push(floors::bounce(&kernel, near, far, &frame, effort).unwrap());
    found.extend(floors::meter(far, near, || Ok(generator(&lab)), effort).unwrap());
    let names: Vec<&str> = found.iter().map(|floor| floor.name.as_str()).collect();
    let expected =
        ["generator alone", "empty program", "bounce", "meter: counted", "meter: not counted"];
    assert_eq!(names, expected);
    for floor in found {
        assert!(floor.pps.min > 0.0 && floor.pps.runs == 2, "{floor:?}");
    }
}
