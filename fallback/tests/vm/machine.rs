//! Modules made by hand, and machines for them.

use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::module::{
    Function, FunctionId, InstId, Linkage, Map, Module, Program, ProgramHint, ProgramId, Target,
};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options, Ran};

/// One instruction with what it refers to.
pub(crate) type Line = (Insn, Target);

pub(crate) const fn plain(insn: Insn) -> Line {
    (insn, Target::None)
}

pub(crate) const fn to(insn: Insn, at: u32) -> Line {
    (insn, Target::Jump(InstId(at)))
}

/// A module of one program and its subprograms.
pub(crate) fn module(functions: Vec<Vec<Line>>, maps: Vec<Map>) -> Module {
    let function = |(number, code): (usize, Vec<Line>)| {
        let mut function = Function::empty(&format!("f{number}"), Linkage::Static);
        for (insn, target) in code {
            let inst = function.new_inst(insn, target);
            function.append([inst]);
        }
        function
    };
    Module {
        name: "made by hand".to_owned(),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: "f0".to_owned(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions: functions.into_iter().enumerate().map(function).collect(),
        maps,
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}

/// The ways of running: interpreted; compiled; compiled with every check, proven to be needless or
/// not.
pub(crate) fn ways(fuel: u64) -> [Options; 3] {
    // Miri runs no machine code.
    let compiled = if cfg!(miri) { When::Never } else { When::First };
    [(When::Never, false), (compiled, false), (compiled, true)].map(|(compile, paranoid)| Options {
        fuel,
        compile,
        paranoid,
        ..Options::default()
    })
}

/// A machine for the module's first program.
pub(crate) fn machine(module: &Module, options: &Options) -> Machine {
    Machine::new(&Arc::new(module.clone()), ProgramId(0), options).unwrap()
}

/// Runs a machine on a copy of a frame; what became of both.
pub(crate) fn run(machine: &mut Machine, frame: &[u8]) -> (Ran, Vec<u8>) {
    let mut buffer = vec![0; Frame::HEADROOM as usize];
    buffer.extend(frame);
    buffer.resize(buffer.len() + 512, 0);
    let mut view = Frame::new(&mut buffer, frame.len() as u32);
    let ran = machine.run(&mut view, &Arrival::default());
    let bytes = view.bytes().to_vec();
    (ran, bytes)
}
