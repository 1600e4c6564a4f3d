//! The whole judgement of a program: what is rewritten for a card, and what remains.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::passes::lower::{self, Change, Lowered, Problem};
use serde::{Deserialize, Serialize};

use super::{Demand, Findings, Parameters, Profile, Rule};
use crate::error::Gap;

/// What the user says before a program is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Numbers of the firmware.
    pub parameters: Parameters,
    /// Codes of differences that are accepted.
    pub accept: BTreeSet<String>,
    /// Sizes of maps, by name.
    pub max_entries: BTreeMap<String, u32>,
}

/// What became of a program.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Whether the card takes it.
    pub verdict: Verdict,
    /// What was rewritten.
    pub changes: Vec<Change>,
    /// What the card does not take.
    pub gaps: Vec<Gap>,
    /// What the program needs of the firmware.
    pub demands: Vec<Demand>,
    /// The program for the card. Not to be loaded where it is refused.
    pub lowered: Lowered,
}

/// Whether a card takes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It keeps every rule, and the firmware is known to have what it needs.
    Accepted,
    /// It keeps every rule; some of what it needs of the firmware only the card can tell.
    Depends,
    /// It breaks a rule, or cannot be shown to keep one.
    Refused,
}

impl Profile {
    /// Rewrites a program for this card as far as its meaning stays the same, and judges what comes
    /// of it.
    #[must_use]
    pub fn judge(&self, module: &Module, program: ProgramId, wishes: &Wishes) -> Judgement {
        let mut target = self.target(&wishes.parameters);
        target.accept.clone_from(&wishes.accept);
        target.max_entries.clone_from(&wishes.max_entries);
        let (lowered, problems) = lower::attempt(module, program, &target);
        let Findings { gaps: found, demands } =
            self.inspect(&lowered.module, lowered.program, &wishes.parameters);
        let mut gaps: Vec<Gap> = problems.iter().map(|problem| self.problem(problem)).collect();
        // What lowering could not rewrite it explains better; the rule knows whom it follows.
        for gap in found {
            let same = |known: &&mut Gap| {
                let places = (known.insn.is_some() && known.insn == gap.insn)
                    || (gap.insn.is_none() && gap.map.is_some() && known.map == gap.map);
                places && lowered_rule(&gap.code)
            };
            match gaps[..problems.len()].iter_mut().find(same) {
                Some(known) => known.evidence.clone_from(&gap.evidence),
                None => gaps.push(gap),
            }
        }
        let verdict = if !gaps.is_empty() {
            Verdict::Refused
        } else if demands.iter().any(|demand| demand.met().is_none()) {
            Verdict::Depends
        } else {
            Verdict::Accepted
        };
        Judgement { verdict, changes: lowered.changes.clone(), gaps, demands, lowered }
    }

    fn problem(&self, problem: &Problem) -> Gap {
        let mut gap =
            Gap::new(problem.code, problem.message.clone()).remedy(problem.remedy.clone());
        if let Some(site) = &problem.site {
            gap.insn = Some(format!("{}+{}", site.function, site.insn));
            gap.line.clone_from(&site.line);
        }
        gap.map.clone_from(&problem.map);
        gap.evidence = behind(problem.code).map(|rule| self.evidence(rule));
        gap
    }
}

/// The rule for whose sake lowering rewrites, by the code of what it could not.
fn behind(code: &str) -> Option<Rule> {
    Some(match code {
        "lru-bound" | "per-cpu-value" => Rule::MapType,
        "missing-map-flag" => Rule::MapFlags,
        "map-store" | "map-store-race" | "counter-not-atomic" => Rule::MapStore,
        "instruction-not-taken" => Rule::Opcode,
        "global-data" => Rule::GlobalData,
        "lowered-stack" => Rule::Stack,
        _ => return None,
    })
}

/// Whether lowering rewrites what the rule of this code asks for.
fn lowered_rule(code: &str) -> bool {
    let rules = [
        Rule::Opcode,
        Rule::Misread,
        Rule::StoreConstant,
        Rule::Loop,
        Rule::MapStore,
        Rule::Atomic,
        Rule::MapType,
        Rule::MapFlags,
        Rule::GlobalData,
        Rule::MapOffset,
    ];
    rules.iter().any(|rule| rule.code() == code)
}
