//! `hoist verify`: conformance cases on an interface, and a certificate of what they prove.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_hwtests::conformance::report::{Evidence, Reason};

use hoist_hwtests::conformance::{
    CaseError, Options, Outcome, Report, Source, expectations, run_for as run_cases,
};
use hoist_hwtests::lab::{Namespace, Port};
use hoist_offload::bpf::kernel::Capability;
use hoist_offload::bpf::requirements::Requirements;
use hoist_offload::plan::{Choice, Wanted, Warning};
use hoist_offload::{Capabilities, Device, Engine, EngineKind, Error, Gap, privilege};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::render;
use super::{args, date};
use crate::file;
use crate::semantics;
use document::{Environment, RowResult, Summary, VerifyDocument};

mod check;
pub(crate) mod document;
mod junit;
mod progress;
mod scaffold;
mod select;
pub(crate) mod tally;

/// The namespace of the thread that asks.
const HERE: &str = "/proc/thread-self/ns/net";

/// What engines say of kernels that lack something: tcx before Linux 6.6, a state that is safe from
/// preemption, AF_XDP sockets, packet sockets or nf_tables.
const KERNELS: [&str; 4] = ["no-tcx", "redirect-preempt-rt", "af-xdp-refused", "af-packet-refused"];

/// What loading programs for an interface takes, from a thread that enters its namespace.
const LOADING: [Capability; 3] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapSysAdmin];

/// What sending frames and looking for them takes.
const SENDING: [Capability; 4] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapNetRaw, Capability::CapSysAdmin];

/// Runs the cases and prints what they prove.
///
/// # Errors
/// A mistake in the arguments or a case file, a missing privilege, or a laboratory that cannot be
/// set up; afterwards [`Failure::Told`] where a case failed.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Verify) -> Result<(), Failure> {
    if args.new.is_some() {
        return scaffold::run(cx, args);
    }
    let sources = select::sources(args)?;
    if args.list {
        return select::list(cx, &sources);
    }
    expected(cx)?;
    cx.kernel("verifying")?;
    let target = target(cx, args)?;
    let (what, needed) = match target.evidence.contains(&Evidence::RealTraffic) {
        true => ("send frames to a program", SENDING.as_slice()),
        false => ("load programs", LOADING.as_slice()),
    };
    privilege::require(what, needed)?;
    let engines = engines(cx, args)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    if let Some(path) = &args.junit {
        // Before the cases are run, not after them.
        write_junit(path, "")?;
    }
    let date = date::now();
    let Target { device, peer, given, evidence } = target;
    let options = Options { engines, evidence, given };
    let mut report = report(cx, &sources, &options, &stop)?;
    let own = args.cases.is_some();
    // What an engine refuses is its contract's business only on the veth that every case is written
    // for, and a user's only where engines were named. What the kernel lacks is not hoist's fault.
    let named = args.engine.choice != Choice::Auto;
    let strict = if own { named } else { device.is_none() };
    accept_refusals(&mut report, |gap| !strict || !named && KERNELS.contains(&gap.code.as_str()));
    let stopped = stop.load(Ordering::Relaxed);
    let mut rows = if own { Vec::new() } else { semantics::rows() };
    if args.filter.is_some() {
        let asked = sources.iter().flat_map(|source| &source.file.cases).flat_map(|c| &c.rows);
        let asked: BTreeSet<&String> = asked.collect();
        rows.retain(|row| asked.contains(&row.id));
    }
    let capabilities = capabilities(cx, device.as_ref())?;
    let document = VerifyDocument {
        schema: "hoist.verify.v1",
        date,
        hoist: env!("CARGO_PKG_VERSION"),
        environment: Environment::new(&report, device.as_ref(), peer.as_deref()),
        engines: tally::engines(&report.results),
        holds: report.holds(),
        stopped,
        summary: Summary::of(&report),
        rows: RowResult::all(rows, &report.results),
        warnings: warnings(&options, &capabilities),
        capabilities,
        results: &report.results,
    };
    if let Some(path) = &args.junit {
        write_junit(path, &junit::document(&report, &document.date))?;
    }
    if cx.shell.json() {
        cx.shell.document(&document)?;
    } else {
        let title = title(args, &sources);
        let verbose = cx.shell.verbose();
        cx.shell.print(render::certificate::certificate(&document, &title, verbose))?;
    }
    let nothing = document.summary.passed + document.summary.differs_known == 0;
    match document.holds && (stopped || !nothing) {
        true => Ok(()),
        false => Err(Failure::Told(Exit::Refused)),
    }
}

/// What drivers expect must be of cases that there are.
fn expected(cx: &Context<'_>) -> Result<(), Failure> {
    let wrong = expectations::misnamed(&cx.registry)
        .map_err(|error| Failure::input(error.to_string(), ""))?;
    match wrong.into_iter().next() {
        None => Ok(()),
        Some(wrong) => Err(Failure::input(wrong, "'hoist verify --list' shows names and rows")),
    }
}

/// What is held against the cases, and how.
struct Target {
    /// The interface that was named.
    device: Option<Device>,
    /// The interface that frames are sent from.
    peer: Option<String>,
    /// The same, as ports.
    given: Option<(Port, Port)>,
    /// How things are seen.
    evidence: Vec<Evidence>,
}

/// The interfaces that were named. Only between two of them is anything sent.
fn target(cx: &Context<'_>, args: &args::Verify) -> Result<Target, Failure> {
    let both = vec![Evidence::RealTraffic, Evidence::TestRun];
    let Some(interface) = &args.interface else {
        return Ok(Target { device: None, peer: None, given: None, evidence: both });
    };
    let device = cx.host.device(interface)?;
    let here = Namespace::open(Path::new(HERE)).map_err(lab_error)?;
    let port = |name: &str| Port::find(&here, name).map_err(lab_error);
    let near = port(interface)?;
    let (far, evidence) = match &args.peer {
        None => (near.clone(), vec![Evidence::TestRun]),
        Some(peer) => {
            let far = cx.host.device(peer)?;
            for end in [&device, &far] {
                if !end.up {
                    let next = format!("ip link set {} up", end.name);
                    return Err(Failure::input(format!("{} is down", end.name), next));
                }
            }
            if far.ifindex == device.ifindex {
                return Err(Failure::input(
                    format!("--peer {peer}: that is the interface itself"),
                    "name the interface at the other end of its wire",
                ));
            }
            (port(peer)?, both)
        }
    };
    let peer = args.peer.clone();
    Ok(Target { device: Some(device), peer, given: Some((near, far)), evidence })
}

/// Every engine that was asked for, each by itself; a kind with two hooks is two. Unasked, all but the
/// NIC's: the laboratory's interfaces have none.
fn engines(cx: &Context<'_>, args: &args::Verify) -> Result<Vec<Wanted>, Failure> {
    let asked = |engine: &&'static dyn Engine| match &args.engine.choice {
        Choice::Auto => engine.kind() != EngineKind::Hw,
        Choice::Listed(wanted) => wanted.iter().any(|wanted| wanted.means(*engine)),
    };
    let mut engines: Vec<Wanted> = Vec::new();
    for engine in cx.registry.engines().filter(asked) {
        let wanted = Wanted::at(engine.kind(), engine.hook());
        // Several providers of one kind are one rung: the first that takes the program runs it.
        if !engines.contains(&wanted) {
            engines.push(wanted);
        }
    }
    if engines.is_empty() {
        let mut here: Vec<&str> = cx.registry.engines().map(|e| e.kind().name()).collect();
        here.dedup();
        let (asked, here) = (args.engine.words.join(", "), here.join(", "));
        return Err(Failure::input(
            format!("engine '{asked}' is not in this build, which has {here}"),
            "name one of these, or leave --engine away",
        ));
    }
    Ok(engines)
}

/// Runs the cases until the end or a signal.
fn report(
    cx: &mut Context<'_>,
    sources: &[Source],
    options: &Options,
    stop: &AtomicBool,
) -> Result<Report, Failure> {
    let mut progress = progress::Progress::start(cx.shell);
    let report =
        run_cases(&cx.registry, sources, options, &mut |result| progress.result(result, stop));
    progress.end();
    report.map_err(|error| match error.downcast::<CaseError>() {
        Ok(wrong) => {
            Failure::input(wrong.to_string(), "'hoist verify --help'; docs/guide/verify.md")
        }
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => Failure::Error(*error),
            Err(error) => Failure::Error(Error::Host {
                operation: "run cases in",
                object: "the laboratory".to_owned(),
                source: std::io::Error::other(error.to_string()),
            }),
        },
    })
}

/// Lets refusals for some reasons stand as they are: the engine says itself why it does not run the
/// program.
fn accept_refusals(report: &mut Report, stands: impl Fn(&Gap) -> bool) {
    for result in &mut report.results {
        if let Outcome::Refused { known: known @ None, gaps } = &mut result.outcome {
            *known = gaps.iter().find(|gap| stands(gap)).map(|gap| Reason {
                code: gap.code.clone(),
                why: gap.message.clone(),
                source: String::new(),
            });
        }
    }
}

/// What each engine can do on an interface that was named.
fn capabilities(cx: &Context<'_>, device: Option<&Device>) -> Result<Vec<Capabilities>, Error> {
    let Some(device) = device else { return Ok(Vec::new()) };
    let engines = cx.registry.engines();
    engines.map(|e| cx.registry.capabilities(cx.host.as_ref(), device, e)).collect()
}

/// What must be known of the results before they are read: that what ran is not what the NIC has, and
/// what the interface's driver says of the engines that were asked for.
fn warnings(options: &Options, capabilities: &[Capabilities]) -> Vec<Warning> {
    let asked = |kind| options.engines.iter().any(|wanted| wanted.kind == kind);
    let mut all: Vec<Warning> = Vec::new();
    if asked(EngineKind::Hw) && options.evidence.contains(&Evidence::TestRun) {
        all.push(Warning {
            code: "host-twin".to_owned(),
            message:
                "test runs of hw are not the NIC's: the form that the NIC was given is loaded \
                      once more and run by the host's kernel, with maps of its own"
                    .to_owned(),
            remedy: Some("--peer IF2 sends frames through the NIC itself".to_owned()),
        });
    }
    for engine in capabilities.iter().filter(|known| asked(known.engine)) {
        for gap in engine.fit(&Requirements::default()).warnings {
            if !all.iter().any(|told| told.code == gap.code && told.message == gap.message) {
                all.push(gap.into());
            }
        }
    }
    all
}

fn title(args: &args::Verify, sources: &[Source]) -> String {
    let cases = match sources.iter().map(|source| source.file.cases.len()).sum::<usize>() {
        1 => "1 case".to_owned(),
        n => format!("{n} cases"),
    };
    match (&args.object, &args.cases) {
        (Some(object), _) => format!("{}: {cases}", object.display()),
        (None, Some(path)) => format!("{}: {cases}", path.display()),
        (None, None) => format!("Certificate of hoist's conformance suite, {cases}"),
    }
}

fn write_junit(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::input(
            format!("cannot write {}: {}", path.display(), file::words(&error)),
            "--junit takes a file in a directory that you may write to",
        )
    })
}

fn lab_error(error: hoist_hwtests::lab::LabError) -> Error {
    Error::Host {
        operation: "look at",
        object: error.object.clone(),
        source: std::io::Error::other(error.to_string()),
    }
}
