//! One program: its forms loaded, run on frames, compared with the native one.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::kernel::loader::LoadError;
use hoist_bpf::kernel::{Entries, Kernel, KernelError};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::passes::lower::Rewrite;

use super::books::Books;
use super::compare::{self, Applied, Difference, Given, Normalisation};
use super::coverage::Coverage;
use super::model::Model;
use super::render;
use super::run::{self, Failure, Form, Hook, NotLoaded, Observed, Place, Side, Way};

/// Makes another form of a program: the translator, the translator with a fault put into what it
/// made, the userspace engine.
pub type Pass<'a> = &'a (dyn Fn(&Module, ProgramId) -> Result<Form, Refusal> + Sync);

/// Why a pass does not apply to a program. That is no difference, but it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The codes of the reasons.
    pub code: String,
    /// In words.
    pub message: String,
}

/// What one program gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// All forms did the same.
    Same,
    /// The form of this name did not do what the native one did, on the frame of this index.
    Differs(usize, &'static str, Difference),
    /// The verifier refused the native form.
    Rejected(String),
    /// The pass does not apply.
    Refused(Refusal),
}

/// Everything that trying one program needs.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The kernel.
    pub kernel: &'a dyn Kernel,
    /// Each makes a form to compare with the native one.
    pub passes: &'a [Pass<'a>],
}

impl std::fmt::Debug for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

/// What is counted while programs are tried.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What was exercised.
    pub coverage: Coverage,
    /// What was taken as equal.
    pub applied: Applied,
    /// Programs that lowering rewrote something of, by what.
    pub rewrites: BTreeMap<Rewrite, u64>,
}

impl Bench<'_> {
    /// Runs all forms of a program on frames, one after the other, with maps compared after every
    /// `batch` of them. The frame at fault is found by running everything again.
    pub fn attempt(
        &self,
        model: &Model,
        frames: &[Vec<u8>],
        batch: usize,
        tally: &mut Tally,
    ) -> Trial {
        match run::contents(self.kernel, model) {
            Ok(contents) => self.replay(render::module(model), &contents, frames, batch, tally),
            Err(error) => failed(0, Hook::Xdp, &error),
        }
    }

    /// The same for a program that is a module already, entered at its first program.
    pub fn replay(
        &self,
        native: Module,
        contents: &BTreeMap<MapId, Entries>,
        frames: &[Vec<u8>],
        batch: usize,
        tally: &mut Tally,
    ) -> Trial {
        let made = self.passes.iter().map(|pass| pass(&native, render::MAIN));
        let others = match made.collect::<Result<Vec<_>, _>>() {
            Ok(others) => others,
            Err(refusal) => return Trial::Refused(refusal),
        };
        let native = Form::native(native, render::MAIN);
        let trial = self.all(&native, &others, contents, frames, batch, tally);
        match trial {
            Trial::Differs(at, _, Difference::Map { .. }) if batch > 1 => {
                let until = &frames[..=at];
                let exact = &mut Tally::default();
                match self.all(&native, &others, contents, until, 1, exact) {
                    // What differs only after a batch is still a difference.
                    Trial::Same => trial,
                    found => found,
                }
            }
            trial => trial,
        }
    }

    /// What native XDP does with the last of these frames; `None` when it cannot be run.
    #[must_use]
    pub fn last_of_native(
        &self,
        module: Module,
        contents: &BTreeMap<MapId, Entries>,
        frames: &[Vec<u8>],
    ) -> Option<Observed> {
        let native = Form::native(module, render::MAIN);
        let side = Side::load(self.kernel, &native, contents).ok()?;
        let mut last = None;
        for frame in frames {
            last = side.run(frame).ok();
        }
        last
    }

    fn all(
        &self,
        native: &Form,
        others: &[Form],
        contents: &BTreeMap<MapId, Entries>,
        frames: &[Vec<u8>],
        batch: usize,
        tally: &mut Tally,
    ) -> Trial {
        let left = match Side::load(self.kernel, native, contents) {
            Ok(side) => side,
            Err(error) => return Trial::Rejected(reason(&error)),
        };
        let mut rights = Vec::new();
        for other in others {
            match Side::load(self.kernel, other, contents) {
                Ok(side) => rights.push((other, side)),
                Err(error) => return not_loaded(other, &error),
            }
        }
        let at_tc = others.iter().any(|other| other.hook == Hook::Tc);
        let mut books = Books::default();
        for (at, frame) in frames.iter().enumerate() {
            let (native, way) = match run_native(&left, frame, at_tc) {
                Ok(ran) => ran,
                Err(error) => return failed(at, Hook::Xdp, &error),
            };
            for (other, right) in &rights {
                let hook = other.hook;
                let observed = match right.run(frame) {
                    Ok(observed) => observed,
                    Err(error) => return failed(at, hook, &error),
                };
                let given = Given { sent: frame, hook, way };
                if let Err(found) = compare::runs(given, &native, &observed, &mut tally.applied) {
                    if hook == Hook::Tc && left.noted(render::CUT).is_ok_and(|cut| cut != 0) {
                        compare::count(&mut tally.applied, Normalisation::StrayTransportHeader);
                        return Trial::Same;
                    }
                    return Trial::Differs(at, hook.form(), found);
                }
            }
            tally.coverage.runs += 1;
            tally.coverage.verdicts[books.enter(frame, &native)] += 1;
            if (at + 1) % batch == 0 || at + 1 == frames.len() {
                let tables = match left.tables() {
                    Ok(tables) => tables,
                    Err(error) => return failed(at, Hook::Xdp, &error),
                };
                for (other, right) in &rights {
                    match compare_maps(&left, &tables, other, right, &books) {
                        Ok(Ok(())) => {}
                        Ok(Err(found)) => return Trial::Differs(at, other.hook.form(), found),
                        Err(error) => return failed(at, other.hook, &error),
                    }
                }
                if at + 1 == frames.len() {
                    exercised(&tables, &mut tally.coverage);
                }
            }
        }
        tally.coverage.programs += 1;
        for rewrite in others.iter().flat_map(|form| BTreeSet::from_iter(&form.rewrites)) {
            *tally.rewrites.entry(*rewrite).or_default() += 1;
        }
        Trial::Same
    }
}

/// Runs the native form on one frame, and tells what becomes of a redirected frame if anybody asks.
fn run_native(left: &Side<'_>, frame: &[u8], at_tc: bool) -> Result<(Observed, Way), Failure> {
    let native = left.run(frame)?;
    let way = match native.verdict {
        4 if at_tc => Place::way(left.noted(render::TARGET)?, native.frame.len()),
        _ => Way::Nowhere,
    };
    Ok((native, way))
}

/// Compares the maps of a form, and its counters, with what the native form's hold.
fn compare_maps(
    left: &Side<'_>,
    tables: &BTreeMap<MapId, Entries>,
    other: &Form,
    right: &Side<'_>,
    books: &Books,
) -> Result<Result<(), Difference>, KernelError> {
    let name = |id| left.name_of(id).to_owned();
    let shared;
    let tables = match other.hook {
        Hook::Lowered => {
            shared = left.on_this_cpu(tables.clone(), right);
            &shared
        }
        _ => tables,
    };
    match compare::maps(tables, &right.tables()?, name) {
        Ok(()) => books.check(other, right),
        Err(found) => Ok(Err(found)),
    }
}

/// Adds what the program noted, and which of its maps hold something.
fn exercised(maps: &BTreeMap<MapId, Entries>, coverage: &mut Coverage) {
    for (&id, entries) in maps {
        if id == render::TRACE {
            let words = entries.iter().flat_map(|(_, value)| value.chunks_exact(8).skip(1));
            for (sum, word) in coverage.marks.iter_mut().zip(words) {
                *sum += word.try_into().map_or(0, u64::from_ne_bytes);
            }
        } else if id.0 >= render::FIRST_MAP && !entries.is_empty() {
            coverage.maps += 1;
            let filled = entries.iter().any(|(_, value)| value.iter().any(|&b| b != 0));
            coverage.filled_maps += u64::from(filled);
        }
    }
}

fn failed(at: usize, hook: Hook, error: &dyn std::error::Error) -> Trial {
    Trial::Differs(at, hook.form(), Difference::Failed { cause: error.to_string() })
}

/// A form that cannot be loaded though the verifier takes the native one. It may for want of stack, of
/// which older kernels count 32 bytes for the new main.
fn not_loaded(form: &Form, error: &NotLoaded) -> Trial {
    let cause = reason(error);
    if form.hook == Hook::Tc && cause.contains("combined stack size of ") {
        return Trial::Refused(Refusal { code: "tc-stack".to_owned(), message: cause });
    }
    Trial::Differs(0, form.hook.form(), Difference::Refused { cause })
}

/// An error with the end of the verifier's log.
#[must_use]
pub fn reason(error: &NotLoaded) -> String {
    let log = match error {
        NotLoaded::Kernel(LoadError::Program { error, .. }) => {
            error.log.as_deref().unwrap_or_default()
        }
        _ => "",
    };
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    format!("{error}\n{}", last.join("\n"))
}
