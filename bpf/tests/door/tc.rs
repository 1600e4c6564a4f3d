//! TC ingress: tcx links, clsact and its filters, on the running kernel and on the fake alike.

use std::os::fd::{AsFd, OwnedFd};

use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::netlink::filter::{Direction, list};
use hoist_bpf::kernel::netlink::{Builder, Socket};
use hoist_bpf::kernel::tc::EVERY_PROTOCOL;
use hoist_bpf::kernel::{Fake, FilterKey, Kernel, KernelError, ProgramSpec, TestRunSpec};

use crate::bench::{A, B, Bench, exit, mov, runs, spec};

const TCX_INGRESS: u32 = 46;
/// No interface has this index.
const NONE: u32 = 4711;
const SCHED_CLS: u32 = 3;

/// A program for TC that returns `verdict`.
pub(crate) fn classifier(kernel: &dyn Kernel, verdict: i32) -> OwnedFd {
    let insns = [mov(0, verdict), exit()];
    let spec = ProgramSpec { kind: SCHED_CLS, expected_attach_type: 0, ..spec("cls", &insns) };
    kernel.load_program(&spec).unwrap()
}

pub(crate) fn id(kernel: &dyn Kernel, program: &OwnedFd) -> u32 {
    kernel.program_info(program.as_fd()).unwrap().id
}

pub(crate) const fn key(priority: u16, handle: u32) -> FilterKey {
    FilterKey { priority, handle }
}

/// What two kernels can be compared by: ids of programs become positions in a list of programs.
struct Teller<'a> {
    kernel: &'a dyn Kernel,
    ids: Vec<u32>,
    told: Vec<String>,
}

impl Teller<'_> {
    fn tell<T: std::fmt::Debug>(&mut self, outcome: Result<T, KernelError>) {
        let mut told = match outcome {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        };
        for (position, id) in self.ids.iter().enumerate() {
            told = told.replace(&format!("program {id} "), &format!("program #{position} "));
            if let Some(start) = told.strip_suffix(&format!("program {id} (EPERM)")) {
                told = format!("{start}program #{position} (EPERM)");
            }
        }
        self.told.push(told);
    }

    fn position(&self, id: Option<u32>) -> Option<usize> {
        self.ids.iter().position(|known| Some(*known) == id)
    }

    fn tell_tcx(&mut self) {
        let ids = self.kernel.query_tcx(A, TCX_INGRESS).unwrap();
        let seen: Vec<_> = ids.into_iter().map(|id| self.position(Some(id))).collect();
        self.told.push(format!("tcx: {seen:?}"));
    }

    fn tell_filters(&mut self) {
        let filters = self.kernel.filters(A).unwrap().into_iter().map(|f| {
            let position = self.position(f.program_id);
            // The tag is the kernel's hash, which the fake has in another form.
            let tag = f.tag.map(|tag| tag.len());
            (f.key, f.kind, f.protocol, f.chain, position, f.name, tag, f.direct_action, f.flags)
        });
        let seen = filters.map(|f| format!("{f:?}")).collect::<Vec<_>>();
        self.told.push(format!("filters: {seen:#?}"));
    }
}

fn tcx(kernel: &dyn Kernel) -> Vec<String> {
    let programs = [classifier(kernel, 0), classifier(kernel, -1), classifier(kernel, 2)];
    let xdp = kernel.load_program(&spec("xdp", &[mov(0, 2), exit()])).unwrap();
    let ids = programs.each_ref().map(|program| id(kernel, program)).to_vec();
    let mut t = Teller { kernel, ids, told: Vec::new() };
    let [one, two, three] = programs.each_ref().map(AsFd::as_fd);
    t.tell(kernel.link_tcx(one, NONE).map(drop));
    t.tell(kernel.link_tcx(xdp.as_fd(), A).map(drop));
    let first = kernel.link_tcx(one, A).unwrap();
    t.tell(kernel.link_tcx(one, A).map(drop));
    t.tell_tcx();
    let second = kernel.link_tcx(two, A).unwrap();
    t.tell_tcx();
    let shown = |link: &OwnedFd| {
        let info = kernel.link_info(link.as_fd()).unwrap();
        (info.kind, info.ifindex, info.attach_type)
    };
    t.told.push(format!("{:?}", shown(&first)));
    // Names of links hold their ids, which differ.
    let swap = |new, old| kernel.link_update(first.as_fd(), new, old).map_err(|e| e.errno);
    t.told.push(format!("{:?}", swap(three, two)));
    t.told.push(format!("{:?}", swap(xdp.as_fd(), one)));
    t.told.push(format!("{:?}", swap(two, one)));
    t.told.push(format!("{:?}", swap(three, one)));
    t.tell_tcx();
    kernel.link_detach(second.as_fd()).unwrap();
    t.tell_tcx();
    t.told.push(format!("{:?}", shown(&second)));
    kernel.link_detach(first.as_fd()).unwrap();
    t.tell_tcx();
    t.told.push(format!("{:?}", swap(one, three)));
    t.told
}

fn filters(kernel: &dyn Kernel) -> Vec<String> {
    let programs = [classifier(kernel, 0), classifier(kernel, -1), classifier(kernel, 2)];
    let xdp = kernel.load_program(&spec("xdp", &[mov(0, 2), exit()])).unwrap();
    let ids = programs.each_ref().map(|program| id(kernel, program)).to_vec();
    let mut t = Teller { kernel, ids: ids.clone(), told: Vec::new() };
    let [one, two, three] = programs.each_ref().map(AsFd::as_fd);
    // Without a qdisc, or without an interface.
    t.tell(kernel.filters(NONE).map(drop));
    t.tell(kernel.add_clsact(NONE));
    t.tell(kernel.remove_clsact(NONE));
    t.tell(kernel.add_filter(NONE, key(1, 1), one, "x"));
    t.tell(kernel.remove_filter(NONE, key(1, 1), 1));
    t.tell(kernel.add_filter(A, key(1, 1), one, "x"));
    t.tell(kernel.replace_filter(A, key(1, 1), 1, one, "x"));
    t.tell(kernel.remove_filter(A, key(1, 1), 1));
    t.tell(kernel.remove_clsact(A));
    t.tell_filters();
    // Numbers that mean "any".
    for bad in [key(0, 1), key(1, 0)] {
        t.tell(kernel.add_filter(A, bad, one, "x"));
        t.tell(kernel.replace_filter(A, bad, 1, one, "x"));
        t.tell(kernel.remove_filter(A, bad, 1));
        t.tell(kernel.watch_filter(A, bad, 1, false).map(drop));
    }
    t.tell(kernel.add_clsact(A));
    t.tell(kernel.add_clsact(A));
    t.tell_filters();
    t.tell(kernel.add_filter(A, key(2, 1), one, "first"));
    t.tell(kernel.add_filter(A, key(2, 1), two, "again"));
    t.tell(kernel.add_filter(A, key(2, 2), two, "later at the same priority"));
    t.tell(kernel.add_filter(A, key(1, 7), three, "earlier"));
    t.tell(kernel.add_filter(A, key(9, 7), three, "last"));
    t.tell(kernel.add_filter(A, key(3, 1), xdp.as_fd(), "no classifier"));
    t.tell_filters();
    t.tell(kernel.remove_clsact(A));
    // Compare and swap, compare and remove.
    t.tell(kernel.replace_filter(A, key(2, 1), ids[1], three, "not this"));
    t.tell(kernel.replace_filter(A, key(2, 9), ids[1], three, "not here"));
    t.tell(kernel.replace_filter(A, key(2, 1), ids[0], xdp.as_fd(), "no classifier"));
    t.tell(kernel.replace_filter(A, key(2, 1), ids[0], three, "swapped"));
    t.tell(kernel.remove_filter(A, key(2, 1), ids[0]));
    t.tell_filters();
    t.tell(kernel.remove_filter(A, key(2, 2), ids[1]));
    t.tell(kernel.remove_filter(A, key(2, 2), ids[1]));
    t.tell(kernel.remove_filter(A, key(2, 1), ids[2]));
    t.tell(kernel.remove_filter(A, key(1, 7), ids[2]));
    t.tell(kernel.remove_filter(A, key(9, 7), ids[2]));
    t.tell_filters();
    t.tell(kernel.remove_clsact(A));
    t.tell(kernel.remove_clsact(A));
    t.tell(kernel.add_filter(A, key(1, 1), one, "x"));
    t.told
}

fn fake() -> Fake {
    let fake = Fake::new();
    fake.add_interface(FakeInterface::new(A, "a"));
    fake
}

#[test]
fn the_fake_keeps_tc_as_the_kernel_does() {
    let Some(bench) = Bench::new("the_fake_keeps_tc_as_the_kernel_does") else { return };
    let scenarios: [fn(&dyn Kernel) -> Vec<String>; 2] = [tcx, filters];
    for scenario in &scenarios[usize::from(!runs(6, 6))..] {
        let (real, imagined) = (scenario(&bench.kernel), scenario(&fake()));
        assert_eq!(real.len(), imagined.len());
        let differ: Vec<_> = real.iter().zip(&imagined).filter(|(r, f)| r != f).collect();
        assert!(differ.is_empty(), "{} differ (kernel, fake): {differ:#?}", differ.len());
    }
}

#[test]
fn a_kernel_without_tcx_says_so() {
    let fake = fake();
    fake.set_tcx(false);
    let program = classifier(&fake, 0);
    let error = fake.link_tcx(program.as_fd(), A).unwrap_err();
    assert_eq!(error.to_string(), "BPF_LINK_CREATE tcx ingress on a: Invalid argument (EINVAL)");
    let Some(bench) = Bench::new("a_kernel_without_tcx_says_so").filter(|_| !runs(6, 6)) else {
        return;
    };
    let program = classifier(&bench.kernel, 0);
    assert_eq!(bench.kernel.link_tcx(program.as_fd(), A).unwrap_err(), error);
}

/// A priority may hold what is not ours: the refusal is the kernel's, and the list says what it is.
#[test]
fn filters_of_others_are_listed_and_left_alone() {
    const NEW_FILTER: u16 = 44;
    const CREATE_EXCL: u16 = 0x600;
    let Some(bench) = Bench::new("filters_of_others_are_listed_and_left_alone") else { return };
    let kernel = &bench.kernel;
    let program = classifier(kernel, -1);
    assert!(kernel.add_clsact(A).unwrap());
    let foreign = |kind: &str, priority: u32, protocol: u16, options: Builder| {
        let mut header = [0; 20];
        header[4..8].copy_from_slice(&A.to_ne_bytes());
        header[12..16].copy_from_slice(&0xffff_fff2_u32.to_ne_bytes());
        let info = priority << 16 | u32::from(protocol.to_be());
        header[16..20].copy_from_slice(&info.to_ne_bytes());
        let payload = Builder::new(&header).text(1, kind).nest(2, options).build();
        Socket::route().unwrap().request(NEW_FILTER, CREATE_EXCL, &payload).unwrap();
    };
    // `struct tc_u32_sel` without keys: it matches everything. TCA_U32_CLASSID 1, TCA_U32_SEL 5.
    let every = || {
        Builder::default().u32(1, 0x10001).raw(5, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    };
    foreign("u32", 1, 3, every());
    foreign("u32", 2, 0x0800, every());
    let refused = |key| kernel.add_filter(A, key, program.as_fd(), "ours").unwrap_err().to_string();
    assert_eq!(
        refused(key(1, 5)),
        "RTM_NEWTFILTER filter prio 1 handle 0x5 on a: Specified filter kind does not match \
         existing one (EINVAL)"
    );
    let other = refused(key(2, 5));
    let words = [
        "Protocol mismatch for filter with specified priority",
        // Older kernels.
        "Filter with specified priority/protocol not found",
    ];
    let refusal = |why| format!("RTM_NEWTFILTER filter prio 2 handle 0x5 on a: {why} (EINVAL)");
    assert!(words.map(refusal).contains(&other), "{other}");
    kernel.add_filter(A, key(3, 5), program.as_fd(), "ours").unwrap();
    // One u32 filter is listed with its table.
    let seen = kernel.filters(A).unwrap();
    let mut shown: Vec<_> =
        seen.iter().map(|f| (f.key.priority, &*f.kind, f.protocol, f.program_id)).collect();
    shown.dedup();
    let ours = Some(id(kernel, &program));
    let expected =
        [(1, "u32", 3, None), (2, "u32", 0x0800, None), (3, "bpf", EVERY_PROTOCOL, ours)];
    assert_eq!(shown, expected);
    assert!(list(A, Direction::Egress).unwrap().is_empty());
    assert!(kernel.remove_filter(A, key(3, 5), id(kernel, &program)).unwrap());
    assert!(!kernel.remove_clsact(A).unwrap(), "the filters of others were removed with clsact");
    assert_eq!(kernel.filters(A).unwrap().iter().filter(|f| f.kind == "bpf").count(), 0);
}

#[test]
fn an_ingress_qdisc_serves_as_well() {
    let Some(bench) = Bench::new("an_ingress_qdisc_serves_as_well") else { return };
    let kernel = &bench.kernel;
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&B.to_ne_bytes());
    header[8..12].copy_from_slice(&0xffff_0000_u32.to_ne_bytes());
    header[12..16].copy_from_slice(&0xffff_fff1_u32.to_ne_bytes());
    let payload = Builder::new(&header).text(1, "ingress").build();
    Socket::route().unwrap().request(36, 0x600, &payload).unwrap();
    assert!(!kernel.add_clsact(B).unwrap());
    let program = classifier(kernel, -1);
    kernel.add_filter(B, key(1, 1), program.as_fd(), "ours").unwrap();
    assert_eq!(kernel.filters(B).unwrap().len(), 1);
    assert!(kernel.remove_filter(B, key(1, 1), id(kernel, &program)).unwrap());
}

#[test]
fn a_test_run_gives_the_context_back_and_minds_the_checksum() {
    let Some(bench) = Bench::new("a_test_run_gives_the_context_back_and_minds_the_checksum") else {
        return;
    };
    let kernel = &bench.kernel;
    let load = |insns: &[hoist_bpf::Insn]| {
        let spec = ProgramSpec { kind: SCHED_CLS, expected_attach_type: 0, ..spec("cls", insns) };
        kernel.load_program(&spec).unwrap()
    };
    let insn = hoist_bpf::Insn::new;
    // r2 = 7; skb->cb[4] = r2; return 0.
    let marks = load(&[mov(2, 7), insn(0x63, 1, 2, 64, 0), mov(0, 0), exit()]);
    let frame = [0x55; 64];
    let run = TestRunSpec { data: &frame, repeat: 1, context_out: 192, ..Default::default() };
    let outcome = kernel.test_run(marks.as_fd(), &run).unwrap();
    assert_eq!((outcome.verdict, outcome.context.len()), (0, 192));
    assert_eq!(outcome.context[64..68], 7_u32.to_ne_bytes());
    let without = kernel.test_run(marks.as_fd(), &TestRunSpec { context_out: 0, ..run.clone() });
    assert!(without.unwrap().context.is_empty());
    if !runs(6, 17) {
        return;
    }
    // r2 = skb->data; if (r2 + 60 > skb->data_end) return 0; data[59] = 1.
    let writes = load(&[
        insn(0x61, 2, 1, 76, 0),
        insn(0x61, 3, 1, 80, 0),
        insn(0xbf, 4, 2, 0, 0),
        insn(0x07, 4, 0, 0, 60),
        insn(0x2d, 4, 3, 1, 0),
        insn(0x72, 2, 0, 59, 1),
        mov(0, 0),
        exit(),
    ]);
    let complete = TestRunSpec { checksum_complete: true, ..run.clone() };
    assert!(kernel.test_run(marks.as_fd(), &complete).is_ok());
    assert!(kernel.test_run(writes.as_fd(), &run).is_ok());
    assert_eq!(kernel.test_run(writes.as_fd(), &complete).unwrap_err().errno, libc::EBADMSG);
}
