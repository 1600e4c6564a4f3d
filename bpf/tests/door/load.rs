//! Programs, their facts, and running them.

use std::os::fd::AsFd;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, ObjectKind, TestRunSpec};

use crate::bench::{A, Bench, XDP, exit, mov, spec};

#[test]
fn a_program_is_loaded_described_found_and_run() {
    let Some(bench) = Bench::new("a_program_is_loaded_described_found_and_run") else { return };
    let program = bench.program(2);
    let info = bench.kernel.program_info(program.as_fd()).unwrap();
    assert_eq!((info.kind, info.name.as_str(), info.xlated_insns), (XDP, "verdict", 2));
    assert_eq!(info.tag.len(), 16);
    assert!(info.gpl_compatible);
    assert!(bench.kernel.ids(ObjectKind::Program).unwrap().contains(&info.id));
    let again = bench.kernel.open(ObjectKind::Program, info.id).unwrap().unwrap();
    assert_eq!(bench.kernel.program_info(again.as_fd()).unwrap().tag, info.tag);
    assert!(bench.kernel.open(ObjectKind::Program, u32::MAX - 1).unwrap().is_none());

    let frame = [7; 60];
    let run = TestRunSpec { data: &frame, repeat: 1, ..Default::default() };
    let outcome = bench.kernel.test_run(program.as_fd(), &run).unwrap();
    assert_eq!((outcome.verdict, outcome.data.as_slice()), (2, frame.as_slice()));
    let short = TestRunSpec { data: &frame[..5], repeat: 1, ..Default::default() };
    assert_eq!(bench.kernel.test_run(program.as_fd(), &short).unwrap_err().errno, libc::EINVAL);
}

#[test]
fn a_refused_program_brings_the_whole_log() {
    let Some(bench) = Bench::new("a_refused_program_brings_the_whole_log") else { return };
    let error = bench.kernel.load_program(&spec("bad", &[exit()])).unwrap_err();
    assert_eq!(error.operation, "BPF_PROG_LOAD");
    assert!(error.to_string().contains("R0 !read_ok"), "{error}");

    // Branches that the verifier must all follow: a log far longer than the first buffer.
    let mut insns = vec![Insn::new(0x61, 2, 1, 12, 0)];
    for bit in 0..4000 {
        insns.push(Insn::new(0x55, 2, 0, 1, bit));
        insns.push(mov(3, bit));
    }
    insns.push(exit());
    let error = bench.kernel.load_program(&spec("long", &insns)).unwrap_err();
    let log = error.log.as_deref().unwrap();
    assert!(log.len() > 64 << 10, "{} bytes", log.len());
    assert!(log.starts_with("0:") || log.starts_with("func#0"), "{}", &log[..80]);
    assert!(error.to_string().contains("R0 !read_ok"), "{error}");
}

#[test]
fn live_frames_are_carried_out() {
    let Some(bench) = Bench::new("live_frames_are_carried_out") else { return };
    let sender = bench.program(3);
    // XDP_TX of a frame that "came in" on a leaves through a and so comes in on b, where only a
    // driver that has a program takes frames.
    let receiver = bench.program(1);
    let link = bench
        .kernel
        .link_xdp(receiver.as_fd(), crate::bench::B, hoist_bpf::kernel::XdpMode::Native)
        .unwrap();
    let mut context = [0_u8; 24];
    context[4..8].copy_from_slice(&60_u32.to_ne_bytes());
    context[12..16].copy_from_slice(&A.to_ne_bytes());
    let frame = [0xff; 60];
    let spec =
        TestRunSpec { data: &frame, context: &context, repeat: 100, live_frames: true, batch: 0 };
    bench.kernel.test_run(sender.as_fd(), &spec).unwrap();
    let wrong = TestRunSpec { batch: 100_000, ..spec };
    assert_eq!(bench.kernel.test_run(sender.as_fd(), &wrong).unwrap_err().errno, libc::E2BIG);
    drop(link);
}
