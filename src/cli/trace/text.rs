//! A trace for people: source lines, under each what its instructions did; at the end the verdict and
//! what made it.

use hoist_fallback::userspace::environment::Destination;
use hoist_fallback::userspace::trace::{Call, Effect, Reason, State, Step, What};
use hoist_hwtests::frame::dissect;
use hoist_offload::Verdict;
use hoist_offload::bpf::module::SourceLine;

use super::Traced;
use crate::cli::render::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use crate::cli::render::table::{WIDTH, paragraph, visible};

/// Where effects begin, after the instruction.
const EFFECTS: usize = 44;

/// The whole trace.
pub(super) fn of(traced: &Traced) -> String {
    let Traced { packet, trace, .. } = traced;
    let mut text = vec![
        format!(
            "{} of {}, {} bytes",
            paint(HEAD, format!("packet {}", packet.packet)),
            packet.file,
            packet.bytes
        ),
        paragraph(2, &packet.summary),
        String::new(),
        paint(HEAD, &packet.program),
    ];
    let mut last: Option<&Step> = None;
    for step in &trace.steps {
        heading(&mut text, last, step);
        if let Some(state) = &step.state {
            text.push(state_of(state));
        }
        text.push(line(step));
        last = Some(step);
    }
    if trace.left_out > 0 {
        let more = format!("  ... and {} instructions more; --limit N lists more", trace.left_out);
        text.push(paint(DIM, more));
    }
    for message in &traced.messages {
        text.push(format!("{} {}", paint(WARN, "says:"), message.trim_end()));
    }
    text.push(String::new());
    text.push(end(traced));
    text.join("\n")
}

/// Where the step is, if the last one was somewhere else.
fn heading(text: &mut Vec<String>, last: Option<&Step>, step: &Step) {
    let same_function = last.is_none_or(|last| last.activation == step.activation);
    let indent = "  ".repeat(step.depth);
    if !same_function {
        let returned = last.is_some_and(|last| last.depth > step.depth);
        let word = if returned { "back in" } else { "in" };
        text.push(format!("{indent}{}", paint(HEAD, format!("{word} {}", step.function))));
    }
    let place = |line: &SourceLine| (line.file.clone(), line.line);
    // Code of the compiler's own making comes from line 0.
    let Some(line) = step.line.as_ref().filter(|line| line.line > 0) else { return };
    let before = last.and_then(|last| last.line.as_ref());
    if last.is_some() && same_function && before.is_some_and(|before| place(before) == place(line))
    {
        return;
    }
    text.push(format!("{indent}{}  {}", paint(DIM, short(line)), line.text.trim()));
}

/// `filter.c:31`.
fn short(line: &SourceLine) -> String {
    let file = line.file.rsplit('/').next().unwrap_or(&line.file);
    format!("{file}:{}", line.line)
}

/// One instruction and its effects, beside it where they fit.
fn line(step: &Step) -> String {
    let indent = "  ".repeat(step.depth);
    let mut text = format!("{indent}{:5}: {}", step.slot, step.text);
    let effects = effects(step);
    let beside = effects.join(", ");
    if effects.is_empty() {
        return text;
    }
    let start = EFFECTS.max(visible(&text) + 2);
    if start + visible(&beside) <= WIDTH {
        text.push_str(&" ".repeat(start - visible(&text)));
        text.push_str(&beside);
        return text;
    }
    for effect in effects {
        text.push('\n');
        text.push_str(&paragraph(indent.len() + 9, &effect));
    }
    text
}

/// What an instruction did.
fn effects(step: &Step) -> Vec<String> {
    let mut effects = Vec::new();
    if let Some(call) = &step.call {
        effects.extend(arguments(call));
    }
    effects.extend(step.maps.iter().map(map));
    for access in &step.memory {
        // What a field of the context holds is what the register says.
        if access.place.starts_with("ctx") {
            continue;
        }
        let bytes = spaced(&access.bytes);
        effects.push(match (access.write, access.before.as_slice()) {
            (false, _) => format!("{}: {bytes}", access.place),
            (true, []) => format!("{} <- {bytes}", access.place),
            (true, before) => format!("{} <- {bytes} (was {})", access.place, spaced(before)),
        });
    }
    match &step.call {
        Some(Call { returned: Some(returned), .. }) => {
            effects.push(format!("{} = {returned}", paint(GOOD, "r0")));
        }
        _ => effects.extend(
            step.registers.iter().map(|r| format!("{} = {}", paint(GOOD, r.name), r.means)),
        ),
    }
    if let Some(branch) = &step.branch {
        let outcome = if branch.taken { "yes" } else { "no" };
        effects.push(format!(
            "{} {} {}: {}",
            branch.left,
            branch.operator,
            branch.right,
            paint(WARN, outcome)
        ));
    }
    if let Some(frame) = step.frame {
        effects.push(format!("packet now from {:+} to {:+}", frame.data, frame.end));
    }
    if let Some(fault) = step.fault {
        effects.push(paint(BAD, format!("fault: {fault}")));
    }
    effects
}

fn arguments(call: &Call) -> Option<String> {
    let known = call.arguments.iter().map(|(name, value)| match name.as_str() {
        "" => value.clone(),
        name => format!("{name} = {value}"),
    });
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn map(effect: &Effect) -> String {
    let Effect { map, operation, key, value, success } = effect;
    let outcome = match (*operation, success) {
        ("lookup", true) => "found",
        ("lookup", false) => "not there",
        (_, true) => "done",
        (_, false) => "refused",
    };
    let parts = [key.as_deref(), value.as_deref()].into_iter().flatten();
    let what = parts.collect::<Vec<_>>().join(" = ");
    format!("{operation} in {map}: {what}: {outcome}")
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Everything the program has at hand.
fn state_of(state: &State) -> String {
    let registers: Vec<String> =
        state.registers.iter().map(|r| format!("{} = {}", r.name, r.means)).collect();
    let mut text =
        vec![paragraph(2, &format!("{} {}", paint(DIM, "registers"), registers.join("  ")))];
    if !state.stack.is_empty() {
        let stack = state.stack.iter().map(|stored| match &stored.means {
            Some(means) => format!("{} = {means}", stored.place),
            None => format!("{}: {}", stored.place, spaced(&stored.bytes)),
        });
        let stack = stack.collect::<Vec<_>>().join("  ");
        text.push(paragraph(2, &format!("{}     {stack}", paint(DIM, "stack"))));
    }
    let frame = state.frame;
    let mut packet = format!("from {:+} to {:+}", frame.data, frame.end);
    if frame.meta != frame.data {
        packet.push_str(&format!(", metadata from {:+}", frame.meta));
    }
    text.push(paragraph(2, &format!("{}    {packet}", paint(DIM, "packet"))));
    text.join("\n")
}

/// The verdict and why.
fn end(traced: &Traced) -> String {
    let Traced { trace, before, after, .. } = traced;
    if let Some(position) = &trace.stopped {
        let place = match &position.line {
            Some(line) => format!("{}, {}+{}", short(line), position.function, position.slot),
            None => format!("{}+{}", position.function, position.slot),
        };
        return format!(
            "{} before {place}, after {} instructions; there is no verdict yet",
            paint(WARN, "stopped"),
            trace.executed
        );
    }
    let ran = &trace.ran;
    let style = match ran.verdict {
        Verdict::Aborted | Verdict::Drop => BAD,
        _ => GOOD,
    };
    let mut verdict = format!("XDP_{}", ran.verdict.name().to_uppercase());
    if ran.fault.is_none() && ran.code != ran.verdict as u64 {
        verdict.push_str(&format!(", for the program returned {}", ran.code));
    }
    if let Some(target) = &ran.redirect {
        verdict.push_str(&format!(" to {}", self::target(target)));
    }
    let mut text = vec![format!(
        "{} {} after {} instructions",
        paint(HEAD, "verdict:"),
        paint(style, verdict),
        trace.executed
    )];
    let leaves = matches!(ran.verdict, Verdict::Pass | Verdict::Tx | Verdict::Redirect);
    if leaves && before != after {
        text.push(format!("{} {} bytes", paint(HEAD, "the packet is now"), after.len()));
        text.push(paragraph(2, &dissect(after).to_string()));
    }
    if !trace.reasons.is_empty() {
        text.push(paint(HEAD, "why:"));
        let mut last = None;
        for reason in &trace.reasons {
            let place = reason_place(reason);
            if last.as_ref() != Some(&place) {
                text.push(paragraph(2, &place));
            }
            last = Some(place);
            text.push(paragraph(6, &outcome(reason)));
        }
    }
    text.join("\n")
}

/// Where a reason is, with the source of that line.
fn reason_place(Reason { at, text, .. }: &Reason) -> String {
    match &at.line {
        Some(line) => format!("{}  {}", paint(DIM, short(line)), line.text.trim()),
        None => format!("{}  {text}", paint(DIM, format!("{}+{}", at.function, at.slot))),
    }
}

fn outcome(Reason { text, times, what, .. }: &Reason) -> String {
    let mut outcome = match what {
        What::Branch(branch) => format!(
            "{} {} {}: {}",
            branch.left,
            branch.operator,
            branch.right,
            paint(WARN, if branch.taken { "yes" } else { "no" })
        ),
        What::Call(call) => {
            let arguments = arguments(call).unwrap_or_default();
            let returned = call.returned.as_deref().unwrap_or("?");
            format!("{}({arguments}) = {}", call.name, paint(WARN, returned))
        }
        What::Read(place) => format!("{text}, which reads {place}"),
        What::Set => paint(WARN, text),
        What::Fault(fault) => paint(BAD, format!("{text}: {fault}")),
    };
    if *times > 1 {
        outcome.push_str(&format!(" (the last of {times} times)"));
    }
    outcome
}

/// Where a redirected frame goes.
pub(super) fn target(destination: &Destination) -> String {
    match destination {
        Destination::Interface(ifindex) => format!("interface {ifindex}"),
        Destination::Device(device) => format!("interface {}", device.ifindex),
        Destination::Broadcast(devices) => {
            let all: Vec<String> = devices.iter().map(|d| d.ifindex.to_string()).collect();
            format!("interfaces {}", all.join(", "))
        }
        Destination::Cpu { cpu, .. } => format!("the host, on CPU {cpu}"),
        Destination::Socket { key, .. } => format!("the AF_XDP socket of entry {key}"),
    }
}
