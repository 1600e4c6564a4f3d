//! `hoist run`: in the foreground, with live counters.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use hoist_offload::attach::{Fault, Stats};
use hoist_offload::bpf::module::Module;
use hoist_offload::{EngineKind, Verdict};

use super::context::Context;
use super::failure::Failure;
use super::render::table::Table;
use super::schema::{CounterLine, RunLine, bytes, packets};
use super::signal::Signals;
use super::{adjusted, args};
use super::{program, render, replay};
use crate::file;
use crate::session::control::Server;
use crate::session::{Counting, Running};

/// Runs until Ctrl-C, SIGTERM or the end of the duration; then detaches and prints totals.
///
/// # Errors
/// A refusal or failure at the start, or a program that could not be detached at the end.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Run) -> Result<(), Failure> {
    if let Some(input) = replay::wanted(&args.attach.interfaces)? {
        return replay::run(cx, args, &input);
    }
    replay::only_here(args)?;
    let to_stdout = args.write.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if to_stdout || (args.write.is_some() && args.attach.interfaces.len() > 1) {
        return Err(Failure::input(
            "the packets of an interface are written to a file of its own",
            "-w FILE, with one interface",
        ));
    }
    // Before attaching, so that no signal finds a program without someone to detach it.
    let signals = Signals::catch()?;
    let running = program::attach(cx, &args.attach, Counting::IfPossible, false)?;
    if let Some(path) = &args.write {
        record(&running, path)?;
    }
    let doors = doors(cx, args, &running);
    let start = Instant::now();
    if cx.shell.json() {
        cx.shell.line(&RunLine {
            attachments: Some(program::attached(&running)?),
            plans: Some(running.iter().map(|r| &r.plan).collect()),
            ..RunLine::new("started")
        })?;
    } else {
        cx.shell.say("running; Ctrl-C detaches");
    }
    let watched = watch(cx, args, &running, &doors, &signals, start).and(said(cx, &running));
    let totals = counters(&running, &vec![Stats::default(); running.len()], start.elapsed());
    let mut result = Ok(());
    let faults: Vec<Fault> = running.iter().flat_map(|one| one.attachment.faults()).collect();
    for one in running {
        let device = one.plan.device;
        adjusted::before_detach(cx, &*one.attachment);
        match one.attachment.detach() {
            Ok(()) => cx.shell.say(format_args!("{device}: detached")),
            Err(error) => result = Err(error.into()),
        }
    }
    let closing = finish(cx, totals?, start.elapsed(), faults, None);
    result.and(watched).and(closing)
}

/// Lets other processes ask about programs of the user engine. Where they cannot, the programs run all
/// the same.
fn doors(cx: &mut Context<'_>, args: &args::Run, running: &[Running]) -> Vec<Option<Server>> {
    let is_user = |one: &Running| one.attachment.engine() == EngineKind::User;
    if !running.iter().any(is_user) {
        return Vec::new();
    }
    let module =
        file::bytes(&args.attach.object).ok().and_then(|bytes| Module::parse("", &bytes).ok());
    let types = module.map(|module| module.btf).unwrap_or_default();
    let mut doors = Vec::new();
    for one in running {
        let opened = Server::start(&one.plan.program, &*one.attachment, &types);
        doors.push(opened.unwrap_or_else(|error| {
            cx.shell.say(format_args!("note: 'hoist status' and 'hoist map' cannot ask: {error}"));
            None
        }));
    }
    doors
}

/// Has the packets written down, where the engine can.
fn record(running: &[Running], path: &Path) -> Result<(), Failure> {
    for one in running {
        // Only then: no mistake empties a file.
        if one.attachment.engine() != EngineKind::User {
            return Err(Failure::input(
                format!("-w: the {} engine keeps packets in the kernel", one.attachment.engine()),
                "-m user has them written; tcpdump and xdpdump show those of other engines",
            ));
        }
        let file = File::create(path).map_err(|error| {
            Failure::input(
                format!("cannot write {}: {}", path.display(), file::words(&error)),
                "-w takes a file that can be written",
            )
        })?;
        one.attachment.record(&path.display().to_string(), Box::new(file))?;
    }
    Ok(())
}

/// Tells what programs said since this was last asked.
fn said(cx: &mut Context<'_>, running: &[Running]) -> Result<(), Failure> {
    running.iter().try_for_each(|one| messages(cx, one.attachment.messages()))
}

/// Tells what a program said by `bpf_trace_printk`.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn messages(cx: &mut Context<'_>, messages: Vec<String>) -> Result<(), Failure> {
    if messages.is_empty() {
        return Ok(());
    }
    if cx.shell.json() {
        return cx.shell.line(&RunLine { messages, ..RunLine::new("messages") });
    }
    for message in messages {
        cx.shell.say(format_args!("says: {}", message.trim_end()));
    }
    Ok(())
}

/// Prints counters until it is time to stop.
fn watch(
    cx: &mut Context<'_>,
    args: &args::Run,
    running: &[Running],
    doors: &[Option<Server>],
    signals: &Signals,
    start: Instant,
) -> Result<(), Failure> {
    let mut before = vec![Stats::default(); running.len()];
    let mut last = start;
    loop {
        let left = args.duration.map(|d| d.0.saturating_sub(start.elapsed()));
        let nap = left.map_or(args.interval.0, |left| left.min(args.interval.0));
        if nap.is_zero() || signals.wait(nap)? {
            return Ok(());
        }
        for one in running {
            // Somebody may have taken the program off, or the interface away.
            one.attachment.effective()?;
            follow(cx, one);
        }
        for (one, door) in running.iter().zip(doors) {
            door.iter().try_for_each(|door| door.count(&*one.attachment))?;
        }
        said(cx, running)?;
        let lines = counters(running, &before, last.elapsed())?;
        last = Instant::now();
        before = stats(running)?;
        show(cx, &lines, start.elapsed())?;
    }
}

/// Tells the program the interface's address, which may be another one by now. Where it cannot be
/// asked or told, the program goes on with the one that it knows.
fn follow(cx: &Context<'_>, one: &Running) {
    if one.attachment.engine() != EngineKind::Tc {
        return;
    }
    let device = cx.host.device(&one.plan.device).ok();
    let device = device.filter(|device| device.ifindex == one.attachment.ifindex());
    if let Some(address) = device.and_then(|device| device.address()) {
        drop(one.attachment.readdress(address));
    }
}

/// Shows counters in between.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn show(
    cx: &mut Context<'_>,
    lines: &[CounterLine],
    elapsed: Duration,
) -> Result<(), Failure> {
    if cx.shell.json() {
        return cx.shell.line(&RunLine {
            elapsed_ms: millis(elapsed),
            counters: lines.to_vec(),
            ..RunLine::new("counters")
        });
    }
    if lines.iter().all(|l| !l.counted) {
        return Ok(());
    }
    let line: Vec<String> = lines.iter().map(one_line).collect();
    cx.shell.refresh(&table(lines), &line.join("; "))
}

/// Shows what came of it all. `trace` is the command that shows the packet whose number follows it.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn finish(
    cx: &mut Context<'_>,
    lines: Vec<CounterLine>,
    elapsed: Duration,
    faults: Vec<Fault>,
    trace: Option<&str>,
) -> Result<(), Failure> {
    if cx.shell.json() {
        return cx.shell.line(&RunLine {
            elapsed_ms: millis(elapsed),
            counters: lines,
            faults,
            ..RunLine::new("totals")
        });
    }
    let seconds = elapsed.as_secs_f64();
    if lines.iter().all(|l| !l.counted) {
        return cx.shell.print(format_args!("ran for {seconds:.1} s"));
    }
    cx.shell.print(format_args!("totals after {seconds:.1} s\n{}", table(&lines)))?;
    match faults.as_slice() {
        [] => Ok(()),
        faults => cx.shell.print(render::faults::text(faults, trace)),
    }
}

fn stats(running: &[Running]) -> Result<Vec<Stats>, Failure> {
    running.iter().map(|r| Ok(r.attachment.stats()?.unwrap_or_default())).collect()
}

/// Counters now, with the rate since `before`.
fn counters(
    running: &[Running],
    before: &[Stats],
    since: Duration,
) -> Result<Vec<CounterLine>, Failure> {
    running
        .iter()
        .zip(before)
        .map(|(one, before)| {
            let stats = one.attachment.stats()?;
            let now = stats.unwrap_or_default();
            let new = now.total().saturating_sub(before.total());
            Ok(CounterLine {
                device: one.plan.device.clone(),
                engine: one.attachment.engine(),
                counted: stats.is_some(),
                packets: packets(&now),
                bytes: bytes(&now),
                events: one.attachment.events()?,
                pps: new as f64 / since.as_secs_f64().max(1e-9),
            })
        })
        .collect()
}

/// Counters as a table.
pub(super) fn table(lines: &[CounterLine]) -> String {
    let mut table = Table::new(&["interface", "engine", "verdict", ">packets", ">bytes"]);
    for line in lines {
        let seen =
            Verdict::ALL.iter().filter(|v| line.packets.get(v.name()).is_some_and(|n| *n > 0));
        let mut head = vec![line.device.clone(), line.engine.to_string()];
        for verdict in seen {
            let of = |map: &BTreeMap<&'static str, u64>| {
                map.get(verdict.name()).copied().unwrap_or(0).to_string()
            };
            head.extend([verdict.name().to_owned(), of(&line.packets), of(&line.bytes)]);
            table.row(std::mem::replace(&mut head, vec![String::new(), String::new()]));
        }
        let sum = |map: &BTreeMap<&'static str, u64>| map.values().sum::<u64>();
        head.extend([
            format!("all, {}/s", rate(line.pps)),
            sum(&line.packets).to_string(),
            sum(&line.bytes).to_string(),
        ]);
        table.row(head);
        for (name, times) in off_path(&line.events) {
            let words = name.replace('_', " ");
            table.row([String::new(), String::new(), words, times.to_string(), String::new()]);
        }
    }
    table.render()
}

/// The events that no verdict counts already.
pub(super) fn off_path<'e>(
    events: &'e BTreeMap<&'static str, u64>,
) -> impl Iterator<Item = (&'static str, u64)> + 'e {
    events.iter().filter(|(name, _)| **name != "aborted").map(|(name, times)| (*name, *times))
}

fn one_line(line: &CounterLine) -> String {
    let seen = line.packets.iter().filter(|(_, n)| **n > 0);
    let words: Vec<String> = seen.map(|(verdict, n)| format!("{verdict} {n}")).collect();
    let words = if words.is_empty() { "no packets yet".to_owned() } else { words.join(", ") };
    format!("{} {}: {}/s; {words}", line.device, line.engine, rate(line.pps))
}

/// A rate with a unit prefix.
pub(super) fn rate(pps: f64) -> String {
    match pps {
        r if r >= 1e6 => format!("{:.2} Mpkt", r / 1e6),
        r if r >= 1e4 => format!("{:.1} kpkt", r / 1e3),
        r => format!("{r:.0} pkt"),
    }
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
