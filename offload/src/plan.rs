//! Choosing an engine and explaining the choice.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use serde::{Deserialize, Serialize};

use crate::attach::{AttachPolicy, Attachment};
use crate::capability::{Capabilities, Severity};
use crate::device::Device;
use crate::driver::Driver;
use crate::engine::{Engine, EngineKind, Hook, Job, Prepared};
use crate::error::{Error, Gap, Refusal};
use crate::host::Host;

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
    /// How sure.
    pub certainty: Certainty,
    /// What to know.
    pub warnings: Vec<Warning>,
    /// Why each better engine was passed over, best first.
    pub refusals: Vec<Refusal>,
}

impl Plan {
    /// The schema name of the current format.
    pub const SCHEMA: &'static str = "hoist.plan.v1";
}

/// Which engines may be used, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// Every registered engine, best first.
    #[default]
    Auto,
    /// These, in this order. A single one means that one or a refusal.
    Listed(Vec<EngineKind>),
}

/// The engines and drivers of one tool: a visible, ordered list.
#[derive(Debug, Default)]
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
}

/// One rung of the ladder as the planner sees it.
struct Rung {
    engine: &'static dyn Engine,
    gaps: Vec<Gap>,
    unknown: bool,
    warnings: Vec<Warning>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an engine. Engines of one kind are tried in the order they were added.
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
        for driver in self.drivers.iter().filter(|d| d.claims(device)) {
            driver.refine(device, &mut capabilities);
        }
        Ok(capabilities)
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
        let mut plan = Self::empty_plan(device, job);
        for rung in self.rungs(host, device, job, wishes)? {
            if rung.gaps.is_empty() {
                plan.choose(&rung);
                break;
            }
            plan.refuse(rung.engine, rung.gaps);
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
        let mut plan = Self::empty_plan(device, job);
        for rung in self.rungs(host, device, job, wishes)? {
            if !rung.gaps.is_empty() {
                plan.refuse(rung.engine, rung.gaps);
                continue;
            }
            match rung.engine.prepare(kernel, device, job) {
                Ok(prepared) => {
                    plan.choose(&rung);
                    plan.certainty = Certainty::Proven;
                    return Ok((plan, Some(prepared)));
                }
                Err(error) => plan.refuse(rung.engine, gaps_of(error)?),
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
        let mut plan = Self::empty_plan(device, job);
        for rung in self.rungs(host, device, job, wishes)? {
            if !rung.gaps.is_empty() {
                plan.refuse(rung.engine, rung.gaps);
                continue;
            }
            let attached = rung.engine.prepare(kernel, device, job).and_then(|p| p.attach(policy));
            match attached {
                Ok(attachment) => {
                    plan.choose(&rung);
                    plan.certainty = Certainty::Proven;
                    return Ok((plan, attachment));
                }
                Err(error) => plan.refuse(rung.engine, gaps_of(error)?),
            }
        }
        let Plan { device, program, refusals, .. } = plan;
        Err(Error::Refused { device, program, refusals })
    }

    fn empty_plan(device: &Device, job: &Job) -> Plan {
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            device: device.name.clone(),
            program: job.program_name().to_owned(),
            engine: None,
            hook: None,
            certainty: Certainty::Expected,
            warnings: Vec::new(),
            refusals: Vec::new(),
        }
    }

    fn rungs(
        &self,
        host: &dyn Host,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
    ) -> Result<Vec<Rung>, Error> {
        let engines: Vec<&'static dyn Engine> = match &wishes.choice {
            Choice::Auto => self.engines.clone(),
            Choice::Listed(kinds) => kinds
                .iter()
                .flat_map(|k| self.engines.iter().copied().filter(move |e| e.kind() == *k))
                .collect(),
        };
        let forced = matches!(&wishes.choice, Choice::Listed(kinds) if kinds.len() == 1);
        engines
            .into_iter()
            .map(|engine| {
                let capabilities = self.capabilities(host, device, engine)?;
                Ok(rung(engine, &capabilities, job, wishes, forced))
            })
            .collect()
    }
}

/// Sorts one engine's comparison into gaps and warnings: a difference that breaks packets but that
/// the kernel would not refuse is a gap, unless the user accepts it or forces the engine.
fn rung(
    engine: &'static dyn Engine,
    capabilities: &Capabilities,
    job: &Job,
    wishes: &Wishes,
    forced: bool,
) -> Rung {
    let fit = capabilities.fit(&job.requirements);
    let lenient = |gap: &Gap| {
        (forced || wishes.accept.contains(&gap.code))
            && capabilities
                .conditions
                .iter()
                .any(|c| c.code == gap.code && c.severity == Severity::Breaks)
    };
    let (tolerated, gaps): (Vec<_>, Vec<_>) = fit.gaps.into_iter().partition(lenient);
    let warnings = fit.warnings.into_iter().chain(tolerated).map(Warning::from).collect();
    Rung { engine, gaps, unknown: !fit.unknown.is_empty(), warnings }
}

/// The gaps inside a refusal; any other error is passed on.
fn gaps_of(error: Error) -> Result<Vec<Gap>, Error> {
    match error {
        Error::Refused { refusals, .. } => Ok(refusals.into_iter().flat_map(|r| r.gaps).collect()),
        other => Err(other),
    }
}

impl Plan {
    fn choose(&mut self, rung: &Rung) {
        self.engine = Some(rung.engine.kind());
        self.hook = Some(rung.engine.hook());
        self.certainty = Certainty::Expected;
        self.warnings.extend(rung.warnings.iter().cloned());
        if rung.unknown {
            self.warnings.push(Warning {
                code: "unknown".to_owned(),
                message: format!(
                    "not everything {} needs here is known; loading will tell",
                    self.program
                ),
                remedy: None,
            });
        }
    }

    fn refuse(&mut self, engine: &dyn Engine, gaps: Vec<Gap>) {
        self.refusals.push(Refusal {
            engine: engine.kind(),
            provider: engine.provider().to_owned(),
            gaps,
        });
    }
}
