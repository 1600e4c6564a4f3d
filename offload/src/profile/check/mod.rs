//! Finding every place where a program breaks a rule.

use hoist_bpf::analysis::{self, Entry};
use hoist_bpf::module::{Module, ProgramHint, ProgramId};
use serde::{Deserialize, Serialize};

mod arithmetic;
mod calls;
mod code;
mod limits;
mod maps;
mod memory;
mod survey;
mod words;

use super::{Origin, Parameter, Parameters, Profile, ProgramType, Rule, Unit};
use crate::error::Gap;
use survey::Survey;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Every place where a rule is broken, or cannot be shown to be kept; in the order of the rules,
    /// then of the code.
    pub gaps: Vec<Gap>,
    /// What the program needs of the firmware, met or not.
    pub demands: Vec<Demand>,
}

/// One thing that a program needs of the firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The parameter's name.
    pub parameter: String,
    /// What it is.
    pub about: String,
    /// What is counted.
    pub unit: Unit,
    /// The least value that does.
    pub needs: u64,
    /// The parameter's value, where there is one.
    pub has: Option<u64>,
    /// How the value is known.
    pub origin: Origin,
    /// Where the value comes from.
    pub source: String,
}

impl Demand {
    /// Whether it is met; `None` where only the card can tell.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.has.map(|has| has >= self.needs)
    }
}

impl Profile {
    /// Every place where a program breaks a rule of this profile. What cannot be shown to keep a
    /// rule is a gap too, and says what would convince. Run it on the lowered program, if it is to
    /// be lowered.
    #[must_use]
    pub fn check(&self, module: &Module, program: ProgramId, parameters: &Parameters) -> Vec<Gap> {
        self.inspect(module, program, parameters).gaps
    }

    /// Likewise, with what the program needs of the firmware. Whether it is an XDP program or a
    /// classifier follows from the name of its section.
    #[must_use]
    pub fn inspect(
        &self,
        module: &Module,
        program: ProgramId,
        parameters: &Parameters,
    ) -> Findings {
        self.inspect_as(program_type(module, program), module, program, parameters)
    }

    /// Likewise, for a program of this type whatever its section says.
    #[must_use]
    pub fn inspect_as(
        &self,
        kind: ProgramType,
        module: &Module,
        program: ProgramId,
        parameters: &Parameters,
    ) -> Findings {
        let entry = match kind {
            ProgramType::Xdp => Entry::Xdp,
            ProgramType::Classifier => Entry::Classifier,
        };
        let mut survey = Survey::new(self, parameters, module, program, kind);
        survey.program_type();
        match analysis::values(module, program, entry) {
            Ok(values) => {
                survey.code(&values);
                survey.arithmetic(&values);
                survey.calls(&values);
                survey.memory(&values);
                survey.words(&values);
                survey.stack(&values);
                survey.packet(&values);
                survey.maps(&values);
            }
            Err(too_large) => survey.too_large(&too_large),
        }
        survey.finish()
    }
}

/// What a section's name says of a program's type: anything but a classifier's is taken for XDP.
fn program_type(module: &Module, program: ProgramId) -> ProgramType {
    let Some(program) = module.programs.get(program.0 as usize) else { return ProgramType::Xdp };
    let head = program.section.split('/').next().unwrap_or_default();
    match program.hint {
        ProgramHint::Other if matches!(head, "tc" | "tcx" | "classifier") => {
            ProgramType::Classifier
        }
        _ => ProgramType::Xdp,
    }
}
