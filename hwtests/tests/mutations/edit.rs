//! Single changes of what the translator makes: one instruction, found by function and source line.

use hoist_bpf::Insn;
use hoist_bpf::module::{Inst, Module, ProgramId, Target};
use hoist_bpf::passes::asm;

/// What is broken, where, and who must notice.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    pub(crate) edit: Edit,
    pub(crate) caught: By,
}

/// Stands for the main program of the runtime, which has the name of the program that it calls.
pub(crate) const MAIN: &str = "@main";

/// Where and how.
#[derive(Debug)]
pub(crate) enum Edit {
    /// Instructions of functions whose name starts so, of source lines with this in them.
    Insns { function: &'static str, line: &'static str, change: fn(&mut Inst, &str) -> bool },
    /// Something else; whether there was anything to change.
    Module(fn(&mut Module, ProgramId) -> bool),
}

/// Who must notice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// A case of this file whose name starts so.
    Suite(&'static str, &'static str),
    /// The same, where the program is not even loaded: the verifier would not have it.
    SuiteByRefusal(&'static str, &'static str),
    /// The fuzzer, with this seed, from this program on.
    Fuzzer(u64, u64),
}

impl Mutation {
    /// Applies it; how many places there were.
    pub(crate) fn apply(&self, module: &mut Module, program: ProgramId) -> usize {
        let Edit::Insns { function, line, change } = self.edit else {
            let Edit::Module(change) = self.edit else { return 0 };
            return usize::from(change(module, program));
        };
        let main = module.program(program).function.0 as usize;
        let names: Vec<String> = module.functions.iter().map(|f| f.name.clone()).collect();
        let lines = &module.lines;
        let mut functions: Vec<_> = module.functions.iter_mut().enumerate().collect();
        functions.retain(|(id, f)| match function {
            MAIN => *id == main,
            start => f.name.starts_with(start),
        });
        let mut places = 0;
        for inst in functions.into_iter().flat_map(|(_, f)| &mut f.code) {
            let text = inst.line.and_then(|l| lines.get(l as usize)).map_or("", |l| &l.text);
            let called = match inst.target {
                Target::Call(id) => names[id.0 as usize].as_str(),
                _ => "",
            };
            if text.contains(line) && change(inst, called) {
                places += 1;
            }
        }
        places
    }
}

/// Puts an instruction in place of another, without anything that it refers to.
pub(crate) fn instead(inst: &mut Inst, insn: Insn) -> bool {
    (inst.insn, inst.target, inst.wide_imm) = (insn, Target::None, None);
    true
}

/// A call that is not made, and gives this.
pub(crate) fn gives(inst: &mut Inst, value: i32) -> bool {
    instead(inst, asm::mov_imm(0, value))
}

/// An instruction that does nothing.
pub(crate) fn nothing(inst: &mut Inst) -> bool {
    let dst = inst.insn.dst();
    instead(inst, asm::mov(dst, dst))
}

/// A comparison that is never true: of a register with itself, for being unequal.
pub(crate) fn never(inst: &mut Inst) -> bool {
    let Insn { code, off, imm, .. } = inst.insn;
    let dst = inst.insn.dst();
    inst.insn = Insn::new(code, dst, dst, off, imm);
    true
}

/// Another constant.
pub(crate) fn imm(inst: &mut Inst, from: i32, to: i32) -> bool {
    let fits = inst.insn.imm == from && matches!(inst.target, Target::None | Target::Jump(_));
    if fits {
        inst.insn.imm = to;
    }
    fits
}

/// Whether it is a helper call.
pub(crate) fn helper(inst: &Inst, id: i32) -> bool {
    inst.insn.is_call() && inst.target == Target::None && inst.insn.imm == id
}
