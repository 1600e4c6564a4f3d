//! What programs may do: one small program for each feature.

use std::os::fd::{AsFd, AsRawFd};

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{KernelError, ProgramSpec, TestRunSpec};

use super::{EINVAL, EXIT, Findings, Trial, XDP, call, no, returns, telling, unknown, yes};
use crate::host::report::Finding;

const E2BIG: i32 = 7;
const EOPNOTSUPP: i32 = 95;
const ENXIO: i32 = 6;
const BPF_XDP_DEVMAP: u32 = 33;
const BPF_XDP_CPUMAP: u32 = 35;
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_NETKIT_PRIMARY: u32 = 54;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
const BPF_PSEUDO_CALL: u8 = 1;
const BPF_PSEUDO_MAP_FD: u8 = 1;
const BPF_PSEUDO_MAP_VALUE: u8 = 2;
const BPF_PSEUDO_FUNC: u8 = 4;
const TAIL_CALL: i32 = 12;
const LOOP: i32 = 181;
/// The loopback interface's index, which every namespace has and which has no driver.
const LOOPBACK: u32 = 1;
/// What programs without privilege were limited to, and all programs before Linux 5.2.
const BPF_MAXINSNS: usize = 4096;

/// Asks for every feature that loading or querying can tell.
pub(in super::super) fn features(trial: &Trial<'_>) -> Findings {
    let code = |insns: &[Insn]| trial.by_success(trial.load(XDP, insns));
    let typed = |attach_type, flags| with_type(trial, attach_type, flags);
    [
        ("atomics", code(&ATOMIC_FETCH_ADD)),
        ("bounded-loops", bounded_loop(trial)),
        ("bpf-to-bpf-calls", code(&CALL_A_SUBPROGRAM)),
        ("bpf2bpf-tail-calls", tail_call_beside_subprogram(trial)),
        ("callbacks", callbacks(trial)),
        ("cpumap-program", typed(BPF_XDP_CPUMAP, 0)),
        ("dev-bound-only", device_bound(trial)),
        ("devmap-program", typed(BPF_XDP_DEVMAP, 0)),
        ("global-data", global_data(trial)),
        ("isa-v2", code(&ISA_V2)),
        ("isa-v3", code(&ISA_V3)),
        ("isa-v4", code(&ISA_V4)),
        ("live-frames", live_frames(trial)),
        ("million-insns", million_insns(trial)),
        ("netkit", query(trial, BPF_NETKIT_PRIMARY)),
        ("tcx", tcx(trial)),
        ("test-run", test_run(trial)),
        ("xdp-frags", typed(BPF_XDP, BPF_F_XDP_HAS_FRAGS)),
    ]
    .into_iter()
    .map(|(name, finding)| (name.to_owned(), finding))
    .collect()
}

/// `*(u64 *)(r10 - 8) = 0; r0 = 1; r0 = atomic_fetch_add((u64 *)(r10 - 8), r0)`.
const ATOMIC_FETCH_ADD: [Insn; 4] = [
    Insn::new(0x7a, 10, 0, -8, 0),
    Insn::new(0xb7, 0, 0, 0, 1),
    Insn::new(0xdb, 10, 0, -8, 0x01),
    EXIT,
];

/// Counts to eight, jumping backwards.
const LOOP_EIGHT_TIMES: [Insn; 4] =
    [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x07, 0, 0, 0, 1), Insn::new(0xa5, 0, 0, -2, 8), EXIT];

const CALL_A_SUBPROGRAM: [Insn; 4] =
    [Insn::new(0x85, 0, BPF_PSEUDO_CALL, 0, 1), EXIT, Insn::new(0xb7, 0, 0, 0, 2), EXIT];

/// `if r0 < 1 goto +0` (`BPF_JLT`).
const ISA_V2: [Insn; 3] = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0xa5, 0, 0, 0, 1), EXIT];

/// `if w0 == 1 goto +0` (`BPF_JMP32`).
const ISA_V3: [Insn; 3] = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x16, 0, 0, 0, 1), EXIT];

/// One of each group that version 4 added: sign-extending move and load, byte swap, signed
/// division, long jump.
const ISA_V4: [Insn; 8] = [
    Insn::new(0xb7, 1, 0, 0, 2),
    Insn::new(0xbf, 0, 1, 8, 0),
    Insn::new(0x7b, 10, 0, -8, 0),
    Insn::new(0x91, 0, 10, -8, 0),
    Insn::new(0xd7, 0, 0, 0, 16),
    Insn::new(0x3f, 0, 1, 1, 0),
    Insn::new(0x06, 0, 0, 0, 0),
    EXIT,
];

fn with_type(trial: &Trial<'_>, expected_attach_type: u32, flags: u32) -> Finding {
    trial.by_success(load_flagged(trial, expected_attach_type, flags, 0))
}

fn load_flagged(
    trial: &Trial<'_>,
    expected_attach_type: u32,
    flags: u32,
    ifindex: u32,
) -> Result<std::os::fd::OwnedFd, KernelError> {
    trial.load_spec(&ProgramSpec {
        kind: XDP,
        expected_attach_type,
        flags,
        ifindex,
        insns: &returns(2),
        ..ProgramSpec::default()
    })
}

/// Kernels before 5.3 refuse every jump backwards. Whatever else is said of this loop (a verifier that
/// guards against speculation takes it for infinite), the jump was followed.
fn bounded_loop(trial: &Trial<'_>) -> Finding {
    match trial.load(XDP, &LOOP_EIGHT_TIMES) {
        Ok(_) => yes("accepted"),
        Err(error) => match telling(&error) {
            Some(line) if line.contains("back-edge") => no(line),
            Some(line) => yes(line),
            None => trial.unsettled(&error),
        },
    }
}

/// A kernel that knows the flag looks at the device first: the loopback interface has no driver to
/// be bound to, and the refusal says that, not that the flag is unknown.
fn device_bound(trial: &Trial<'_>) -> Finding {
    match load_flagged(trial, BPF_XDP, BPF_F_XDP_DEV_BOUND_ONLY, LOOPBACK) {
        Ok(_) => yes("accepted"),
        Err(error) if error.errno == EOPNOTSUPP => {
            yes("the flag is known; the loopback interface, which has no driver, is turned down")
        }
        Err(error) if error.errno == EINVAL => no(error.cause()),
        Err(error) => trial.unsettled(&error),
    }
}

/// The tail call sits in the main program, beside a subprogram: within a subprogram the kernel would
/// ask for BTF before it looks at what the JIT can do.
fn tail_call_beside_subprogram(trial: &Trial<'_>) -> Finding {
    let array = trial.kernel.create_map(&hoist_bpf::kernel::MapSpec {
        name: "hoist_trial".to_owned(),
        kind: 3,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        ..Default::default()
    });
    let array = match array {
        Ok(array) => array,
        Err(error) => return trial.unsettled(&error),
    };
    trial.by_success(trial.load(
        XDP,
        &[
            Insn::new(0x18, 2, BPF_PSEUDO_MAP_FD, 0, array.as_raw_fd()),
            Insn::default(),
            Insn::new(0xb7, 3, 0, 0, 0),
            call(TAIL_CALL),
            Insn::new(0x85, 0, BPF_PSEUDO_CALL, 0, 1),
            EXIT,
            Insn::new(0xb7, 0, 0, 0, 2),
            EXIT,
        ],
    ))
}

fn global_data(trial: &Trial<'_>) -> Finding {
    let array = match trial.array() {
        Ok(array) => array,
        Err(error) => return trial.unsettled(&error),
    };
    trial.by_success(trial.load(
        XDP,
        &[
            Insn::new(0x18, 1, BPF_PSEUDO_MAP_VALUE, 0, array.as_raw_fd()),
            Insn::default(),
            Insn::new(0x79, 0, 1, 0, 0),
            EXIT,
        ],
    ))
}

/// Taking a function's address demands BTF, and a kernel that knows the instruction says so.
fn callbacks(trial: &Trial<'_>) -> Finding {
    let result = trial.load(
        XDP,
        &[
            Insn::new(0xb7, 1, 0, 0, 1),
            Insn::new(0x18, 2, BPF_PSEUDO_FUNC, 0, 5),
            Insn::default(),
            Insn::new(0xb7, 3, 0, 0, 0),
            Insn::new(0xb7, 4, 0, 0, 0),
            call(LOOP),
            EXIT,
            Insn::new(0xb7, 0, 0, 0, 1),
            EXIT,
        ],
    );
    match result {
        Ok(_) => yes("accepted"),
        Err(error) => match telling(&error) {
            Some(line) if line.contains("missing btf func_info") => yes(line),
            Some(line) if line.contains("BPF_LD_IMM") || line.contains("ld_imm64") => no(line),
            Some(line) => unknown(line),
            None => trial.unsettled(&error),
        },
    }
}

/// A kernel with the old limit refuses the length before it reads the code; one without it finds
/// the unreachable instruction.
fn million_insns(trial: &Trial<'_>) -> Finding {
    let code = vec![EXIT; BPF_MAXINSNS + 1];
    match trial.load(XDP, &code) {
        Ok(_) => yes("accepted"),
        Err(error) if error.errno == E2BIG => no(error.cause()),
        Err(error) => match telling(&error) {
            Some(line) => yes(format!("{} instructions were read: {line}", code.len())),
            None => trial.unsettled(&error),
        },
    }
}

fn test_run(trial: &Trial<'_>) -> Finding {
    run(trial, &TestRunSpec { data: &[0; 64], repeat: 1, ..TestRunSpec::default() }, |error| {
        if matches!(error.errno, EINVAL | 524) { no(error.cause()) } else { trial.unsettled(error) }
    })
}

/// Asks for a larger batch than any kernel takes: one that knows live frames says "too big", one
/// that does not says "invalid". No frame is sent.
fn live_frames(trial: &Trial<'_>) -> Finding {
    let spec = TestRunSpec {
        data: &[0; 64],
        repeat: 1,
        live_frames: true,
        batch: u32::MAX,
        ..TestRunSpec::default()
    };
    run(trial, &spec, |error| match error.errno {
        E2BIG => yes("BPF_PROG_TEST_RUN knows the flag and turns down too large a batch"),
        EINVAL => no(error.cause()),
        _ => trial.unsettled(error),
    })
}

fn run(
    trial: &Trial<'_>,
    spec: &TestRunSpec<'_>,
    judge: impl FnOnce(&KernelError) -> Finding,
) -> Finding {
    match trial.load(XDP, &returns(2)) {
        Ok(program) => match trial.kernel.test_run(program.as_fd(), spec) {
            Ok(_) => yes("BPF_PROG_TEST_RUN ran"),
            Err(error) => judge(&error),
        },
        Err(error) => trial.unsettled(&error),
    }
}

/// Whether the kernel has tcx.
pub(in super::super) fn tcx(trial: &Trial<'_>) -> Finding {
    query(trial, BPF_TCX_INGRESS)
}

/// `BPF_PROG_QUERY` of a hook on the loopback interface: `EINVAL` where the kernel has no such hook,
/// `ENXIO` where the hook exists on other devices only.
fn query(trial: &Trial<'_>, attach_type: u32) -> Finding {
    match trial.kernel.query_tcx(LOOPBACK, attach_type) {
        Ok(_) => yes("BPF_PROG_QUERY answers"),
        Err(error) if error.errno == ENXIO => yes("BPF_PROG_QUERY knows the hook"),
        Err(error) if error.errno == EINVAL => no(error.cause()),
        Err(error) => trial.unsettled(&error),
    }
}
