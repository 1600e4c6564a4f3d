//! The engine: a program in hoist's own machine, on an interface behind a port.

use std::sync::Arc;

use hoist_bpf::analysis;
use hoist_bpf::kernel::Kernel;
use hoist_bpf::requirements::Need;
use hoist_offload::attach::MapHandle;
use hoist_offload::engine::{DryRun, Outcome};
use hoist_offload::{
    AttachPolicy, Attachment, Capabilities, Device, Engine, EngineKind, Error, Gap, Hook, Host,
    Job, Prepared, Refusal, Warning,
};

use super::attachment::{self, Shared};
use super::capabilities;
use super::executor::Executor;
use super::ports::{Buffer, LONGEST, af_packet};
use super::vm::{Arrival, Machine, Options};

/// `BPF_MAP_TYPE_CPUMAP`.
const CPUMAP: u32 = 16;
/// The index of the loopback interface.
const LOOPBACK: u32 = 1;

/// Who provides the engine.
pub const PROVIDER: &str = "hoist";

/// hoist's machine behind one kind of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserEngine {
    hook: Hook,
}

/// Behind AF_XDP sockets: frames as the XDP hook sees them.
pub static AF_XDP: UserEngine = UserEngine { hook: Hook::AfXdp };

/// Behind a packet socket, where no BPF is allowed.
pub static AF_PACKET: UserEngine = UserEngine { hook: Hook::AfPacket };

impl UserEngine {
    /// A machine with the job's program in it.
    fn machine(job: &Job, cpus: u32) -> Result<Machine, Vec<Gap>> {
        Machine::new(&job.module, job.program, &options(job, cpus))
    }

    /// What speaks against the program on such a port, whatever the interface.
    fn against(self, job: &Job) -> Vec<Gap> {
        if self.hook == Hook::AfPacket && gives_back(job) {
            return vec![af_packet::pass_gap()];
        }
        Vec::new()
    }

    fn refused(self, device: &Device, job: &Job, gaps: Vec<Gap>) -> Error {
        refused(self.hook, device, job.program_name(), gaps)
    }
}

/// How the engine sets up the machine for a job in the present network namespace, whose routes it
/// takes, on a host with so many CPUs.
#[must_use]
pub fn options(job: &Job, cpus: u32) -> Options {
    let mut options = Options { contents: job.contents.clone(), ..Options::default() };
    options.maps.cpus = cpus;
    #[cfg(feature = "linux")]
    if let Ok(routing) = super::environment::routing::Routing::take() {
        let index = super::environment::routing::Index::new(&routing);
        options.environment.routing = Arc::new(index);
    }
    options
}

/// Runs a machine on one frame as `BPF_PROG_TEST_RUN` does: on a page, with native XDP's room before
/// and behind the frame, which comes in by the loopback interface. `None`: the frame is longer than
/// [`ports::LONGEST`](super::ports::LONGEST).
#[must_use]
pub fn test_run(machine: &mut Machine, frame: &[u8]) -> Option<Outcome> {
    let mut buffer = Buffer::new();
    let mut frame = buffer.load(frame)?;
    let arrival = Arrival { ingress_ifindex: LOOPBACK, ..Arrival::default() };
    let ran = machine.run(&mut frame, &arrival);
    Some(Outcome { verdict: ran.verdict, frame: frame.bytes().to_vec() })
}

/// Whether frames may have to be given back to the host: those that the program passes, and those that
/// it sends to a CPU, which reach the stack there.
fn gives_back(job: &Job) -> bool {
    let steers = job.requirements.get(&Need::MapType(CPUMAP)).is_some();
    steers || analysis::may_pass(&job.module, job.program)
}

/// A refusal of the engine at a hook.
pub(super) fn refused(hook: Hook, device: &Device, program: &str, gaps: Vec<Gap>) -> Error {
    Error::Refused {
        device: device.name.clone(),
        program: program.to_owned(),
        refusals: vec![Refusal {
            engine: EngineKind::User,
            hook: Some(hook),
            provider: PROVIDER.to_owned(),
            gaps,
        }],
    }
}

impl Engine for UserEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::User
    }

    fn provider(&self) -> &str {
        PROVIDER
    }

    fn hook(&self) -> Hook {
        self.hook
    }

    fn capabilities(&self, _host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        Ok(capabilities::of(self.hook, device))
    }

    fn examine(&self, _device: &Device, job: &Job) -> Vec<Gap> {
        let mut gaps = Self::machine(job, 1).err().unwrap_or_default();
        gaps.extend(self.against(job));
        gaps
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let cpus = u32::try_from(kernel.possible_cpus()?).unwrap_or(1);
        let machine = Self::machine(job, cpus);
        let mut gaps = self.against(job);
        match machine {
            Ok(machine) if gaps.is_empty() => Ok(Box::new(UserPrepared {
                kernel: kernel.clone(),
                hook: self.hook,
                device: device.clone(),
                program: job.program_name().to_owned(),
                may_pass: gives_back(job),
                shared: Shared::new(Executor::new(machine)),
            })),
            Ok(_) => Err(self.refused(device, job, gaps)),
            Err(mut lacking) => {
                lacking.append(&mut gaps);
                Err(self.refused(device, job, lacking))
            }
        }
    }
}

/// A machine that waits for its port.
#[derive(Debug)]
pub(super) struct UserPrepared {
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) hook: Hook,
    pub(super) device: Device,
    pub(super) program: String,
    /// Whether frames may have to be given back to the host.
    pub(super) may_pass: bool,
    pub(super) shared: Arc<Shared>,
}

impl Prepared for UserPrepared {
    fn engine(&self) -> EngineKind {
        EngineKind::User
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        self.shared.map(name)
    }

    fn maps(&self) -> Vec<MapHandle> {
        self.shared.maps()
    }

    fn attach(self: Box<Self>, policy: &AttachPolicy) -> Result<Box<dyn Attachment>, Error> {
        let mut gaps = Vec::new();
        if policy.keep.is_some() {
            let message = "the user engine runs within hoist, and ends with it";
            let remedy = "use 'hoist run', or an engine in the kernel";
            gaps.push(Gap::new("cannot-stay", message).remedy(remedy));
        }
        if let Some(id) = policy.replace {
            let message =
                format!("program {id} is the kernel's; the user engine replaces only its own");
            gaps.push(Gap::new("cannot-replace", message).remedy("unload it first"));
        }
        if !gaps.is_empty() {
            return Err(refused(self.hook, &self.device, &self.program, gaps));
        }
        attachment::start(*self)
    }

    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    fn dry_run(&self) -> Option<&dyn DryRun> {
        Some(self)
    }
}

impl DryRun for UserPrepared {
    fn run(&self, frame: &[u8]) -> Result<Outcome, Error> {
        let outcome = test_run(self.shared.lock().machine_mut(), frame);
        outcome.ok_or_else(|| Error::Input {
            what: format!(
                "a frame of {} bytes is longer than any that the engine takes",
                frame.len()
            ),
            hint: Some(format!("up to {LONGEST} bytes")),
        })
    }
}
