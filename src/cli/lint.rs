//! `hoist lint`: what a card would refuse of a program, without the card.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hoist_offload::bpf::module::{Module, Program, ProgramHint, ProgramId};
use hoist_offload::bpf::passes::lower::Change;
use hoist_offload::profile::{Demand, Parameters, Profile, Unit, Verdict, Wishes};
use hoist_offload::{Error, Gap, Registry};
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::render;
use super::shell::Shell;
use super::{accept, args};
use crate::session::{sizes, variables};
use crate::{file, suggest};

/// `hoist.lint.v1`.
#[derive(Debug, Serialize)]
pub(crate) struct LintDocument<'a> {
    /// The schema's name.
    pub schema: &'static str,
    /// The card.
    pub profile: About<'a>,
    /// Whether every program is taken, as far as can be known without the card.
    pub accepted: bool,
    /// Every program.
    pub programs: Vec<Linted>,
    /// Files that could not be judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// Which card.
#[derive(Debug, Serialize)]
pub(crate) struct About<'a> {
    /// Name of the profile.
    pub name: &'a str,
    /// What it is about.
    pub about: &'a str,
    /// The kernel source that its rules follow.
    pub source: &'a str,
}

/// One program.
#[derive(Debug, Serialize)]
pub(crate) struct Linted {
    /// The file.
    pub object: String,
    /// Its name.
    pub program: String,
    /// Its ELF section.
    pub section: String,
    /// Whether the card takes it.
    pub verdict: Verdict,
    /// What was rewritten.
    pub changes: Vec<Change>,
    /// What the card does not take.
    pub gaps: Vec<Gap>,
    /// What the program needs of the firmware.
    pub demands: Vec<Demand>,
}

/// A file that could not be judged.
#[derive(Debug, Serialize)]
pub(crate) struct Skipped {
    /// The file.
    pub object: String,
    /// Why.
    pub why: String,
}

/// Judges every program and prints what came of it.
///
/// # Errors
/// Wrong input, or, told already, that a program is refused.
pub(super) fn run(
    shell: &mut Shell,
    registry: &Registry,
    args: &args::Lint,
) -> Result<(), Failure> {
    if let Some(name) = &args.print_profile {
        let profile = registry.profile(name).ok_or_else(|| unknown(registry, name))?;
        return print(shell, profile);
    }
    let profile = named(registry, &args.profile)?;
    let wishes = wishes(&profile, args)?;
    let (files, several) = files(&args.objects)?;
    let (mut programs, mut skipped, mut maps) = (Vec::new(), Vec::new(), BTreeSet::new());
    for path in files {
        match object(&path, &profile, &wishes, args, &mut maps) {
            Ok(found) => programs.extend(found),
            Err(error) if !several => return Err(error.into()),
            Err(error) => {
                skipped
                    .push(Skipped { object: path.display().to_string(), why: error.to_string() });
            }
        }
    }
    if let Some(name) = args.program.as_ref().filter(|_| programs.is_empty()) {
        return Err(Failure::input(
            format!("there is no program '{name}' for a card"),
            "leave -n away to judge them all",
        ));
    }
    check_sizes(&maps, args)?;
    let accepted = programs.iter().all(|program| program.verdict != Verdict::Refused);
    let document = LintDocument {
        schema: "hoist.lint.v1",
        profile: About { name: &profile.name, about: &profile.about, source: &profile.source },
        accepted,
        programs,
        skipped,
    };
    if shell.json() {
        shell.document(&document)?;
    } else if several {
        shell.print(render::lint::table(&document))?;
    } else {
        let verbose = shell.verbose();
        shell.print(render::lint::report(&document, verbose))?;
    }
    match (document.skipped.is_empty(), accepted) {
        (false, _) => Err(Failure::Told(Exit::Usage)),
        (true, false) => Err(Failure::Told(Exit::Refused)),
        (true, true) => Ok(()),
    }
}

/// The profile itself, as --profile reads it: always JSON.
fn print(shell: &mut Shell, profile: &Profile) -> Result<(), Failure> {
    if shell.json() {
        return shell.document(profile);
    }
    let text = serde_json::to_string_pretty(profile).map_err(std::io::Error::other)?;
    shell.print(text)
}

/// A driver's profile, or one in a file.
fn named(registry: &Registry, name: &str) -> Result<Profile, Failure> {
    if let Some(profile) = registry.profile(name) {
        return Ok(profile.clone());
    }
    let path = Path::new(name);
    if !name.contains('/') && !name.ends_with(".json") && !path.exists() {
        return Err(unknown(registry, name));
    }
    let wrong = |what: String| {
        Failure::input(
            format!("{name}: {what}"),
            "'hoist lint --print-profile nfp' writes such a file",
        )
    };
    let text = file::text(path).map_err(|error| wrong(file::words(&error)))?;
    Profile::from_json(&text).map_err(wrong)
}

fn unknown(registry: &Registry, name: &str) -> Failure {
    let names: Vec<&str> = registry.profiles().map(|profile| profile.name.as_str()).collect();
    let next = match suggest::closest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => "a file that --print-profile wrote is a profile, too".to_owned(),
    };
    Failure::input(format!("there is no profile '{name}'; there are {}", names.join(", ")), next)
}

fn wishes(profile: &Profile, args: &args::Lint) -> Result<Wishes, Failure> {
    let values = args.parameters.iter().flat_map(|said| said.values.clone());
    let parameters = Parameters { values: values.collect::<BTreeMap<_, _>>() };
    if let Some(name) = profile.unknown_parameter(&parameters) {
        let names = profile.parameters.keys().map(String::as_str);
        let next = match suggest::closest(name, names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("'hoist lint --print-profile {}' lists them", profile.name),
        };
        return Err(Failure::input(format!("{} has no parameter '{name}'", profile.name), next));
    }
    for (name, value) in &parameters.values {
        if profile.parameters[name].unit == Unit::Bool && *value > 1 {
            return Err(Failure::input(
                format!("--parameter {name}={value}: a card has it or has it not"),
                format!("--parameter {name}=yes or --parameter {name}=no"),
            ));
        }
    }
    accept::check(&args.accept, accept::Of::Lowering)?;
    let sizes = args.max_entries.iter().map(|size| (size.map.clone(), size.entries));
    Ok(Wishes {
        parameters,
        accept: args.accept.iter().cloned().collect(),
        max_entries: sizes.collect(),
    })
}

/// Every object, those in directories by name; and whether there may be several.
fn files(named: &[PathBuf]) -> Result<(Vec<PathBuf>, bool), Failure> {
    let mut files = Vec::new();
    let mut several = named.len() > 1;
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        several = true;
        let wrong = |error: &std::io::Error| {
            let what = format!("cannot read {}: {}", path.display(), file::words(error));
            Failure::input(what, "name the object files")
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| wrong(&error))? {
            found.push(entry.map_err(|error| wrong(&error))?.path());
        }
        found.retain(|path| path.extension().is_some_and(|ending| ending == "o"));
        found.sort();
        if found.is_empty() {
            let what = format!("{}: no object files (*.o)", path.display());
            return Err(Failure::input(what, "name the object files"));
        }
        files.extend(found);
    }
    Ok((files, several))
}

/// Judges the programs of one object.
fn object(
    path: &Path,
    profile: &Profile,
    wishes: &Wishes,
    args: &args::Lint,
    maps: &mut BTreeSet<String>,
) -> Result<Vec<Linted>, Error> {
    let name = path.display().to_string();
    let input = |what: String, hint: &str| Error::Input { what, hint: Some(hint.to_owned()) };
    let bytes = file::bytes(path).map_err(|error| {
        input(format!("cannot read {name}: {}", file::words(&error)), "name the object file")
    })?;
    let mut module = Module::parse(&name, &bytes).map_err(|error| Error::Input {
        what: format!("{name}: {error}"),
        hint: Some(format!("'llvm-readelf -a {name}' shows what the file holds")),
    })?;
    let set: Vec<(String, String)> =
        args.set.iter().map(|a| (a.name.clone(), a.value.clone())).collect();
    variables::set(&mut module, &set)?;
    for size in &args.max_entries {
        if let Some(map) = module.maps.iter().find(|map| map.name == size.map) {
            sizes::check(map, size.entries)?;
        }
    }
    maps.extend(module.maps.iter().map(|map| map.name.clone()));
    let wanted = |program: &Program| match &args.program {
        Some(name) => program.name == *name,
        None => for_a_card(program),
    };
    let ids = (0..module.programs.len() as u32).map(ProgramId);
    let chosen: Vec<ProgramId> = ids.filter(|id| wanted(module.program(*id))).collect();
    let judged = chosen.into_iter().map(|id| {
        let program = module.program(id);
        let judgement = profile.judge(&module, id, wishes);
        Linted {
            object: name.clone(),
            program: program.name.clone(),
            section: program.section.clone(),
            verdict: judgement.verdict,
            changes: judgement.changes,
            gaps: judgement.gaps,
            demands: judgement.demands,
        }
    });
    let judged: Vec<Linted> = judged.collect();
    if judged.is_empty() && args.program.is_none() {
        return Err(input(
            format!("{name}: no XDP program and no classifier"),
            "name another program with -n",
        ));
    }
    Ok(judged)
}

/// What may run on a card: XDP programs and classifiers. A name says little: what says nothing is
/// taken for XDP.
fn for_a_card(program: &Program) -> bool {
    let head = program.section.split('/').next().unwrap_or_default();
    program.hint != ProgramHint::Other || matches!(head, "tc" | "tcx" | "classifier")
}

/// A size for a map that no object has is a mistake.
fn check_sizes(maps: &BTreeSet<String>, args: &args::Lint) -> Result<(), Failure> {
    let Some(size) = args.max_entries.iter().find(|size| !maps.contains(&size.map)) else {
        return Ok(());
    };
    let names: Vec<&str> = maps.iter().map(String::as_str).collect();
    Err(Failure::input(
        format!("--max-entries {}={}: there is no such map", size.map, size.entries),
        suggest::instead(&size.map, "map", &names),
    ))
}
