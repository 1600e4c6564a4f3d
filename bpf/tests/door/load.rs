//! Programs, their facts, and running them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};

use hoist_bpf::kernel::loader::{self, LoadSpec};
use hoist_bpf::kernel::{Fake, Kernel, MapSpec, ObjectKind, TestRunSpec, XdpMode};
use hoist_bpf::parse::Selector;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_bpf::{Insn, Module};

use crate::bench::{A, B, BPF_XDP, Bench, XDP, exit, mov, settles, spec};

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

/// Names are cut to 15 bytes; what was cut is read from the program's BTF, if it has any.
#[test]
fn long_names_come_back_whole() {
    let Some(bench) = Bench::new("long_names_come_back_whole") else { return };
    let bytes = hoist_bpf::programs::get("redirect_devmap").unwrap().object;
    let module = Module::parse("redirect_devmap.bpf.o", bytes).unwrap();
    let program = Selector { program: Some("xdp_redirect_devmap".to_owned()), section: None };
    let program = module.select(&program).unwrap();
    let module = resolve(&module, &TargetBtf::none()).unwrap();
    let spec = LoadSpec {
        module: &module,
        program,
        kind: XDP,
        attach_type: BPF_XDP,
        binding: None,
        pin_root: None,
        contents: &BTreeMap::new(),
    };
    let kernels: [&dyn Kernel; 2] = [&bench.kernel, &Fake::new()];
    for kernel in kernels {
        let loaded = loader::load(kernel, &spec).unwrap();
        let info = kernel.program_info(loaded.program.as_fd()).unwrap();
        assert_eq!(info.name, "xdp_redirect_devmap", "{kernel:?}");
        assert_eq!(info.map_ids.len(), loaded.maps.len());
    }
    let code = [mov(0, 2), exit()];
    let cut = bench.load("a_name_of_more_than_15_bytes", &code);
    assert_eq!(bench.kernel.program_info(cut.as_fd()).unwrap().name, "a_name_of_more_");
}

/// `if (eth->h_proto == 0xffff) lock *(u64 *)value += 1; return verdict`: counts our frames and not
/// what the stack of the other end sends by itself.
fn counter(map_fd: i32, verdict: i32) -> [Insn; 13] {
    const PSEUDO_MAP_VALUE: u8 = 2;
    [
        Insn::new(0x61, 2, 1, 0, 0),
        Insn::new(0x61, 3, 1, 4, 0),
        Insn::new(0xbf, 4, 2, 0, 0),
        Insn::new(0x07, 4, 0, 0, 14),
        Insn::new(0x2d, 4, 3, 6, 0),
        Insn::new(0x69, 5, 2, 12, 0),
        Insn::new(0x55, 5, 0, 4, 0xffff),
        Insn::new(0x18, 1, PSEUDO_MAP_VALUE, 0, map_fd),
        Insn::default(),
        mov(2, 1),
        Insn::new(0xdb, 1, 2, 0, 0),
        mov(0, verdict),
        exit(),
    ]
}

#[test]
fn live_frames_are_carried_out() {
    // Fewer than veth's ring holds, so that none is lost however late the receiver runs.
    const FRAMES: u32 = 200;
    let Some(bench) = Bench::new("live_frames_are_carried_out") else { return };
    let kernel = bench.kernel;
    let array =
        MapSpec { kind: 2, key_size: 4, value_size: 8, max_entries: 1, ..Default::default() };
    let counts = kernel.create_map(&array).unwrap();
    // XDP_TX of a frame that "came in" on a leaves through a and so comes in on b, where only a
    // driver that has a program takes frames.
    let sender = bench.program(3);
    let receiver = bench.load("receiver", &counter(counts.as_raw_fd(), 1));
    let _link = kernel.link_xdp(receiver.as_fd(), B, XdpMode::Native).unwrap();
    let mut context = [0_u8; 24];
    context[4..8].copy_from_slice(&60_u32.to_ne_bytes());
    context[12..16].copy_from_slice(&A.to_ne_bytes());
    let frame = [0xff; 60];
    let spec = TestRunSpec {
        data: &frame,
        context: &context,
        repeat: FRAMES,
        live_frames: true,
        ..TestRunSpec::default()
    };
    let received = || {
        let value = kernel.map_lookup(counts.as_fd(), &[0; 4], 8).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    };
    kernel.test_run(sender.as_fd(), &spec).unwrap();
    assert!(settles(|| received() == u64::from(FRAMES)), "{} of {FRAMES}", received());
    let without = TestRunSpec { live_frames: false, repeat: 1, ..spec };
    assert_eq!(kernel.test_run(sender.as_fd(), &without).unwrap().verdict, 3);
    assert_eq!(received(), u64::from(FRAMES), "a test run without live frames sends nothing");
    let wrong = TestRunSpec { batch: 100_000, ..spec };
    assert_eq!(kernel.test_run(sender.as_fd(), &wrong).unwrap_err().errno, libc::E2BIG);
}
