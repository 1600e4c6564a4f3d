//! Inserting and removing instructions.

use crate::insn::Insn;
use crate::module::{Function, FunctionId, Inst, InstId, Linkage, Module, Target};

impl Function {
    /// An empty function that a pass fills.
    #[must_use]
    pub fn empty(name: &str, linkage: Linkage) -> Self {
        Self {
            name: name.to_owned(),
            section: String::new(),
            section_offset: 0,
            linkage,
            btf_type_id: None,
            code: Vec::new(),
            next_id: 0,
        }
    }

    /// Makes an instruction of this function without placing it: it has an id, so that jumps can
    /// name it before it is placed with [`Function::append`] or an insertion.
    #[must_use]
    pub fn new_inst(&mut self, insn: Insn, target: Target) -> Inst {
        let id = InstId(self.next_id);
        self.next_id += 1;
        let wide_imm = insn.is_wide().then_some(0);
        Inst { id, insn, wide_imm, target, origin: None, line: None }
    }

    /// Adds instructions made by [`Function::new_inst`] at the end.
    pub fn append(&mut self, code: impl IntoIterator<Item = Inst>) {
        self.code.extend(code);
    }

    /// Inserts instructions before another, so that every path to it, jumps included, runs them
    /// first. Jumps among the inserted instructions stay as they are. `false` when the function has
    /// no such instruction.
    pub fn insert_before(&mut self, id: InstId, code: &[Inst]) -> bool {
        let (Some(at), Some(first)) = (self.position(id), code.first()) else {
            return false;
        };
        for inst in self.code.iter_mut().filter(|i| i.target == Target::Jump(id)) {
            inst.target = Target::Jump(first.id);
        }
        self.code.splice(at..at, code.iter().copied());
        true
    }

    /// Inserts instructions after another: what falls through from it runs them, jumps to its
    /// successor do not. `false` when the function has no such instruction.
    pub fn insert_after(&mut self, id: InstId, code: &[Inst]) -> bool {
        let Some(at) = self.position(id) else { return false };
        self.code.splice(at + 1..at + 1, code.iter().copied());
        true
    }

    /// Instruction slots: wide instructions count twice.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.code.iter().map(Inst::slots).sum()
    }
}

impl Module {
    /// Adds a function.
    pub fn add_function(&mut self, function: Function) -> FunctionId {
        self.functions.push(function);
        FunctionId(self.functions.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::asm;
    use super::*;
    use crate::opcode::jmp;

    /// `if r1 == 0 goto out; r0 = 1; out: exit`
    fn sample() -> (Function, InstId, InstId) {
        let mut f = Function::empty("f", Linkage::Static);
        let out = f.new_inst(asm::exit(), Target::None);
        let jump = f.new_inst(asm::jump_imm(jmp::JEQ, 1, 0), Target::Jump(out.id));
        let one = f.new_inst(asm::mov_imm(0, 1), Target::None);
        f.append([jump, one, out]);
        (f, one.id, out.id)
    }

    #[test]
    fn what_stands_before_an_instruction_is_on_every_path_to_it() {
        let (mut f, _, out) = sample();
        let new = f.new_inst(asm::mov_imm(2, 7), Target::None);
        assert!(f.insert_before(out, &[new]));
        assert_eq!(f.code[0].target, Target::Jump(new.id));
        assert_eq!(f.position(new.id), Some(2));
        assert_eq!(f.position(out), Some(3));
    }

    #[test]
    fn what_stands_after_an_instruction_is_on_its_fall_through_only() {
        let (mut f, one, out) = sample();
        let new = f.new_inst(asm::mov_imm(2, 7), Target::None);
        assert!(f.insert_after(one, &[new]));
        assert_eq!(f.code[0].target, Target::Jump(out));
        assert_eq!(f.position(new.id), Some(2));
    }

    #[test]
    fn ids_are_never_reused_and_strangers_are_refused() {
        let (mut f, one, _) = sample();
        f.code.retain(|i| i.id != one);
        let new = f.new_inst(asm::mov_imm(0, 2), Target::None);
        assert_ne!(new.id, one);
        assert!(!f.insert_before(one, &[new]) && !f.insert_after(one, &[new]));
    }

    #[test]
    fn wide_instructions_take_two_slots() {
        let mut f = Function::empty("f", Linkage::Static);
        let load = f.new_inst(asm::load_map(1), Target::None);
        let exit = f.new_inst(asm::exit(), Target::None);
        f.append([load, exit]);
        assert_eq!(f.slots(), 3);
    }
}
