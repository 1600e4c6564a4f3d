//! What the harness itself costs on a place, measured before anything else.

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Lab;
use hoist_offload::Error;

use super::{Place, Tools, traffic, work};
use crate::generator::Live;
use crate::generator::Options;
use crate::meter::Traffic;
use crate::meter::floors::{self, Effort};
use crate::profile::{Ends, Frames, Profile};
use crate::report::Floor;
use crate::trial::{Finding, Severity};

/// A floor is steadier than what stands on it.
const RUNS: usize = 3;
const SECONDS: f64 = 0.3;

/// Measures the floors: all of them on interfaces that were made for the occasion, on those of others
/// what takes no program of theirs away.
///
/// # Errors
/// The generator does not work at all. Floors that cannot be measured are findings.
pub fn measure(
    place: &Place,
    tools: &Tools<'_>,
    profile: &Profile,
    shared: bool,
) -> Result<(Vec<Floor>, Vec<Finding>), Error> {
    let (near, Some(far)) = (&place.near, &place.far) else { return Ok((Vec::new(), Vec::new())) };
    let kernel = tools.kernel;
    let effort = Effort { runs: RUNS, seconds: SECONDS, limits: work::limits(shared) };
    let cpus = traffic::processors(1, &[])?;
    let ends = Ends::between(far.mac, near.mac).v4(Lab::FAR, Lab::NEAR);
    let frames = || {
        let frames = Frames::of(profile, ends, false);
        frames.map_err(|error| Error::Input { what: error.to_string(), hint: None })
    };
    let frame = frames()?.longest().to_vec();
    let traffic = || -> Result<Box<dyn Traffic>, Failure> {
        let live = Live::new(kernel.clone(), far.ifindex, frames()?, Options::on(&cpus))?;
        Ok(Box::new(live))
    };
    let (mut measured, mut findings) = (Vec::new(), Vec::new());
    let mut note = |name: &str, outcome: Result<Vec<Floor>, Failure>| match outcome {
        Ok(floors) => measured.extend(floors),
        Err(error) => findings.push(Finding {
            code: "floor-not-measured".to_owned(),
            severity: Severity::Note,
            message: format!("the floor '{name}' could not be measured: {error}"),
            advice: None,
        }),
    };
    note(
        "generator alone",
        far.namespace.run(|| Ok(vec![floors::generator(kernel, &frame, effort)?])),
    );
    if place.is_made() {
        note("empty program", {
            let floor = traffic()
                .and_then(|traffic| floors::empty_program(kernel, far, near, traffic, effort));
            floor.map(|(floor, _)| vec![floor])
        });
        note("bounce", floors::bounce(kernel, near, far, &frame, effort).map(|floor| vec![floor]));
        note("meter", floors::meter(far, near, traffic, effort).map(Vec::from));
    }
    Ok((measured, findings))
}
