//! A program on both sides.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{self, LoadSpec, Loaded};
use hoist_bpf::kernel::{Kernel as _, Linux, TestRunSpec};
use hoist_bpf::module::{
    Function, FunctionId, Linkage, Module, Program, ProgramHint, ProgramId, Target,
};
use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options};

/// One instruction with what it refers to.
pub(crate) type Line = (Insn, Target);

/// Bytes of the frames: eight operands of 8 bytes, and twice as many results.
pub(crate) const FRAME: usize = 192;
/// Where results start.
pub(crate) const RESULTS: i16 = 64;

/// Operands at which something changes: signs, widths, the least and the greatest.
pub(crate) const CORNERS: [u64; 30] = [
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
pub(crate) const CONSTANTS: [i32; 14] =
    [0, 1, 2, 7, 16, 31, 0x7f, 0x80, 0xffff, 0x1234_5678, i32::MAX, i32::MIN, -2, -1];

pub(crate) const fn plain(insn: Insn) -> Line {
    (insn, Target::None)
}

/// A module of one program and its subprograms.
pub(crate) fn module(functions: Vec<Vec<Line>>) -> Module {
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
pub(crate) fn prologue() -> Vec<Line> {
    let behind = Insn::new(class::JMP | X | jmp::JLE, 2, 3, 2, 0);
    // The module's jumps name instructions: the one behind the exit.
    let to = Target::Jump(hoist_bpf::module::InstId(7));
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

/// `dst = operand number`.
pub(crate) fn operand(dst: u8, number: i16) -> Line {
    plain(asm::load64(dst, 6, 8 * number))
}

/// Result number = `src`.
pub(crate) fn result(number: i16, src: u8) -> Line {
    plain(asm::store64(6, RESULTS + 8 * number, src))
}

/// The verdict 2, and the end.
pub(crate) fn pass() -> Vec<Line> {
    vec![plain(asm::mov_imm(0, 2)), plain(asm::exit())]
}

/// Loads or stores of every size: the mode is added to the size.
pub(crate) const SIZES: [(u8, i16); 4] = [(size::B, 1), (size::H, 2), (size::W, 4), (size::DW, 8)];

pub(crate) const fn ldx(mode: u8, size: u8, dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::LDX | mode | size, dst, src, off, 0)
}

pub(crate) const fn stx(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::STX | mode::MEM | size, dst, src, off, 0)
}

/// Two-operand operations with their names and the offset that selects them.
pub(crate) const OPERATIONS: [(&str, u8, i16); 13] = [
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

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) code: u32,
    pub(crate) frame: Vec<u8>,
}

/// A program on the kernel and in the machine, interpreted and compiled.
pub(crate) struct Both {
    name: String,
    linux: Linux,
    loaded: Loaded,
    machines: [Machine; 2],
}

impl Both {
    /// Loads a program on both sides; `None` where the verifier refuses it.
    pub(crate) fn load(name: &str, module: Module) -> Option<Self> {
        Self::try_load(name, module).ok()
    }

    /// Loads a program on both sides, or says what the verifier has against it.
    pub(crate) fn try_load(name: &str, module: Module) -> Result<Self, String> {
        let linux = Linux::new().unwrap();
        let spec = LoadSpec {
            module: &module,
            program: ProgramId(0),
            kind: loader::PROG_TYPE_XDP,
            attach_type: loader::ATTACH_TYPE_XDP,
            binding: None,
            pin_root: None,
            contents: &BTreeMap::new(),
        };
        let loaded = loader::load(&linux, &spec).map_err(|error| format!("{error:?}"))?;
        let module = Arc::new(module);
        let machines = [When::Never, When::First].map(|compile| {
            let options = Options { compile, ..Options::default() };
            Machine::new(&module, ProgramId(0), &options).unwrap()
        });
        Ok(Self { name: name.to_owned(), linux, loaded, machines })
    }

    /// Runs it on both sides and wants the same of them.
    pub(crate) fn agree(&mut self, operands: &[u64]) {
        let mut frame: Vec<u8> = operands.iter().flat_map(|n| n.to_ne_bytes()).collect();
        frame.resize(FRAME, 0);
        let spec = TestRunSpec { data: &frame, repeat: 1, ..TestRunSpec::default() };
        let ran = self.linux.test_run(self.loaded.program.as_fd(), &spec).unwrap();
        let kernel = Left { code: ran.verdict, frame: ran.data };
        for (machine, way) in self.machines.iter_mut().zip(["interpreted", "compiled"]) {
            let mut buffer = vec![0; Frame::HEADROOM as usize];
            buffer.extend(&frame);
            let mut view = Frame::new(&mut buffer, FRAME as u32);
            let ran = machine.run(&mut view, &Arrival::default());
            assert_eq!(ran.fault, None, "{}, {way}", self.name);
            let ours = Left { code: ran.code as u32, frame: view.bytes().to_vec() };
            if kernel == ours {
                continue;
            }
            let words = |left: &Left| -> Vec<String> {
                let words = left.frame[RESULTS as usize..].chunks_exact(8);
                words.map(|w| format!("{:#x}", u64::from_ne_bytes(w.try_into().unwrap()))).collect()
            };
            let operands: Vec<String> = operands.iter().map(|n| format!("{n:#x}")).collect();
            panic!(
                "{}, {way}: of {operands:?} the kernel makes {} {:?}, the machine {} {:?}",
                self.name,
                kernel.code,
                words(&kernel),
                ours.code,
                words(&ours)
            );
        }
    }
}
