//! Requests to attach XDP, well-formed or not, and what the kernel says to each: `do_setlink` of
//! net/core/rtnetlink.c, `dev_xdp_attach` and `dev_xdp_install` of net/core/dev.c.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hoist_bpf::kernel::netlink::route::link_header;
use hoist_bpf::kernel::netlink::{Builder, Refusal, Socket};
use hoist_bpf::kernel::{Expect, Kernel, KernelError, ProgramSpec, XdpMode};
use hoist_hwtests::require;
use hoist_offload::EngineKind;

use crate::support::{
    BPF_XDP, Nic, PASS, SCHED_CLS, XDP, attach as run, index, ip, job, kernel, only, program,
    refusal,
};

const RTM_SETLINK: u16 = 19;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const SKB: u32 = 2;
const DRV: u32 = 4;
const HW: u32 = 8;
const REPLACE: u32 = 16;
const EBADF: i32 = 9;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;
/// `enum bpf_attach_type`.
const BPF_XDP_DEVMAP: u32 = 33;
const BPF_XDP_CPUMAP: u32 = 35;
const BOUND_ONLY: u32 = 1 << 6;

fn send(ifindex: u32, xdp: Builder) -> Result<Option<String>, Refusal> {
    let payload = link_header(ifindex).nest(IFLA_XDP, xdp).build();
    Ok(Socket::route()?.request(RTM_SETLINK, 0, &payload)?.warning)
}

/// `fd` and flags, as they are.
fn attach(ifindex: u32, fd: i32, flags: u32) -> Result<Option<String>, Refusal> {
    send(ifindex, Builder::default().i32(IFLA_XDP_FD, fd).u32(IFLA_XDP_FLAGS, flags))
}

#[track_caller]
fn refused(what: &str, outcome: Result<Option<String>, Refusal>, errno: i32, words: Option<&str>) {
    let refusal = outcome.expect_err(what);
    let said = refusal.message.as_deref();
    assert_eq!((refusal.errno, said), (errno, words), "{what}");
}

fn xdp(kernel: &dyn Kernel, flags: u32, attach_type: u32, ifindex: u32) -> OwnedFd {
    let spec =
        ProgramSpec { expected_attach_type: attach_type, ..program(XDP, flags, ifindex, &PASS) };
    kernel.load_program(&spec).unwrap()
}

#[test]
fn malformed_requests_are_refused_without_a_word() {
    if !require::netdevsim("malformed_requests_are_refused_without_a_word") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let bound = xdp(&*kernel, 0, BPF_XDP, ifindex);
    let host = xdp(&*kernel, 0, BPF_XDP, 0);
    let classifier = kernel.load_program(&program(SCHED_CLS, 0, 0, &PASS)).unwrap();
    let (fd, at_host) = (bound.as_raw_fd(), host.as_raw_fd());
    let with = || Builder::default().i32(IFLA_XDP_FD, fd).u32(IFLA_XDP_FLAGS, HW);
    let requests = [
        (
            "what is attached, told to the kernel",
            send(ifindex, with().u8(IFLA_XDP_ATTACHED, 3)),
            EINVAL,
        ),
        ("an id in place of a descriptor", send(ifindex, with().u32(IFLA_XDP_PROG_ID, 1)), EINVAL),
        ("a flag that is none", attach(ifindex, fd, HW | 1 << 5), EINVAL),
        ("two modes", attach(ifindex, fd, HW | DRV), EINVAL),
        ("two others", attach(ifindex, at_host, SKB | DRV), EINVAL),
        ("replacing without saying what", attach(ifindex, fd, HW | REPLACE), EINVAL),
        ("a descriptor that is none", attach(ifindex, 9999, HW), EBADF),
        ("a classifier", attach(ifindex, classifier.as_raw_fd(), SKB), EINVAL),
        ("a NIC's program in generic mode", attach(ifindex, fd, SKB), EINVAL),
    ];
    for (what, outcome, errno) in requests {
        refused(what, outcome, errno, None);
    }
    assert_eq!(kernel.query_xdp(ifindex).unwrap(), Default::default());
    drop(bound);
    nic.empty();
}

#[test]
fn every_sentence_of_the_attach_path_is_heard() {
    if !require::netdevsim("every_sentence_of_the_attach_path_is_heard") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let load = |flags, attach_type, bound| {
        xdp(&*kernel, flags, attach_type, if bound { ifindex } else { 0 })
    };
    let (bound, next, host) =
        (load(0, BPF_XDP, true), load(0, BPF_XDP, true), load(0, BPF_XDP, false));
    let set = |program: Option<&OwnedFd>, mode, expect: Expect<'_>| {
        kernel.netlink_xdp(ifindex, program.map(AsFd::as_fd), mode, expect)
    };
    let (hw, drv, skb) = (Some(XdpMode::Hardware), Some(XdpMode::Native), Some(XdpMode::Generic));
    let says =
        |what: &str, outcome: Result<Option<String>, KernelError>, errno: i32, words: &str| {
            let error = outcome.expect_err(what);
            assert_eq!((error.errno, error.message.as_deref()), (errno, Some(words)), "{what}");
        };

    // Of programs.
    let bound_only = load(BOUND_ONLY, BPF_XDP, true);
    let (devmap, cpumap) = (load(0, BPF_XDP_DEVMAP, false), load(0, BPF_XDP_CPUMAP, false));
    for (what, program, mode, errno, words) in [
        (
            "in native mode",
            &bound,
            drv,
            EINVAL,
            "Using offloaded program without HW_MODE flag is not supported",
        ),
        (
            "in any mode",
            &bound,
            None,
            EINVAL,
            "Using offloaded program without HW_MODE flag is not supported",
        ),
        (
            "bound, in generic mode",
            &bound_only,
            skb,
            EINVAL,
            "Can't attach device-bound programs in generic mode",
        ),
        (
            "bound, native",
            &bound_only,
            drv,
            EINVAL,
            "netdevsim: attempt to load offloaded prog to drv",
        ),
        (
            "bound, in the NIC",
            &bound_only,
            hw,
            EINVAL,
            "netdevsim: xdpoffload of non-bound program",
        ),
        ("the host's, in the NIC", &host, hw, EINVAL, "netdevsim: xdpoffload of non-bound program"),
        (
            "a devmap's",
            &devmap,
            skb,
            EINVAL,
            "BPF_XDP_DEVMAP programs can not be attached to a device",
        ),
        (
            "a cpumap's",
            &cpumap,
            skb,
            EINVAL,
            "BPF_XDP_CPUMAP programs can not be attached to a device",
        ),
    ] {
        says(what, set(Some(program), mode, Expect::Anything), errno, words);
    }
    let loopback = kernel.netlink_xdp(1, Some(bound.as_fd()), hw, Expect::Anything);
    says("no NIC", loopback, EOPNOTSUPP, "Underlying driver does not support XDP in native mode");

    // Of what is there.
    set(None, hw, Expect::Anything).unwrap();
    set(Some(&bound), hw, Expect::Empty).unwrap();
    says("held", set(Some(&next), hw, Expect::Empty), EBUSY, "XDP program already attached");
    says(
        "held, the same",
        set(Some(&bound), hw, Expect::Empty),
        EBUSY,
        "XDP program already attached",
    );
    let wrong = set(Some(&next), hw, Expect::Program(next.as_fd()));
    says("another", wrong, EEXIST, "Active program does not match expected");
    set(Some(&bound), hw, Expect::Anything).unwrap();
    let link = kernel.link_xdp(next.as_fd(), ifindex, XdpMode::Hardware).unwrap_err();
    assert_eq!(link.errno, EBUSY, "{link}");
    assert!(link.to_string().contains("Can't replace active XDP program with BPF link"), "{link}");
    set(Some(&next), hw, Expect::Program(bound.as_fd())).unwrap();
    for (mode, other) in [(drv, skb), (skb, drv)] {
        set(Some(&host), mode, Expect::Empty).unwrap();
        let both = set(Some(&host), other, Expect::Anything);
        says("both", both, EEXIST, "Native and generic XDP can't be active at the same time");
        let which = set(None, None, Expect::Anything);
        let words = "More than one program loaded, unset mode is ambiguous";
        says("which", which, EINVAL, words);
        set(None, mode, Expect::Anything).unwrap();
    }
    // Taken off as often as one likes.
    for mode in [hw, hw, drv, drv, None, None] {
        set(None, mode, Expect::Anything).unwrap();
    }

    // A link holds the slot.
    let held = kernel.link_xdp(bound.as_fd(), ifindex, XdpMode::Hardware).unwrap();
    for program in [Some(&next), None] {
        let outcome = set(program, hw, Expect::Anything);
        says("held by a link", outcome, EBUSY, "Can't replace active BPF XDP link");
    }
    drop(held);
    assert_eq!(kernel.query_xdp(ifindex).unwrap(), Default::default());
    drop((bound, next, bound_only));
    nic.empty();
}

/// Whatever is on top of the interface comes first.
#[test]
fn a_program_on_a_bridge_keeps_its_ports_free() {
    if !require::netdevsim("a_program_on_a_bridge_keeps_its_ports_free") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let device = nic.device();
    ip("link add hwbr0 type bridge");
    ip(&format!("link set {} master hwbr0", device.name));
    let host = xdp(&*kernel, 0, BPF_XDP, 0);
    let link = kernel.link_xdp(host.as_fd(), index("hwbr0"), XdpMode::Generic).unwrap();
    let bound = xdp(&*kernel, 0, BPF_XDP, device.ifindex);
    let hw = Some(XdpMode::Hardware);
    let error =
        kernel.netlink_xdp(device.ifindex, Some(bound.as_fd()), hw, Expect::Empty).unwrap_err();
    let words = "Cannot attach when an upper device already has a program";
    assert_eq!((error.errno, error.message.as_deref()), (EEXIST, Some(words)));
    // The engine sees it before the kernel is asked.
    let outcome = run(&nic.device(), &job("drop"), &only(EngineKind::Hw));
    let (codes, words) = refusal(outcome);
    assert!(codes.contains(&"upper-device-has-program".to_owned()), "{codes:?}: {words}");
    drop((link, bound));
    ip("link del hwbr0");
    nic.empty();
}

/// The driver's limit is that of native programs: a NIC's own has none.
#[test]
fn large_frames_keep_native_programs_out() {
    if !require::netdevsim("large_frames_keep_native_programs_out") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let device = nic.device();
    let host = xdp(&*kernel, 0, BPF_XDP, 0);
    let (hw, drv) = (Some(XdpMode::Hardware), Some(XdpMode::Native));
    let set = |program: Option<&OwnedFd>, mode| {
        kernel.netlink_xdp(device.ifindex, program.map(AsFd::as_fd), mode, Expect::Anything)
    };
    set(Some(&host), drv).unwrap();
    let error = kernel.set_mtu(device.ifindex, 9000).unwrap_err();
    assert_eq!(error.errno, EBUSY, "{error}");
    set(None, drv).unwrap();
    kernel.set_mtu(device.ifindex, 9000).unwrap();
    let error = set(Some(&host), drv).unwrap_err();
    assert_eq!(error.message.as_deref(), Some("netdevsim: MTU too large w/ XDP enabled"));
    let bound = xdp(&*kernel, 0, BPF_XDP, device.ifindex);
    set(Some(&bound), hw).unwrap();
    set(None, hw).unwrap();
    drop(bound);
    // The engines say so: native is refused beforehand, hw runs.
    let job = job("drop");
    let (codes, words) = refusal(run(&nic.device(), &job, &only(EngineKind::Native)));
    assert!(codes.iter().any(|code| code.starts_with("mtu")), "{codes:?}: {words}");
    let auto = Default::default();
    let (plan, attached) = run(&nic.device(), &job, &auto).unwrap();
    assert_eq!(plan.engine, Some(EngineKind::Hw));
    attached.detach().unwrap();
    nic.empty();
}
