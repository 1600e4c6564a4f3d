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

use crate::profile::Profile;
use crate::report::{Environment, Floor, Report, SCHEMA};
use crate::search::{self, Bench, Ended, Procedure, Progress, Rules};

mod cell;
mod control;
pub mod environment;
pub mod floors;
mod place;
mod recipe;
mod seat;
mod sender;
mod subject;
mod traffic;
mod work;

pub use place::Place;
pub use recipe::{Prepared, Recipe, Wanted};
pub use sender::{Sender, Sending};
pub use subject::{Carrier, Mode, Subject};
pub use traffic::{apart, processors, queues_for};

use seat::Seat;

/// What [`crate::meter::floors::generator`] calls its floor.
const GENERATOR: &str = "generator alone";

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Programs under test.
    pub subjects: Vec<Subject>,
    /// What carries them, in the order of the report.
    pub carriers: Vec<Carrier>,
    /// Which frames are sent.
    pub profiles: Vec<Profile>,
    /// Numbers of processors that generate.
    pub cores: Vec<u32>,
    /// What makes them.
    pub maker: Maker,
    /// Processors on which kernel threads poll the device; they do not generate.
    pub taken: Vec<u32>,
    /// Whether trials stand although others use the machine; they are warned of either way.
    pub shared: bool,
    /// Frames that a remote sender says it sends in each trial.
    pub expected: Option<u64>,
    /// Whether frames carry the times at which they were to be sent and were, so that latency can be
    /// told where they come back; which costs the generator some rate.
    pub stamped: bool,
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
    pub at: usize,
    /// How many groups there are.
    pub of: usize,
    /// The program of this group.
    pub program: &'a str,
    /// Its traffic.
    pub profile: &'a str,
    /// The carrier whose turn it is.
    pub carrier: Carrier,
    /// Where the search over the group stands.
    pub search: &'a Progress<'a>,
}

/// What makes frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maker {
    /// A program within the kernel.
    #[default]
    Live,
    /// AF_XDP sockets.
    AfXdp,
    /// Packet sockets.
    AfPacket,
}

/// Frames, and who makes them.
#[derive(Clone, Copy, Debug)]
struct Mix<'a> {
    profile: &'a Profile,
    cpus: &'a [u32],
    maker: Maker,
    /// Processors on which kernel threads poll the device.
    napi_cpus: &'a [u32],
    stamped: bool,
    /// Whether trials stand although others use the machine.
    shared: bool,
    /// Frames per second that the generator makes when nobody takes them.
    floor: Option<f64>,
    /// Frames that a remote sender says it sends.
    expected: Option<u64>,
}

/// What is compared: one program under one kind of traffic, searched in one way.
#[derive(Clone, Copy, Debug)]
struct Group<'a> {
    subject: &'a Subject,
    profile: &'a Profile,
    cores: u32,
    procedure: &'a Procedure,
}

impl Scenario {
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups = Vec::new();
        for subject in &self.subjects {
            for profile in &self.profiles {
                for cores in self.cores.iter().copied() {
                    let group = |procedure| Group { subject, profile, cores, procedure };
                    groups.extend(self.procedures.iter().map(group));
                }
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
        floors: Vec<Floor>,
        watch: &mut dyn FnMut(&Stand<'_>),
    ) -> Result<Report, Error> {
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            environment,
            recipe: Vec::new(),
            floors: floors.clone(),
            results: Vec::new(),
            findings: Vec::new(),
            interrupted: false,
        };
        let mut failed = None;
        let groups = self.groups();
        for (at, group) in groups.iter().copied().enumerate() {
            if tools.stop.load(Ordering::Relaxed) {
                break;
            }
            let cpus = match place.far {
                Some(_) => traffic::processors(group.cores, &self.taken)?,
                None => Vec::new(),
            };
            let floor = floors.iter().find(|floor| floor.name == GENERATOR);
            let mix = Mix {
                profile: group.profile,
                cpus: &cpus,
                maker: self.maker,
                napi_cpus: &self.taken,
                stamped: self.stamped,
                shared: self.shared,
                floor: floor.map(|floor| floor.pps.median * f64::from(group.cores)),
                expected: self.expected,
            };
            let seat = |carrier: &Carrier| Seat::new(*carrier, group.subject, place, tools, mix);
            let mut seats: Vec<Seat<'_>> = self.carriers.iter().map(seat).collect();
            let mut benches: Vec<&mut dyn Bench> =
                seats.iter_mut().map(|seat| seat as &mut dyn Bench).collect();
            let mut tell = |search: &Progress<'_>| {
                let carrier = self.carriers[search.bench];
                let (program, profile) = (&*group.subject.name, &*group.profile.name);
                watch(&Stand { at, of: groups.len(), program, profile, carrier, search });
            };
            let outcomes = search::run(group.procedure, &mut benches, &self.rules, &mut tell);
            for (mut seat, outcome) in seats.into_iter().zip(outcomes) {
                failed = failed.or(seat.error.take());
                report.results.push(cell::measurement(&seat, &group, outcome));
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
