//! From the model to a module of the intermediate form.
//!
//! r6 holds the context, r7 to r9 the variables; r0 to r5 are a step's own. The stack of every
//! function is laid out alike.

use hoist_bpf::module::{
    Function, FunctionId, Linkage, MapId, Module, Program, ProgramHint, ProgramId, Target,
};
use hoist_bpf::opcode::{alu, jmp, pseudo};

use super::model::{Block, Entry, Model, Operand, Passing, Sub, Var, Verdict, Via};

mod calls;
mod code;
mod maps;
mod packet;
mod steps;
mod tables;
mod trace;

pub use trace::{CUT, MARKS, Mark, TARGET, TRACE, TRACE_BYTES};

use code::{Code, Label};
use trace::{FAR, MOVED, ROOM};

/// A map's place in every rendered module: constants, variables, trace, then the model's own.
pub const CONSTANTS: MapId = MapId(0);
/// See [`CONSTANTS`].
pub const VARIABLES: MapId = MapId(1);
/// Where the model's own maps start.
pub const FIRST_MAP: u32 = 3;

/// The program array's type.
const PROG_ARRAY: u32 = 3;
/// Stack slots, as offsets from the frame pointer.
mod slot {
    /// The context, for [`super::Via::Spilled`].
    pub(super) const CONTEXT: i16 = -8;
    /// Loop counters, by depth.
    pub(super) const LOOPS: [i16; 2] = [-16, -24];
    /// A map's key.
    pub(super) const KEY: i16 = -32;
    /// A map's value, 16 bytes.
    pub(super) const VALUE: i16 = -48;
    /// Bytes from or to the packet, 32 of them.
    pub(super) const BYTES: i16 = -80;
    /// What is handed to a subprogram by pointer: the context and two numbers.
    pub(super) const STRUCT: i16 = -104;
    /// `struct bpf_fib_lookup`, 64 bytes, over the slots above and below.
    pub(super) const FIB: i16 = -112;
    /// The pointer to the caller's structure.
    pub(super) const CALLER: i16 = -112;
}

/// Where code is being written.
struct Writer<'a> {
    model: &'a Model,
    code: Code,
    /// Where [`Step::Exit`](super::model::Step::Exit) goes, with the value in r0.
    end: Label,
    /// Loops around the current step.
    depth: usize,
}

/// The module of a model; its program is the first.
#[must_use]
pub fn module(model: &Model) -> Module {
    let entries = model.entries.len() as u32;
    let mut functions: Vec<Function> = Vec::new();
    for (index, entry) in model.entries.iter().enumerate() {
        functions.push(entry_program(model, index, entry));
    }
    functions.extend(model.subs.iter().enumerate().map(|(i, sub)| subprogram(model, i, sub)));
    let programs = (0..entries).map(|index| Program {
        name: entry_name(index as usize),
        section: if model.frags { "xdp.frags" } else { "xdp" }.to_owned(),
        function: FunctionId(index),
        hint: ProgramHint::Xdp,
        frags: model.frags,
    });
    let mut module = Module {
        name: model.name.clone(),
        license: if model.gpl { "GPL" } else { "BSD" }.to_owned(),
        programs: programs.collect(),
        functions,
        maps: maps::all(model),
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    };
    complete(&mut module);
    module
}

/// The program that [`module`] renders.
pub const MAIN: ProgramId = ProgramId(0);

/// Gives a module that was read from a file what the file does not hold: the verifier wants function
/// types of a program with callbacks.
pub fn complete(module: &mut Module) {
    super::btf::add(module);
}

fn entry_name(index: usize) -> String {
    if index == 0 { "main".to_owned() } else { format!("target{index}") }
}

fn entry_program(model: &Model, index: usize, entry: &Entry) -> Function {
    let code = Code::new(&entry_name(index), "xdp", Linkage::Global);
    let mut writer = Writer::new(model, code);
    let w = &mut writer.code;
    w.puts([code::mov(6, 1), code::store(8, 10, slot::CONTEXT, 6)]);
    if index == 0 {
        writer.global(1, TRACE, 0);
        writer.code.put(code::store_imm(8, 1, 0, 0));
        for word in [TARGET as i16, MOVED, FAR, CUT as i16] {
            writer.code.put(code::store_imm(8, 1, word, 0));
        }
        writer.mark(Mark::Run);
        if model.stack > 0 {
            writer.code.put(code::store_imm(8, 10, -model.stack, 1));
        }
    } else {
        writer.mark(Mark::Jumped);
        writer.mark(Mark::Half);
    }
    // r7 the length, r8 a number that differs from run to run, r9 a constant.
    writer.code.puts([code::load(4, 7, 6, 4), code::load(4, 2, 6, 0), code::reg(alu::SUB, 7, 2)]);
    writer.global(1, TRACE, 8);
    writer.code.puts([code::load(8, 8, 1, 0), code::mov_imm(9, 5)]);
    let half = entry.body.len() / 2;
    for (at, step) in entry.body.iter().enumerate() {
        if index == 0 && at == half {
            writer.mark(Mark::Half);
        }
        writer.step(step);
    }
    writer.verdict(entry.verdict);
    writer.code.place(writer.end);
    writer.account();
    writer.code.put(code::exit());
    writer.code.finish()
}

fn subprogram(model: &Model, index: usize, sub: &Sub) -> Function {
    let code = Code::new(&format!("sub{index}"), ".text", Linkage::Static);
    let mut writer = Writer::new(model, code);
    let structure = match sub.passing {
        Passing::Direct => {
            writer.code.puts([code::mov(6, 1), code::mov(7, 2), code::mov(8, 3)]);
            None
        }
        Passing::Struct => {
            writer.code.puts([code::mov(7, 2), code::mov(2, 1)]);
            Some(2)
        }
        Passing::Callback => {
            writer.code.put(code::mov(7, 1));
            Some(2)
        }
    };
    if let Some(structure) = structure {
        writer.code.puts([
            code::store(8, 10, slot::CALLER, structure),
            code::load(8, 6, structure, 0),
            code::load(8, 8, structure, 8),
        ]);
    }
    writer.code.puts([code::store(8, 10, slot::CONTEXT, 6), code::mov_imm(9, 3)]);
    writer.mark(Mark::Called);
    if sub.passing == Passing::Callback {
        // What goes from one iteration to the next must be unknown to the verifier, or it follows
        // every iteration on its own.
        writer.global(1, TRACE, 0);
        writer.code.puts([code::load(8, 1, 1, 0), code::reg(alu::ADD, 8, 1)]);
    }
    writer.block(&sub.body);
    writer.code.put(code::mov(0, 7));
    writer.code.place(writer.end);
    if structure.is_some() {
        writer.code.puts([code::load(8, 1, 10, slot::CALLER), code::store(8, 1, 8, 8)]);
    }
    if sub.passing == Passing::Callback {
        // A callback says 1 for the end of the loop: every fourth of what the body says.
        let stay = writer.code.label();
        writer.code.puts([code::mov(1, 0), code::mov_imm(0, 0), code::imm(alu::AND, 1, 3)]);
        writer.code.jump(code::jump_imm(jmp::JNE, 1, 3), stay);
        writer.code.put(code::mov_imm(0, 1));
        writer.code.place(stay);
    }
    writer.code.put(code::exit());
    writer.code.finish()
}

impl<'a> Writer<'a> {
    fn new(model: &'a Model, mut code: Code) -> Self {
        let end = code.label();
        Self { model, code, end, depth: 0 }
    }

    fn block(&mut self, block: &Block) {
        for step in block {
            self.step(step);
        }
    }

    /// `dst = &map[offset]` of a map with one value.
    fn global(&mut self, dst: u8, map: MapId, offset: u32) {
        let target = Target::MapValue { map, offset };
        self.code.refer(code::wide(dst, pseudo::MAP_VALUE), target);
    }

    /// Notes what was done. Uses r1 and r2.
    fn mark(&mut self, mark: Mark) {
        self.global(1, TRACE, 0);
        self.code.puts([
            code::load(8, 2, 1, 0),
            code::imm(alu::OR, 2, 1 << mark as u8),
            code::store(8, 1, 0, 2),
        ]);
    }

    /// Adds the flags of this run to the counters. Keeps r0.
    fn account(&mut self) {
        self.global(1, TRACE, 0);
        self.code.put(code::load(8, 2, 1, 0));
        for mark in 0..MARKS as i16 {
            let at = 8 + 8 * mark;
            self.code.puts([
                code::mov(3, 2),
                code::imm(alu::RSH, 3, i32::from(mark)),
                code::imm(alu::AND, 3, 1),
                code::load(8, 4, 1, at),
                code::reg(alu::ADD, 4, 3),
                code::store(8, 1, at, 4),
            ]);
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Imm(value) => self.code.put(code::mov_imm(0, value)),
            Verdict::Var(var) => self.code.put(code::mov(0, register(var))),
            Verdict::Spread(var, bias) => self.code.puts([
                code::mov(0, register(var)),
                code::imm(alu::ADD, 0, bias),
                code::imm(alu::MOD, 0, 5),
            ]),
        }
    }

    /// `dst = operand`.
    fn value(&mut self, dst: u8, operand: Operand) {
        match operand {
            Operand::Imm(value) => self.code.put(code::mov_imm(dst, value)),
            Operand::Var(var) => self.code.put(code::mov(dst, register(var))),
            Operand::Masked(var, mask) => {
                self.code.puts([code::mov(dst, register(var)), code::imm(alu::AND, dst, mask)]);
            }
        }
    }

    /// The context, in `want` or where it is: gives the register.
    fn context(&mut self, via: Via, want: u8) -> u8 {
        match via {
            Via::Register => return 6,
            Via::Spilled => self.code.put(code::load(8, want, 10, slot::CONTEXT)),
            Via::Copied => self.code.put(code::mov(want, 6)),
            Via::Either => {
                let (kept, joined) = (self.code.label(), self.code.label());
                self.code.jump(code::jump_imm(jmp::JSET, 8, 1), kept);
                self.code.put(code::load(8, want, 10, slot::CONTEXT));
                self.code.jump(code::go(), joined);
                self.code.place(kept);
                self.code.put(code::mov(want, 6));
                self.code.place(joined);
            }
        }
        want
    }

    /// The context in r1, for a helper.
    fn context_argument(&mut self, via: Via) {
        if self.context(via, 1) != 1 {
            self.code.put(code::mov(1, 6));
        }
    }

    /// `dst = map`.
    fn map(&mut self, dst: u8, index: usize) {
        let target = Target::Map(MapId(FIRST_MAP + index as u32));
        self.code.refer(code::wide(dst, pseudo::MAP_FD), target);
    }
}

/// The register of a variable.
const fn register(var: Var) -> u8 {
    7 + var.0 % 3
}
