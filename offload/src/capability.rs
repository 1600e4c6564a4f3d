//! What an engine can do on a device, and how that is known.

use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need, Requirements, Strength};
use serde::{Deserialize, Serialize};

use crate::engine::{EngineKind, Hook};
use crate::error::Gap;
use crate::fact::Evidence;
use crate::host::report::Finding;

/// Yes, no, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is there.
    Yes,
    /// It is not there.
    No,
    /// Not known.
    Unknown,
}

/// One answer about one [`Need`].
///
/// For [`Need::Limit`] the value is the most the engine takes; for [`Need::Isa`] a yes covers the
/// lower versions and a no the higher ones. A limit that no capability names is unlimited as far as anyone knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// What the answer is about.
    pub need: Need,
    /// The answer.
    pub answer: Answer,
    /// How it is known.
    pub evidence: Evidence,
}

/// Programs that a condition concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Every program.
    Always,
    /// Programs that do not declare multi-buffer support.
    WithoutFrags,
    /// Programs that declare multi-buffer support.
    WithFrags,
    /// Programs that use (or may use) a feature.
    Uses(Feature),
    /// Programs that read a field of the context.
    Reads(ContextField),
}

impl When {
    /// Whether a program with these requirements is concerned.
    #[must_use]
    pub fn concerns(self, needs: &Requirements) -> bool {
        match self {
            Self::Always => true,
            Self::WithoutFrags => !needs.uses(Feature::Frags),
            Self::WithFrags => needs.uses(Feature::Frags),
            Self::Uses(feature) => needs.uses(feature),
            Self::Reads(field) => needs.get(&Need::ContextField(field)).is_some(),
        }
    }
}

impl When {
    /// Whether such a program is concerned for certain, not just if a verdict computed at run time
    /// comes out so.
    #[must_use]
    pub fn concerns_surely(self, needs: &Requirements) -> bool {
        let must = |need: Need| needs.get(&need).is_some_and(|r| r.strength == Strength::Must);
        match self {
            Self::Uses(feature) => must(Need::Feature(feature)),
            Self::Reads(field) => must(Need::ContextField(field)),
            Self::Always | Self::WithoutFrags | Self::WithFrags => self.concerns(needs),
        }
    }
}

/// What happens to a program that meets a condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The kernel or driver would refuse the attach: a gap.
    Refuses,
    /// It would run, but lose or change packets: a gap for `auto`, a warning when forced.
    Breaks,
    /// It would run, with something worth knowing.
    Warns,
}

/// A precondition of the device's present state: MTU, queues, offload settings, a held slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Stable kebab-case code, documented in docs/refusals.md, for example `peer-mtu-too-large`.
    pub code: String,
    /// Which programs it concerns.
    pub when: When,
    /// Whether it holds now. `Unknown` is settled by trial.
    pub holds: Answer,
    /// What follows when it does not hold.
    pub severity: Severity,
    /// One sentence with the numbers.
    pub message: String,
    /// A command that would make it hold.
    pub remedy: Option<String>,
    /// Settings of the device that would make it hold, all of them together; empty where it takes
    /// more than settings. Made only when the user says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// How it is known.
    pub evidence: Evidence,
}

/// A setting of a device that hoist may change when told to, and puts back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Adjustment {
    /// ethtool feature by the kernel's name: `rx-gro`, `rx-vlan-hw-parse` ...
    pub feature: String,
    /// The value that is wanted.
    pub on: bool,
}

impl Condition {
    /// A condition that concerns every program and would refuse it, without a remedy.
    pub fn new(
        code: impl Into<String>,
        holds: Answer,
        message: impl Into<String>,
        evidence: Evidence,
    ) -> Self {
        Self {
            code: code.into(),
            when: When::Always,
            holds,
            severity: Severity::Refuses,
            message: message.into(),
            remedy: None,
            adjustments: Vec::new(),
            evidence,
        }
    }

    /// Concerning only these programs.
    #[must_use]
    pub const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// With other consequences than a refusal.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// With settings of the device that would make it hold.
    #[must_use]
    pub fn adjustments(mut self, adjustments: Vec<Adjustment>) -> Self {
        self.adjustments = adjustments;
        self
    }

    /// With a command that would make it hold.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Everything known of one engine on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The engine.
    pub engine: EngineKind,
    /// Where it attaches; [`crate::Registry::capabilities`] says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hook: Option<Hook>,
    /// Who provides it: `kernel` or a vendor's name.
    pub provider: String,
    /// Answers, at most one per need.
    pub answers: Vec<Capability>,
    /// Preconditions, those that hold included.
    pub conditions: Vec<Condition>,
}

/// The result of comparing requirements with capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// Requirements that are not met. Empty: the engine can run the program.
    pub gaps: Vec<Gap>,
    /// Requirements and conditions on which nothing is known.
    pub unknown: Vec<Gap>,
    /// Conditions that only warn, and those that break but do not refuse.
    pub warnings: Vec<Gap>,
}

impl Capabilities {
    /// An engine of which nothing is known yet.
    #[must_use]
    pub fn new(engine: EngineKind, provider: &str) -> Self {
        Self {
            engine,
            hook: None,
            provider: provider.to_owned(),
            answers: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// Whether the engine is usable at all on the device: no refusing condition that concerns every
    /// program fails.
    #[must_use]
    pub fn usable(&self) -> Answer {
        let mut answer = Answer::Yes;
        for c in &self.conditions {
            if c.when == When::Always && c.severity == Severity::Refuses {
                match c.holds {
                    Answer::No => return Answer::No,
                    Answer::Unknown => answer = Answer::Unknown,
                    Answer::Yes => {}
                }
            }
        }
        answer
    }

    /// Compares with what a program needs; lists *all* gaps.
    #[must_use]
    pub fn fit(&self, needs: &Requirements) -> Fit {
        let mut fit = Fit::default();
        for requirement in needs.items.iter().filter(|r| r.strength == Strength::Must) {
            match self.answer(&requirement.need) {
                (Answer::Yes, _) => {}
                (Answer::No, evidence) => fit.gaps.push(Gap::missing(requirement, evidence)),
                (Answer::Unknown, _) => fit.unknown.push(Gap::unknown(requirement)),
            }
        }
        for condition in self.conditions.iter().filter(|c| c.when.concerns(needs)) {
            let gap = Gap::condition(condition);
            match (condition.holds, condition.severity) {
                (Answer::Yes, _) => {}
                (Answer::No, Severity::Refuses | Severity::Breaks)
                    if condition.when.concerns_surely(needs) =>
                {
                    fit.gaps.push(gap);
                }
                (Answer::No, _) => fit.warnings.push(gap),
                (Answer::Unknown, Severity::Warns) => {}
                (Answer::Unknown, _) => fit.unknown.push(gap),
            }
        }
        fit
    }

    /// The answer to one need, with its evidence where there is one.
    #[must_use]
    pub fn answer(&self, need: &Need) -> (Answer, Option<&Evidence>) {
        match need {
            Need::Limit(kind, demand) => self.limit(*kind, *demand),
            Need::Isa(version) => self.isa(*version),
            need => match self.answers.iter().find(|c| c.need == *need) {
                Some(c) => (c.answer, Some(&c.evidence)),
                None => (Answer::Unknown, None),
            },
        }
    }

    /// A version that runs implies the lower ones; one that does not rules out the higher ones.
    fn isa(&self, version: u8) -> (Answer, Option<&Evidence>) {
        for c in &self.answers {
            match (&c.need, c.answer) {
                (Need::Isa(v), Answer::Yes) if *v >= version => {
                    return (Answer::Yes, Some(&c.evidence));
                }
                (Need::Isa(v), Answer::No) if *v <= version => {
                    return (Answer::No, Some(&c.evidence));
                }
                _ => {}
            }
        }
        (Answer::Unknown, None)
    }

    fn limit(&self, kind: LimitKind, demand: u64) -> (Answer, Option<&Evidence>) {
        let most = self.answers.iter().find_map(|c| match c.need {
            Need::Limit(k, most) if k == kind => Some((most, &c.evidence)),
            _ => None,
        });
        match most {
            Some((most, e)) if demand > most => (Answer::No, Some(e)),
            Some((_, e)) => (Answer::Yes, Some(e)),
            None => (Answer::Yes, None),
        }
    }

    /// Takes over what a host found out, unless it found nothing and something is known already.
    pub fn take(&mut self, need: Need, finding: &Finding) {
        if finding.answer != Answer::Unknown || self.answer(&need).1.is_none() {
            self.set(need, finding.answer, finding.evidence.clone());
        }
    }

    /// Sets one answer, replacing an earlier one about the same need (for limits: about the same
    /// kind).
    pub fn set(&mut self, need: Need, answer: Answer, evidence: Evidence) {
        self.answers.retain(|c| match (&c.need, &need) {
            (Need::Limit(a, _), Need::Limit(b, _)) => a != b,
            (a, b) => a != b,
        });
        self.answers.push(Capability { need, answer, evidence });
    }
}
