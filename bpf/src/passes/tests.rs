//! What passes are tested on: modules made by hand.

use crate::module::{Function, FunctionId, Module, Program, ProgramHint};

/// A module whose program enters the first of these functions.
pub(crate) fn module(functions: Vec<Function>) -> Module {
    Module {
        name: "made by hand".to_owned(),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: functions[0].name.clone(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions,
        maps: Vec::new(),
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}
