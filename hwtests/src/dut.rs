//! The device under test: hoist itself, pointed at a port of the laboratory.
//!
//! Everything here happens inside the port's namespace and goes through the same calls as the
//! command: parse, resolve, requirements, plan, prepare, attach.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::{Arc, LazyLock};

use hoist_bpf::analysis;
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_bpf::module::Module;
use hoist_bpf::parse::Selector;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_fallback::tc::tag_push;
use hoist_fallback::tc::translate::{Options, TagPush};
use hoist_offload::attach::Effective;
use hoist_offload::error::Refusal;
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::{Choice, Wanted, Wishes};
use hoist_offload::{
    Answer, AttachPolicy, Attachment, Capabilities, Device, Engine, EngineKind, Error, Gap, Hook,
    Host as _, Job, Plan, Prepared, Registry,
};

use crate::fuzz;
use crate::lab::Port;
use crate::require;

/// Every engine at every hook, best first.
pub const ENGINES: [Wanted; 4] = [
    Wanted { kind: EngineKind::Native, hook: None },
    Wanted { kind: EngineKind::Generic, hook: None },
    Wanted::at(EngineKind::Tc, Hook::Tcx),
    Wanted::at(EngineKind::Tc, Hook::Clsact),
];

/// How programs are translated to TC for the running kernel.
#[must_use]
pub fn tc_options() -> Options {
    static TAG_PUSH: LazyLock<TagPush> = LazyLock::new(|| {
        Linux::new().map_or_else(|_| TagPush::default(), |kernel| tag_push(&kernel))
    });
    Options { tag_push: *TAG_PUSH, ..Options::default() }
}

/// Whether the running kernel has an engine's hook: tcx came with Linux 6.6.
#[must_use]
pub fn has_hook(wanted: Wanted) -> bool {
    wanted.hook != Some(Hook::Tcx) || require::kernel(6, 6)
}

/// [`ENGINES`], as far as the running kernel has their hooks.
pub fn engines() -> impl Iterator<Item = Wanted> {
    ENGINES.into_iter().filter(|wanted| has_hook(*wanted))
}

/// The engines and drivers that come with hoist.
#[must_use]
pub fn in_tree() -> Registry {
    let kernel = hoist_drivers::ENGINES.iter().chain(hoist_fallback::ENGINES);
    registry(kernel.chain(hoist_fallback::USERSPACE).copied())
}

/// Why something could not be tried.
pub type Failure = Box<dyn StdError + Send + Sync>;

/// A port, and all of hoist that a program on it needs.
#[derive(Debug)]
pub struct Dut {
    port: Port,
    kernel: Arc<dyn Kernel>,
    host: LinuxHost,
    registry: Registry,
    target: TargetBtf,
}

impl Dut {
    /// The in-tree engines and drivers, on a port.
    ///
    /// # Errors
    /// The kernel could not be asked about itself.
    pub fn new(port: &Port) -> Result<Self, Failure> {
        Self::with(port, in_tree())
    }

    /// The engines and drivers of a registry, a vendor's for example, on a port.
    ///
    /// # Errors
    /// The kernel could not be asked about itself.
    pub fn with(port: &Port, registry: Registry) -> Result<Self, Failure> {
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
        let target = match kernel.kernel_btf()? {
            Some(bytes) => TargetBtf::parse((*bytes).as_ref().to_vec())?,
            None => TargetBtf::none(),
        };
        let host = LinuxHost::new(Arc::clone(&kernel));
        Ok(Self { port: port.clone(), kernel, host, registry, target })
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// The door to the kernel.
    #[must_use]
    pub const fn kernel(&self) -> &Arc<dyn Kernel> {
        &self.kernel
    }

    /// An object file, ready to be planned, with its verdicts counted. `program` may be left out
    /// where the file has one.
    ///
    /// # Errors
    /// The file is not what it should be, or does not fit this kernel.
    pub fn job(&self, name: &str, object: &[u8], program: Option<&str>) -> Result<Job, Failure> {
        self.job_with(name, object, program, |_| Ok(()))
    }

    /// The same, changed before it is resolved, for example by setting variables.
    ///
    /// # Errors
    /// See [`Dut::job`], and those of `change`.
    pub fn job_with(
        &self,
        name: &str,
        object: &[u8],
        program: Option<&str>,
        change: impl FnOnce(&mut Module) -> Result<(), Failure>,
    ) -> Result<Job, Failure> {
        let mut module = match fuzz::save::module(object) {
            Some(saved) => saved,
            None => Module::parse(name, object)?,
        };
        change(&mut module)?;
        let module = resolve(&module, &self.target)?;
        let selector = Selector { program: program.map(str::to_owned), section: None };
        let program = module.select(&selector)?;
        Ok(Job {
            requirements: analysis::requirements(&module, program),
            module: Arc::new(module),
            program,
            count_verdicts: true,
            pin_root: None,
            contents: BTreeMap::new(),
            merged: Default::default(),
            accept: Default::default(),
            card: None,
        })
    }

    /// One of the programs that come with hoist.
    ///
    /// # Errors
    /// There is none of that name, or it does not fit this kernel.
    pub fn prebuilt(&self, name: &str) -> Result<Job, Failure> {
        let program = hoist_bpf::programs::get(name).ok_or(format!("no program {name}"))?;
        self.job(name, program.object, Some(&format!("xdp_{name}")))
    }

    /// Does something inside the port's namespace: a devmap resolves indices where it is written.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.port.namespace.run(work)
    }

    /// What hoist knows of the port now.
    ///
    /// # Errors
    /// The port is gone.
    pub fn device(&self) -> Result<Device, Error> {
        self.inside(|| self.host.device(&self.port.name))
    }

    /// Chooses from facts alone.
    ///
    /// # Errors
    /// The host could not be asked.
    pub fn plan(&self, job: &Job, choice: Choice) -> Result<Plan, Error> {
        let wishes = Wishes { choice, ..Wishes::default() };
        let device = self.device()?;
        self.inside(|| self.registry.plan(&self.host, &device, job, &wishes))
    }

    /// Loads for one engine, or for the best, without attaching.
    ///
    /// # Errors
    /// Loading failed for a reason that is not a refusal.
    pub fn prove(
        &self,
        job: &Job,
        choice: Choice,
    ) -> Result<(Plan, Option<Box<dyn Prepared>>), Error> {
        let wishes = Wishes { choice, ..Wishes::default() };
        let device = self.device()?;
        self.inside(|| self.registry.prove(&self.host, &self.kernel, &device, job, &wishes))
    }

    /// What an engine can do on a device, the drivers' knowledge included.
    ///
    /// # Errors
    /// The host could not be asked.
    pub fn capabilities(
        &self,
        engine: &dyn Engine,
        device: &Device,
    ) -> Result<Capabilities, Error> {
        self.inside(|| self.registry.capabilities(&self.host, device, engine))
    }

    /// The reasons of refusals. Where several providers have an engine of the kind, what they say of the
    /// program comes before what they say of a device that is not theirs.
    ///
    /// # Errors
    /// The host could not be asked.
    pub fn reasons(&self, refusals: Vec<Refusal>) -> Result<Vec<Gap>, Error> {
        let device = self.device()?;
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for refusal in refusals {
            let same = |e: &&'static dyn Engine| {
                e.kind() == refusal.engine
                    && e.provider() == refusal.provider
                    && refusal.hook.is_none_or(|hook| hook == e.hook())
            };
            let usable = match self.registry.engines().find(same) {
                Some(engine) => self.capabilities(engine, &device)?.usable() != Answer::No,
                None => false,
            };
            if usable { &mut here } else { &mut elsewhere }.extend(refusal.gaps);
        }
        here.extend(elsewhere);
        Ok(here)
    }

    /// Loads for one engine without attaching.
    ///
    /// # Errors
    /// The engine refuses, with its gaps in the text, or loading failed.
    pub fn prepare(
        &self,
        job: &Job,
        engine: impl Into<Wanted>,
    ) -> Result<Box<dyn Prepared>, Failure> {
        let wanted = engine.into();
        let (plan, prepared) = self.prove(job, Choice::only(wanted))?;
        prepared.ok_or_else(|| format!("{wanted} refuses: {:#?}", plan.refusals).into())
    }

    /// Loads what shall replace a program of ours that runs: the slot may be held, as it is by us.
    ///
    /// # Errors
    /// The engine refuses, or loading failed.
    pub fn prepare_replacement(
        &self,
        job: &Job,
        engine: impl Into<Wanted>,
    ) -> Result<Box<dyn Prepared>, Failure> {
        let (device, wanted) = (self.device()?, engine.into());
        let engine = self.registry.engines().find(|e| wanted.means(*e)).ok_or("no such engine")?;
        let job = self.registry.equip(&device, job);
        Ok(self.inside(|| engine.prepare(&self.kernel, &device, &job))?)
    }

    /// Attaches what was prepared.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn attach(
        &self,
        prepared: Box<dyn Prepared>,
        policy: &AttachPolicy,
    ) -> Result<Box<dyn Attachment>, Error> {
        self.inside(|| prepared.attach(policy))
    }

    /// What is in force, as the kernel says it. (Exclusive, since an attachment may not be asked by
    /// two threads at once, and this asks from one inside.)
    ///
    /// # Errors
    /// It is no longer attached.
    pub fn effective(&self, attachment: &mut dyn Attachment) -> Result<Effective, Error> {
        self.inside(move || attachment.effective())
    }

    /// Plans, prepares and attaches in one go, as `hoist run` does.
    ///
    /// # Errors
    /// No engine fits, or a failure.
    pub fn run(&self, job: &Job, choice: Choice) -> Result<(Plan, Box<dyn Attachment>), Error> {
        self.run_believing(&self.device()?, job, choice)
    }

    /// The same, with these facts of the port instead of those that hold.
    ///
    /// # Errors
    /// No engine fits, or a failure.
    pub fn run_believing(
        &self,
        device: &Device,
        job: &Job,
        choice: Choice,
    ) -> Result<(Plan, Box<dyn Attachment>), Error> {
        let wishes = Wishes { choice, ..Wishes::default() };
        let policy = AttachPolicy::default();
        self.inside(|| {
            self.registry.attach(&self.host, &self.kernel, device, job, &wishes, &policy)
        })
    }
}

/// These engines and the in-tree drivers.
pub(crate) fn registry(engines: impl Iterator<Item = &'static dyn Engine>) -> Registry {
    let registry = engines.fold(Registry::new(), Registry::engine);
    hoist_drivers::DRIVERS.iter().fold(registry, |registry, driver| registry.driver(*driver))
}
