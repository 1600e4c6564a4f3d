//! What the contract says of an engine for whole classes of programs, so that no case has to repeat it.
//!
//! A rule is a known refusal ([`Known`]) that is added to the cases of every program of its class: where
//! the engine refuses, the case counts as refused and not as failed; where it does not, it fails.

use hoist_bpf::analysis;
use hoist_bpf::requirements::Need;
use hoist_offload::Job;
use serde::Deserialize;

use super::case::{Expect, Known};
use super::shot::{Shot, named};

const RULES: &str = include_str!("contract.toml");
/// `BPF_MAP_TYPE_CPUMAP`.
const CPUMAP: u32 = 16;

/// One rule of `contract.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Rule {
    /// The engines.
    on: Vec<String>,
    /// The programs.
    when: Class,
    /// Code of the refusal; a section of docs/refusals.md.
    code: String,
    /// Why, in one sentence.
    why: String,
    /// Where the kernel's source makes it so: file and function.
    source: String,
}

/// Classes of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Class {
    /// Frames may reach the stack behind the program: it may pass them, or send them to a CPU.
    ReachesTheStack,
}

impl Class {
    fn has(self, job: &Job) -> bool {
        match self {
            Self::ReachesTheStack => {
                analysis::may_pass(&job.module, job.program)
                    || job.requirements.get(&Need::MapType(CPUMAP)).is_some()
            }
        }
    }
}

/// Every rule; none only if the file were broken, which a test excludes.
fn rules() -> Vec<Rule> {
    #[derive(Deserialize)]
    struct File {
        rule: Vec<Rule>,
    }
    toml::from_str(RULES).map_or_else(|_| Vec::new(), |file: File| file.rule)
}

/// What the contract says of this program on this engine.
#[must_use]
pub fn refusals(job: &Job, engine: &str) -> Vec<Known> {
    let rules = rules().into_iter().filter(|rule| named(&rule.on, engine) && rule.when.has(job));
    rules
        .map(|Rule { on, code, why, source, .. }| Known {
            on,
            evidence: None,
            sometimes: false,
            kernel: None,
            instead: Some(Expect { refused: Some(code.clone()), ..Expect::default() }),
            code,
            why,
            source,
        })
        .collect()
}

/// Shots with what the contract says before what their case does.
pub(super) fn under(shots: &[&Shot], job: &Job, engine: &str) -> Vec<Shot> {
    let rules = refusals(job, engine);
    let mut shots: Vec<Shot> = shots.iter().map(|shot| (*shot).clone()).collect();
    for shot in &mut shots {
        shot.known.splice(..0, rules.iter().cloned());
    }
    shots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_rules() {
        toml::from_str::<toml::Value>(RULES).unwrap();
        let rules = rules();
        assert!(!rules.is_empty());
        for rule in rules {
            assert!(!rule.on.is_empty() && !rule.why.is_empty() && !rule.source.is_empty());
        }
    }
}
