//! One program: both forms of it loaded, run on frames, compared.

use std::collections::BTreeMap;

use hoist_bpf::kernel::{Entries, Kernel, KernelError};
use hoist_bpf::module::{MapId, Module, ProgramId};

use super::books::Books;
use super::compare::{self, Applied, Difference, Given, Normalisation};
use super::coverage::Coverage;
use super::model::Model;
use super::render;
use super::run::{self, Form, Hook, Observed, Place, Side, Way};

/// Makes the other form of a program: the translator, or the translator with a fault put into what
/// it made.
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
    /// Both forms did the same.
    Same,
    /// They did not, on the frame of this index.
    Differs(usize, Difference),
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
    /// Makes the other form.
    pub pass: Pass<'a>,
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
}

impl Bench<'_> {
    /// Runs both forms of a program on frames, one after the other, with maps compared after every
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
            Err(error) => failed(0, &error),
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
        let other = match (self.pass)(&native, render::MAIN) {
            Ok(form) => form,
            Err(refusal) => return Trial::Refused(refusal),
        };
        let native = Form::native(native, render::MAIN);
        let trial = self.both(&native, &other, contents, frames, batch, tally);
        match trial {
            Trial::Differs(at, Difference::Map { .. }) if batch > 1 => {
                let until = &frames[..=at];
                let exact = &mut Tally::default();
                match self.both(&native, &other, contents, until, 1, exact) {
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

    fn both(
        &self,
        native: &Form,
        other: &Form,
        contents: &BTreeMap<MapId, Entries>,
        frames: &[Vec<u8>],
        batch: usize,
        tally: &mut Tally,
    ) -> Trial {
        let left = match Side::load(self.kernel, native, contents) {
            Ok(side) => side,
            Err(error) => return Trial::Rejected(reason(&error)),
        };
        let right = match Side::load(self.kernel, other, contents) {
            Ok(side) => side,
            Err(error) => return not_loaded(other, reason(&error)),
        };
        let mut books = Books::default();
        for (at, frame) in frames.iter().enumerate() {
            let (a, b, way) = match pair(&left, &right, frame) {
                Ok(observed) => observed,
                Err(error) => return failed(at, &error),
            };
            let given = Given { sent: frame, hook: other.hook, way };
            if let Err(found) = compare::runs(given, &a, &b, &mut tally.applied) {
                if other.hook == Hook::Tc && left.noted(render::CUT).is_ok_and(|cut| cut != 0) {
                    compare::count(&mut tally.applied, Normalisation::StrayTransportHeader);
                    return Trial::Same;
                }
                return Trial::Differs(at, found);
            }
            tally.coverage.runs += 1;
            tally.coverage.verdicts[books.enter(frame, &a)] += 1;
            if (at + 1) % batch == 0 || at + 1 == frames.len() {
                let (a, b) = match (left.tables(), right.tables()) {
                    (Ok(a), Ok(b)) => (a, b),
                    (Err(error), _) | (_, Err(error)) => return failed(at, &error),
                };
                let name = |id| left.name_of(id).to_owned();
                if let Err(found) = compare::maps(&a, &b, name) {
                    return Trial::Differs(at, found);
                }
                match books.check(other, &right) {
                    Ok(Ok(())) => {}
                    Ok(Err(found)) => return Trial::Differs(at, found),
                    Err(error) => return failed(at, &error),
                }
                if at + 1 == frames.len() {
                    exercised(&a, &mut tally.coverage);
                }
            }
        }
        tally.coverage.programs += 1;
        Trial::Same
    }
}

/// Runs both sides on one frame, and tells what becomes of a redirected frame.
fn pair(
    left: &Side<'_>,
    right: &Side<'_>,
    frame: &[u8],
) -> Result<(Observed, Observed, Way), KernelError> {
    let native = left.run(frame)?;
    let other = right.run(frame)?;
    let way = match native.verdict {
        4 => Place::way(left.noted(render::TARGET)?, native.frame.len()),
        _ => Way::Nowhere,
    };
    Ok((native, other, way))
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

fn failed(at: usize, error: &dyn std::error::Error) -> Trial {
    Trial::Differs(at, Difference::Failed { cause: error.to_string() })
}

/// A form that the verifier refuses though it takes the native one. It may for want of stack, of which
/// older kernels count 32 bytes for the new main.
fn not_loaded(form: &Form, cause: String) -> Trial {
    if form.hook == Hook::Tc && cause.contains("combined stack size of ") {
        return Trial::Refused(Refusal { code: "tc-stack".to_owned(), message: cause });
    }
    Trial::Differs(0, Difference::Refused { cause })
}

/// An error with the end of the verifier's log.
#[must_use]
pub fn reason(error: &hoist_bpf::kernel::loader::LoadError) -> String {
    use hoist_bpf::kernel::loader::LoadError;
    let log = match error {
        LoadError::Program { error, .. } => error.log.as_deref().unwrap_or_default(),
        _ => "",
    };
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    format!("{error}\n{}", last.join("\n"))
}
