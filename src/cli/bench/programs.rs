//! What is measured: programs, and what carries them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hoist_benches::scenario::{Carrier, Mode, Subject};
use hoist_offload::bpf::parse::Selector;
use hoist_offload::bpf::programs;
use hoist_offload::plan::{Choice, Wanted};
use hoist_offload::{EngineKind, Error};

use super::measure::once;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::{accept, args};
use crate::session::{Counting, Order};

/// Programs under test, and the files of those that come with hoist, for as long as iproute2 may want to
/// read them.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) subjects: Vec<Subject>,
    _files: Vec<Written>,
}

impl Programs {
    /// Reads them all.
    pub(super) fn read(cx: &Context<'_>, args: &args::Bench) -> Result<Self, Failure> {
        let mut files = Vec::new();
        let names = match args.programs.as_slice() {
            [] => vec!["drop".to_owned()],
            some => once(some),
        };
        let subjects = names.iter().map(|name| subject(cx, args, name, &mut files));
        let mut subjects = subjects.collect::<Result<Vec<_>, Failure>>()?;
        let short: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
        for (subject, whole) in subjects.iter_mut().zip(names) {
            if short.iter().filter(|name| **name == subject.name).count() > 1 {
                // Files of one name in two folders.
                subject.name = whole;
            }
        }
        Ok(Self { subjects, _files: files })
    }
}

fn subject(
    cx: &Context<'_>,
    args: &args::Bench,
    name: &str,
    files: &mut Vec<Written>,
) -> Result<Subject, Failure> {
    let path = PathBuf::from(name);
    let count = if args.no_count { Counting::Never } else { Counting::IfPossible };
    accept::check(&args.accept, accept::Of::Any)?;
    let accept = args.accept.iter().cloned().collect();
    let order = Order { object: path.clone(), count, accept, ..Order::default() };
    let (draft, name, object) = match programs::get(name).filter(|_| !path.exists()) {
        Some(prebuilt) => {
            let selector = Selector { program: Some(prebuilt.program()), section: None };
            let draft = Order { selector, ..order }.parse(name, prebuilt.object)?;
            let object = if args.control {
                let written = Written::new(name, prebuilt.object)?;
                let path = written.0.clone();
                files.push(written);
                path
            } else {
                path
            };
            (draft, name.to_owned(), object)
        }
        None => {
            let selector = Selector { program: args.prog_name.clone(), section: None };
            let draft = Order { selector, ..order }.read().map_err(|error| known(error, name))?;
            (draft, stem(&path), path)
        }
    };
    Ok(Subject { name, job: cx.session().job(draft)?, object })
}

/// `filter` of `/tmp/filter.bpf.o`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".o").trim_end_matches(".bpf").to_owned()
}

/// What could have been meant instead of a file that cannot be read.
fn known(error: Error, name: &str) -> Error {
    match error {
        Error::Input { what, .. } if !name.contains(['/', '.']) => {
            let names = programs::LIST.iter().map(|program| program.name);
            let hint = match crate::suggest::closest(name, names) {
                Some(near) => format!("did you mean the program '{near}' that comes with hoist?"),
                None => {
                    "a file, or a program that comes with hoist: drop, pass, swap_tx ...".to_owned()
                }
            };
            Error::Input { what, hint: Some(hint) }
        }
        other => other,
    }
}

/// An object that comes with hoist, as a file; removed on drop.
#[derive(Debug)]
struct Written(PathBuf);

impl Written {
    fn new(name: &str, object: &[u8]) -> Result<Self, Error> {
        use io::Write as _;
        let path = std::env::temp_dir().join(format!("hoist-{}-{name}.o", std::process::id()));
        let failed =
            |source| Error::Host { operation: "write", object: path.display().to_string(), source };
        // Never somebody else's file, nor where a link of somebody's leads.
        let mut file = fs::File::create_new(&path).map_err(failed)?;
        let written = Self(path.clone());
        file.write_all(object).map_err(failed)?;
        Ok(written)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // What stays in the temporary folder harms nobody.
        drop(fs::remove_file(&self.0));
    }
}

/// What carries them: the engines asked for, each at its hook, and the same without hoist.
pub(super) fn carriers(cx: &Context<'_>, args: &args::Bench) -> Vec<Carrier> {
    let listed = match args.engine.as_ref().map(|list| &list.choice) {
        Some(Choice::Listed(wanted)) => Some(wanted),
        _ => None,
    };
    let mut engines: Vec<Wanted> = Vec::new();
    for engine in cx.registry.engines() {
        let asked = match listed {
            Some(wanted) => wanted.iter().any(|wanted| wanted.means(engine)),
            // Cards are measured when somebody says so: not every interface is one.
            None => engine.kind() != EngineKind::Hw,
        };
        let wanted = Wanted::at(engine.kind(), engine.hook());
        if asked && !engines.contains(&wanted) {
            engines.push(wanted);
        }
    }
    let control = |wanted: &Wanted| match wanted.kind {
        EngineKind::Native => Some(Carrier::Control(Mode::Native)),
        EngineKind::Generic => Some(Carrier::Control(Mode::Generic)),
        _ => None,
    };
    let mut carriers = Vec::new();
    for wanted in &engines {
        carriers.push(Carrier::Engine(*wanted));
        carriers.extend(control(wanted).filter(|_| args.control));
    }
    carriers
}
