//! `hoist demo`: everything at once, on a veth pair made for the occasion.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_hwtests::lab::{Lab, Namespace};
use hoist_offload::bpf::kernel::Capability;
use hoist_offload::bpf::programs;
use hoist_offload::capability::Capabilities;
use hoist_offload::engine::{Engine, Job};
use hoist_offload::plan::{Choice, Plan, Wanted, Wishes};
use hoist_offload::{AttachPolicy, Device, EngineKind, Error, privilege};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::render;
use super::render::style::{HEAD, paint};
use super::schema::DemoDocument;
use crate::session::contents::{Contents, Entry, MapContents};
use crate::session::{Counting, Order, Running};

mod traffic;
mod verdict;

pub(super) use traffic::Measured;

/// The program that is shown, and the prefix it is told to block (RFC 5737, TEST-NET-2).
const PROGRAM: &str = "lpm_block";
const BLOCKED: &str = "198.51.100.0";

/// What making namespaces, links, raw frames and programs takes.
const NEEDED: [Capability; 4] =
    [Capability::CapBpf, Capability::CapNetAdmin, Capability::CapNetRaw, Capability::CapSysAdmin];

/// Shows what hoist does, and leaves nothing behind.
///
/// # Errors
/// The laboratory could not be built, or an engine failed or judged a frame wrongly.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Demo) -> Result<(), Failure> {
    cx.kernel("demo")?;
    privilege::require("build the laboratory of the demo", &NEEDED)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    // With GRO on, this end polls: only then do frames that are redirected into the other end of a
    // veth arrive here without native XDP.
    let named = |label| Namespace::named(label).map_err(lab_error);
    let (here, there) = (named("demo-near")?, named("demo-far")?);
    let lab = Lab::between(&here, &there, |near| near.gro(true), |far| far).map_err(lab_error)?;
    let near = lab.near();
    let inside = |cx: &Context<'_>| -> Result<(Device, Vec<Capabilities>, Job), Error> {
        let device = cx.host.device(&near.name)?;
        let engines = engines(cx).into_iter();
        let engines = engines
            .map(|engine| cx.registry.capabilities(cx.host.as_ref(), &device, engine))
            .collect::<Result<_, _>>()?;
        Ok((device, engines, job(cx)?))
    };
    let (device, engines, job) = near.namespace.run(|| inside(cx))?;
    step(cx, "1. A veth pair in two network namespaces; what its near end can do", |cx| {
        render::device::device(&device, &engines, cx.shell.verbose())
    })?;
    let wishes = Wishes::default();
    let plan = near.namespace.run(|| cx.session().plan(&device, &job, &wishes))?;
    let title = format!("2. Where {PROGRAM} would run: it drops sources that a prefix trie blocks");
    step(cx, &title, |cx| render::plan::ladder(&plan, cx.shell.verbose()))?;
    step(cx, "3. The program at work on every engine there is, with real packets", |_| {
        format!("  {BLOCKED}/24 is in its map; whatever else comes is passed to the stack")
    })?;
    let results = measure(cx, &lab, &device, &job, args, &stop)?;
    if stop.load(Ordering::Relaxed) {
        cx.shell.say("stopped; everything is taken down again");
        return Ok(());
    }
    let comparison = verdict::comparison(&results);
    if cx.shell.json() {
        let kernel = cx.host.report()?.kernel.clone();
        let schema = "hoist.demo.v1";
        cx.shell.document(&DemoDocument { schema, kernel, plan, results: &results, comparison })?;
    } else {
        cx.shell.print(verdict::table(&results))?;
        for line in &comparison {
            cx.shell.print(format_args!("  {}", paint(HEAD, line)))?;
        }
    }
    verdict::judge(&results)
}

/// Prints one step where people read; a document has everything at its end.
fn step(
    cx: &mut Context<'_>,
    title: &str,
    text: impl FnOnce(&Context<'_>) -> String,
) -> Result<(), Failure> {
    if cx.shell.json() {
        return Ok(());
    }
    let text = text(cx);
    cx.shell.print(format_args!("{}\n{text}\n", paint(HEAD, title)))
}

/// The demo's job: an embedded object, its map filled before traffic.
fn job(cx: &Context<'_>) -> Result<Job, Error> {
    let entry = Entry { key: json!({"bits": 24, "address": BLOCKED}), value: json!(1) };
    let contents = Contents {
        schema: Contents::SCHEMA.to_owned(),
        maps: vec![MapContents {
            name: "blocked".to_owned(),
            kind: None,
            id: None,
            entries: vec![entry],
        }],
    };
    let prebuilt = programs::get(PROGRAM).ok_or_else(|| Error::Input {
        what: format!("this build has no program called {PROGRAM}"),
        hint: None,
    })?;
    let order = Order { contents: Some(contents), count: Counting::Always, ..Order::default() };
    cx.session().job(order.parse(prebuilt.name, prebuilt.object)?)
}

/// The engines that the demonstration is about: its pair of interfaces has no NIC.
fn engines(cx: &Context<'_>) -> Vec<&'static dyn Engine> {
    cx.registry.engines().filter(|engine| engine.kind() != EngineKind::Hw).collect()
}

/// Runs the job on one engine after the other.
fn measure(
    cx: &mut Context<'_>,
    lab: &Lab,
    device: &Device,
    job: &Job,
    args: &args::Demo,
    stop: &AtomicBool,
) -> Result<Vec<Measured>, Failure> {
    let engines = engines(cx);
    let kernel = cx.kernel("demo")?;
    let mut results: Vec<Measured> = Vec::new();
    for engine in engines {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let wanted = Wanted::at(engine.kind(), engine.hook());
        let bar = cx.shell.busy(format!("measuring {wanted} ..."));
        let wishes = Wishes { choice: Choice::only(wanted), ..Wishes::default() };
        let policy = AttachPolicy::default();
        let devices = std::slice::from_ref(device);
        let result = lab.near().namespace.run(|| {
            let running = cx.session().attach_all(devices, job, &wishes, &policy, |_, _| {})?;
            one(running, lab, &kernel, args, stop)
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        match result {
            Ok(Some(measured)) => results.push(measured),
            Ok(None) => break,
            Err(Failure::Error(Error::Refused { device, program, refusals })) => {
                let text = render::plan::refusals(&program, &device, &refusals, false);
                cx.shell.say(text);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(results)
}

/// Checks and measures what was just attached, and takes it off again. `None` when stopped.
fn one(
    running: Vec<Running>,
    lab: &Lab,
    kernel: &Arc<dyn hoist_offload::bpf::kernel::Kernel>,
    args: &args::Demo,
    stop: &AtomicBool,
) -> Result<Option<Measured>, Failure> {
    let mut last = None;
    for one in running {
        let Plan { program, .. } = &one.plan;
        let measured =
            traffic::measure(lab, kernel, program, one.attachment.as_ref(), args.duration.0, stop);
        one.attachment.detach()?;
        last = measured?;
    }
    Ok(last)
}

fn lab_error(error: hoist_hwtests::lab::LabError) -> Error {
    Error::Host {
        operation: "set up",
        object: error.object.clone(),
        source: std::io::Error::other(error.to_string()),
    }
}
