//! Every check of `dev_xdp_attach` and `dev_xdp_install` (net/core/dev.c) that a veth can reach,
//! asked through the door, with the kernel's own text in the answer.
//!
//! Not here: what takes a NIC with offload (`More than one program loaded ...`, `Using offloaded
//! program without HW_MODE ...`) or device memory; what the door cannot even say (a link with flags
//! beyond the mode, a link with two modes); and `XDP_FLAGS_REPLACE is not specified`, which rtnetlink
//! keeps from the core by dropping the expectation.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::netlink::{Builder, Socket, route};
use hoist_bpf::kernel::{Expect, Kernel, KernelError, Linux, ProgramSpec, XdpMode};
use hoist_hwtests::frame::mac;
use hoist_hwtests::lab::{End, Lab, LinkKind, Port, Veth};
use hoist_hwtests::require;

use XdpMode::{Generic, Hardware, Native};

const EPERM: i32 = 1;
const EBADF: i32 = 9;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const ERANGE: i32 = 34;
const EOPNOTSUPP: i32 = 95;

/// Programs that return `XDP_PASS` and differ in how they were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prog {
    A,
    B,
    Frags,
    ForDevmap,
    ForCpumap,
    BoundToNear,
    BoundElsewhere,
    SchedCls,
}

/// What a netlink attach says about the slot.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Empty,
    Holds(Prog),
    Any,
}

/// One request about the near end, or where it says so, the bridge above it.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Over rtnetlink; without a program, detach.
    Netlink(Option<Prog>, Option<XdpMode>, Slot),
    /// The same on the bridge.
    OnBridge(Option<Prog>, XdpMode),
    /// A link, kept until the case ends.
    Link(Prog, XdpMode),
    /// A link on the bridge.
    LinkOnBridge(Prog, XdpMode),
    /// Swaps the program of the last link: new, and the one that is believed to run.
    Update(Prog, Prog),
    /// Detaches the last link.
    Detach,
    /// What the door has no words for: raw `IFLA_XDP_FLAGS`, `IFLA_XDP_FD`, `IFLA_XDP_EXPECTED_FD`.
    Raw { flags: u32, program: Option<Prog>, expected: Option<Option<Prog>> },
    /// A descriptor that is not one.
    BadDescriptor,
    /// An attribute that only the kernel may send (`IFLA_XDP_ATTACHED`).
    SendAttached,
}

impl Ask {
    /// The programs that it names.
    fn programs(self) -> [Option<Prog>; 2] {
        match self {
            Netlink(program, _, Slot::Holds(held)) => [program, Some(held)],
            Netlink(program, ..) | OnBridge(program, _) => [program, None],
            Link(program, _) | LinkOnBridge(program, _) => [Some(program), None],
            Update(new, old) => [Some(new), Some(old)],
            Raw { program, expected, .. } => [program, expected.flatten()],
            Detach | BadDescriptor | SendAttached => [None, None],
        }
    }
}

use Ask::{
    BadDescriptor, Detach, Link, LinkOnBridge, Netlink, OnBridge, Raw, SendAttached, Update,
};
use Prog::{A, B, BoundElsewhere, BoundToNear, ForCpumap, ForDevmap, Frags, SchedCls};

/// What the near end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    /// A veth, its peer like it.
    Plain,
    /// Its peer's MTU is this.
    PeerMtu(u32),
    /// Its peer sends on two queues, it receives on one.
    PeerQueues,
    /// It is a port of a bridge.
    Bridged,
}

use World::{Bridged, PeerMtu, PeerQueues, Plain};

type Answer = Result<(), (i32, Option<&'static str>)>;
type Case = (World, &'static [Ask], Ask, Answer);

const OK: Answer = Ok(());
const fn no(errno: i32, text: &'static str) -> Answer {
    Err((errno, Some(text)))
}
/// The kernel says nothing but a number.
const fn mute(errno: i32) -> Answer {
    Err((errno, None))
}

const fn netlink(program: Prog, mode: XdpMode) -> Ask {
    Netlink(Some(program), Some(mode), Slot::Any)
}

const LINK_HOLDS: &str = "Can't replace active BPF XDP link";
const NETLINK_HOLDS: &str = "Can't replace active XDP program with BPF link";
const UPPER: &str = "Cannot attach when an upper device already has a program";
const MISMATCH: &str = "Active program does not match expected";
const PRESENT: &str = "XDP program already attached";
const NO_NATIVE: &str = "Underlying driver does not support XDP in native mode";
const BOTH: &str = "Native and generic XDP can't be active at the same time";
const OTHER_DEVICE: &str = "Program bound to different device";
const BOUND_GENERIC: &str = "Can't attach device-bound programs in generic mode";
const DEVMAP: &str = "BPF_XDP_DEVMAP programs can not be attached to a device";
const CPUMAP: &str = "BPF_XDP_CPUMAP programs can not be attached to a device";
const PEER_MTU: &str = "veth: Peer MTU is too large to set XDP";
const PEER_QUEUES: &str = "veth: XDP expects number of rx queues not less than peer tx queues";

const CASES: &[Case] = &[
    // An empty slot takes a program either way, and giving up what is not there is no error.
    (Plain, &[], netlink(A, Native), OK),
    (Plain, &[], netlink(A, Generic), OK),
    (Plain, &[], Netlink(Some(A), None, Slot::Empty), OK),
    (Plain, &[], Link(A, Native), OK),
    (Plain, &[], Link(A, Generic), OK),
    (Plain, &[], Netlink(None, Some(Native), Slot::Any), OK),
    (Plain, &[], Netlink(None, None, Slot::Any), OK),
    // A link owns its slot.
    (Plain, &[Link(A, Native)], netlink(B, Native), no(EBUSY, LINK_HOLDS)),
    (Plain, &[Link(A, Generic)], netlink(B, Generic), no(EBUSY, LINK_HOLDS)),
    (Plain, &[Link(A, Native)], Netlink(None, Some(Native), Slot::Any), no(EBUSY, LINK_HOLDS)),
    (
        Plain,
        &[Link(A, Native)],
        Netlink(Some(B), Some(Native), Slot::Holds(A)),
        no(EBUSY, LINK_HOLDS),
    ),
    (Plain, &[Link(A, Native)], Link(B, Native), no(EBUSY, LINK_HOLDS)),
    (Plain, &[Link(A, Native), Detach], netlink(B, Native), OK),
    (Plain, &[Link(A, Native)], Update(B, A), OK),
    (Plain, &[Link(A, Native)], Update(B, B), mute(EPERM)),
    (Plain, &[netlink(A, Native)], Link(B, Native), no(EBUSY, NETLINK_HOLDS)),
    (Plain, &[netlink(A, Generic)], Link(B, Generic), no(EBUSY, NETLINK_HOLDS)),
    // Compare and swap over netlink.
    (Plain, &[netlink(A, Native)], Netlink(Some(B), Some(Native), Slot::Holds(A)), OK),
    (
        Plain,
        &[netlink(A, Native)],
        Netlink(Some(A), Some(Native), Slot::Holds(B)),
        no(EEXIST, MISMATCH),
    ),
    (
        Plain,
        &[netlink(A, Native)],
        Netlink(None, Some(Native), Slot::Holds(B)),
        no(EEXIST, MISMATCH),
    ),
    (Plain, &[], Netlink(Some(A), Some(Native), Slot::Holds(B)), no(EEXIST, MISMATCH)),
    (Plain, &[netlink(A, Native)], Netlink(Some(B), Some(Native), Slot::Empty), no(EBUSY, PRESENT)),
    (Plain, &[netlink(A, Native)], Netlink(Some(A), Some(Native), Slot::Empty), no(EBUSY, PRESENT)),
    (Plain, &[netlink(A, Native)], netlink(A, Native), OK),
    (Plain, &[netlink(A, Native)], netlink(B, Native), OK),
    // `IFLA_XDP_EXPECTED_FD` of -1 says "must be empty".
    (Plain, &[], Raw { flags: 20, program: Some(A), expected: Some(None) }, OK),
    (
        Plain,
        &[netlink(B, Native)],
        Raw { flags: 20, program: Some(A), expected: Some(None) },
        no(EEXIST, MISMATCH),
    ),
    // Without XDP_FLAGS_REPLACE the expectation is not one: the kernel replaces whatever is there.
    (Plain, &[netlink(B, Native)], Raw { flags: 4, program: Some(A), expected: Some(Some(A)) }, OK),
    // Modes exclude each other.
    (Plain, &[netlink(A, Native)], netlink(B, Generic), no(EEXIST, BOTH)),
    (Plain, &[netlink(A, Generic)], netlink(B, Native), no(EEXIST, BOTH)),
    (Plain, &[Link(A, Native)], Link(B, Generic), no(EEXIST, BOTH)),
    (Plain, &[Link(A, Generic)], Link(B, Native), no(EEXIST, BOTH)),
    (Plain, &[Link(A, Generic)], netlink(B, Native), no(EEXIST, BOTH)),
    // Who has no driver for it; the text is the same for hardware. veth's has no words for that.
    (Plain, &[], netlink(A, Hardware), mute(EINVAL)),
    (Plain, &[], Link(A, Hardware), mute(EINVAL)),
    (Bridged, &[], OnBridge(Some(A), Hardware), no(EOPNOTSUPP, NO_NATIVE)),
    (Bridged, &[], OnBridge(Some(A), Native), no(EOPNOTSUPP, NO_NATIVE)),
    (Bridged, &[], LinkOnBridge(A, Native), no(EOPNOTSUPP, NO_NATIVE)),
    // Upper devices: first come, first served, but not the other way round.
    (Bridged, &[OnBridge(Some(A), Generic)], netlink(B, Native), no(EEXIST, UPPER)),
    (Bridged, &[OnBridge(Some(A), Generic)], netlink(B, Generic), no(EEXIST, UPPER)),
    (Bridged, &[OnBridge(Some(A), Generic)], Link(B, Native), no(EEXIST, UPPER)),
    (Bridged, &[netlink(A, Native)], OnBridge(Some(B), Generic), OK),
    (Bridged, &[OnBridge(Some(A), Generic), OnBridge(None, Generic)], netlink(B, Native), OK),
    // Programs that belong elsewhere.
    (Plain, &[], netlink(ForDevmap, Native), no(EINVAL, DEVMAP)),
    (Plain, &[], netlink(ForDevmap, Generic), no(EINVAL, DEVMAP)),
    (Plain, &[], Link(ForDevmap, Native), no(EINVAL, DEVMAP)),
    (Plain, &[], netlink(ForCpumap, Native), no(EINVAL, CPUMAP)),
    (Plain, &[], Link(ForCpumap, Generic), no(EINVAL, CPUMAP)),
    (Plain, &[], netlink(BoundToNear, Native), OK),
    (Plain, &[], Link(BoundToNear, Native), OK),
    (Plain, &[], netlink(BoundToNear, Generic), no(EINVAL, BOUND_GENERIC)),
    (Plain, &[], Link(BoundToNear, Generic), no(EINVAL, BOUND_GENERIC)),
    (Plain, &[], netlink(BoundElsewhere, Native), no(EINVAL, OTHER_DEVICE)),
    (Plain, &[], Link(BoundElsewhere, Native), no(EINVAL, OTHER_DEVICE)),
    (Plain, &[], netlink(SchedCls, Native), mute(EINVAL)),
    (Plain, &[], Link(SchedCls, Native), mute(EINVAL)),
    (Plain, &[], BadDescriptor, mute(EBADF)),
    // rtnetlink refuses before the core is asked.
    (Plain, &[], SendAttached, mute(EINVAL)),
    (Plain, &[], Raw { flags: 6, program: Some(A), expected: None }, mute(EINVAL)),
    (Plain, &[], Raw { flags: 20, program: Some(A), expected: None }, mute(EINVAL)),
    (Plain, &[], Raw { flags: 1 << 5, program: Some(A), expected: None }, mute(EINVAL)),
    // The driver's own conditions.
    (PeerMtu(3506), &[], netlink(A, Native), OK),
    (PeerMtu(3507), &[], netlink(A, Native), no(ERANGE, PEER_MTU)),
    (PeerMtu(3507), &[], Link(A, Native), no(ERANGE, PEER_MTU)),
    (PeerMtu(9000), &[], netlink(Frags, Native), OK),
    (PeerMtu(9000), &[], netlink(A, Generic), OK),
    (PeerQueues, &[], netlink(A, Native), no(ENOSPC, PEER_QUEUES)),
    (PeerQueues, &[], Link(A, Native), no(ENOSPC, PEER_QUEUES)),
    (PeerQueues, &[], Link(A, Generic), OK),
];

#[test]
fn the_kernel_answers_as_the_table_says() {
    if !require::veth("the_kernel_answers_as_the_table_says") {
        return;
    }
    // Linux 6.3 was the first to bind a program to a device.
    let known = |(.., ask, _): &&Case| {
        let bound = |prog: Prog| matches!(prog, BoundToNear | BoundElsewhere);
        require::kernel(6, 3) || !ask.programs().into_iter().flatten().any(bound)
    };
    let wrong: Vec<String> =
        CASES.iter().filter(known).filter_map(|case| check(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

fn check((world, before, ask, expected): &Case) -> Result<(), String> {
    let scene = Scene::build(*world);
    scene.lab.near().namespace.clone().run(|| {
        let mut stage = Stage::new(&scene);
        for step in *before {
            stage.act(*step).map_err(|e| format!("{world:?} {before:?}: {step:?}: {e}"))?;
        }
        let held = stage.slots();
        let answer = stage.act(*ask);
        let given = match &answer {
            Ok(()) => Ok(()),
            Err(e) => Err((e.errno, e.message.as_deref())),
        };
        let expected = match (ask, *expected) {
            // Before Linux 6.6 the reason of a link is asked for again over netlink.
            (Link(..), Err((errno, Some(NETLINK_HOLDS)))) if !require::kernel(6, 6) => {
                no(errno, PRESENT)
            }
            (_, expected) => expected,
        };
        if given != expected {
            return Err(format!("{world:?} {before:?} then {ask:?}: {given:?}, not {expected:?}"));
        }
        if answer.is_err() && stage.slots() != held {
            return Err(format!(
                "{world:?} {before:?} then {ask:?}: refused, yet changed the slot"
            ));
        }
        Ok(())
    })
}

/// The interfaces of one case.
struct Scene {
    lab: Lab,
    bridge: Option<Port>,
    /// Another pair, for programs bound to another device.
    other: Veth,
}

impl Scene {
    fn build(world: World) -> Self {
        let lab = Lab::with(
            |near| near,
            |far| match world {
                PeerMtu(bytes) => far.mtu(bytes),
                PeerQueues => far.queues(1, 2),
                Plain | Bridged => far,
            },
        )
        .unwrap();
        let here = &lab.near().namespace;
        let bridge = (world == Bridged).then(|| {
            let bridge = Port::create(here, "br0", mac(9), LinkKind::Bridge).unwrap();
            lab.near().set_master(Some(&bridge)).unwrap();
            bridge
        });
        let ends = (End::new("v2", 3).down(), End::new("v3", 4).down());
        let other = Veth::create((here, ends.0), (here, ends.1)).unwrap();
        Self { lab, bridge, other }
    }
}

/// One case as it plays; everything is closed, and so detached, at its end.
struct Stage<'a> {
    scene: &'a Scene,
    kernel: Linux,
    programs: HashMap<Prog, OwnedFd>,
    links: Vec<OwnedFd>,
}

impl<'a> Stage<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self { scene, kernel: Linux::new().unwrap(), programs: HashMap::new(), links: Vec::new() }
    }

    /// Loads what the case needs and nothing else: two devices that both have programs bound to them
    /// are one and the same to `bpf_offload_dev_match`.
    fn load(&mut self, prog: Prog) {
        let (near, other) = (self.near(), self.scene.other.near.ifindex);
        // (type, expected attach type, flags, device) as in linux/bpf.h.
        let (kind, expected_attach_type, flags, ifindex) = match prog {
            A | B => (6, 37, 0, 0),
            Frags => (6, 37, 1 << 5, 0),
            ForDevmap => (6, 33, 0, 0),
            ForCpumap => (6, 35, 0, 0),
            BoundToNear => (6, 37, 1 << 6, near),
            BoundElsewhere => (6, 37, 1 << 6, other),
            SchedCls => (3, 0, 0, 0),
        };
        // r0 = XDP_PASS; exit
        let insns = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];
        let spec = ProgramSpec {
            name: "attach_test".to_owned(),
            kind,
            expected_attach_type,
            insns: &insns,
            license: "GPL".to_owned(),
            flags,
            ifindex,
            ..ProgramSpec::default()
        };
        let kernel = &self.kernel;
        self.programs.entry(prog).or_insert_with(|| kernel.load_program(&spec).unwrap());
    }

    fn program(&self, prog: Prog) -> BorrowedFd<'_> {
        self.programs[&prog].as_fd()
    }

    fn near(&self) -> u32 {
        self.scene.lab.near().ifindex
    }

    fn bridge(&self) -> u32 {
        self.scene.bridge.as_ref().unwrap().ifindex
    }

    fn slots(&self) -> String {
        format!("{:?}", self.kernel.query_xdp(self.near()).unwrap())
    }

    fn act(&mut self, ask: Ask) -> Result<(), KernelError> {
        ask.programs().into_iter().flatten().for_each(|prog| self.load(prog));
        match ask {
            Netlink(program, mode, slot) => {
                let expect = match slot {
                    Slot::Empty => Expect::Empty,
                    Slot::Holds(prog) => Expect::Program(self.program(prog)),
                    Slot::Any => Expect::Anything,
                };
                let program = program.map(|p| self.program(p));
                self.kernel.netlink_xdp(self.near(), program, mode, expect).map(drop)
            }
            OnBridge(program, mode) => {
                let program = program.map(|p| self.program(p));
                let any = Expect::Anything;
                self.kernel.netlink_xdp(self.bridge(), program, Some(mode), any).map(drop)
            }
            Link(prog, mode) => self.link(prog, self.near(), mode),
            LinkOnBridge(prog, mode) => self.link(prog, self.bridge(), mode),
            Update(new, old) => {
                let link = self.links.last().unwrap().as_fd();
                self.kernel.link_update(link, self.program(new), self.program(old))
            }
            Detach => self.kernel.link_detach(self.links.last().unwrap().as_fd()),
            Raw { flags, program, expected } => {
                let number = |p: Option<Prog>| p.map_or(-1, |p| self.program(p).as_raw_fd());
                let inner = Builder::default().i32(1, number(program)).u32(3, flags);
                self.raw(match expected {
                    Some(expected) => inner.i32(8, number(expected)),
                    None => inner,
                })
            }
            BadDescriptor => self.raw(Builder::default().i32(1, 9999).u32(3, 4)),
            SendAttached => self.raw(Builder::default().u8(2, 1)),
        }
    }

    fn link(&mut self, prog: Prog, ifindex: u32, mode: XdpMode) -> Result<(), KernelError> {
        let link = self.kernel.link_xdp(self.program(prog), ifindex, mode)?;
        self.links.push(link);
        Ok(())
    }

    /// `RTM_SETLINK` with this content of `IFLA_XDP`.
    fn raw(&self, inner: Builder) -> Result<(), KernelError> {
        let payload = route::link_header(self.near()).nest(43, inner).build();
        let refused = |e: hoist_bpf::kernel::netlink::Refusal| e.about("RTM_SETLINK", "XDP");
        Socket::route().map_err(refused)?.request(19, 0, &payload).map_err(refused)?;
        Ok(())
    }
}
