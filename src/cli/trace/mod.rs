//! `hoist trace`: one packet of a capture, instruction by instruction.

use std::path::Path;

use hoist_fallback::userspace::ports::{Action, Batch, Port, capture};
use hoist_fallback::userspace::trace::{self as follow, Options, Part, Reason, Spots, Step, Trace};
use hoist_fallback::userspace::vm::Machine;
use hoist_hwtests::frame::dissect;
use hoist_offload::bpf::btf::Btf;
use hoist_offload::bpf::module::{MapId, Module, SourceLine};
use hoist_offload::{Error, Verdict};
use serde::Serialize;

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::{program, replay};
use crate::session::Draft;
use crate::session::codec::Codec;
use crate::session::userspace::Assembled;

mod text;

const SCHEMA: &str = "hoist.trace.v1";

/// `hoist.trace.v1`: one line of the stream.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    event: Event<'a>,
}

/// What a line tells.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    /// The packet as it came: the first line.
    Packet(&'a Packet),
    /// One instruction.
    Step(&'a Step),
    /// Where the run was stopped: the last line then.
    Stopped(&'a follow::Position),
    /// The verdict and its reasons: the last line.
    Verdict(&'a Judgement<'a>),
}

/// The packet as it came.
#[derive(Debug, Serialize)]
struct Packet {
    file: String,
    program: String,
    packet: u64,
    bytes: usize,
    /// Nanoseconds since 1970.
    time_ns: Option<u64>,
    summary: String,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Judgement<'a> {
    verdict: Verdict,
    /// What the program returned.
    returned: u64,
    /// Where a redirected packet goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    executed: u64,
    left_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault<'a>>,
    reasons: &'a [Reason],
    /// The packet afterwards, where it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    bytes: usize,
    /// Whether the program changed its bytes.
    changed: bool,
    /// What the program said by `bpf_trace_printk`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    messages: &'a [String],
}

/// A fault in a document.
#[derive(Debug, Serialize)]
struct Fault<'a> {
    code: &'static str,
    message: String,
    function: &'a str,
    slot: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a SourceLine>,
}

/// A traced packet before and after.
struct Traced {
    packet: Packet,
    trace: Trace,
    before: Vec<u8>,
    after: Vec<u8>,
    /// What the program said by `bpf_trace_printk`.
    messages: Vec<String>,
}

/// Traces one packet and prints its way.
///
/// # Errors
/// Wrong input: a file, a place, a packet that is not there; or a program that the machine cannot run.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Trace) -> Result<(), Failure> {
    let draft = program::chosen(&args.which, &args.settings, &args.object)?.read()?;
    let wanted = match args.verdict {
        None => args.packet,
        Some(verdict) => first(cx, args, draft.clone(), verdict.into())?,
    };
    let Assembled { mut machine, module, program } = assemble(cx, args, draft)?;
    let (breaks, until) = (spots(&machine, &args.breaks)?, spots(&machine, &args.until)?);
    let btf = Btf::parse(&module.btf).ok();
    let decode =
        |map: MapId, part: Part, bytes: &[u8]| words(&module, btf.as_ref(), map, part, bytes);
    let options = Options { breaks, until, limit: args.limit, decode: &decode };
    let name = module.program(program).name.clone();
    let mut traced = None;
    let (_, capture) = replay::options(&args.machine)?;
    let seen = walk(&args.file, capture, &mut machine, |machine, number, frame, arrival| {
        if number < wanted {
            machine.run(frame, arrival);
            return true;
        }
        let before = frame.bytes().to_vec();
        let packet = Packet {
            file: args.file.display().to_string(),
            program: name.clone(),
            packet: number,
            bytes: before.len(),
            time_ns: arrival.time_ns,
            summary: dissect(&before).to_string(),
        };
        // What was said of the packets before is not this one's.
        machine.environment_mut().take_messages();
        let trace = follow::follow(machine, frame, arrival, &options);
        let messages = machine.environment_mut().take_messages();
        traced = Some(Traced { packet, trace, before, after: frame.bytes().to_vec(), messages });
        false
    })?;
    let Some(traced) = traced else { return Err(too_few(args, seen)) };
    if cx.shell.json() {
        return document(cx, &traced);
    }
    cx.shell.print(text::of(&traced))
}

/// A machine with the program in it.
fn assemble(cx: &mut Context<'_>, args: &args::Trace, draft: Draft) -> Result<Assembled, Failure> {
    let place = args.file.display().to_string();
    let (options, _) = replay::options(&args.machine)?;
    let assembled = draft.assemble(&place, options);
    assembled.map_err(|error| program::refused(cx, error))
}

/// Hands packets over, counted from 1, until the file ends or `each` has had enough; returns how many
/// there were.
fn walk(
    path: &Path,
    options: capture::Options,
    machine: &mut Machine,
    mut each: impl FnMut(
        &mut Machine,
        u64,
        &mut hoist_fallback::userspace::vm::Frame<'_>,
        &hoist_fallback::userspace::vm::Arrival,
    ) -> bool,
) -> Result<u64, Failure> {
    let Some(mut port) = replay::open(path, options, None)?.port else { return Ok(0) };
    let (mut seen, mut going) = (0, true);
    while going {
        let batch = port.receive(&mut |frame, arrival| {
            if going {
                seen += 1;
                going = each(machine, seen, frame, arrival);
            }
            Action::Drop
        })?;
        going &= batch != Batch::End;
    }
    Ok(seen)
}

/// The first packet that gets a verdict, found by a machine of its own.
fn first(
    cx: &mut Context<'_>,
    args: &args::Trace,
    draft: Draft,
    verdict: Verdict,
) -> Result<u64, Failure> {
    if args.file.as_os_str() == "-" {
        return Err(Failure::input(
            "--verdict reads the capture twice, which standard input cannot",
            "name a file, or a packet: --packet N",
        ));
    }
    let Assembled { mut machine, .. } = assemble(cx, args, draft)?;
    let mut counts = [0_u64; Verdict::ALL.len()];
    let mut found = None;
    let (_, capture) = replay::options(&args.machine)?;
    let seen = walk(&args.file, capture, &mut machine, |machine, number, frame, arrival| {
        let ran = machine.run(frame, arrival);
        counts[ran.verdict as usize] += 1;
        found = (ran.verdict == verdict).then_some(number);
        found.is_none()
    })?;
    found.ok_or_else(|| {
        let file = args.file.display();
        let given: Vec<String> = Verdict::ALL
            .iter()
            .filter(|v| counts[**v as usize] > 0)
            .map(|v| format!("{} {}", v.name(), counts[*v as usize]))
            .collect();
        match seen {
            0 => too_few(args, 0),
            _ => Failure::input(
                format!("no packet of {file} gets the verdict {}", verdict.name()),
                format!("the verdicts are: {}", given.join(", ")),
            ),
        }
    })
}

fn too_few(args: &args::Trace, seen: u64) -> Failure {
    let file = args.file.display();
    match seen {
        0 => Failure::input(
            format!("{file} holds no packet"),
            "'tcpdump -r FILE' shows what a capture holds",
        ),
        _ => Failure::input(
            format!("{file} holds {seen} packets, there is no packet {}", args.packet),
            format!("--packet takes 1 to {seen}"),
        ),
    }
}

fn spots(machine: &Machine, places: &[String]) -> Result<Spots, Error> {
    let mut spots = Spots::default();
    for place in places {
        let added = spots.add(machine.module(), machine.code(), place);
        added.map_err(|no| Error::Input { what: no.what, hint: Some(no.hint) })?;
    }
    Ok(spots)
}

/// Keys and values by their types.
fn words(
    module: &Module,
    btf: Option<&Btf>,
    map: MapId,
    part: Part,
    bytes: &[u8],
) -> Option<String> {
    let map = module.maps.get(map.0 as usize)?;
    let (id, size) = match part {
        Part::Key => (map.key_type_id, map.key_size),
        Part::Value => (map.value_type_id, map.value_size),
    };
    // Without a type, bytes say as much as a number would.
    id.filter(|_| bytes.len() == size as usize)?;
    Some(Codec::new(btf.zip(id), size).to_json(bytes).to_string())
}

fn document(cx: &mut Context<'_>, traced: &Traced) -> Result<(), Failure> {
    let Traced { packet, trace, .. } = traced;
    let mut line = |event: Event<'_>| cx.shell.line(&Line { schema: SCHEMA, event });
    line(Event::Packet(packet))?;
    for step in &trace.steps {
        line(Event::Step(step))?;
    }
    match &trace.stopped {
        Some(position) => line(Event::Stopped(position)),
        None => line(Event::Verdict(&judgement(traced))),
    }
}

fn judgement(traced: &Traced) -> Judgement<'_> {
    let Traced { trace, before, after, .. } = traced;
    let ran = &trace.ran;
    let leaves = matches!(ran.verdict, Verdict::Pass | Verdict::Tx | Verdict::Redirect);
    Judgement {
        verdict: ran.verdict,
        returned: ran.code,
        target: ran.redirect.as_ref().map(text::target),
        executed: trace.executed,
        left_out: trace.left_out,
        fault: ran.fault.as_ref().map(|fault| Fault {
            code: fault.kind.code(),
            message: fault.words.clone(),
            function: &fault.name,
            slot: fault.slot,
            line: fault.line.as_ref(),
        }),
        reasons: &trace.reasons,
        summary: leaves.then(|| dissect(after).to_string()),
        bytes: after.len(),
        changed: before != after,
        messages: &traced.messages,
    }
}
