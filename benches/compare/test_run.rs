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

/// A table of the corpus, in Markdown.
pub(crate) fn corpus() -> Outcome<()> {
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
    println!(
        "| program | XDP | translated | by hand | translated over by hand | over XDP | bare helpers | \
         over bare | goals |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in cases() {
        let name =
            if case.tagged { format!("{}, tagged", case.name) } else { case.name.to_owned() };
        match Row::measure(&kernel, &case, ROUNDS) {
            Ok(row) => println!("| {name} | {} |", cells(&case, &row).join(" | ")),
            Err(error @ RowError::Refused(_)) => println!("| {name} | {error} |||||||"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn cells(case: &Case, row: &Row) -> [String; 8] {
    use Column::{Bare, ByHand, Nothing, Translated, Xdp};
    let time = |column| format!("{:.1}", row.time(column).median);
    let over_hand = row.difference(Translated, ByHand).median;
    let over_xdp = row.difference(Translated, Xdp).median;
    let (mut bare, mut ratio) = (String::new(), String::new());
    let met = match case.effect {
        Effect::Reads => over_hand <= OVER_BY_HAND && over_xdp <= OVER_XDP,
        Effect::Writes => over_xdp <= OVER_XDP,
        Effect::Resizes { .. } => {
            let over_bare = row.over_bare().median;
            bare = format!("{:.1}", row.difference(Bare, Nothing).median);
            ratio = format!("{over_bare:.2}");
            over_bare <= OVER_BARE
        }
    };
    [
        time(Xdp),
        time(Translated),
        time(ByHand),
        format!("{over_hand:+.1}"),
        format!("{over_xdp:+.1}"),
        bare,
        ratio,
        if met { "met" } else { "missed" }.to_owned(),
    ]
}
