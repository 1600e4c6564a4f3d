//! Programs of a few instructions, and the operands at which implementations go wrong.
//!
//! Operands come from the frame and results go back into it, so that the verifier knows nothing about
//! them and whatever executes the program has to compute.

use hoist_bpf::Insn;
use hoist_bpf::module::{
    Function, FunctionId, InstId, Linkage, Module, Program, ProgramHint, Target,
};
use hoist_bpf::opcode::{X, alu, class, jmp};
use hoist_bpf::passes::asm;

/// One instruction with what it refers to.
pub type Line = (Insn, Target);

/// Bytes of the frames: eight operands of 8 bytes, and twice as many results.
pub const FRAME: usize = 192;
/// Where results start.
pub const RESULTS: i16 = 64;

/// Operands at which something changes: signs, widths, the least and the greatest.
pub const CORNERS: [u64; 30] = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_8000_0000,
    0x1234_5678_9abc_def0,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_0000_0001,
    0xffff_ffff_0000_0000,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Constants likewise.
pub const CONSTANTS: [i32; 14] =
    [0, 1, 2, 7, 16, 31, 0x7f, 0x80, 0xffff, 0x1234_5678, i32::MAX, i32::MIN, -2, -1];

/// Two-operand operations with their names and the offset that selects them.
pub const OPERATIONS: [(&str, u8, i16); 13] = [
    ("add", alu::ADD, 0),
    ("sub", alu::SUB, 0),
    ("mul", alu::MUL, 0),
    ("div", alu::DIV, 0),
    ("sdiv", alu::DIV, 1),
    ("mod", alu::MOD, 0),
    ("smod", alu::MOD, 1),
    ("or", alu::OR, 0),
    ("and", alu::AND, 0),
    ("xor", alu::XOR, 0),
    ("lsh", alu::LSH, 0),
    ("rsh", alu::RSH, 0),
    ("arsh", alu::ARSH, 0),
];

/// Conditions of jumps, with their names.
pub const CONDITIONS: [(&str, u8); 11] = [
    ("jeq", jmp::JEQ),
    ("jne", jmp::JNE),
    ("jgt", jmp::JGT),
    ("jge", jmp::JGE),
    ("jlt", jmp::JLT),
    ("jle", jmp::JLE),
    ("jset", jmp::JSET),
    ("jsgt", jmp::JSGT),
    ("jsge", jmp::JSGE),
    ("jslt", jmp::JSLT),
    ("jsle", jmp::JSLE),
];

/// An instruction that refers to nothing.
#[must_use]
pub const fn plain(insn: Insn) -> Line {
    (insn, Target::None)
}

/// A module of one program and its subprograms.
#[must_use]
pub fn module(functions: Vec<Vec<Line>>) -> Module {
    let function = |(number, code): (usize, Vec<Line>)| {
        let mut function = Function::empty(&format!("f{number}"), Linkage::Static);
        for (insn, target) in code {
            let inst = function.new_inst(insn, target);
            function.append([inst]);
        }
        function
    };
    Module {
        name: "instructions".to_owned(),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: "f0".to_owned(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions: functions.into_iter().enumerate().map(function).collect(),
        maps: Vec::new(),
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}

/// Loads the frame's start into `r6` if the frame is whole, else drops it; `r2` and `r3` are lost.
#[must_use]
pub fn prologue() -> Vec<Line> {
    let behind = Insn::new(class::JMP | X | jmp::JGE, 3, 2, 0, 0);
    // The module's jumps name instructions: the one behind the exit.
    let to = Target::Jump(InstId(7));
    vec![
        plain(asm::load32(6, 1, 0)),
        plain(asm::load32(3, 1, 4)),
        plain(asm::mov(2, 6)),
        plain(asm::add_imm(2, FRAME as i32)),
        (behind, to),
        plain(asm::mov_imm(0, 1)),
        plain(asm::exit()),
    ]
}
