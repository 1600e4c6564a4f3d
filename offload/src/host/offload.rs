//! What an offload device takes, as a probe of it found out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Finding;
use crate::fact::{Evidence, Fact};

/// What is known of a device that takes BPF programs or maps for itself. Three kinds of knowledge stay
/// apart by their evidence: what kernel, driver and firmware *declare* (`KernelSaid`), what was *tried*
/// by loading (`TrialLoad`), and what is *inferred* from the kernel's or the driver's source (`Assumed`,
/// `DriverTable`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OffloadReport {
    /// What is declared and nobody tried: `xdp-features`, `hw-tc-offload`, versions of the firmware by
    /// devlink's names (`fw.app`, `fw.mgmt` ...).
    pub declared: BTreeMap<String, Fact<String>>,
    /// Whether the device runs what it takes. A simulator does not.
    pub executes: Finding,
    /// Whether the device's places for programs are free: `xdp`, `tc`.
    pub free: BTreeMap<String, Finding>,
    /// What programs may do, by program type: `xdp`, `sched_cls`. A type is absent where the device
    /// refuses even the smallest program of it; [`crate::Device::offload`] says why.
    pub programs: BTreeMap<String, ProgramReport>,
    /// Map types by name.
    pub map_types: BTreeMap<String, Finding>,
    /// Limits of maps by map type: `entries`, `key-bytes`, `value-bytes`.
    pub map_limits: BTreeMap<String, BTreeMap<String, Limit>>,
    /// Loads and map creations it took.
    pub trials: u32,
}

/// What programs of one type may do on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramReport {
    /// Helpers by name, each called with arguments that the verifier takes.
    pub helpers: BTreeMap<String, Finding>,
    /// Instructions by class, for example `mod64-imm` or `jmp32`.
    pub instructions: BTreeMap<String, Finding>,
    /// Atomic operations on map values.
    pub atomics: BTreeMap<String, Finding>,
    /// Fields of the context, `read data` and `write mark` being different questions.
    pub context: BTreeMap<String, Finding>,
    /// Ways to reach memory, and other abilities: `write-map-value`, `tail-call`, `host-map` ...
    pub features: BTreeMap<String, Finding>,
    /// Constants a program may return, by name.
    pub verdicts: BTreeMap<String, Finding>,
    /// `stack-bytes`, `instructions`.
    pub limits: BTreeMap<String, Limit>,
}

/// A limit found by trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The largest that was taken; absent when the smallest tried was refused.
    pub taken: Option<u64>,
    /// The smallest that was refused; absent when the largest tried was taken, so that the limit may
    /// be higher.
    pub refused: Option<u64>,
    /// How it is known; where something was refused, with the refusal's words.
    pub evidence: Evidence,
}

impl ProgramReport {
    /// The findings of every section with the section's name.
    pub fn sections(&self) -> [(&'static str, &BTreeMap<String, Finding>); 6] {
        [
            ("helpers", &self.helpers),
            ("instructions", &self.instructions),
            ("atomics", &self.atomics),
            ("context", &self.context),
            ("features", &self.features),
            ("verdicts", &self.verdicts),
        ]
    }
}

impl OffloadReport {
    /// How many answers the report holds that are not open.
    #[must_use]
    pub fn facts(&self) -> usize {
        let settled = |findings: &BTreeMap<String, Finding>| {
            findings.values().filter(|f| f.answer != crate::Answer::Unknown).count()
        };
        let programs: usize = self
            .programs
            .values()
            .map(|p| p.sections().iter().map(|(_, f)| settled(f)).sum::<usize>() + p.limits.len())
            .sum();
        let declared = self.declared.values().filter(|fact| fact.value().is_some()).count();
        let limits: usize = self.map_limits.values().map(BTreeMap::len).sum();
        programs + declared + limits + settled(&self.free) + settled(&self.map_types)
    }
}
