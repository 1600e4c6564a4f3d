//! The forms of a program that a NIC may take: the best first, and what each costs.

use std::collections::BTreeMap;

use hoist_bpf::btf::{self, Btf};
use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::names::is_per_cpu;
use hoist_bpf::passes::count::{self, Counters, Length};
use hoist_bpf::passes::lower::{Change, Lowered, Rewrite};
use hoist_offload::profile::{Origin, Parameters, Profile, ProgramType, Wishes};
use hoist_offload::{Gap, Hook, Job, Warning};

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
    /// What its maps start with.
    pub(super) contents: BTreeMap<MapId, Entries>,
    /// What the user should know of it.
    pub(super) warnings: Vec<Warning>,
}

/// The user's map contents. A map that had a value for each CPU and has one now gets their sum.
fn contents(job: &Job, lowered: &Module) -> Result<BTreeMap<MapId, Entries>, Vec<Gap>> {
    let types = Btf::parse(&job.module.btf).ok();
    let mut contents = job.contents.clone();
    let mut gaps = Vec::new();
    for (&id, entries) in &mut contents {
        let map = job.module.map(id);
        if !is_per_cpu(map.kind) || is_per_cpu(lowered.map(id).kind) {
            continue;
        }
        let size = map.value_size as usize;
        match btf::integers(types.as_ref().zip(map.value_type_id), size) {
            Some(integers) => {
                for (_, value) in entries {
                    *value = btf::summed(value, size, &integers);
                }
            }
            None => gaps.push(no_sum(&map.name)),
        }
    }
    if gaps.is_empty() { Ok(contents) } else { Err(gaps) }
}

/// Values that are given for each CPU and cannot become one.
fn no_sum(map: &str) -> Gap {
    let what = format!(
        "map {map} has one value for all CPUs on the NIC, and the values that it is to start with \
         have no sum: they are not made of integers alone"
    );
    let gap = Gap::new("per-cpu-value", what).remedy("let it start without entries");
    Gap { map: Some(map.to_owned()), ..gap }
}

/// Every form, or every reason why there is none.
pub(super) fn of(hook: Hook, job: &Job) -> Result<Vec<Form>, Vec<Gap>> {
    let profile = job.card;
    let at = |module, program| at(hook, profile, job, module, program);
    let plain = at((*job.module).clone(), job.program)?;
    if !job.count_verdicts {
        return Ok(vec![plain]);
    }
    let counted = count::apply_in(&job.module, job.program, Length::Difference, Counters::Shared)
        .map_err(|error| error.to_string())
        .and_then(|counted| {
            let form = at(counted.module, counted.program).map_err(|gaps| words(&gaps))?;
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

/// Numbers that are only assumed of a firmware refuse nothing: the NIC is there, and loading tells.
fn parameters(profile: &Profile) -> Parameters {
    let assumed = profile.parameters.iter().filter(|(_, p)| p.origin == Origin::Assumed);
    assumed.fold(Parameters::new(), |all, (name, _)| all.with(name, u64::MAX))
}

/// The form that a hook takes: rewritten for the driver's cards, where they are known, and judged by
/// what they take.
fn at(
    hook: Hook,
    profile: Option<&'static Profile>,
    job: &Job,
    module: Module,
    program: ProgramId,
) -> Result<Form, Vec<Gap>> {
    let form = Form {
        module,
        program,
        for_host: None,
        counters: None,
        contents: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let form = match profile {
        Some(profile) => rewritten(profile, job, form)?,
        None => form,
    };
    let form = Form { contents: contents(job, &form.module)?, ..form };
    if hook != Hook::Clsact {
        return Ok(form);
    }
    let form = classifier::of(form)?;
    let Some(profile) = profile else { return Ok(form) };
    let kind = ProgramType::Classifier;
    let found = profile.inspect_as(kind, &form.module, form.program, &parameters(profile));
    if found.gaps.is_empty() { Ok(form) } else { Err(found.gaps) }
}

fn rewritten(profile: &Profile, job: &Job, form: Form) -> Result<Form, Vec<Gap>> {
    let wishes = Wishes {
        parameters: parameters(profile),
        accept: job.accept.clone(),
        max_entries: BTreeMap::new(),
    };
    let judged = profile.judge(&form.module, form.program, &wishes);
    if !judged.gaps.is_empty() {
        return Err(judged.gaps);
    }
    let Lowered { module, program, changes } = judged.lowered;
    Ok(Form { module, program, warnings: told(job, &changes), ..form })
}

/// What was rewritten, in one sentence: `hoist lint` has every place.
fn told(job: &Job, changes: &[Change]) -> Vec<Warning> {
    let mut kinds: BTreeMap<Rewrite, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        kinds.entry(change.rewrite).or_default().push(change);
    }
    let words = kinds.values().map(|changes| match changes.as_slice() {
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more like it)", first.message, rest.len()),
        [] => String::new(),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        return Vec::new();
    }
    vec![Warning {
        code: "rewritten-for-nic".to_owned(),
        message: format!("{} was rewritten for the NIC: {}", job.program_name(), words.join("; ")),
        remedy: None,
    }]
}
