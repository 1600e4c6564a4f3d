//! Attaching, by link and by netlink, and the kernel's reasons when it refuses.

use std::os::fd::AsFd;

use hoist_bpf::kernel::{Expect, Kernel, Linux, ObjectKind, XdpMode, XdpSlots};

use crate::bench::{A, B, Bench, runs, settles};

#[test]
fn a_link_is_created_updated_and_detached() {
    let Some(bench) = Bench::new("a_link_is_created_updated_and_detached") else { return };
    let kernel = bench.kernel;
    let (first, second) = (bench.program(2), bench.program(1));
    let id = |program: &std::os::fd::OwnedFd| kernel.program_info(program.as_fd()).unwrap().id;
    let link = kernel.link_xdp(first.as_fd(), A, XdpMode::Native).unwrap();
    let info = kernel.link_info(link.as_fd()).unwrap();
    assert_eq!((info.kind, info.ifindex, info.program_id), (6, A, id(&first)));
    let native = |program| XdpSlots { native: Some(program), ..Default::default() };
    assert_eq!(kernel.query_xdp(A).unwrap(), native(id(&first)));

    let wrong = kernel.link_update(link.as_fd(), second.as_fd(), second.as_fd()).unwrap_err();
    assert_eq!(wrong.errno, libc::EPERM);
    kernel.link_update(link.as_fd(), second.as_fd(), first.as_fd()).unwrap();
    assert_eq!(kernel.query_xdp(A).unwrap(), native(id(&second)));

    kernel.link_detach(link.as_fd()).unwrap();
    assert_eq!(kernel.query_xdp(A).unwrap(), XdpSlots::default());
    assert_eq!(kernel.link_info(link.as_fd()).unwrap().ifindex, 0);

    let link = kernel.link_xdp(first.as_fd(), A, XdpMode::Generic).unwrap();
    drop(link);
    // A process that another test starts has a copy of the descriptor for a moment.
    assert!(settles(|| kernel.query_xdp(A).unwrap() == XdpSlots::default()));
}

#[test]
fn a_refused_link_says_why() {
    let Some(bench) = Bench::new("a_refused_link_says_why") else { return };
    let kernel = bench.kernel;
    let program = bench.program(2);
    let generic = kernel.link_xdp(program.as_fd(), A, XdpMode::Generic).unwrap();
    let refused = |mode| kernel.link_xdp(program.as_fd(), A, mode).unwrap_err();
    let error = refused(XdpMode::Native);
    assert_eq!(
        error.to_string(),
        "BPF_LINK_CREATE XDP on a: Native and generic XDP can't be active at the same time (EEXIST)"
    );
    // Nobody gives a reason here: the driver knows no such command.
    let error = refused(XdpMode::Hardware);
    assert_eq!((error.errno, error.message), (libc::EINVAL, None));
    kernel.link_detach(generic.as_fd()).unwrap();
    // The reason of a driver, not of the core.
    kernel.set_mtu(B, 4000).unwrap();
    let error = refused(XdpMode::Native);
    assert_eq!(error.errno, libc::ERANGE);
    assert_eq!(error.message.as_deref(), Some("veth: Peer MTU is too large to set XDP"));
    // That it was a link which met a program is something only the tracepoint knows.
    let attached =
        kernel.netlink_xdp(B, Some(program.as_fd()), Some(XdpMode::Native), Expect::Empty);
    assert_eq!(attached.unwrap(), None);
    let error = kernel.link_xdp(program.as_fd(), B, XdpMode::Native).unwrap_err();
    assert_eq!(error.errno, libc::EBUSY);
    let reason = match runs(6, 6) {
        true => "Can't replace active XDP program with BPF link",
        // Without the tracepoint the attach is replayed over netlink, which has words of its own.
        false => "XDP program already attached",
    };
    assert_eq!(error.message.as_deref(), Some(reason));
    // Other tests have listeners of their own for a moment, and the kernel frees programs late.
    assert!(settles(|| listeners(&kernel) == 0), "the listener was left behind");
}

/// Programs loaded to overhear a refusal.
fn listeners(kernel: &Linux) -> usize {
    let named = |id| {
        let program = kernel.open(ObjectKind::Program, id).unwrap()?;
        Some(kernel.program_info(program.as_fd()).unwrap().name == "hoist_reason")
    };
    let ids = kernel.ids(ObjectKind::Program).unwrap();
    ids.into_iter().filter_map(named).filter(|listener| *listener).count()
}

#[test]
fn netlink_attaches_compare_and_carry_the_kernels_words() {
    let Some(bench) = Bench::new("netlink_attaches_compare_and_carry_the_kernels_words") else {
        return;
    };
    let kernel = bench.kernel;
    let (first, second) = (bench.program(2), bench.program(1));
    let set = |program: Option<&std::os::fd::OwnedFd>, mode, expect: Expect<'_>| {
        kernel.netlink_xdp(A, program.map(AsFd::as_fd), Some(mode), expect)
    };
    set(Some(&first), XdpMode::Native, Expect::Empty).unwrap();
    let busy = set(Some(&second), XdpMode::Native, Expect::Empty).unwrap_err();
    assert_eq!(busy.to_string(), "RTM_SETLINK XDP on a: XDP program already attached (EBUSY)");
    let other = set(Some(&second), XdpMode::Native, Expect::Program(second.as_fd())).unwrap_err();
    assert_eq!(other.message.as_deref(), Some("Active program does not match expected"));
    set(Some(&second), XdpMode::Native, Expect::Program(first.as_fd())).unwrap();
    let id = kernel.program_info(second.as_fd()).unwrap().id;
    assert_eq!(kernel.query_xdp(A).unwrap().native, Some(id));
    let generic = set(Some(&first), XdpMode::Generic, Expect::Anything).unwrap_err();
    assert_eq!(generic.errno, libc::EEXIST);
    set(None, XdpMode::Native, Expect::Program(second.as_fd())).unwrap();
    assert_eq!(kernel.query_xdp(A).unwrap(), XdpSlots::default());
    assert_eq!(kernel.query_xdp(4711).unwrap_err().errno, libc::ENODEV);
}

#[test]
fn settings_change_and_refusals_carry_the_kernels_words() {
    let Some(bench) = Bench::new("settings_change_and_refusals_carry_the_kernels_words") else {
        return;
    };
    let kernel = bench.kernel;
    kernel.set_mtu(A, 1400).unwrap();
    let error = kernel.set_mtu(A, 100_000).unwrap_err();
    assert_eq!(error.errno, libc::EINVAL);
    assert!(error.to_string().contains("mtu greater than device maximum"), "{error}");
    kernel.set_feature("a", "rx-gro", true).unwrap();
    kernel.set_feature("a", "rx-gro", false).unwrap();
    let error = kernel.set_feature("a", "no-such-feature", true).unwrap_err();
    assert!(error.to_string().contains("bit name not found"), "{error}");
    let error = kernel.set_feature("a", "tx-lockless", false).unwrap_err();
    // Transmission without a lock was a feature in name only until Linux 6.12.
    let refused = if runs(6, 12) { libc::EOPNOTSUPP } else { libc::EINVAL };
    assert_eq!(error.errno, refused, "{error}");
    if runs(6, 6) {
        assert!(kernel.query_tcx(A, 46).unwrap().is_empty());
        assert_eq!(kernel.query_tcx(4711, 46).unwrap_err().errno, libc::ENODEV);
    } else {
        assert_eq!(kernel.query_tcx(A, 46).unwrap_err().errno, libc::EINVAL);
    }
}
