//! What the tests of the engines share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hoist_bpf::kernel::{Kernel, Linux, XdpMode};
use hoist_bpf::requirements::Requirements;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_bpf::{Module, Selector, analysis, programs};
use hoist_drivers::NATIVE;
use hoist_fallback::{CLSACT, GENERIC, TCX};
use hoist_hwtests::capture::Capture;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_hwtests::wait;
use hoist_offload::device::Slot;
use hoist_offload::host::LinuxHost;
use hoist_offload::{AttachPolicy, Attachment, Device, Engine, Error, Host, Job, Registry, Stats};

/// Set for the process that is killed.
pub(crate) const CHILD: &str = "HOIST_TEST_CHILD";
pub(crate) const MOMENT: Duration = Duration::from_millis(300);

/// Every engine, and where its programs are.
pub(crate) const ENGINES: [(&dyn Engine, Slot); 4] = [
    (&NATIVE, Slot::Native),
    (&GENERIC, Slot::Generic),
    (&TCX, Slot::TcxIngress),
    (&CLSACT, Slot::ClsactIngress),
];

/// Those whose hook the running kernel has.
pub(crate) fn engines() -> impl Iterator<Item = (&'static dyn Engine, Slot)> {
    let there = |slot| slot != Slot::TcxIngress || require::kernel(6, 6);
    ENGINES.into_iter().filter(move |(_, slot)| there(*slot))
}

/// The engines of the XDP hook.
pub(crate) const XDP: [(&dyn Engine, XdpMode); 2] =
    [(&NATIVE, XdpMode::Native), (&GENERIC, XdpMode::Generic)];

/// The program that is first in a slot of an interface, as the kernel says.
pub(crate) fn there(kernel: &dyn Kernel, ifindex: u32, slot: Slot) -> Option<u32> {
    const INGRESS: u32 = 46;
    match (slot.mode(), slot) {
        (Some(mode), _) => kernel.query_xdp(ifindex).unwrap().of(mode),
        (None, Slot::TcxIngress) => kernel.query_tcx(ifindex, INGRESS).unwrap().first().copied(),
        (None, _) => kernel.filters(ifindex).unwrap().iter().find_map(|f| f.program_id),
    }
}

pub(crate) fn kernel() -> Arc<dyn Kernel> {
    Arc::new(Linux::new().unwrap())
}

pub(crate) fn device(kernel: &Arc<dyn Kernel>, name: &str) -> Device {
    LinuxHost::new(Arc::clone(kernel)).device(name).unwrap()
}

pub(crate) fn registry() -> Registry {
    let mut registry = ENGINES.iter().fold(Registry::new(), |all, (engine, _)| all.engine(*engine));
    for driver in hoist_drivers::DRIVERS {
        registry = registry.driver(*driver);
    }
    registry
}

/// Whether an interface has no clsact qdisc.
pub(crate) fn no_qdisc(kernel: &dyn Kernel, ifindex: u32) -> bool {
    let added = kernel.add_clsact(ifindex).unwrap();
    added && kernel.remove_clsact(ifindex).unwrap()
}

/// One of the programs that come with hoist.
pub(crate) fn job(object: &str, program: Option<&str>) -> Job {
    let bytes = programs::get(object).unwrap().object;
    job_of(&Module::parse(object, bytes).unwrap(), program)
}

pub(crate) fn job_of(module: &Module, program: Option<&str>) -> Job {
    let selector = Selector { program: program.map(str::to_owned), section: None };
    let program = module.select(&selector).unwrap();
    let btf = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let module = resolve(module, &TargetBtf::parse(btf).unwrap()).unwrap();
    let requirements: Requirements = analysis::requirements(&module, program);
    Job {
        module: Arc::new(module),
        program,
        requirements,
        count_verdicts: true,
        pin_root: None,
        contents: BTreeMap::new(),
        merged: Default::default(),
        accept: Default::default(),
        card: None,
    }
}

pub(crate) fn attach(
    engine: &dyn Engine,
    name: &str,
    job: &Job,
    policy: &AttachPolicy,
) -> Box<dyn Attachment> {
    let kernel = kernel();
    let device = device(&kernel, name);
    engine.prepare(&kernel, &device, job).and_then(|p| p.attach(policy)).unwrap()
}

pub(crate) fn frame(lab: &Lab) -> Vec<u8> {
    Frame::eth(lab.far().mac, lab.near().mac)
        .ipv4(Lab::FAR, Lab::NEAR)
        .udp(1000, 2000)
        .payload(b"hoist")
        .bytes()
}

/// What the stack gets of IPv4, however the frames get past the hooks: a capture of everything sees
/// those that a program at TC drops, too.
pub(crate) fn stack(lab: &Lab) -> Capture {
    const IPV4: u16 = 0x0800;
    Capture::of_protocol(lab.near(), IPV4).unwrap()
}

pub(crate) fn counted(attachment: &dyn Attachment, total: u64) -> Stats {
    let stats = || attachment.stats().unwrap().unwrap();
    wait::until(MOMENT, || stats().total() >= total);
    stats()
}

/// The gap codes of an error that is a refusal.
pub(crate) fn codes(error: &Error) -> Vec<String> {
    match error {
        Error::Refused { refusals, .. } => {
            refusals.iter().flat_map(|r| &r.gaps).map(|g| g.code.clone()).collect()
        }
        other => panic!("not a refusal: {other}"),
    }
}
