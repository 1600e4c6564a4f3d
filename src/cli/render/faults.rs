//! What programs did that the verifier would have refused.

use hoist_offload::attach::Fault;

use super::style::{BAD, GOOD, paint};
use super::table::paragraph;

/// Every kind of fault with its place, how often it happened, and, where a command shows a packet by its
/// number, how to look into it.
pub(crate) fn text(faults: &[Fault], trace: Option<&str>) -> String {
    let mut lines = vec![paint(BAD, "faults, each counted as aborted:")];
    for fault in faults {
        let times = match fault.times {
            1 => String::new(),
            times => format!("{times} times "),
        };
        let message = format!("{times}{}: {}", paint(BAD, &fault.code), fault.message);
        lines.push(paragraph(2, &message));
        lines.push(paragraph(4, &place(fault)));
        if let Some(trace) = trace {
            let next = format!("{} {trace} {}", paint(GOOD, "see:"), fault.first_packet);
            lines.push(paragraph(4, &next));
        }
    }
    lines.join("\n")
}

fn place(fault: &Fault) -> String {
    let Fault { function, slot, .. } = fault;
    match &fault.line {
        Some(line) => {
            format!("at {}:{}, {function}+{slot}: {}", line.file, line.line, line.text.trim())
        }
        None => format!("at {function}+{slot}"),
    }
}
