//! A function under construction: instructions by name, and labels.

use hoist_bpf::Insn;
use hoist_bpf::module::{Function, Inst, InstId, Linkage, Target};
use hoist_bpf::opcode::{X, alu, class, jmp, mode, pseudo, size};

/// A place that jumps lead to; placed once, before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

/// A function being written.
#[derive(Debug)]
pub(super) struct Code {
    function: Function,
    code: Vec<Inst>,
    /// The instruction that each label stands before.
    labels: Vec<Option<usize>>,
}

impl Code {
    pub(super) fn new(name: &str, section: &str, linkage: Linkage) -> Self {
        let function = Function { section: section.to_owned(), ..Function::empty(name, linkage) };
        Self { function, code: Vec::new(), labels: Vec::new() }
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.code.len());
    }

    pub(super) fn put(&mut self, insn: Insn) {
        self.refer(insn, Target::None);
    }

    pub(super) fn puts<const N: usize>(&mut self, insns: [Insn; N]) {
        for insn in insns {
            self.put(insn);
        }
    }

    pub(super) fn refer(&mut self, insn: Insn, target: Target) {
        let inst = self.function.new_inst(insn, target);
        self.code.push(inst);
    }

    /// A jump; `insn` is any instruction that jumps.
    pub(super) fn jump(&mut self, insn: Insn, label: Label) {
        // The label's number stands in for the instruction that is not there yet.
        self.refer(insn, Target::Jump(InstId(label.0)));
    }

    /// The function, its jumps resolved. Every label is placed and followed by an instruction.
    pub(super) fn finish(mut self) -> Function {
        let ids: Vec<InstId> = self.code.iter().map(|inst| inst.id).collect();
        for inst in &mut self.code {
            if let Target::Jump(InstId(label)) = inst.target {
                let place = self.labels[label as usize].unwrap_or(0);
                inst.target = Target::Jump(ids[place]);
            }
        }
        self.function.append(self.code);
        self.function
    }
}

/// The size bits for an access of `bytes`.
pub(super) const fn width(bytes: u8) -> u8 {
    match bytes {
        1 => size::B,
        2 => size::H,
        4 => size::W,
        _ => size::DW,
    }
}

pub(super) const fn mov(dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | alu::MOV, dst, src, 0, 0)
}

pub(super) const fn mov_imm(dst: u8, imm: i32) -> Insn {
    Insn::new(class::ALU64 | alu::MOV, dst, 0, 0, imm)
}

/// 64-bit arithmetic with a register.
pub(super) const fn reg(op: u8, dst: u8, src: u8) -> Insn {
    Insn::new(class::ALU64 | X | op, dst, src, 0, 0)
}

/// 64-bit arithmetic with a constant.
pub(super) const fn imm(op: u8, dst: u8, imm: i32) -> Insn {
    Insn::new(class::ALU64 | op, dst, 0, 0, imm)
}

pub(super) const fn load(bytes: u8, dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::LDX | mode::MEM | width(bytes), dst, src, off, 0)
}

pub(super) const fn store(bytes: u8, dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::MEM | width(bytes), dst, src, off, 0)
}

pub(super) const fn store_imm(bytes: u8, dst: u8, off: i16, imm: i32) -> Insn {
    Insn::new(class::ST | mode::MEM | width(bytes), dst, 0, off, imm)
}

pub(super) const fn atomic(bytes: u8, dst: u8, off: i16, src: u8, op: i32) -> Insn {
    Insn::new(class::STX | mode::ATOMIC | width(bytes), dst, src, off, op)
}

/// `if dst <op> imm goto`.
pub(super) const fn jump_imm(op: u8, dst: u8, imm: i32) -> Insn {
    Insn::new(class::JMP | op, dst, 0, 0, imm)
}

/// `if dst <op> src goto`.
pub(super) const fn jump_reg(op: u8, dst: u8, src: u8) -> Insn {
    Insn::new(class::JMP | X | op, dst, src, 0, 0)
}

pub(super) const fn go() -> Insn {
    Insn::new(class::JMP | jmp::JA, 0, 0, 0, 0)
}

pub(super) const fn helper(id: i32) -> Insn {
    Insn::new(class::JMP | jmp::CALL, 0, pseudo::HELPER_CALL, 0, id)
}

pub(super) const fn call() -> Insn {
    Insn::new(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, -1)
}

pub(super) const fn exit() -> Insn {
    Insn::new(class::JMP | jmp::EXIT, 0, 0, 0, 0)
}

/// A wide load; `kind` is one of `opcode::pseudo`.
pub(super) const fn wide(dst: u8, kind: u8) -> Insn {
    Insn::new(class::LD | mode::IMM | size::DW, dst, kind, 0, 0)
}
