//! Nanoseconds per frame of the corpus at TC: translated, written by hand, and the bare helpers.

use std::sync::Arc;

use hoist_benches::test_run::{Case, Column, Effect, Row, RowError, cases};
use hoist_bpf::kernel::{Kernel, Linux};

use crate::world::Outcome;

/// Rounds per program.
const ROUNDS: usize = 31;

/// Most nanoseconds that a translated program which only reads may take more than the same program
/// written by hand.
const OVER_BY_HAND: f64 = 15.0;
/// Most nanoseconds that it may take more than as XDP, where it does not resize frames.
const OVER_XDP: f64 = 20.0;
/// Most times the bare helpers that it may take where it does.
const OVER_BARE: f64 = 1.2;

/// The table's head. "Net" is without what a run costs that does nothing.
const HEAD: [&str; 11] = [
    "program",
    "XDP",
    "translated",
    "by hand",
    "bare helpers",
    "over by hand",
    "over XDP",
    "over XDP, net",
    "over bare",
    "over bare, net",
    "goals",
];

/// A table of the corpus, in Markdown: nanoseconds, but for the two ratios over the bare helpers.
pub(crate) fn corpus() -> Outcome<()> {
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
    println!("| {} |", HEAD.join(" | "));
    println!("|{}", "---|".repeat(HEAD.len()));
    for case in cases() {
        match Row::measure(&kernel, &case, ROUNDS) {
            Ok(row) => println!("| {} | {} |", case.title(), cells(&case, &row).join(" | ")),
            Err(error @ RowError::Refused(_)) => println!("| {} | {error} |", case.title()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn cells(case: &Case, row: &Row) -> [String; 10] {
    use Column::{Bare, ByHand, Nothing, NothingXdp, Translated, Xdp};
    let time = |column: Column| format!("{:.1}", row.median(|of| of(column)));
    let over_hand = row.median(|of| of(Translated) - of(ByHand));
    let over_xdp = row.median(|of| of(Translated) - of(Xdp));
    let net = row.median(|of| (of(Translated) - of(Nothing)) - (of(Xdp) - of(NothingXdp)));
    let bare = row.median(|of| of(Translated) / of(Bare));
    let resizes = matches!(case.effect, Effect::Resizes { .. });
    let bare_net = if resizes {
        row.median(|of| (of(Translated) - of(Nothing)) / (of(Bare) - of(Nothing)))
    } else {
        f64::INFINITY
    };
    let reached = match case.effect {
        Effect::Reads => {
            vec![("by hand", over_hand <= OVER_BY_HAND), ("XDP", over_xdp <= OVER_XDP)]
        }
        Effect::Writes => vec![("XDP", over_xdp <= OVER_XDP)],
        Effect::Resizes { .. } => vec![("bare", bare <= OVER_BARE)],
    };
    let reached: Vec<String> = reached
        .into_iter()
        .map(|(goal, met)| format!("{goal} {}", if met { "met" } else { "missed" }))
        .collect();
    let if_resized = |text: String| if resizes { text } else { String::new() };
    [
        time(Xdp),
        time(Translated),
        time(ByHand),
        if_resized(time(Bare)),
        format!("{over_hand:+.1}"),
        format!("{over_xdp:+.1}"),
        format!("{net:+.1}"),
        if_resized(format!("{bare:.2}")),
        if_resized(format!("{bare_net:.2}")),
        reached.join(", "),
    ]
}
