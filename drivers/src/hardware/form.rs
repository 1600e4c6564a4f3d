//! The forms of a program that a NIC may take: the best first, and what each costs.

use std::collections::BTreeMap;

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::names::is_per_cpu;
use hoist_bpf::passes::count::{self, Counters, Length};
use hoist_offload::{Device, Gap, Hook, Job, Warning};

use super::classifier;

/// A program as the NIC is to get it.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The module that is loaded.
    pub(super) module: Module,
    /// The program in it.
    pub(super) program: ProgramId,
    /// The XDP form, where what is loaded is a classifier.
    pub(super) for_host: Option<(Module, ProgramId)>,
    /// Where verdicts are counted, if they are.
    pub(super) counters: Option<MapId>,
    /// What the user should know of it.
    pub(super) warnings: Vec<Warning>,
}

impl Form {
    /// The user's map contents. A map that had a value for each CPU and has one now starts with the
    /// first CPU's.
    pub(super) fn contents(&self, job: &Job) -> BTreeMap<MapId, Entries> {
        let mut contents = job.contents.clone();
        for (&id, entries) in &mut contents {
            let (before, now) = (job.module.map(id), self.module.map(id));
            if is_per_cpu(before.kind) && !is_per_cpu(now.kind) {
                for (_, value) in entries {
                    value.truncate(now.value_size as usize);
                }
            }
        }
        contents
    }
}

/// Every form, or every reason why there is none.
pub(super) fn of(hook: Hook, device: &Device, job: &Job) -> Result<Vec<Form>, Vec<Gap>> {
    let _ = device;
    let plain = at(hook, (*job.module).clone(), job.program)?;
    if !job.count_verdicts {
        return Ok(vec![plain]);
    }
    let counted = count::apply_in(&job.module, job.program, Length::Difference, Counters::Shared)
        .map_err(|error| error.to_string())
        .and_then(|counted| {
            let form = at(hook, counted.module, counted.program).map_err(|gaps| words(&gaps))?;
            Ok(Form { counters: Some(counted.counters), ..form })
        });
    Ok(match counted {
        Ok(counted) => vec![counted, plain],
        Err(why) => {
            let mut plain = plain;
            plain.warnings.push(not_counted(job, &why));
            vec![plain]
        }
    })
}

/// What is told where a program goes without its counters.
pub(super) fn not_counted(job: &Job, why: &str) -> Warning {
    Warning {
        code: "not-counted".to_owned(),
        message: format!("verdicts of {} are not counted: {why}", job.program_name()),
        remedy: None,
    }
}

fn words(gaps: &[Gap]) -> String {
    gaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The form that a hook takes.
fn at(hook: Hook, module: Module, program: ProgramId) -> Result<Form, Vec<Gap>> {
    let form = Form { module, program, for_host: None, counters: None, warnings: Vec::new() };
    if hook == Hook::Clsact { classifier::of(form) } else { Ok(form) }
}
