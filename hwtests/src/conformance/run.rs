//! The runner: case files times engines, by real traffic and by test run.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use hoist_bpf::module::Module;
use hoist_bpf::requirements::Feature;
use hoist_offload::engine::{DryRun, Outcome as Run};
use hoist_offload::plan::Choice;
use hoist_offload::{
    AttachPolicy, Driver, Engine, EngineKind, Gap, Hook, Job, Prepared, Registry, Wanted,
};

use super::case::Setup;
use super::expected::Expected;
use super::fire::{self, Range, Stand};
use super::machines::Way;
use super::place::Place;
use super::reference::Reference;
use super::report::{CaseResult, Environment, Evidence, Outcome, Report};
use super::shot::{self, Shot};
use super::tables::{self, Tables};
use super::{Source, compare, contract, expectations, judge, normalise};
use crate::dut::{self, Failure};
use crate::frame::notation::Names;
use crate::lab::Port;

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The engines, in this order.
    pub engines: Vec<Wanted>,
    /// The kinds of evidence.
    pub evidence: Vec<Evidence>,
    /// The device under test and the other end of its wire; a veth of the suite's own when absent.
    pub given: Option<(Port, Port)>,
}

/// Everything that shots of one laboratory and one loaded program share.
type Group = ((Setup, bool), String, Vec<Shot>);

/// Runs every case of these files on every engine. Each result is shown to `on_result` as it comes,
/// which says whether to go on: what is attached then is taken off, and what was found is returned.
///
/// # Errors
/// A case file is wrong, or the laboratory cannot be set up. What a program or an engine does wrong is a
/// result.
pub fn run(
    sources: &[Source],
    options: &Options,
    on_result: &mut dyn FnMut(&CaseResult) -> ControlFlow<()>,
) -> Result<Report, Failure> {
    run_with(None, sources, options, on_result)
}

/// The same with other engines in place of those that come with hoist: to ask whether the suite would
/// notice what is wrong with them.
///
/// # Errors
/// See [`run`].
pub fn run_with(
    engines: Option<&[&'static dyn Engine]>,
    sources: &[Source],
    options: &Options,
    on_result: &mut dyn FnMut(&CaseResult) -> ControlFlow<()>,
) -> Result<Report, Failure> {
    let registry = match engines {
        Some(engines) => dut::registry(engines.iter().copied()),
        None => dut::in_tree(),
    };
    run_for(&registry, sources, options, on_result)
}

/// The same for the engines and drivers of a registry, a vendor's for example.
///
/// # Errors
/// See [`run`].
pub fn run_for(
    registry: &Registry,
    sources: &[Source],
    options: &Options,
    on_result: &mut dyn FnMut(&CaseResult) -> ControlFlow<()>,
) -> Result<Report, Failure> {
    let mut given = match &options.given {
        Some((near, far)) => Some(Stand::at(Place::given(registry, near, far)?)?),
        None => None,
    };
    let mut stands: BTreeMap<(Setup, bool), Stand> = BTreeMap::new();
    let mut report = Report::default();
    for source in sources {
        let names = given.as_ref().map_or_else(Names::lab, |stand| stand.place.names.clone());
        for (key, _, shots) in groups(shot::of(source, &names)?) {
            let padded = given.is_some();
            let stand = match (&mut given, stands.entry(key)) {
                (Some(stand), _) => stand,
                (None, Entry::Occupied(there)) => there.into_mut(),
                (None, Entry::Vacant(free)) => {
                    let (setup, sockets) = free.key();
                    let place = Place::create(registry, setup, *sockets)?;
                    free.insert(Stand::at(place)?)
                }
            };
            report.environment = environment(&stand.place, padded);
            let device = stand.place.dut.device()?;
            let told = |driver: &'static dyn Driver| {
                driver.expectations().iter().map(|one| (driver.name(), *one))
            };
            let expected: Vec<_> = registry.claiming(&device).flat_map(told).collect();
            let mut runner =
                Runner { source, stand, options, padded, reference: Reference::default() };
            for wanted in &options.engines {
                let mut more = ControlFlow::Continue(());
                for mut result in runner.engine(&shots, *wanted)? {
                    expectations::explain(&expected, &mut result);
                    more = on_result(&result);
                    report.results.push(result);
                }
                if more.is_break() {
                    return Ok(report);
                }
            }
        }
    }
    Ok(report)
}

/// Shots that need the same laboratory and the same variables, in the order of the file.
fn groups(shots: Vec<Shot>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for shot in shots {
        let place = (shot.setup.clone(), shot.how == super::case::How::Socket);
        let variables = format!("{:?}", shot.variables);
        match groups.iter_mut().find(|(p, v, _)| *p == place && *v == variables) {
            Some((_, _, all)) => all.push(shot),
            None => groups.push((place, variables, vec![shot])),
        }
    }
    groups
}

fn environment(place: &Place, given: bool) -> Environment {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Environment {
        kernel: release.trim().to_owned(),
        machine: std::env::consts::ARCH.to_owned(),
        device: if given { place.dut.port().name.clone() } else { "veth".to_owned() },
        driver: place.driver(),
        hoist: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

struct Runner<'a> {
    source: &'a Source,
    stand: &'a mut Stand,
    options: &'a Options,
    padded: bool,
    reference: Reference,
}

impl Runner<'_> {
    fn engine(&mut self, shots: &[Shot], wanted: Wanted) -> Result<Vec<CaseResult>, Failure> {
        let engine = wanted.to_string();
        let asked = |s: &&Shot| s.only.is_empty() || shot::named(&s.only, &engine);
        let shots: Vec<&Shot> = shots.iter().filter(asked).collect();
        let mut results = Vec::new();
        let Some(first) = shots.first() else { return Ok(results) };
        let job = self.job(first)?;
        let shots = contract::under(&shots, &job, &engine);
        let hook = wanted.hook.unwrap_or(match wanted.kind {
            EngineKind::Tc => Hook::Tcx,
            EngineKind::User => Hook::AfXdp,
            _ => Hook::Xdp,
        });
        let device = self.stand.place.dut.port().name.clone();
        let (evidence, given) = (&self.options.evidence, self.padded);
        let sheet = |shot: &Shot, evidence, outcome| CaseResult {
            case: shot.name.clone(),
            program: job.program_name().to_owned(),
            engine: wanted.kind,
            hook,
            device: device.clone(),
            evidence,
            rows: shot.rows.clone(),
            outcome: match (&shot.needs, given.then(|| shot.setup.beyond_given(evidence))) {
                (Some(needs), _) => Outcome::NotRun { why: format!("needs {needs}") },
                (None, Some(Some(why))) => Outcome::NotRun { why },
                (None, _) => outcome,
            },
        };
        let (shots, unfit): (Vec<&Shot>, Vec<&Shot>) =
            shots.iter().partition(|s| self.stand.place.exit.is_some() || !fire::needs_third(s));
        let everywhere = |outcome: &dyn Fn(&Shot, Evidence) -> Outcome| {
            let each = shots
                .iter()
                .flat_map(|shot| evidence.iter().map(|e| sheet(shot, *e, outcome(shot, *e))));
            each.collect::<Vec<_>>()
        };
        for (shot, evidence) in unfit.iter().flat_map(|s| evidence.iter().map(move |e| (s, e))) {
            let why = "there is no second port for redirects to leave by".to_owned();
            results.push(sheet(shot, *evidence, Outcome::NotRun { why }));
        }
        if shots.is_empty() {
            return Ok(results);
        }
        let prepared = match self.stand.place.dut.prove(&job, Choice::only(wanted)) {
            Ok((_, Some(prepared))) => prepared,
            Ok((plan, None)) => {
                let gaps = self.stand.place.dut.reasons(plan.refusals)?;
                return Ok(everywhere(&|shot, evidence| {
                    judge::refused(shot, &engine, evidence, gaps.clone())
                }));
            }
            Err(error) => return Ok(everywhere(&|_, _| unexplained(&error))),
        };
        let tables = Tables::new(&self.stand.place, &job.module, prepared.maps())?;
        if evidence.contains(&Evidence::TestRun) {
            let ways = match wanted.kind {
                EngineKind::User => Way::all(&self.stand.place, &job)?,
                _ => Vec::new(),
            };
            let twin = prepared.dry_run().and_then(DryRun::maps);
            let twin =
                twin.map(|maps| Tables::new(&self.stand.place, &job.module, maps)).transpose()?;
            let tables = twin.as_ref().unwrap_or(&tables);
            for shot in &shots {
                let outcome = self.test_run(shot, wanted, &job, &*prepared, tables, &ways);
                let outcome = outcome.unwrap_or_else(|error| unexplained(&error));
                results.push(sheet(shot, Evidence::TestRun, outcome));
            }
        }
        if evidence.contains(&Evidence::RealTraffic) {
            let outcomes = self.traffic(&shots, &engine, prepared, &tables)?;
            let sheets = shots.iter().zip(outcomes);
            results
                .extend(sheets.map(|(shot, outcome)| sheet(shot, Evidence::RealTraffic, outcome)));
        }
        Ok(results)
    }

    fn job(&self, shot: &Shot) -> Result<Job, Failure> {
        let object = self.source.object()?;
        let set = |module: &mut Module| tables::set_variables(module, &shot.variables);
        let entry = self.source.entry();
        self.stand.place.dut.job_with(&self.source.file.program, &object, entry.as_deref(), set)
    }

    /// By the engine's own test run, and by each way of running it that is given.
    fn test_run(
        &mut self,
        shot: &Shot,
        wanted: Wanted,
        job: &Job,
        prepared: &dyn Prepared,
        tables: &Tables,
        ways: &[Way],
    ) -> Result<Outcome, Failure> {
        let not_run = |why: &str| Ok(Outcome::NotRun { why: why.to_owned() });
        let frame = shot.frame.bytes();
        if let Some(why) = normalise::no_test_run(wanted.kind, shot, &frame) {
            return not_run(&why);
        }
        let Some(dry) = prepared.dry_run() else {
            return not_run("the engine has no test run");
        };
        let run = || Ok(dry.run(&frame)?);
        let mut outcome = self.judged(shot, wanted, job, tables, &run)?;
        for way in ways {
            if !outcome.is_explained() {
                break;
            }
            let told = |difference: String| format!("{}: {difference}", way.name);
            outcome = match self.judged(shot, wanted, job, &way.tables, &|| way.run(&frame))? {
                Outcome::Differs { known, differences } => Outcome::Differs {
                    known,
                    differences: differences.into_iter().map(told).collect(),
                },
                other => other,
            };
        }
        Ok(outcome)
    }

    /// One run that is no traffic, held against the case and the first engine's.
    fn judged(
        &mut self,
        shot: &Shot,
        wanted: Wanted,
        job: &Job,
        tables: &Tables,
        run: &dyn Fn() -> Result<Run, Failure>,
    ) -> Result<Outcome, Failure> {
        self.stand.place.dut.inside(|| tables.reset(&shot.maps))?;
        let got = run()?;
        let metadata = job.requirements.uses(Feature::Metadata);
        let (engine, frame) = (wanted.to_string(), shot.frame.bytes());
        let outcome: Result<_, Failure> =
            judge::fired(shot, &engine, Evidence::TestRun, |expect| {
                let expected = Expected::of(expect, &frame, &self.stand.place.names)?;
                let mut found =
                    compare::test_run(wanted.kind, metadata, &expected, got.verdict, &got.frame);
                found.extend(tables.differences(&expect.variables_after, &expect.maps_after)?);
                Ok(found)
            });
        let outcome = outcome?;
        if outcome != Outcome::Passed || shot.maps_vary {
            return Ok(outcome);
        }
        Ok(self.reference.hold(shot, &engine, Evidence::TestRun, tables.dump()?))
    }

    fn traffic(
        &mut self,
        shots: &[&Shot],
        engine: &str,
        prepared: Box<dyn Prepared>,
        tables: &Tables,
    ) -> Result<Vec<Outcome>, Failure> {
        if let Some(shot) = shots.first() {
            // Before it sees a packet: entries may be what keeps it from doing harm.
            self.stand.place.dut.inside(|| tables.reset(&shot.maps))?;
        }
        let attached = match self.stand.place.dut.attach(prepared, &AttachPolicy::default()) {
            Ok(attached) => attached,
            Err(hoist_offload::Error::Refused { refusals, .. }) => {
                let gaps: Vec<Gap> = refusals.into_iter().flat_map(|r| r.gaps).collect();
                let refuse =
                    |s: &&Shot| judge::refused(s, engine, Evidence::RealTraffic, gaps.clone());
                return Ok(shots.iter().map(refuse).collect());
            }
            Err(error) => return Ok(shots.iter().map(|_| unexplained(&error)).collect()),
        };
        let protocols = protocols(shots, &self.stand.place)?;
        let mut range = Range::open(
            self.stand,
            &*attached,
            tables,
            shots,
            &protocols,
            &mut self.reference,
            self.padded,
        )?;
        let outcomes = range.fire_all(shots, engine);
        attached.detach()?;
        Ok(outcomes)
    }
}

/// What no case can have foreseen.
fn unexplained(error: &dyn std::fmt::Display) -> Outcome {
    Outcome::Differs { known: None, differences: vec![error.to_string()] }
}

/// Protocols at which frames are expected.
fn protocols(shots: &[&Shot], place: &Place) -> Result<BTreeSet<u16>, Failure> {
    let mut all = BTreeSet::new();
    for shot in shots {
        let instead = shot.known.iter().filter_map(|k| k.instead.as_ref());
        for expect in instead.chain([&shot.expect]) {
            let expected = Expected::of(expect, &shot.frame.bytes(), &place.names)
                .map_err(|e| format!("{}: {e}", shot.name))?;
            all.extend(expected.handed.map(|h| h.protocol));
        }
    }
    Ok(all)
}
