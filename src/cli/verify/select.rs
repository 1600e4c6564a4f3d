//! Which cases are run: the suite's or a user's, all or some.

use std::path::{Path, PathBuf};

use hoist_hwtests::conformance::{CaseFile, Source, suite};
use hoist_offload::bpf::module::Module;
use hoist_offload::bpf::parse::Selector;

use super::check::{self, Mistake};
use super::document::{ListDocument, ListedCase};
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::render::style::{DIM, paint};
use crate::cli::render::table::paragraph;
use crate::{file, suggest};

/// Mistakes of one file that are told at once.
const TOLD: usize = 5;

/// The cases that the arguments ask for.
///
/// # Errors
/// A case file cannot be read or is wrong, or no case is left.
pub(super) fn sources(args: &args::Verify) -> Result<Vec<Source>, Failure> {
    if let (Some(object), Some(_)) = (&args.object, &args.cases)
        && let Err(error) = file::bytes(object)
    {
        return Err(Failure::input(
            format!("cannot read {}: {}", object.display(), file::words(&error)),
            "--object takes the compiled program",
        ));
    }
    let mut sources = match (&args.cases, &args.object) {
        (Some(path), object) => files(path)?
            .iter()
            .map(|path| read(path, object.as_deref(), args.program.as_deref()))
            .collect::<Result<Vec<_>, _>>()?,
        (None, Some(_)) => {
            return Err(Failure::input(
                "--object names a program, and there are no cases for it",
                "give --cases DIR, or make a first one with --new FILE",
            ));
        }
        (None, None) => suite::builtin().map_err(|error| Failure::input(error.to_string(), ""))?,
    };
    if let Some(filter) = &args.filter {
        let all: Vec<String> = names(&sources).collect();
        for source in &mut sources {
            let name = source.name.clone();
            source.file.cases.retain(|case| {
                format!("{name}/{}", case.name).contains(filter.as_str())
                    || case.rows.iter().any(|row| row.contains(filter.as_str()))
            });
        }
        sources.retain(|source| !source.file.cases.is_empty());
        if sources.is_empty() {
            let near = suggest::closest(filter, all.iter().map(String::as_str));
            let next = near.map(|near| format!("did you mean '{near}'?"));
            return Err(Failure::input(
                format!("no case has '{filter}' in its name or rows"),
                next.unwrap_or_else(|| "'hoist verify --list' shows all".to_owned()),
            ));
        }
    }
    Ok(sources)
}

/// Names of cases as results have them.
fn names(sources: &[Source]) -> impl Iterator<Item = String> + '_ {
    let of = |source: &Source| -> Vec<String> {
        source.file.cases.iter().map(|case| format!("{}/{}", source.name, case.name)).collect()
    };
    sources.iter().flat_map(of)
}

/// Case files below a path, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::input(
            format!("cannot read {}: {}", path.display(), file::words(&error)),
            "--cases takes a directory of case files, or one of them",
        )
    };
    if !path.is_dir() {
        return match path.exists() {
            true => Ok(vec![path.to_owned()]),
            false => Err(unreadable(std::io::Error::from_raw_os_error(2))),
        };
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::input(
            format!("{}: there is no case file (*.toml)", path.display()),
            "'hoist verify --object OBJ --new FILE' writes a first one",
        ));
    }
    Ok(files)
}

/// One file of the user's, its program exchanged for the one that was named.
fn read(path: &Path, object: Option<&Path>, entry: Option<&str>) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let text = file::text(path).map_err(|error| {
        Failure::input(
            format!("cannot read {name}: {}", file::words(&error)),
            "--cases takes a directory of case files, or one of them",
        )
    })?;
    let mistakes = check::mistakes(&text, object.is_none());
    if !mistakes.is_empty() {
        return Err(wrong(&name, &mistakes));
    }
    let failed = |error: toml::de::Error| {
        Failure::input(format!("{name}: {}", error.message()), "docs/schemas/cases.v1.json")
    };
    let mut table: toml::Table = toml::from_str(&text).map_err(failed)?;
    if let Some(object) = object {
        let object = std::path::absolute(object).unwrap_or_else(|_| object.to_owned());
        table.insert("program".to_owned(), object.to_string_lossy().into_owned().into());
    }
    if let Some(entry) = entry {
        table.insert("entry".to_owned(), entry.into());
    }
    let file: CaseFile = table.try_into().map_err(failed)?;
    let directory = path.parent().map(Path::to_owned);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let source = Source { name: stem, directory, file };
    let module = program(&source, &name)?;
    let mistakes = check::program::mistakes(&text, &module);
    match mistakes.is_empty() {
        true => Ok(source),
        false => Err(wrong(&name, &mistakes)),
    }
}

/// The module that a file's cases are for, checked to have the program they name.
fn program(source: &Source, file: &str) -> Result<Module, Failure> {
    let object = source.object().map_err(|error| {
        let what = error.what;
        Failure::input(
            format!("{file}: {what}"),
            "'program' names it; --object OBJ comes before it",
        )
    })?;
    let name = source.file.program.as_str();
    let module = Module::parse(name, &object).map_err(|error| {
        Failure::input(format!("{name}: {error}"), "--object takes a BPF object")
    })?;
    let selector = Selector { program: source.entry(), section: None };
    match module.select(&selector) {
        Ok(_) => Ok(module),
        Err(error) => {
            Err(Failure::input(error.to_string(), "name it: -n PROG, or 'entry' in the file"))
        }
    }
}

/// The mistakes of a file: the first with its next step, the others after it.
fn wrong(name: &str, mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes
        .iter()
        .take(TOLD)
        .map(|Mistake { line, column, what, .. }| format!("{name}:{line}:{column}: {what}"))
        .collect();
    let mut what = lines.join("\n");
    if let Some(more) = mistakes.len().checked_sub(TOLD).filter(|more| *more > 0) {
        what.push_str(&format!("\n... and {more} more"));
    }
    let mut nexts = mistakes.iter().filter_map(|mistake| mistake.next.clone());
    let next = nexts.clone().find(|next| next.starts_with("did you mean")).or_else(|| nexts.next());
    Failure::input(
        what,
        next.unwrap_or_else(|| "'hoist verify --help'; docs/guide/verify.md".into()),
    )
}

/// Prints the cases instead of running them.
///
/// # Errors
/// Output.
pub(super) fn list(cx: &mut Context<'_>, sources: &[Source]) -> Result<(), Failure> {
    let mut cases = Vec::new();
    for source in sources {
        for case in &source.file.cases {
            cases.push(ListedCase {
                case: format!("{}/{}", source.name, case.name),
                program: source.file.program.clone(),
                rows: case.rows.clone(),
            });
        }
    }
    if cx.shell.json() {
        return cx.shell.document(&ListDocument { schema: "hoist.verify-list.v1", cases });
    }
    let lines = cases.iter().map(|case| match case.rows.as_slice() {
        [] => case.case.clone(),
        rows => format!("{}\n{}", case.case, paint(DIM, paragraph(4, &rows.join(", ")))),
    });
    cx.shell.print(lines.collect::<Vec<_>>().join("\n"))
}
