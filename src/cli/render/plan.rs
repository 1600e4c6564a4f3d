//! The ladder: which engines were passed over, with every reason, and which one was chosen.

use hoist_offload::error::{Gap, Refusal};
use hoist_offload::plan::{Certainty, Plan};
use hoist_offload::{EngineKind, EvidenceKind, Hook, Warning};

use crate::session::userspace::PROVIDER;

use super::style::{BAD, DIM, GOOD, HEAD, WARN, paint};
use super::table::paragraph;

/// Where reasons begin.
const REASON: usize = 13;

/// A plan as text.
pub(crate) fn ladder(plan: &Plan, verbose: bool) -> String {
    let mut text = vec![heading(&plan.program, &plan.device)];
    text.extend(plan.refusals.iter().map(|r| refusal(r, verbose)));
    text.push(match (plan.engine, plan.hook) {
        (Some(engine), Some(hook)) => {
            chosen(engine, hook, provider(plan.provider.as_deref()), plan.certainty)
        }
        _ => format!("  {}", paint(BAD, "no engine is left")),
    });
    text.extend(plan.warnings.iter().map(warning));
    text.join("\n")
}

/// The refusals of a program that found no engine.
pub(crate) fn refusals(program: &str, device: &str, refusals: &[Refusal], verbose: bool) -> String {
    let mut text = vec![heading(program, device)];
    text.extend(refusals.iter().map(|r| refusal(r, verbose)));
    text.push(format!("  {}", paint(BAD, "no engine is left")));
    text.join("\n")
}

fn heading(program: &str, device: &str) -> String {
    format!("{} on {}", paint(HEAD, program), paint(HEAD, device))
}

/// A vendor's name; the kernel and hoist go without saying.
fn provider(name: Option<&str>) -> String {
    match name {
        None | Some("kernel" | PROVIDER) => String::new(),
        Some(vendor) => format!(" ({vendor})"),
    }
}

fn chosen(engine: EngineKind, hook: Hook, provider: String, certainty: Certainty) -> String {
    let how = match certainty {
        Certainty::Proven if engine == EngineKind::User => "proven: in hoist's own machine",
        Certainty::Proven => "proven: loaded and verified here",
        Certainty::Expected => "expected from facts; not loaded",
    };
    let mut text = format!("  {}  chosen{provider}, {how}", paint(GOOD, format!("{engine:<8}")));
    if hook != Hook::Xdp {
        text.push_str(&format!(" (hook {hook})"));
    }
    text
}

fn refusal(refusal: &Refusal, verbose: bool) -> String {
    let provider = provider(Some(&refusal.provider));
    let hook = match refusal.hook {
        Some(Hook::Xdp) | None => String::new(),
        Some(hook) => format!(" (hook {hook})"),
    };
    let mut text =
        format!("  {}  passed over{provider}{hook}", paint(BAD, format!("{:<8}", refusal.engine)));
    for gap in &refusal.gaps {
        text.push('\n');
        text.push_str(&reason(gap, REASON - 1, verbose));
    }
    text
}

/// One gap: code and message, then where, how it is known, and what would change it.
pub(crate) fn reason(gap: &Gap, indent: usize, verbose: bool) -> String {
    let mut text = paragraph(indent, &format!("{}: {}", paint(WARN, &gap.code), gap.message));
    if let Some(place) = place(gap) {
        text.push('\n');
        text.push_str(&paragraph(indent + 2, &place));
    }
    if let Some(evidence) = gap.evidence.as_ref().filter(|_| verbose) {
        let known = format!("known: {} ({})", evidence_kind(evidence.kind), evidence.detail);
        text.push('\n');
        text.push_str(&paint(DIM, paragraph(indent + 2, &known)));
    }
    for line in gap.log.iter().filter(|_| verbose).flat_map(|log| log.lines()) {
        // As the verifier wrote it: its columns mean something.
        text.push_str(&format!("\n{:indent$}  {}", "", paint(DIM, line)));
    }
    if let Some(remedy) = &gap.remedy {
        text.push('\n');
        text.push_str(&paragraph(indent + 2, &format!("{} {remedy}", paint(GOOD, "remedy:"))));
    }
    text
}

/// Where in the program a gap comes from.
pub(crate) fn place(gap: &Gap) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(line) = &gap.line {
        parts.push(format!("{}:{}", line.file, line.line));
    }
    parts.extend(gap.insn.clone());
    if let Some(map) = &gap.map {
        parts.push(format!("map {map}"));
    }
    if parts.is_empty() {
        return None;
    }
    let text = gap.line.as_ref().map(|l| l.text.trim()).filter(|t| !t.is_empty());
    Some(match text {
        Some(source) => format!("at {}: {source}", parts.join(", ")),
        None => format!("at {}", parts.join(", ")),
    })
}

fn warning(warning: &Warning) -> String {
    let mut text =
        paragraph(4, &format!("{} {}: {}", paint(WARN, "warning"), warning.code, warning.message));
    if let Some(remedy) = &warning.remedy {
        text.push('\n');
        text.push_str(&paragraph(6, &format!("{} {remedy}", paint(GOOD, "remedy:"))));
    }
    text
}

/// A class of evidence in words.
pub(crate) const fn evidence_kind(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::KernelSaid => "the kernel said so",
        EvidenceKind::TrialLoad => "trial load",
        EvidenceKind::DriverTable => "driver table",
        EvidenceKind::Assumed => "assumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_s_log_is_shown_when_asked_for() {
        let mut gap = Gap::new("verifier-rejected", "refused");
        gap.log = Some("0: r1 = r2\nR2 !read_ok".to_owned());
        let lines: Vec<String> = reason(&gap, 4, true).lines().map(str::to_owned).collect();
        assert!(lines[1].starts_with("      ") && lines[1].contains("0: r1 = r2"), "{lines:?}");
        assert!(lines[2].starts_with("      ") && lines[2].contains("R2 !read_ok"), "{lines:?}");
        assert!(!reason(&gap, 4, false).contains("read_ok"));
    }
}
