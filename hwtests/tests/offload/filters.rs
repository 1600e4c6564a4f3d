//! Requests for filters that hoist itself never sends, and what becomes of them: `cls_bpf_offload_cmd` and
//! `cls_bpf_set_parms` of net/sched/cls_bpf.c, `tc_setup_cb_add` of net/sched/cls_api.c,
//! `nsim_bpf_setup_tc_block_cb` of drivers/net/netdevsim/bpf.c.

use std::os::fd::{AsRawFd, OwnedFd};

use hoist_bpf::kernel::netlink::{Builder, Refusal, Socket};
use hoist_bpf::kernel::tc::{IN_HW, NOT_IN_HW, SKIP_HW, SKIP_SW};
use hoist_bpf::kernel::{Filter, Kernel, XdpMode};
use hoist_hwtests::require;

use crate::support::{Nic, PASS, SCHED_CLS, XDP, index, ip, kernel, program};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_MATCHALL_FLAGS: u16 = 3;
const QDISC: u32 = 0xffff_0000;
const CLSACT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// `TCM_IFINDEX_MAGIC_BLOCK`: the parent is a block.
const MAGIC_BLOCK: u32 = 0xffff_ffff;
const VERBOSE: u32 = 1 << 4;
const ETH_P_ALL: u16 = 3;
const ETH_P_IP: u16 = 0x0800;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// What a filter runs.
#[derive(Clone, Copy)]
enum Runs<'a> {
    Program(&'a OwnedFd),
    /// Classic BPF: `ret #1`.
    Classic,
    /// No BPF at all: cls_matchall.
    Everything,
}

/// One request, as a user of tc(8) would make it.
#[derive(Clone, Copy)]
struct Ask<'a> {
    ifindex: u32,
    parent: u32,
    protocol: u16,
    priority: u16,
    chain: u32,
    flags: u32,
    runs: Runs<'a>,
}

impl<'a> Ask<'a> {
    const fn of(ifindex: u32, program: &'a OwnedFd, flags: u32) -> Self {
        let runs = Runs::Program(program);
        Self { ifindex, parent: INGRESS, protocol: ETH_P_ALL, priority: 1, chain: 0, flags, runs }
    }

    fn message(self) -> Builder {
        let info = u32::from(self.priority) << 16 | u32::from(self.protocol.to_be());
        let message = header(self.ifindex, 1, self.parent, info);
        if self.chain == 0 { message } else { message.u32(TCA_CHAIN, self.chain) }
    }

    fn send(self, flags: u16) -> Result<Option<String>, Refusal> {
        let options = match self.runs {
            Runs::Program(fd) => Builder::default()
                .i32(TCA_BPF_FD, fd.as_raw_fd())
                .text(TCA_BPF_NAME, "trial")
                .u32(TCA_BPF_FLAGS, 1),
            // `BPF_RET | BPF_K`, 1.
            Runs::Classic => Builder::default()
                .raw(TCA_BPF_OPS_LEN, &1_u16.to_ne_bytes())
                .raw(TCA_BPF_OPS, &[6, 0, 0, 0, 1, 0, 0, 0]),
            Runs::Everything => Builder::default(),
        };
        let (kind, options) = match self.runs {
            Runs::Everything => ("matchall", options.u32(TCA_MATCHALL_FLAGS, self.flags)),
            // Without the attribute the kernel takes no flags.
            _ if self.flags == 0 => ("bpf", options),
            _ => ("bpf", options.u32(TCA_BPF_FLAGS_GEN, self.flags)),
        };
        let payload = self.message().text(TCA_KIND, kind).nest(TCA_OPTIONS, options).build();
        Ok(Socket::route()?.request(RTM_NEWTFILTER, flags, &payload)?.warning)
    }

    fn add(self) -> Result<Option<String>, Refusal> {
        self.send(CREATE | EXCL)
    }

    /// `tc filter replace`.
    fn replace(self) -> Result<Option<String>, Refusal> {
        self.send(CREATE)
    }

    fn delete(self) {
        let payload = self.message().text(TCA_KIND, "bpf").build();
        Socket::route().unwrap().request(RTM_DELTFILTER, 0, &payload).unwrap();
    }
}

fn header(ifindex: u32, handle: u32, parent: u32, info: u32) -> Builder {
    let mut bytes = [0; 20];
    for (at, word) in [(4, ifindex), (8, handle), (12, parent), (16, info)] {
        bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    Builder::new(&bytes)
}

/// clsact, with its ingress in a shared block if one is given.
fn clsact(ifindex: u32, block: u32) -> Result<(), Refusal> {
    let qdisc = header(ifindex, QDISC, CLSACT, 0).text(TCA_KIND, "clsact");
    let qdisc = if block == 0 { qdisc } else { qdisc.u32(TCA_INGRESS_BLOCK, block) };
    Socket::route()?.request(RTM_NEWQDISC, CREATE | EXCL, &qdisc.build()).map(drop)
}

fn no_clsact(ifindex: u32) {
    let qdisc = header(ifindex, QDISC, CLSACT, 0).build();
    Socket::route().unwrap().request(RTM_DELQDISC, 0, &qdisc).unwrap();
}

fn offload(nic: &Nic, on: bool) {
    for name in nic.names() {
        kernel().set_feature(&name, "hw-tc-offload", on).unwrap();
    }
}

fn classifier(kernel: &dyn Kernel, ifindex: u32) -> OwnedFd {
    kernel.load_program(&program(SCHED_CLS, 0, ifindex, &PASS)).unwrap()
}

fn only_filter(kernel: &dyn Kernel, ifindex: u32) -> Filter {
    let mut filters = kernel.filters(ifindex).unwrap();
    assert_eq!(filters.len(), 1, "{filters:?}");
    filters.remove(0)
}

#[track_caller]
fn refused(what: &str, outcome: Result<Option<String>, Refusal>, errno: i32, words: Option<&str>) {
    let refusal = outcome.expect_err(what);
    assert_eq!((refusal.errno, refusal.message.as_deref()), (errno, words), "{what}");
}

#[test]
fn a_filter_says_who_runs_it_or_is_refused() {
    if !require::netdevsim("a_filter_says_who_runs_it_or_is_refused") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let (bound, host) = (classifier(&*kernel, ifindex), classifier(&*kernel, 0));
    let xdp = kernel.load_program(&program(XDP, 0, ifindex, &PASS)).unwrap();
    clsact(ifindex, 0).unwrap();
    let of = |program, flags| Ask::of(ifindex, program, flags);
    refused(
        "off by default",
        of(&bound, SKIP_SW).add(),
        EOPNOTSUPP,
        Some("TC offload is disabled on net device"),
    );
    // Nothing spurious is said where nothing was asked of the NIC.
    for flags in [0, SKIP_HW] {
        assert_eq!(of(&host, flags).add(), Ok(None));
        assert_eq!(of(&host, flags).replace(), Ok(None));
        assert_eq!(only_filter(&*kernel, ifindex).flags & (IN_HW | NOT_IN_HW), NOT_IN_HW);
        of(&host, flags).delete();
    }
    offload(&nic, true);
    let unbound = "netdevsim: netdevsim configured to reject unbound programs";
    let classic = Ask { runs: Runs::Classic, ..of(&host, SKIP_SW) };
    let everything = Ask { runs: Runs::Everything, ..of(&host, SKIP_SW) };
    let cases = [
        ("a NIC's program without flags", of(&bound, 0), EINVAL, None),
        ("a NIC's program for the host", of(&bound, SKIP_HW), EINVAL, None),
        ("nobody runs it", of(&bound, SKIP_SW | SKIP_HW), EINVAL, None),
        ("a flag that cls_bpf has not", of(&bound, SKIP_SW | VERBOSE), EINVAL, None),
        ("an XDP program", of(&xdp, SKIP_SW), EINVAL, None),
        ("at egress", Ask { parent: EGRESS, ..of(&bound, SKIP_SW) }, EOPNOTSUPP, None),
        (
            "in another chain",
            Ask { chain: 1, ..of(&bound, SKIP_SW) },
            EOPNOTSUPP,
            Some("Driver supports only offload of chain 0"),
        ),
        (
            "for one protocol",
            Ask { protocol: ETH_P_IP, ..of(&bound, SKIP_SW) },
            EOPNOTSUPP,
            Some("netdevsim: only ETH_P_ALL supported as filter protocol"),
        ),
        ("of the host", of(&host, SKIP_SW), EOPNOTSUPP, Some(unbound)),
        ("classic BPF", classic, EOPNOTSUPP, Some(unbound)),
        (
            "another classifier",
            everything,
            EOPNOTSUPP,
            Some("netdevsim: only offload of BPF classifiers supported"),
        ),
    ];
    for (what, ask, errno, words) in cases {
        refused(what, ask.add(), errno, words);
        assert_eq!(kernel.filters(ifindex).unwrap(), [], "{what}");
    }
    // The driver is asked about every filter; its errors are kept to itself unless it runs alone.
    for (accepts, marked) in [("N", NOT_IN_HW), ("Y", IN_HW)] {
        nic.set("ports/0/bpf_tc_non_bound_accept", accepts);
        for ask in [of(&host, 0), Ask { runs: Runs::Classic, ..of(&host, 0) }] {
            assert_eq!(ask.add(), Ok(None));
            assert_eq!(only_filter(&*kernel, ifindex).flags & (IN_HW | NOT_IN_HW), marked);
            ask.delete();
        }
    }
    nic.set("ports/0/bpf_tc_non_bound_accept", "N");
    nic.set("ports/0/bpf_tc_accept", "N");
    let told = "netdevsim: netdevsim configured to reject BPF TC offload";
    refused("told to refuse", of(&bound, SKIP_SW).add(), EOPNOTSUPP, Some(told));
    nic.set("ports/0/bpf_tc_accept", "Y");
    no_clsact(ifindex);
    drop((bound, xdp));
    nic.empty();
}

#[test]
fn filters_are_replaced_with_the_flags_they_have() {
    if !require::netdevsim("filters_are_replaced_with_the_flags_they_have") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    offload(&nic, true);
    clsact(ifindex, 0).unwrap();
    nic.set("ports/0/bpf_tc_non_bound_accept", "Y");
    let host = classifier(&*kernel, 0);
    let every = [0, SKIP_SW, SKIP_HW];
    for first in every {
        for then in every {
            Ask::of(ifindex, &host, first).add().unwrap();
            let outcome = Ask::of(ifindex, &host, then).replace();
            match first == then {
                true => assert_eq!(outcome, Ok(None), "{first}"),
                false => refused(&format!("{first} {then}"), outcome, EINVAL, None),
            }
            Ask::of(ifindex, &host, first).delete();
        }
    }
    // A NIC's own program, by another: one filter all the time.
    let (old, new) = (classifier(&*kernel, ifindex), classifier(&*kernel, ifindex));
    Ask::of(ifindex, &old, SKIP_SW).add().unwrap();
    let before = only_filter(&*kernel, ifindex).program_id;
    Ask::of(ifindex, &new, SKIP_SW).replace().unwrap();
    let there = only_filter(&*kernel, ifindex);
    assert_ne!(there.program_id, before);
    assert_eq!(there.flags & (SKIP_SW | IN_HW), SKIP_SW | IN_HW);
    // One for each port.
    let second = Ask { priority: 2, ..Ask::of(ifindex, &old, SKIP_SW) };
    let words = "netdevsim: driver and netdev offload states mismatch";
    refused("a second one", second.add(), EBUSY, Some(words));
    let xdp = kernel.load_program(&program(XDP, 0, ifindex, &PASS)).unwrap();
    let outcome = kernel.netlink_xdp(
        ifindex,
        Some(std::os::fd::AsFd::as_fd(&xdp)),
        Some(XdpMode::Hardware),
        hoist_bpf::kernel::Expect::Anything,
    );
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.errno, error.message.as_deref()),
        (EBUSY, Some("netdevsim: TC program is already loaded"))
    );
    // With the qdisc all is gone.
    no_clsact(ifindex);
    drop((old, new, xdp));
    nic.empty();
    offload(&nic, false);
}

/// A block that several interfaces share: the program must be of every NIC in it.
#[test]
fn a_shared_block_is_of_one_nic() {
    if !require::netdevsim("a_shared_block_is_of_one_nic") {
        return;
    }
    const BLOCK: u32 = 22;
    let (nic, kernel) = (Nic::new(2), kernel());
    let other = Nic::beside(1);
    let (first, second) = (nic.port(0).ifindex, nic.port(1).ifindex);
    let stranger = other.device().ifindex;
    offload(&nic, true);
    offload(&other, true);
    let bound = classifier(&*kernel, first);
    let in_block = Ask { parent: BLOCK, ..Ask::of(MAGIC_BLOCK, &bound, SKIP_SW) };
    clsact(first, BLOCK).unwrap();
    clsact(stranger, BLOCK).unwrap();
    let words = "Program is not bound to every device in the block";
    refused("two NICs", in_block.add(), EINVAL, Some(words));
    no_clsact(stranger);
    let foreign = classifier(&*kernel, stranger);
    let asked = Ask { parent: BLOCK, ..Ask::of(MAGIC_BLOCK, &foreign, SKIP_SW) };
    let outcome = asked.add().expect_err("another NIC's program");
    assert!(outcome.message.is_some_and(|words| words.contains("bound")), "{}", outcome.errno);
    in_block.add().unwrap();
    // Whoever joins late is asked as well: ports of the NIC may.
    clsact(second, BLOCK).unwrap();
    let late = clsact(stranger, BLOCK).expect_err("another NIC joins");
    assert_eq!(late.message.as_deref(), Some("netdevsim: program bound to a different device"));
    no_clsact(second);
    no_clsact(first);
    drop((bound, foreign));
    nic.empty();
    other.empty();
}

/// A driver that has no way to be told of filters.
#[test]
fn without_a_nic_filters_stay_on_the_host() {
    if !require::netdevsim("without_a_nic_filters_stay_on_the_host") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    ip("link add hwveth2 type veth peer name hwveth3");
    let veth = index("hwveth2");
    clsact(veth, 0).unwrap();
    let host = classifier(&*kernel, 0);
    refused("alone", Ask::of(veth, &host, SKIP_SW).add(), EOPNOTSUPP, None);
    assert_eq!(Ask::of(veth, &host, 0).add(), Ok(None));
    assert_eq!(only_filter(&*kernel, veth).flags & (IN_HW | NOT_IN_HW), NOT_IN_HW);
    ip("link del hwveth2");
    // A NIC that goes takes its filters and their programs with it.
    offload(&nic, true);
    let ifindex = nic.device().ifindex;
    clsact(ifindex, 0).unwrap();
    let bound = classifier(&*kernel, ifindex);
    let id = kernel.program_info(std::os::fd::AsFd::as_fd(&bound)).unwrap().id;
    Ask::of(ifindex, &bound, SKIP_SW).add().unwrap();
    drop(bound);
    assert_eq!(nic.bound(), 1);
    nic.unplug();
    let programs = || kernel.ids(hoist_bpf::kernel::ObjectKind::Program).unwrap();
    crate::support::until("the program to go", || !programs().contains(&id));
}
