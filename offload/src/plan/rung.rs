//! One rung of the ladder: an engine, what speaks against it, and what is still open.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_bpf::requirements::{Feature, Need, Strength};

use crate::adjust::{Adjusted, Grip, Needed};
use crate::attach::{AttachPolicy, Attachment};
use crate::capability::{Answer, Capabilities, Condition, Severity};
use crate::device::{Device, Slot};
use crate::engine::{Engine, EngineKind, Hook, Job, Prepared};
use crate::error::{Error, Gap, Refusal};
use crate::pins;
use crate::plan::{Wanted, Warning, Wishes};

/// How far an engine was tried; each step settles more of what was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Requirements were compared with capabilities.
    Compared,
    /// The program was loaded and verified.
    Loaded,
    /// The program was attached.
    Attached,
}

/// An engine as the planner sees it.
#[derive(Debug)]
pub(super) struct Rung {
    pub(super) kind: EngineKind,
    pub(super) provider: String,
    pub(super) hook: Option<Hook>,
    /// `None` when nobody provides an engine of this kind.
    engine: Option<&'static dyn Engine>,
    pub(super) gaps: Vec<Gap>,
    pub(super) warnings: Vec<Warning>,
    /// Settings of the device that are to be otherwise.
    pub(super) needed: Needed,
    /// What is not known, with the step that settles it; `None` when only traffic would.
    open: Vec<(Option<Step>, Gap)>,
}

impl Rung {
    /// Sorts an engine's comparison into gaps, warnings and open questions. A difference that breaks
    /// packets but that the kernel would not refuse is a gap, unless the user accepts it or forces
    /// the engine.
    pub(super) fn new(
        engine: &'static dyn Engine,
        capabilities: &Capabilities,
        device: &Device,
        job: &Job,
        wishes: &Wishes,
    ) -> Self {
        let mut capabilities = capabilities.clone();
        let needed = Needed::find(&mut capabilities, device, job, wishes.adjust_device);
        let forced = wishes.choice.is_forced();
        let breaks = |gap: &Gap| {
            capabilities
                .conditions
                .iter()
                .any(|c| c.code == gap.code && c.severity == Severity::Breaks)
        };
        let tolerated = |gap: &Gap| (forced || wishes.accept.contains(&gap.code)) && breaks(gap);
        let replaced = |gap: &Gap| {
            gap.code == "slot-held" && wishes.replace.is_some_and(|id| holds(device, engine, id))
        };
        let fit = capabilities.fit(&job.requirements);
        let gaps = fit.gaps.into_iter().filter(|gap| !replaced(gap));
        let (tolerated, gaps): (Vec<_>, Vec<_>) = gaps.partition(tolerated);
        let mut open = Vec::new();
        for requirement in &job.requirements.items {
            let unknown = capabilities.answer(&requirement.need).0 == Answer::Unknown;
            if unknown && requirement.strength == Strength::Must {
                open.push((settled_by(&requirement.need), Gap::unknown(requirement)));
            }
        }
        let asked = |c: &&Condition| {
            c.holds == Answer::Unknown
                && c.severity != Severity::Warns
                && c.when.concerns(&job.requirements)
        };
        for condition in capabilities.conditions.iter().filter(asked) {
            let step = (condition.severity == Severity::Refuses).then_some(Step::Attached);
            open.push((step, Gap::condition(condition)));
        }
        Self {
            kind: engine.kind(),
            provider: engine.provider().to_owned(),
            hook: Some(engine.hook()),
            engine: Some(engine),
            gaps,
            warnings: fit
                .warnings
                .into_iter()
                .chain(tolerated)
                .map(Warning::from)
                .chain(needed.warning(device))
                .collect(),
            needed,
            open,
        }
    }

    /// What was asked for and nobody provides.
    pub(super) fn absent(wanted: Wanted) -> Self {
        let message = format!("this build has no {wanted} engine");
        Self {
            kind: wanted.kind,
            provider: "none".to_owned(),
            hook: wanted.hook,
            engine: None,
            gaps: vec![Gap::new("engine-missing", message).remedy("choose another engine")],
            warnings: Vec::new(),
            needed: Needed::default(),
            open: Vec::new(),
        }
    }

    /// The engine, if nothing known speaks against it.
    pub(super) fn fits(&self) -> Option<&'static dyn Engine> {
        self.engine.filter(|_| self.gaps.is_empty())
    }

    /// With what speaks against the program itself, save what the comparison told already.
    pub(super) fn examined(mut self, device: &Device, job: &Job) -> Self {
        let gaps = self.engine.map(|engine| engine.examine(device, job)).unwrap_or_default();
        let told = |gap: &Gap, known: &[Gap]| {
            let place = |k: &Gap| gap.insn.is_none() || k.insn == gap.insn;
            let map = |k: &Gap| gap.map.is_some() && k.map == gap.map;
            known.iter().any(|k| k.code == gap.code && (place(k) || map(k)))
        };
        let new: Vec<Gap> = gaps.into_iter().filter(|gap| !told(gap, &self.gaps)).collect();
        self.gaps.extend(new);
        self
    }

    /// Attaches a program of this rung's engine, the settings that it relies on being made first.
    pub(super) fn attach(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        prepared: Box<dyn Prepared>,
        policy: &AttachPolicy,
    ) -> Result<Box<dyn Attachment>, Error> {
        let slot = self.hook.and_then(|hook| Slot::of(self.kind, hook));
        let kept = match (&policy.keep, slot) {
            (Some(root), Some(slot)) => {
                let namespace = kernel.network_namespace()?;
                Some(pins::directory(root, namespace, device.ifindex, slot))
            }
            _ => None,
        };
        let grip = Grip::take(kernel, device, &self.needed, kept).map_err(|gap| {
            let (engine, hook, provider) = (self.kind, self.hook, self.provider.clone());
            Error::Refused {
                device: device.name.clone(),
                program: String::new(),
                refusals: vec![Refusal { engine, hook, provider, gaps: vec![gap] }],
            }
        })?;
        let attachment = prepared.attach(policy)?;
        Ok(match grip {
            None => attachment,
            Some(mut grip) => {
                if policy.keep.is_some() {
                    grip.stay();
                }
                Box::new(Adjusted::new(attachment, grip))
            }
        })
    }

    /// With the reasons that only the attempt showed.
    pub(super) fn refused(mut self, gaps: Vec<Gap>) -> Self {
        self.gaps = gaps;
        self
    }

    /// What is still not known after a step.
    pub(super) fn open_after(&self, done: Step) -> Vec<Warning> {
        self.open
            .iter()
            .filter(|(settled, _)| settled.is_none_or(|step| step > done))
            .map(|(_, gap)| Warning::from(gap.clone()))
            .collect()
    }
}

/// The step that answers whether a need is met. The verifier does not know what a driver does with
/// verdicts and metadata.
const fn settled_by(need: &Need) -> Option<Step> {
    match need {
        Need::Feature(Feature::Tx | Feature::Redirect | Feature::Metadata) => None,
        _ => Some(Step::Loaded),
    }
}

/// Whether the engine's slot holds the program.
fn holds(device: &Device, engine: &dyn Engine, id: u32) -> bool {
    let slot = Slot::of(engine.kind(), engine.hook());
    slot.is_some_and(|slot| device.slot(slot).any(|a| a.id == id))
}
