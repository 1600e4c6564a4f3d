//! `hoist probe`: what interfaces and the host can do.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use hoist_offload::host::Recording;
use hoist_offload::{Capabilities, Device, EngineKind, Error};

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::render::{self, offload::Detail};
use super::schema::{ProbeDocument, ProbedDevice};
use crate::session::routes::Routes;

/// Probes and prints; optionally keeps a recording. Nothing is attached.
///
/// # Errors
/// An interface that is not there, a file that cannot be written, or a host that cannot be asked.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Probe) -> Result<(), Failure> {
    // Created first: a probe that cannot be kept is not worth waiting for.
    let mut file = args.record.as_ref().map(create).transpose()?;
    if let Some(path) = &args.routes {
        cx.kernel("probe --routes")?;
        let (name, mut file) = create(path)?;
        let routes = serde_json::to_string_pretty(&Routes::take()?).map_err(io::Error::from)?;
        writeln!(file, "{routes}").map_err(|source| failed(&name, source))?;
        cx.shell.say(format_args!("wrote the routes to {name}"));
    }
    let whole = args.interfaces.is_empty();
    let source = Arc::clone(&cx.host);
    let asked = whole || file.is_some();
    // Fixed before trials add to it, so that no race decides what engines see.
    if !args.offload || asked {
        source.known()?;
    }
    // Trials keep two threads busy for most of the time; interfaces are looked at meanwhile.
    let (found, report) = std::thread::scope(|scope| {
        let report = asked.then(|| scope.spawn(|| source.report()));
        let found = look(cx, args);
        let report = report
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (found, report)
    });
    let ((devices, engines), host) = (found?, report.transpose()?);
    if let (Some((name, file)), Some(host)) = (&mut file, host) {
        let recording = Recording::new(host.clone(), devices.clone());
        write(name, file, &recording)?;
        cx.shell.say(format_args!("recorded {} interfaces in {name}", devices.len()));
    }
    let host = host.filter(|_| whole);
    if cx.shell.json() {
        let devices = devices
            .iter()
            .zip(&engines)
            .map(|(device, engines)| ProbedDevice { device, engines })
            .collect();
        let schema = "hoist.probe.v1";
        return cx.shell.document(&ProbeDocument { schema, host, devices });
    }
    let mut screens: Vec<String> = Vec::new();
    screens.extend(host.map(|host| render::host::host(host, args.full)));
    let detail = match (args.full, cx.shell.verbose()) {
        (true, _) => Detail::All,
        (false, true) => Detail::Refused,
        (false, false) => Detail::Summary,
    };
    for (device, engines) in devices.iter().zip(&engines) {
        screens.push(render::device::device_in(device, engines, cx.shell.verbose(), detail));
    }
    if screens.is_empty() {
        return cx.shell.print("no interfaces in this network namespace");
    }
    cx.shell.print(screens.join("\n\n"))
}

/// The interfaces, and what each engine can do on each.
fn look(
    cx: &Context<'_>,
    args: &args::Probe,
) -> Result<(Vec<Device>, Vec<Vec<Capabilities>>), Error> {
    let mut devices = cx.devices(&args.interfaces)?;
    for device in &mut devices {
        device.offload = cx.host.offload(device)?;
        device.offload_report = cx.host.offload_report(device)?;
        cx.registry.refine_offload(device);
    }
    let wanted = |kind| !args.offload || kind == EngineKind::Hw;
    let engines = devices.iter().map(|d| engines(cx, d, wanted)).collect::<Result<Vec<_>, _>>()?;
    Ok((devices, engines))
}

fn engines(
    cx: &Context<'_>,
    device: &Device,
    wanted: impl Fn(EngineKind) -> bool,
) -> Result<Vec<Capabilities>, Error> {
    cx.registry
        .engines()
        .filter(|engine| wanted(engine.kind()))
        .map(|engine| cx.registry.capabilities(cx.host.as_ref(), device, engine))
        .collect()
}

fn create(path: &std::path::PathBuf) -> Result<(String, File), Failure> {
    let name = path.display().to_string();
    match File::create(path) {
        Ok(file) => Ok((name, file)),
        Err(error) => {
            Err(Failure::input(format!("{name}: {error}"), "name a file that can be written"))
        }
    }
}

fn write(name: &str, file: &mut File, recording: &Recording) -> Result<(), Error> {
    file.write_all(recording.to_json().as_bytes()).map_err(|source| failed(name, source))
}

fn failed(name: &str, source: io::Error) -> Error {
    Error::Host { operation: "write", object: name.to_owned(), source }
}
