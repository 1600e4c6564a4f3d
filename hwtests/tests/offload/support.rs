//! A simulated NIC of a test's own, and what every test does with one.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_bpf::Insn;
use hoist_bpf::analysis;
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec};
use hoist_bpf::module::Module;
use hoist_bpf::parse::Selector;
use hoist_bpf::programs;
use hoist_offload::engine::Job;
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::{Choice, Plan, Wishes};
use hoist_offload::{AttachPolicy, Attachment, Device, EngineKind, Error, Host, Refusal, Registry};

const BUS: &str = "/sys/bus/netdevsim";
const DEBUG: &str = "/sys/kernel/debug/netdevsim";
/// How long the kernel may take to free what nobody holds any more.
const SETTLING: Duration = Duration::from_secs(5);

/// `enum bpf_prog_type` and `enum bpf_attach_type`.
pub(crate) const SCHED_CLS: u32 = 3;
pub(crate) const XDP: u32 = 6;
pub(crate) const BPF_XDP: u32 = 37;

/// `r0 = 2; exit`: pass, and as a classifier drop.
pub(crate) const PASS: [Insn; 2] = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];

/// One test at a time: they listen to one kernel's log.
static TURN: Mutex<()> = Mutex::new(());
static NEXT: AtomicU32 = AtomicU32::new(11);

/// A simulated NIC with ports; unplugged when dropped.
pub(crate) struct Nic {
    pub(crate) id: u32,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Nic {
    pub(crate) fn new(ports: u32) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nic = Self::beside(ports);
        nic._turn = Some(turn);
        nic
    }

    /// One more in the same test.
    pub(crate) fn beside(ports: u32) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        fs::write(format!("{BUS}/new_device"), format!("{id} {ports}")).unwrap();
        let nic = Self { id, _turn: None };
        until("its ports", || nic.names().len() == ports as usize);
        nic
    }

    /// The interfaces of its ports that are in this network namespace.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = fs::read_dir(format!("{BUS}/devices/netdevsim{}/net", self.id));
        let mut names: Vec<String> = listed
            .map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    pub(crate) fn device(&self) -> Device {
        self.port(0)
    }

    pub(crate) fn port(&self, at: usize) -> Device {
        let host = LinuxHost::new(kernel());
        host.device(&self.names()[at]).unwrap()
    }

    fn debug(&self) -> PathBuf {
        PathBuf::from(format!("{DEBUG}/netdevsim{}", self.id))
    }

    /// Turns a switch of the simulation: of the whole NIC, or of a port (`ports/0/...`).
    pub(crate) fn set(&self, knob: &str, value: &str) {
        let path = self.debug().join(knob);
        fs::write(&path, value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Programs that the NIC holds.
    pub(crate) fn bound(&self) -> usize {
        fs::read_dir(self.debug().join("bpf_bound_progs")).map_or(0, Iterator::count)
    }

    /// Nothing of hoist's is left in the NIC.
    pub(crate) fn empty(&self) {
        until("the NIC to be empty", || self.bound() == 0);
    }

    pub(crate) fn remove_port(&self, port: u32) {
        let path = format!("{BUS}/devices/netdevsim{}/del_port", self.id);
        fs::write(path, port.to_string()).unwrap();
    }

    pub(crate) fn unplug(&self) {
        fs::write(format!("{BUS}/del_device"), self.id.to_string()).unwrap();
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        // A test may have unplugged it.
        drop(fs::write(format!("{BUS}/del_device"), self.id.to_string()));
    }
}

/// Waits for something that the kernel does in its own time.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < SETTLING, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn kernel() -> Arc<dyn Kernel> {
    Arc::new(Linux::new().unwrap())
}

pub(crate) fn registry() -> Registry {
    let engines = hoist_drivers::ENGINES.iter().chain(hoist_fallback::ENGINES);
    let registry = engines.fold(Registry::new(), |all, engine| all.engine(*engine));
    hoist_drivers::DRIVERS.iter().fold(registry, |all, driver| all.driver(*driver))
}

/// One of the programs that come with hoist, to be run without counters.
pub(crate) fn job(name: &str) -> Job {
    let module = Module::parse(name, programs::get(name).unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    Job {
        requirements: analysis::requirements(&module, program),
        module: Arc::new(module),
        program,
        count_verdicts: false,
        pin_root: None,
        contents: Default::default(),
        merged: Default::default(),
        accept: Default::default(),
        card: Some(&hoist_drivers::nic::netdevsim::PROFILE),
    }
}

pub(crate) fn only(engine: EngineKind) -> Wishes {
    Wishes { choice: Choice::only(engine), ..Wishes::default() }
}

/// Attaches as `hoist run` does.
pub(crate) fn attach(
    device: &Device,
    job: &Job,
    wishes: &Wishes,
) -> Result<(Plan, Box<dyn Attachment>), Error> {
    attach_with(device, job, wishes, &AttachPolicy::default())
}

pub(crate) fn attach_with(
    device: &Device,
    job: &Job,
    wishes: &Wishes,
    policy: &AttachPolicy,
) -> Result<(Plan, Box<dyn Attachment>), Error> {
    let kernel = kernel();
    let host = LinuxHost::new(Arc::clone(&kernel));
    registry().attach(&host, &kernel, device, job, wishes, policy)
}

/// The codes and messages of a refusal.
pub(crate) fn refusal(outcome: Result<impl Sized, Error>) -> (Vec<String>, String) {
    match outcome {
        Err(Error::Refused { refusals, .. }) => told(&refusals),
        Err(error) => (vec!["error".to_owned()], error.to_string()),
        Ok(_) => (vec!["accepted".to_owned()], String::new()),
    }
}

pub(crate) fn told(refusals: &[Refusal]) -> (Vec<String>, String) {
    let gaps = || refusals.iter().flat_map(|refusal| &refusal.gaps);
    (
        gaps().map(|gap| gap.code.clone()).collect(),
        gaps().map(|gap| gap.message.clone()).collect::<Vec<_>>().join("\n"),
    )
}

/// A program as it is given to the kernel.
pub(crate) fn program<'a>(
    kind: u32,
    flags: u32,
    ifindex: u32,
    insns: &'a [Insn],
) -> ProgramSpec<'a> {
    ProgramSpec {
        name: "trial".to_owned(),
        kind,
        expected_attach_type: if kind == XDP { BPF_XDP } else { 0 },
        flags,
        ifindex,
        insns,
        license: "GPL".to_owned(),
        log_level: 1,
        ..ProgramSpec::default()
    }
}

/// ip(8), which must do it.
#[track_caller]
pub(crate) fn ip(args: &str) {
    let output = std::process::Command::new("ip").args(args.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {said}");
}

/// The index of an interface by its name.
pub(crate) fn index(name: &str) -> u32 {
    LinuxHost::new(kernel()).device(name).unwrap().ifindex
}
