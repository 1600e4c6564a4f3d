//! A program on both sides.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{self, LoadSpec, Loaded};
use hoist_bpf::kernel::{Kernel as _, Linux, TestRunSpec};
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::opcode::{class, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options};
use hoist_hwtests::instructions::{FRAME, Line, RESULTS, plain};

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
