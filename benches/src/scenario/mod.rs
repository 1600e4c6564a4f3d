//! Scenarios: a matrix of engines, programs, traffic profiles and processors, measured on a veth pair
//! made for the occasion, on interfaces that somebody names, or against a generator on another machine.
//!
//! ```text
//!  Place (two ends of a wire) + Recipe (what is changed on them, put back at the end)
//!    for each program, profile, number of cores:      a group, one search over all its carriers
//!      each turn of a carrier (engine or control):    attach, warm up, trials, detach
//!    -> one Measurement per cell, one Report
//! ```
//!
//! Within a group turns interleave ([`crate::search::run`]): what drifts meanwhile meets every carrier
//! alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_bpf::kernel::Kernel;
use hoist_offload::{Error, Host, Registry};

use crate::report::{Environment, Report, SCHEMA};
use crate::search::{self, Bench, Ended, Procedure, Progress, Rules};

mod cell;
mod control;
pub mod environment;
mod place;
mod recipe;
mod seat;
mod subject;
mod traffic;

pub use place::Place;
pub use recipe::{Prepared, Recipe, Wanted};
pub use subject::{Carrier, Mode, Subject};

use seat::Seat;

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Programs under test.
    pub subjects: Vec<Subject>,
    /// What carries them, in the order of the report.
    pub carriers: Vec<Carrier>,
    /// Numbers of processors that generate.
    pub cores: Vec<u32>,
    /// What is searched for in each cell, one after the other.
    pub procedures: Vec<Procedure>,
    /// What every trial keeps to.
    pub rules: Rules,
}

/// What a scenario works with.
#[derive(Clone, Copy, Debug)]
pub struct Tools<'a> {
    /// Engines and drivers.
    pub registry: &'a Registry,
    /// Where facts come from.
    pub host: &'a dyn Host,
    /// What can be changed.
    pub kernel: &'a Arc<dyn Kernel>,
    /// Set when the user wants no more.
    pub stop: &'a Arc<AtomicBool>,
}

/// How far a scenario has come.
#[derive(Debug)]
pub struct Stand<'a> {
    /// Which group, from 0.
    pub group: usize,
    /// How many groups there are.
    pub groups: usize,
    /// The program of this group.
    pub program: &'a str,
    /// The carrier whose turn it is.
    pub carrier: Carrier,
    /// Where the search over the group stands.
    pub search: &'a Progress<'a>,
}

impl Scenario {
    /// What is compared: one program under one kind of traffic, searched in one way.
    fn groups(&self) -> Vec<(&Subject, u32, &Procedure)> {
        let mut groups = Vec::new();
        for subject in &self.subjects {
            for cores in &self.cores {
                groups.extend(self.procedures.iter().map(|p| (subject, *cores, p)));
            }
        }
        groups
    }

    /// Measures every cell. What was asked to stop ends with what was measured until then.
    ///
    /// # Errors
    /// No cell could be measured, and not for a refusal: the device is gone, permission is missing. What
    /// concerns single cells is in their findings instead.
    pub fn run(
        &self,
        place: &Place,
        tools: &Tools<'_>,
        environment: Environment,
        watch: &mut dyn FnMut(&Stand<'_>),
    ) -> Result<Report, Error> {
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            environment,
            recipe: Vec::new(),
            floors: Vec::new(),
            results: Vec::new(),
            findings: Vec::new(),
            interrupted: false,
        };
        let mut failed = None;
        let groups = self.groups();
        for (group, (subject, cores, procedure)) in groups.iter().copied().enumerate() {
            if tools.stop.load(Ordering::Relaxed) {
                break;
            }
            let seat = |carrier: &Carrier| {
                let traffic = traffic::of(place, tools.kernel)?;
                Ok(Seat::new(*carrier, cores, subject, place, tools, traffic))
            };
            let seats: Result<Vec<Seat<'_>>, Error> = self.carriers.iter().map(seat).collect();
            let mut seats = seats?;
            let mut benches: Vec<&mut dyn Bench> =
                seats.iter_mut().map(|seat| seat as &mut dyn Bench).collect();
            let mut tell = |search: &Progress<'_>| {
                let carrier = self.carriers[search.bench];
                let program = &*subject.name;
                watch(&Stand { group, groups: groups.len(), program, carrier, search });
            };
            let outcomes = search::run(procedure, &mut benches, &self.rules, &mut tell);
            for (mut seat, outcome) in seats.into_iter().zip(outcomes) {
                failed = failed.or(seat.error.take());
                report.results.push(cell::measurement(&seat, subject, outcome));
            }
        }
        report.interrupted = tools.stop.load(Ordering::Relaxed);
        let measured = |ended: &Ended| !matches!(ended, Ended::Failed(_));
        match failed {
            Some(error) if !report.results.iter().any(|r| measured(&r.ended)) => Err(error),
            _ => Ok(report),
        }
    }
}
