//! Choosing an engine and explaining the choice.

use std::borrow::Cow;
use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use serde::{Deserialize, Serialize};

use crate::adjust::{Adjusted, Change, Grip};
use crate::attach::{AttachPolicy, Attachment};
use crate::capability::{Answer, Capabilities};
use crate::device::Device;
use crate::driver::Driver;
use crate::engine::{Engine, EngineKind, Hook, Job, Prepared};
use crate::error::{Error, Gap, Refusal};
use crate::host::Host;
use crate::pins::Kept;
use crate::profile::Profile;

mod choice;
mod rung;

pub use choice::{Choice, Wanted};

use rung::{Rung, Step};

/// How sure a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Prepared: loaded and verified on this kernel for this device, not attached.
    Proven,
    /// Follows from facts.
    Expected,
}

/// Something the user should know although the plan stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable kebab-case code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

impl From<Gap> for Warning {
    fn from(gap: Gap) -> Self {
        Self { code: gap.code, message: gap.message, remedy: gap.remedy }
    }
}

/// The chosen engine and the refusal of every better one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `hoist.plan.v1`.
    pub schema: String,
    /// Interface.
    pub device: String,
    /// Program.
    pub program: String,
    /// The engine, or `None` when none fits.
    pub engine: Option<EngineKind>,
    /// Where it attaches.
    pub hook: Option<Hook>,
    /// Who provides it, where that is not the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider: Option<String>,
    /// How sure.
    pub certainty: Certainty,
    /// Settings of the device that are changed while the program runs; none unless the user allowed
    /// it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub adjustments: Vec<Change>,
    /// What to know.
    pub warnings: Vec<Warning>,
    /// Why each better engine was passed over, best first.
    pub refusals: Vec<Refusal>,
}

impl Plan {
    /// The schema name of the current format.
    pub const SCHEMA: &'static str = "hoist.plan.v1";
}

/// An engine, and what it can do on the device that is planned for.
type Known = (&'static dyn Engine, Capabilities);

/// The engines and drivers of one tool: a visible, ordered list.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    engines: Vec<&'static dyn Engine>,
    drivers: Vec<&'static dyn Driver>,
}

/// What the user asked of the planner.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Which engines, in which order.
    pub choice: Choice,
    /// Codes of differences the user accepts (`--accept`).
    pub accept: Vec<String>,
    /// The program that may be replaced: a slot that holds it is not held against the engine.
    /// [`Registry::attach`] takes [`AttachPolicy::replace`] instead where that is set.
    pub replace: Option<u32>,
    /// Settings of the device may be changed where a condition of the chosen engine asks for it. They
    /// are put back when the program is taken off ([`crate::adjust`]).
    pub adjust_device: bool,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an engine. Engines of one kind are tried in the order they were added; where one provider
    /// has several, which differ by their hook, the first that is usable stands for all, unless the
    /// user asks for a hook.
    #[must_use]
    pub fn engine(mut self, engine: &'static dyn Engine) -> Self {
        self.engines.push(engine);
        self.engines.sort_by_key(|e| e.kind());
        self
    }

    /// Adds a driver and the engines it brings. Later drivers do not shadow earlier ones: every
    /// driver that claims a device refines its capabilities.
    #[must_use]
    pub fn driver(mut self, driver: &'static dyn Driver) -> Self {
        for engine in driver.engines() {
            self = self.engine(engine);
        }
        self.drivers.push(driver);
        self
    }

    /// The engines, best first.
    pub fn engines(&self) -> impl Iterator<Item = &'static dyn Engine> {
        self.engines.iter().copied()
    }

    /// The drivers.
    pub fn drivers(&self) -> impl Iterator<Item = &'static dyn Driver> {
        self.drivers.iter().copied()
    }

    /// What the drivers' cards take, by the names that `hoist lint --profile` knows.
    pub fn profiles(&self) -> impl Iterator<Item = &'static Profile> {
        self.drivers().filter_map(Driver::profile)
    }

    /// The profile of that name; of several, the one that was registered last: a vendor's build adds
    /// to what is there.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<&'static Profile> {
        self.profiles().filter(|profile| profile.name == name).last()
    }

    /// The drivers that claim a device, in the order in which they were registered.
    pub fn claiming(&self, device: &Device) -> impl Iterator<Item = &'static dyn Driver> {
        self.drivers().filter(move |driver| driver.claims(device))
    }

    /// A job with what its device's cards take, for engines that are asked without a plan. What plans
    /// does this itself.
    #[must_use]
    pub fn equip<'a>(&self, device: &Device, job: &'a Job) -> Cow<'a, Job> {
        let card = self.claiming(device).filter_map(Driver::profile).last();
        match (card, job.card) {
            (None, None) => Cow::Borrowed(job),
            _ => Cow::Owned(Job { card, ..job.clone() }),
        }
    }

    /// Adds what drivers know of an offload device to its report, if it has one.
    pub fn refine_offload(&self, device: &mut Device) {
        if let Some(mut report) = device.offload_report.take() {
            for driver in self.claiming(device) {
                driver.refine_offload(device, &mut report);
            }
            device.offload_report = Some(report);
        }
    }

    /// What one engine can do on a device, the driver's knowledge included.
    ///
    /// # Errors
    /// The host could not be asked.
    pub fn capabilities(
        &self,
        host: &dyn Host,
        device: &Device,
        engine: &dyn Engine,
    ) -> Result<Capabilities, Error> {
        let mut capabilities = engine.capabilities(host, device)?;
        capabilities.hook = Some(engine.hook());
        for driver in self.claiming(device) {
            driver.refine(device, &mut capabilities);
        }
        Ok(capabilities)
    }

    /// Takes charge of a program that an earlier process told to stay, by the engine that it runs on.
    ///
    /// # Errors
    /// Its pins could not be opened, or no engine of this registry runs such programs.
    pub fn adopt(
        &self,
        kernel: &Arc<dyn Kernel>,
        kept: &Kept,
        device: &Device,
    ) -> Result<Box<dyn Attachment>, Error> {
        let (kind, hook) = (kept.slot.engine(), kept.slot.hook());
        match self.engines().find(|e| e.kind() == kind && e.hook() == hook) {
            Some(engine) => {
                let attachment = engine.adopt(kernel, kept, device)?;
                Ok(match Grip::of_kept(kernel, device.ifindex, &kept.path)? {
                    Some(grip) => Box::new(Adjusted::new(attachment, grip)),
                    None => attachment,
                })
            }
            None => Err(Error::Input {
                what: format!(
                    "{}: this build has no {kind} engine (hook {hook})",
                    kept.path.display()
                ),
                hint: Some("use the build of hoist that loaded it".to_owned()),
            }),
        }
    }

    /// Chooses from facts alone: nothing is loaded. Works on recorded hosts.
    ///
    /// # Errors
    /// The host could not be asked. "No engine fits" is a plan without an engine, not an error.
    pub fn plan(
        &self,
        host: &dyn Host,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
    ) -> Result<Plan, Error> {
        let job = &*self.equip(device, job);
        let mut plan = Plan::empty(device, job);
        for rung in self.ladder(host, device, job, wishes)? {
            let rung = rung.examined(device, job);
            match rung.fits() {
                Some(engine) => {
                    plan.choose(&rung, engine, Step::Compared);
                    break;
                }
                None => plan.refuse(rung),
            }
        }
        Ok(plan)
    }

    /// Chooses by loading: the first engine whose facts fit and whose `prepare` succeeds. What was
    /// unknown is known afterwards. Nothing is attached.
    ///
    /// # Errors
    /// The host could not be asked, or loading failed for a reason that is not a refusal.
    pub fn prove(
        &self,
        host: &dyn Host,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
    ) -> Result<(Plan, Option<Box<dyn Prepared>>), Error> {
        let job = &*self.equip(device, job);
        let mut plan = Plan::empty(device, job);
        for rung in self.ladder(host, device, job, wishes)? {
            let Some(engine) = rung.fits() else {
                plan.refuse(rung.examined(device, job));
                continue;
            };
            match engine.prepare(kernel, device, job) {
                Ok(prepared) => {
                    plan.choose(&rung, engine, Step::Loaded);
                    plan.warnings.extend(prepared.warnings());
                    return Ok((plan, Some(prepared)));
                }
                Err(error) => plan.refuse(rung.refused(gaps_of(error)?)),
            }
        }
        Ok((plan, None))
    }

    /// Chooses, prepares and attaches. A refusal at any step moves on to the next engine with the
    /// reason kept.
    ///
    /// # Errors
    /// [`Error::Refused`] with every refusal when no engine is left, or a failure that is not a
    /// refusal. Nothing stays attached on error.
    pub fn attach(
        &self,
        host: &dyn Host,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
        policy: &AttachPolicy,
    ) -> Result<(Plan, Box<dyn Attachment>), Error> {
        let wishes = Wishes { replace: policy.replace.or(wishes.replace), ..wishes.clone() };
        let policy = AttachPolicy { replace: wishes.replace, ..policy.clone() };
        let job = &*self.equip(device, job);
        let mut plan = Plan::empty(device, job);
        for rung in self.ladder(host, device, job, &wishes)? {
            let Some(engine) = rung.fits() else {
                plan.refuse(rung.examined(device, job));
                continue;
            };
            let attached = engine.prepare(kernel, device, job).and_then(|prepared| {
                let warnings = prepared.warnings();
                let attachment = rung.attach(kernel, device, prepared, &policy)?;
                Ok((attachment, warnings))
            });
            match attached {
                Ok((attachment, warnings)) => {
                    plan.choose(&rung, engine, Step::Attached);
                    plan.warnings.extend(warnings);
                    return Ok((plan, attachment));
                }
                Err(error) => plan.refuse(rung.refused(gaps_of(error)?)),
            }
        }
        let Plan { device, program, refusals, .. } = plan;
        Err(Error::Refused { device, program, refusals })
    }

    fn ladder(
        &self,
        host: &dyn Host,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
    ) -> Result<Vec<Rung>, Error> {
        let wanted = match &wishes.choice {
            Choice::Auto => EngineKind::LADDER.map(Wanted::from).to_vec(),
            Choice::Listed(wanted) => wanted.clone(),
        };
        let mut rungs = Vec::new();
        for wanted in wanted {
            let mut known = Vec::new();
            for engine in self.engines().filter(|e| wanted.means(*e)) {
                known.push((engine, self.capabilities(host, device, engine)?));
            }
            if known.is_empty() && wishes.choice != Choice::Auto {
                rungs.push(Rung::absent(wanted));
            }
            for (engine, capabilities) in first_hooks(known) {
                rungs.push(Rung::new(engine, &capabilities, device, job, wishes));
            }
        }
        Ok(rungs)
    }
}

/// Leaves of one provider's engines of a kind those that may run: up to the first that is usable for
/// certain, since a later one is but another hook for the same. Where none is usable, all stay, so
/// that each says why.
fn first_hooks(known: Vec<Known>) -> Vec<Known> {
    let mut left: Vec<Known> = Vec::new();
    for (engine, capabilities) in known {
        let others = |(e, _): &&Known| e.provider() == engine.provider();
        let sure = left.iter().filter(others).any(|(_, c)| c.usable() == Answer::Yes);
        if !sure {
            left.push((engine, capabilities));
        }
    }
    let may = |provider: &str| {
        let of = |(e, c): &Known| e.provider() == provider && c.usable() != Answer::No;
        left.iter().any(of)
    };
    let keep: Vec<bool> =
        left.iter().map(|(e, c)| c.usable() != Answer::No || !may(e.provider())).collect();
    let mut keep = keep.into_iter();
    left.retain(|_| keep.next().unwrap_or(true));
    left
}

/// The gaps inside a refusal; any other error is passed on.
fn gaps_of(error: Error) -> Result<Vec<Gap>, Error> {
    match error {
        Error::Refused { refusals, .. } => Ok(refusals.into_iter().flat_map(|r| r.gaps).collect()),
        other => Err(other),
    }
}

impl Plan {
    fn empty(device: &Device, job: &Job) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            device: device.name.clone(),
            program: job.program_name().to_owned(),
            engine: None,
            hook: None,
            provider: None,
            certainty: Certainty::Expected,
            adjustments: Vec::new(),
            warnings: Vec::new(),
            refusals: Vec::new(),
        }
    }

    fn choose(&mut self, rung: &Rung, engine: &dyn Engine, done: Step) {
        self.engine = Some(engine.kind());
        self.hook = Some(engine.hook());
        self.provider = Some(engine.provider()).filter(|name| *name != "kernel").map(str::to_owned);
        self.certainty = match done {
            Step::Compared => Certainty::Expected,
            Step::Loaded | Step::Attached => Certainty::Proven,
        };
        self.adjustments.clone_from(&rung.needed.changes);
        self.warnings.extend(rung.warnings.iter().cloned());
        self.warnings.extend(rung.open_after(done));
    }

    fn refuse(&mut self, rung: Rung) {
        let Rung { kind, provider, hook, gaps, .. } = rung;
        // Another hook of the same engine that refuses for the same reasons tells nothing new.
        let same = |r: &Refusal| r.engine == kind && r.provider == provider && r.gaps == gaps;
        if self.refusals.last().is_some_and(same) {
            return;
        }
        self.refusals.push(Refusal { engine: kind, hook, provider, gaps });
    }
}

#[cfg(test)]
mod tests;
