//! The text of a program's code, by operation.

use std::collections::HashMap;

use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::disasm;
use hoist_bpf::module::{Function, Module, SourceLine};

use super::Position;
use crate::userspace::vm::code::Code;
use crate::userspace::vm::observer::Place;

/// Every function's listing, in the module's order.
#[derive(Debug)]
pub(super) struct Listing {
    functions: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    name: String,
    /// Names of its parameters, where the object has types.
    parameters: Vec<String>,
    ops: Vec<OpText>,
}

/// One operation as text.
#[derive(Debug, Default)]
pub(super) struct OpText {
    pub(super) slot: u32,
    pub(super) line: Option<SourceLine>,
    pub(super) text: String,
}

impl Listing {
    pub(super) fn of(module: &Module, code: &Code) -> Self {
        let btf = Btf::parse(&module.btf).ok();
        let decoded = module.functions.iter().zip(&code.functions);
        let functions = decoded.map(|(function, decoded)| {
            let lines = disasm::lines(module, function);
            let by_inst: HashMap<_, _> = lines
                .iter()
                .zip(&function.code)
                .map(|(line, inst)| (line.inst, (line, inst)))
                .collect();
            let op = |inst| {
                let (line, inst) = by_inst.get(inst)?;
                let source = inst.line.and_then(|at| module.lines.get(at as usize));
                Some(OpText { slot: line.slot, line: source.cloned(), text: line.text.clone() })
            };
            Listed {
                name: function.name.clone(),
                parameters: parameters(btf.as_ref(), function),
                ops: decoded.insts.iter().map(|inst| op(inst).unwrap_or_default()).collect(),
            }
        });
        Self { functions: functions.collect() }
    }

    /// One operation; `None` for one that the program has not.
    pub(super) fn op(&self, at: Place) -> Option<&OpText> {
        self.functions.get(at.function.0 as usize)?.ops.get(at.op as usize)
    }

    /// A function's name.
    pub(super) fn name(&self, function: hoist_bpf::module::FunctionId) -> &str {
        self.functions.get(function.0 as usize).map_or("?", |f| &f.name)
    }

    /// A function's parameters.
    pub(super) fn parameters(&self, function: hoist_bpf::module::FunctionId) -> &[String] {
        self.functions.get(function.0 as usize).map_or(&[], |f| &f.parameters)
    }

    /// A place for people.
    pub(super) fn position(&self, at: Place) -> Position {
        let op = self.op(at);
        Position {
            function: self.name(at.function).to_owned(),
            slot: op.map_or(0, |op| op.slot),
            line: op.and_then(|op| op.line.clone()),
        }
    }
}

fn parameters(btf: Option<&Btf>, function: &Function) -> Vec<String> {
    let names = || {
        let btf = btf?;
        let function = btf.type_by_id(function.btf_type_id?).filter(|t| t.kind() == Kind::Func)?;
        parameter_names(btf, function.size_or_type())
    };
    names().unwrap_or_default()
}

/// The names of a prototype's parameters.
pub(super) fn parameter_names(btf: &Btf, prototype: u32) -> Option<Vec<String>> {
    let prototype = btf.type_by_id(prototype).filter(|t| t.kind() == Kind::FuncProto)?;
    Some(prototype.params().map(|param| param.name.to_owned()).collect())
}
