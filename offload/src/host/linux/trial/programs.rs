//! Which program types the kernel has: the smallest program of each.

use hoist_bpf::kernel::ProgramSpec;
use hoist_bpf::names;

use super::{EINVAL, EPERM, Findings, Trial, by_success, no, returns, telling, unsettled, yes};
use crate::host::report::Finding;

const BPF_F_SLEEPABLE: u32 = 1 << 4;
const E2BIG: i32 = 7;
/// Kernel-internal; `struct_ops` programs get it when they name no structure.
const ENOTSUPP: i32 = 524;

/// How the answer is read off the kernel's reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The program loads.
    Success,
    /// The program names no target, and a kernel that knows the type complains of just that, in the
    /// verifier's log; one that does not refuses before there is a log.
    Complaint,
}

/// Number, `expected_attach_type`, flags, and how to read the answer.
type Row = (u32, u32, u32, By);

/// `enum bpf_prog_type`, with the attach type that types checked at load time demand.
const TYPES: [Row; 32] = [
    (1, 0, 0, By::Success),
    (2, 0, 0, By::Success),
    (3, 0, 0, By::Success),
    (4, 0, 0, By::Success),
    (5, 0, 0, By::Success),
    (6, 37, 0, By::Success),
    (7, 0, 0, By::Success),
    (8, 0, 0, By::Success),
    (9, 0, 0, By::Success),
    (10, 0, 0, By::Success),
    (11, 0, 0, By::Success),
    (12, 0, 0, By::Success),
    (13, 0, 0, By::Success),
    (14, 0, 0, By::Success),
    (15, 0, 0, By::Success),
    (16, 0, 0, By::Success),
    (17, 0, 0, By::Success),
    (18, 10, 0, By::Success),
    (19, 0, 0, By::Success),
    (20, 0, 0, By::Success),
    (21, 0, 0, By::Success),
    (22, 0, 0, By::Success),
    (23, 0, 0, By::Success),
    (24, 0, 0, By::Success),
    (25, 21, 0, By::Success),
    (26, 24, 0, By::Complaint),
    (27, 0, 0, By::Complaint),
    (28, 0, 0, By::Complaint),
    (29, 27, 0, By::Complaint),
    (30, 36, 0, By::Success),
    (31, 0, BPF_F_SLEEPABLE, By::Success),
    (32, 45, 0, By::Success),
];

/// Asks for every program type.
pub(in super::super) fn program_types(trial: &Trial<'_>) -> Findings {
    TYPES.iter().map(|row| (names::program_type(row.0), probe(trial, row))).collect()
}

fn probe(trial: &Trial<'_>, &(kind, expected_attach_type, flags, by): &Row) -> Finding {
    let code = returns(1);
    let result = trial.load_spec(&ProgramSpec {
        kind,
        expected_attach_type,
        flags,
        insns: &code,
        ..ProgramSpec::default()
    });
    match (by, result) {
        (By::Success, result) => by_success(result),
        (By::Complaint, Ok(_)) => yes("accepted"),
        (By::Complaint, Err(error)) => match telling(&error) {
            Some(line) => yes(line),
            None if error.errno == ENOTSUPP => yes("the type is known; no structure was named"),
            None if matches!(error.errno, EINVAL | E2BIG) => no(error.cause()),
            None if error.errno == EPERM && trial.privileged => {
                no("not permitted although every capability it asks for is held")
            }
            None => unsettled(&error),
        },
    }
}
