//! What the kernel answers to loads for a device (`bpf_prog_dev_bound_init` and what follows it), one row
//! for each way of being refused; and that the kernel in memory answers alike.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::fake::{Card, FakeInterface};
use hoist_bpf::kernel::{Fake, Kernel, KernelError, MapSpec};
use hoist_hwtests::require;

use crate::support::{Nic, PASS, SCHED_CLS, XDP, kernel, program};

const SOCKET_FILTER: u32 = 1;
const BOUND_ONLY: u32 = 1 << 6;
const FRAGS: u32 = 1 << 5;
const STRICT_ALIGNMENT: u32 = 1;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;
const ENOTSUPP: i32 = 524;

/// Interfaces of every sort, by index.
struct Here {
    nic: u32,
    /// A port of another NIC.
    other: u32,
    /// A driver that knows BPF and has no NIC for it.
    veth: u32,
    /// A driver that knows no BPF.
    loopback: u32,
}

fn map(kind: u32, ifindex: u32) -> MapSpec<'static> {
    MapSpec {
        name: "trial".to_owned(),
        kind,
        key_size: 4,
        value_size: 8,
        max_entries: 2,
        ifindex,
        ..MapSpec::default()
    }
}

/// `r1 = map; r0 = 2; exit`.
fn with_map(map: &OwnedFd) -> Vec<Insn> {
    let mut insns = vec![Insn::new(0x18, 1, 1, 0, map.as_raw_fd()), Insn::new(0, 0, 0, 0, 0)];
    insns.extend(PASS);
    insns
}

fn refused<T>(outcome: Result<T, KernelError>, what: &str, errno: i32, words: &str) {
    let Err(error) = outcome else { panic!("{what} was taken") };
    assert_eq!(error.errno, errno, "{what}: {error}");
    let log = error.log.unwrap_or_default();
    match words {
        "" => assert_eq!(log, "", "{what}"),
        words => assert!(log.contains(words), "{what}: {log}"),
    }
}

fn programs(kernel: &dyn Kernel, here: &Here) {
    let loads: [(&str, u32, u32, u32, i32); 8] = [
        ("a socket filter", SOCKET_FILTER, 0, here.nic, EINVAL),
        ("strict alignment", XDP, STRICT_ALIGNMENT, here.nic, EINVAL),
        ("multi-buffer support", XDP, FRAGS, here.nic, EINVAL),
        ("a classifier bound on the host", SCHED_CLS, BOUND_ONLY, here.nic, EINVAL),
        ("an interface that is not there", XDP, 0, 9999, EINVAL),
        ("a driver that knows no BPF", XDP, 0, here.loopback, EOPNOTSUPP),
        ("a driver without a NIC", XDP, 0, here.veth, EINVAL),
        ("a classifier for a driver without a NIC", SCHED_CLS, 0, here.veth, EINVAL),
    ];
    for (what, kind, flags, ifindex, errno) in loads {
        refused(kernel.load_program(&program(kind, flags, ifindex, &PASS)), what, errno, "");
    }
    for (kind, flags) in [(XDP, 0), (SCHED_CLS, 0), (XDP, BOUND_ONLY)] {
        let loaded = kernel.load_program(&program(kind, flags, here.nic, &PASS)).unwrap();
        let info = kernel.program_info(loaded.as_fd()).unwrap();
        // The kernel does not tell of programs that are bound and run on the host.
        if flags == 0 {
            assert_eq!(info.ifindex, here.nic);
            assert_eq!(info.jited_bytes, 0);
        }
    }
}

fn maps(kernel: &dyn Kernel, here: &Here) {
    for kind in 1..=33 {
        if !matches!(kind, 1 | 2) {
            // Some are refused for their sizes first; none is made.
            assert!(kernel.create_map(&map(kind, here.nic)).is_err(), "map type {kind}");
        }
    }
    for (what, kind, ifindex, errno) in [
        ("no such interface", 1, 9999, EINVAL),
        ("a driver that knows no BPF", 1, here.loopback, EOPNOTSUPP),
        ("a driver without a NIC", 1, here.veth, EINVAL),
        ("an LRU hash", 9, here.nic, EINVAL),
        ("a per-CPU array", 6, here.nic, EINVAL),
    ] {
        refused(kernel.create_map(&map(kind, ifindex)), what, errno, "");
    }
    let flags = MapSpec { flags: 1, ..map(1, here.nic) };
    refused(kernel.create_map(&flags), "flags", EINVAL, "");
    let made = |kind, ifindex| kernel.create_map(&map(kind, ifindex)).unwrap();
    let (nic, other, host) = (made(2, here.nic), made(2, here.other), made(2, 0));
    assert_eq!(kernel.map_info(nic.as_fd()).unwrap().ifindex, here.nic);
    let mismatch = "offload device mismatch between prog and map";
    for (what, map, ifindex, flags) in [
        ("a host's map in a NIC's program", &host, here.nic, 0),
        ("another NIC's map", &other, here.nic, 0),
        ("a NIC's map in a host's program", &nic, 0, 0),
        ("another NIC's map in a bound program", &other, here.nic, BOUND_ONLY),
    ] {
        let insns = with_map(map);
        refused(kernel.load_program(&program(XDP, flags, ifindex, &insns)), what, EINVAL, mismatch);
    }
    let tails = kernel.create_map(&MapSpec { value_size: 4, ..map(3, 0) }).unwrap();
    let insns = with_map(&tails);
    refused(kernel.load_program(&program(XDP, 0, here.nic, &insns)), "tails", EINVAL, mismatch);
    let events = kernel.create_map(&MapSpec { value_size: 4, ..map(4, 0) }).unwrap();
    for map in [&nic, &events] {
        let insns = with_map(map);
        kernel.load_program(&program(XDP, 0, here.nic, &insns)).unwrap();
    }
}

/// What the kernel does with a program for a NIC besides attaching it.
fn runs(kernel: &dyn Kernel, here: &Here) {
    let spec = hoist_bpf::kernel::TestRunSpec { data: &[0; 64], repeat: 1, ..Default::default() };
    let loaded = kernel.load_program(&program(XDP, 0, here.nic, &PASS)).unwrap();
    let error = kernel.test_run(loaded.as_fd(), &spec).unwrap_err();
    assert_eq!(error.errno, ENOTSUPP, "{error}");
    // The trap: the kernel itself would take it.
    let classifier = kernel.load_program(&program(SCHED_CLS, 0, here.nic, &PASS)).unwrap();
    let error = kernel.link_tcx(classifier.as_fd(), here.nic).unwrap_err();
    assert!(error.to_string().contains("loaded for a NIC"), "{error}");
    assert_eq!(kernel.query_tcx(here.nic, 46).unwrap(), [0; 0]);
}

#[test]
fn the_kernel_refuses_as_its_source_says() {
    if !require::netdevsim("the_kernel_refuses_as_its_source_says") {
        return;
    }
    let nic = Nic::new(1);
    let other = Nic::beside(1);
    // The table speaks of interfaces of one network namespace, which is the NIC's.
    let ip = |args: &str| {
        std::process::Command::new("ip").args(args.split(' ')).output().unwrap().status.success()
    };
    // What an earlier run may have left.
    ip("link del hwveth0");
    assert!(ip("link add hwveth0 type veth peer name hwveth1"));
    let host = hoist_offload::host::LinuxHost::new(kernel());
    let veth = hoist_offload::Host::device(&host, "hwveth0").unwrap().ifindex;
    let here = Here { nic: nic.device().ifindex, other: other.device().ifindex, veth, loopback: 1 };
    let kernel = kernel();
    programs(&*kernel, &here);
    maps(&*kernel, &here);
    runs(&*kernel, &here);
    nic.empty();
    assert!(ip("link del hwveth0"));
}

#[test]
fn the_kernel_in_memory_refuses_alike() {
    let fake = Fake::new();
    let card = |asic| Some(Card { asic, ..Card::default() });
    fake.add_interface(FakeInterface { card: card(1), ..FakeInterface::new(2, "nic") });
    fake.add_interface(FakeInterface { card: card(2), ..FakeInterface::new(3, "other") });
    fake.add_interface(FakeInterface::new(4, "veth"));
    fake.add_interface(FakeInterface { native: false, ..FakeInterface::new(1, "lo") });
    let here = Here { nic: 2, other: 3, veth: 4, loopback: 1 };
    programs(&fake, &here);
    maps(&fake, &here);
    runs(&fake, &here);
}
