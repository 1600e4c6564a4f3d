//! One program in all its forms, measured in turn.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_bpf::parse::Selector;
use hoist_bpf::{Module, programs};
use hoist_fallback::tc::translate::{Options, translate};
use hoist_offload::Gap;

use super::cases::{Case, Effect};
use super::load::{Kind, LoadFailure, Source};
use super::side::{Side, SideError, Verdict};
use crate::forms;
use crate::pairs::{Measurement, Rounds, in_turn};

/// What one program is measured as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// As XDP program, as it is.
    Xdp,
    /// Translated to TC, without verdict counters: neither of its competitors has any.
    Translated,
    /// Written for TC by hand.
    ByHand,
    /// The kernel helpers alone that a resized frame needs; for others nothing.
    Bare,
    /// A TC program that does nothing.
    Nothing,
    /// An XDP program that does nothing.
    NothingXdp,
}

impl Column {
    /// In the order in which a round takes them.
    pub const ALL: [Self; 6] =
        [Self::Xdp, Self::Translated, Self::ByHand, Self::Bare, Self::Nothing, Self::NothingXdp];

    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "XDP",
            Self::Translated => "translated",
            Self::ByHand => "by hand",
            Self::Bare => "bare helpers",
            Self::Nothing => "nothing",
            Self::NothingXdp => "nothing, XDP",
        }
    }
}

/// Why a row could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The program or one of its forms is missing.
    #[error("there is no program or form called {0}")]
    Missing(&'static str),
    /// The program could not be translated.
    #[error("not translated: {}", list(.0))]
    Refused(Vec<Gap>),
    /// A form does not run, or does something else.
    #[error(transparent)]
    Side(#[from] SideError),
}

impl From<LoadFailure> for RowError {
    fn from(failure: LoadFailure) -> Self {
        Self::Side(failure.into())
    }
}

fn list(gaps: &[Gap]) -> String {
    gaps.iter().map(|gap| gap.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Loads one form of a program, runs it once and checks its verdict.
///
/// # Errors
/// It does not exist, load or run, or says something else than the case expects.
pub fn prepare(kernel: &Arc<dyn Kernel>, case: &Case, column: Column) -> Result<Side, RowError> {
    let bare = if let Effect::Resizes { bare } = case.effect { bare } else { forms::NOTHING.name };
    let at_xdp = |source, verdict| {
        Ok(Side::new(Arc::clone(kernel), source, case.frame_at_xdp(), case.runs, verdict)?)
    };
    match column {
        Column::Xdp => at_xdp(corpus(case.name, case)?, case.verdict),
        Column::NothingXdp => at_xdp(corpus("pass", case)?, Verdict::Pass),
        Column::Translated => {
            at_tc(kernel, case, translated(case, &Options::default())?, case.verdict)
        }
        Column::ByHand => at_tc(kernel, case, form(case.name, case)?, case.verdict),
        Column::Bare => at_tc(kernel, case, form(bare, case)?, Verdict::Pass),
        Column::Nothing => at_tc(kernel, case, form(forms::NOTHING.name, case)?, Verdict::Pass),
    }
}

/// A program of the corpus as it is.
fn corpus(name: &'static str, case: &Case) -> Result<Source, RowError> {
    let program = programs::get(name).ok_or(RowError::Missing(name))?;
    let entries = if name == case.name { &case.entries[..] } else { &[] };
    Ok(Source::object(program.object, &program.program(), Kind::Xdp, entries)?)
}

fn translated(case: &Case, options: &Options) -> Result<Source, RowError> {
    let program = programs::get(case.name).ok_or(RowError::Missing(case.name))?;
    let module = Module::parse(program.name, program.object).map_err(LoadFailure::from)?;
    let selector = Selector { program: Some(program.program()), section: None };
    let id = module.select(&selector).map_err(LoadFailure::from)?;
    let translated = translate(&module, id, options).map_err(RowError::Refused)?;
    Ok(Source::module(translated.module, translated.program, Kind::Tc, &case.entries)?)
}

fn form(name: &'static str, case: &Case) -> Result<Source, RowError> {
    let form = forms::get(name).ok_or(RowError::Missing(name))?;
    let entries = if name == case.name { &case.entries[..] } else { &[] };
    Ok(Source::object(form.object, &form.program(), Kind::Tc, entries)?)
}

fn at_tc(
    kernel: &Arc<dyn Kernel>,
    case: &Case,
    source: Source,
    verdict: Verdict,
) -> Result<Side, RowError> {
    let (kernel, frame) = (Arc::clone(kernel), case.frame_at_tc());
    Ok(if case.tagged {
        Side::tagged(kernel, source, frame, verdict)?
    } else {
        Side::new(kernel, source, frame, case.runs, verdict)?
    })
}

/// The figures of one program.
#[derive(Clone, Debug)]
pub struct Row {
    rounds: Rounds,
}

impl Row {
    /// Measures all forms in turn, so many rounds.
    ///
    /// # Errors
    /// A form cannot be prepared, or stops running.
    pub fn measure(kernel: &Arc<dyn Kernel>, case: &Case, rounds: usize) -> Result<Self, RowError> {
        let mut sides = Column::ALL
            .into_iter()
            .map(|column| prepare(kernel, case, column))
            .collect::<Result<Vec<Side>, _>>()?;
        let mut samples: Vec<_> = sides.iter_mut().map(|side| || side.sample()).collect();
        let mut measurements: Vec<Measurement<'_, SideError>> =
            samples.iter_mut().map(|sample| sample as Measurement<'_, SideError>).collect();
        Ok(Self { rounds: in_turn(rounds, &mut measurements)? })
    }

    /// The median over the rounds of what `figure` makes of a round's times, in nanoseconds per frame
    /// with the kernel's loop included.
    ///
    /// # Panics
    /// When `figure` gives something that is not a number.
    pub fn median(&self, figure: impl Fn(&dyn Fn(Column) -> f64) -> f64) -> f64 {
        self.rounds.of(|round| figure(&|column| round[column as usize])).median
    }
}
