//! Which program types the kernel has: the smallest program of each, which never loads.

use hoist_bpf::kernel::ProgramSpec;
use hoist_bpf::names;

use super::{EINVAL, EPERM, EXIT, Findings, Trial, no, telling, yes};
use crate::host::report::Finding;

const BPF_F_SLEEPABLE: u32 = 1 << 4;
const E2BIG: i32 = 7;
/// Kernel-internal; `struct_ops` programs get it when they name no structure.
const ENOTSUPP: i32 = 524;

/// Number, `expected_attach_type`, flags.
type Row = (u32, u32, u32);

/// `enum bpf_prog_type`, with the attach type that types checked at load time demand.
const TYPES: [Row; 32] = [
    (1, 0, 0),
    (2, 0, 0),
    (3, 0, 0),
    (4, 0, 0),
    (5, 0, 0),
    (6, 37, 0),
    (7, 0, 0),
    (8, 0, 0),
    (9, 0, 0),
    (10, 0, 0),
    (11, 0, 0),
    (12, 0, 0),
    (13, 0, 0),
    (14, 0, 0),
    (15, 0, 0),
    (16, 0, 0),
    (17, 0, 0),
    (18, 10, 0),
    (19, 0, 0),
    (20, 0, 0),
    (21, 0, 0),
    (22, 0, 0),
    (23, 0, 0),
    (24, 0, 0),
    (25, 21, 0),
    (26, 24, 0),
    (27, 0, 0),
    (28, 0, 0),
    (29, 27, 0),
    (30, 36, 0),
    (31, 0, BPF_F_SLEEPABLE),
    (32, 45, 0),
];

/// Asks for every program type.
pub(in super::super) fn program_types(trial: &Trial<'_>) -> Findings {
    TYPES.iter().map(|row| (names::program_type(row.0), probe(trial, row))).collect()
}

/// The program returns without a value, or names no target to be attached to. A kernel that knows the
/// type complains of just that, in the verifier's log; one that does not refuses before there is a
/// log.
fn probe(trial: &Trial<'_>, &(kind, expected_attach_type, flags): &Row) -> Finding {
    let result = trial.load_spec(&ProgramSpec {
        kind,
        expected_attach_type,
        flags,
        insns: &[EXIT],
        ..ProgramSpec::default()
    });
    match result {
        Ok(_) => yes("accepted"),
        Err(error) => match telling(&error) {
            Some("R0 !read_ok") => yes("the verifier reads the code"),
            Some(line) => yes(line),
            None if error.errno == ENOTSUPP => yes("the type is known; no structure was named"),
            None if matches!(error.errno, EINVAL | E2BIG) => no(error.cause()),
            None if error.errno == EPERM && trial.missing.is_empty() => {
                no("not permitted although every capability it asks for is held")
            }
            None => trial.unsettled(&error),
        },
    }
}
