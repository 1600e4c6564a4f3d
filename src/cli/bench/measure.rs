//! Measuring itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hoist_benches::profile::Profile;
use hoist_benches::report::Report;
use hoist_benches::scenario::{Recipe, Scenario, Stand, Tools, Wanted, environment, floors};
use hoist_benches::search::{Phase, Rules};
use hoist_offload::bpf::kernel::Capability;
use hoist_offload::{Error, privilege};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::programs::{Programs, carriers};
use super::searches::{Sought, Wishes, procedures, repeats};
use super::{page, place, send};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::{adjusted, args, date, program, render};
use crate::file;

/// What making namespaces, links, raw frames and programs takes.
const NEEDED: [Capability; 4] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapNetRaw, Capability::CapSysAdmin];

/// Measures every cell of the matrix and prints the report.
///
/// # Errors
/// A mistake in the arguments, a missing privilege, or a failure that concerns every cell; afterwards
/// [`Failure::Told`] where nothing could be measured.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Bench) -> Result<(), Failure> {
    let kernel = cx.kernel("bench")?;
    privilege::require("measure packet rates", &NEEDED)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    if args.send_only {
        return send::run(cx, args, &kernel, &stop);
    }
    let programs = Programs::read(cx, args)?;
    adjusted::repair(cx, kernel.as_ref());
    let place = place::of(cx, args)?;
    let scenario = Scenario {
        subjects: programs.subjects.clone(),
        carriers: carriers(cx, args),
        profiles: profiles(args)?,
        cores: once(&args.cores),
        maker: args.generator.into(),
        taken: args.napi_cpus.clone(),
        stamped: args.latency || args.search.contains(&Sought::Latency),
        shared: args.busy,
        expected: args.expect,
        procedures: procedures(&wishes(args)),
        rules: Rules {
            repeats: match args.repeats {
                Some(repeats) => repeats as usize,
                None if args.receive_only => 1,
                None => repeats(&wishes(args)),
            },
            budget: args.budget.map(|time| time.0.as_secs_f64()),
            ..rules(args)
        },
    };
    let recipe = match args.no_prepare {
        true => Recipe::default(),
        false => {
            let wanted = Wanted { napi_cpus: args.napi_cpus.clone() };
            Recipe::plan(&place, cx.host.as_ref(), &wanted)?
        }
    };
    if args.dry_run {
        return cx.shell.print(render::bench::dry(&recipe.steps, &scenario));
    }
    if cx.shell.verbose() && !recipe.steps.is_empty() {
        cx.shell.say(render::bench::recipe(&recipe.steps));
    }
    if let Some(html) = &args.html {
        page::writable(html)?;
    }
    let prepared = recipe.apply(&place, cx.host.as_ref(), &kernel)?;
    let mut environment = environment::capture(date::now(), std::env::args().collect());
    for port in [Some(&place.near), place.far.as_ref()].into_iter().flatten() {
        let facts = port.namespace.run(|| {
            let device = cx.host.device(&port.name)?;
            Ok::<_, Error>(environment::device(&device, &*kernel))
        });
        environment.devices.insert(port.name.clone(), facts?);
    }
    let bar = cx.shell.busy("measuring ...".to_owned());
    let tools =
        Tools { registry: &cx.registry, host: cx.host.as_ref(), kernel: &kernel, stop: &stop };
    let (floors, findings) = match scenario.profiles.first() {
        Some(profile) if !args.no_floors => floors::measure(&place, &tools, profile, args.busy)?,
        _ => (Vec::new(), Vec::new()),
    };
    let report = scenario.run(&place, &tools, environment, floors, &mut |stand| {
        if let Some(bar) = &bar {
            show(bar, stand);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut report = report.map_err(|error| program::refused(cx, error))?;
    report.recipe.clone_from(&prepared.steps);
    report.findings.extend(findings);
    if let Err(error) = prepared.restore() {
        cx.shell.warn(format_args!("not everything was put back: {error}"));
    }
    let page = args.html.as_ref().map(|html| page::write(&report, html));
    // What was measured is told even where it cannot be written.
    tell(cx, &report)?;
    page.transpose()?;
    if report.results.iter().any(|result| result.pps.is_some()) {
        return Ok(());
    }
    Err(Failure::Told(Exit::Refused))
}

/// Prints the report.
fn tell(cx: &mut Context<'_>, report: &Report) -> Result<(), Failure> {
    if cx.shell.json() {
        return cx.shell.document(report);
    }
    let text = render::bench::report(report, cx.shell.verbose());
    cx.shell.print(text)
}

/// A list without what it says twice, which would be held against itself.
pub(super) fn once<T: Clone + PartialEq>(list: &[T]) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for one in list {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all
}

/// Which frames are sent: by name, or as a file says.
pub(super) fn profiles(args: &args::Bench) -> Result<Vec<Profile>, Failure> {
    let profile = |name: &String| {
        let path = Path::new(name);
        let is_file = path.extension().is_some_and(|end| end == "toml");
        let found = if is_file {
            let text = file::text(path).map_err(|error| {
                let next = "a file that ends in .toml is a profile";
                Failure::input(format!("cannot read {name}: {}", file::words(&error)), next)
            })?;
            Profile::parse(&text)
        } else {
            Profile::named(name)
        };
        let next = "docs/guide/bench.md has a profile to begin with";
        found.map_err(|error| Failure::input(error.to_string(), next))
    };
    once(&args.profile).iter().map(profile).collect()
}

/// Somebody else's traffic is neither warmed up nor waited for.
fn rules(args: &args::Bench) -> Rules {
    match args.receive_only {
        true => Rules { warm_up: 0.0, settle: 0.0, retries: 0, ..Rules::default() },
        false => Rules::default(),
    }
}

/// What is searched for.
fn wishes(args: &args::Bench) -> Wishes {
    if args.receive_only {
        /// Whoever sends also ends.
        const LONG: f64 = 3600.0;
        let seconds = args.seconds.map_or(LONG, |time| time.0.as_secs_f64());
        return Wishes { seconds: Some(seconds), ..Wishes::default() };
    }
    Wishes {
        rate: args.rate.map(|rate| rate.0),
        seconds: args.seconds.map(|time| time.0.as_secs_f64()),
        sought: args.search.clone(),
        goals: args.goal.iter().map(|goal| goal.0.clone()).collect(),
    }
}

/// Shows where the scenario stands.
fn show(bar: &ProgressBar, stand: &Stand<'_>) {
    let Stand { at, of, program, profile, carrier, search } = stand;
    let turn = search.repeat * search.benches + search.bench + 1;
    let turns = search.repeats * search.benches;
    let doing = match &search.phase {
        Phase::WarmUp(_) => "warming up",
        Phase::Trial(_) | Phase::Done { .. } => "measuring",
    };
    let part = if *of > 1 { format!("part {} of {of}, ", at + 1) } else { String::new() };
    let left = search.left.map_or_else(String::new, |left| format!(", {left:.0} s left"));
    bar.set_message(format!(
        "{part}turn {turn} of {turns}: {doing} {program} on {carrier}, {profile}{left}"
    ));
}
