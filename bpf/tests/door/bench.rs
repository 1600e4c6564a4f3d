//! What the tests stand on: privilege, a namespace with a veth pair, tiny programs.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hoist_bpf::Insn;
use hoist_bpf::kernel::netlink::{Builder, Socket, route};
use hoist_bpf::kernel::netns::{self, Scoped};
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec};

pub(crate) const XDP: u32 = 6;
pub(crate) const BPF_XDP: u32 = 37;
const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const NLM_F_CREATE_EXCL: u16 = 0x600;
const IFF_UP: u32 = 1;

/// A namespace with interfaces `a` (index 10) and `b` (index 11), the two ends of a veth pair.
pub(crate) struct Bench {
    pub(crate) kernel: Linux,
    _stay: Scoped,
    _namespace: OwnedFd,
}

pub(crate) const A: u32 = 10;
pub(crate) const B: u32 = 11;

impl Bench {
    /// `None`, and a line that says so, where the privilege is missing and not insisted upon.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let namespace = match netns::unnamed() {
            Ok(namespace) => namespace,
            Err(error) => {
                let insisted = std::env::var("HOIST_REQUIRE").unwrap_or_default();
                assert!(!insisted.split(',').any(|tier| tier == "veth"), "{error}");
                println!("not run: {test}: needs CAP_NET_ADMIN");
                return None;
            }
        };
        let stay = netns::scoped(namespace.as_fd()).unwrap();
        make_pair();
        Some(Self { kernel: Linux::new().unwrap(), _stay: stay, _namespace: namespace })
    }

    pub(crate) fn program(&self, verdict: i32) -> OwnedFd {
        self.load("verdict", &[mov(0, verdict), exit()])
    }

    pub(crate) fn load(&self, name: &str, insns: &[Insn]) -> OwnedFd {
        self.kernel.load_program(&spec(name, insns)).unwrap()
    }
}

pub(crate) fn spec<'a>(name: &str, insns: &'a [Insn]) -> ProgramSpec<'a> {
    ProgramSpec {
        name: name.to_owned(),
        kind: XDP,
        expected_attach_type: BPF_XDP,
        insns,
        license: "GPL".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn mov(register: u8, value: i32) -> Insn {
    Insn::new(0xb7, register, 0, 0, value)
}

pub(crate) fn exit() -> Insn {
    Insn::new(0x95, 0, 0, 0, 0)
}

/// Whether the running kernel is of this version or a later one.
pub(crate) fn runs(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|n| n.trim().parse::<u32>());
    let mut next = || numbers.next().unwrap().unwrap();
    (next(), next()) >= (major, minor)
}

/// Waits for what the kernel does in its own time.
pub(crate) fn settles(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn make_pair() {
    let header = |index: u32, flags: u32| {
        let mut bytes = [0; route::LINK_HEADER];
        bytes[4..8].copy_from_slice(&index.to_ne_bytes());
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
        Builder::new(&bytes)
    };
    let peer = header(B, 0).text(3, "b");
    let data = Builder::default().raw(1, &peer.build());
    let info = Builder::default().text(1, "veth").nest(2, data);
    let request = header(A, 0).text(3, "a").nest(18, info).build();
    let mut socket = Socket::route().unwrap();
    socket.request(RTM_NEWLINK, NLM_F_CREATE_EXCL, &request).unwrap();
    for index in [A, B] {
        socket.request(RTM_SETLINK, 0, &header(index, IFF_UP).build()).unwrap();
    }
}
