//! Where ACME's cards do otherwise than docs/semantics.md says.

use hoist_offload::expectation::{Expectation, Instead};
use hoist_offload::{EngineKind, Hook};

const ENGINE: (EngineKind, Hook) = (EngineKind::Native, Hook::Xdp);

/// See the module.
pub const EXPECTATIONS: &[Expectation] = &[
    aborted("exception-trace", "onlookers/aborted frames are traced", "xdp_exception"),
    aborted("verdict-codes", "verdict/0 aborts", "drop"),
    aborted("global-data", "globals/a constant of .rodata decides what is too short", "drop"),
];

const fn aborted(row: &'static str, case: &'static str, shows: &'static str) -> Expectation {
    Expectation {
        row,
        case,
        engine: ENGINE,
        code: "acme-drops-aborted",
        why: "the firmware knows no XDP_ABORTED: it drops the frame, and the driver never hears of it",
        source: "ACME programmer's manual, 4.1",
        instead: Instead::Shows(shows),
    }
}
