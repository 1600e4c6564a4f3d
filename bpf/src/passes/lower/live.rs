//! Which registers still matter after each instruction, and which hold something.

use std::collections::HashMap;

use crate::analysis::flow::Graph;
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, Module, Target};
use crate::opcode::{X, alu, atomic, class, jmp, mode, pseudo};

/// A set of registers: bit `n` is register `n`.
pub(super) type Registers = u16;

/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;
/// Registers a call may read.
const ARGUMENTS: Registers = 0b11_1110;
/// All that can be written to.
const WRITABLE: Registers = 0x3ff;

/// The set of one register.
pub(super) const fn bit(register: u8) -> Registers {
    if register < 16 { 1 << register } else { 0 }
}

/// What is known of the registers around each instruction of a function.
#[derive(Debug)]
pub(super) struct Live {
    /// Read later with what they hold after the instruction.
    after: Vec<Registers>,
    /// Read from the start of a block on, by its number in the flow graph.
    at_start: Vec<Registers>,
    /// May hold something before the instruction.
    set: Vec<Registers>,
    /// Hold something before the instruction, whichever way it is reached.
    surely: Vec<Registers>,
}

impl Live {
    pub(super) fn of(module: &Module, id: FunctionId) -> Self {
        let code = &module.function(id).code;
        let graph = Graph::of(module.function(id));
        let mut taken = Taken { module, known: HashMap::new(), depth: 0 };
        let effects: Vec<(Registers, Registers)> = code.iter().map(|i| taken.effect(i)).collect();
        let at_start = starts(&graph, &effects);
        let mut after = vec![0; code.len()];
        for (index, block) in graph.blocks.iter().enumerate() {
            let mut live = at_end(&graph, &at_start, index);
            for at in (block.start as usize..block.end as usize).rev() {
                after[at] = live;
                live = step(live, effects[at]);
            }
        }
        let main = module.programs.iter().any(|program| program.function == id);
        let given = if main { bit(1) } else { taken.by(id) };
        let [set, surely] = [false, true].map(|all| filled(code, &graph, given | bit(10), all));
        Self { after, at_start, set, surely }
    }

    /// Registers whose contents are read after an instruction.
    pub(super) fn after(&self, at: usize) -> Registers {
        self.after[at]
    }

    /// Registers whose contents are read from the start of a block on.
    pub(super) fn at_block(&self, index: usize) -> Registers {
        self.at_start.get(index).copied().unwrap_or_default()
    }

    /// Whether a register's contents do not matter after an instruction.
    pub(super) fn dead_after(&self, at: usize, register: u8) -> bool {
        self.after[at] & bit(register) == 0
    }

    /// Registers that an instruction leaves alone and that matter afterwards: what code put in its
    /// place must keep.
    pub(super) fn across(&self, at: usize, inst: &Inst) -> Registers {
        let written = written(inst.insn);
        self.after[at] & !written & self.set[at]
    }

    /// Registers that hold something whichever way an instruction is reached: they can be saved.
    pub(super) fn surely(&self, at: usize) -> Registers {
        self.surely[at]
    }

    /// Registers that code put in the place of an instruction may use: neither read nor written by
    /// it, and of no interest afterwards.
    pub(super) fn free(&self, at: usize, inst: &Inst) -> Registers {
        let used =
            bit(inst.insn.dst()) | if reads_src(inst.insn) { bit(inst.insn.src()) } else { 0 };
        WRITABLE & !used & !(self.after[at] & self.set[at])
    }
}

/// Registers that are read from the start of each block on.
fn starts(graph: &Graph, effects: &[(Registers, Registers)]) -> Vec<Registers> {
    let mut at_start = vec![0; graph.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..graph.blocks.len()).rev() {
            let block = graph.blocks[index];
            let code = &effects[block.start as usize..block.end as usize];
            let end = at_end(graph, &at_start, index);
            let before = code.iter().rev().fold(end, |live, effect| step(live, *effect));
            changed |= before != at_start[index];
            at_start[index] = before;
        }
    }
    at_start
}

fn at_end(graph: &Graph, at_start: &[Registers], index: usize) -> Registers {
    let block = &graph.blocks[index];
    let ways = [block.next, block.jump].into_iter().flatten();
    ways.fold(0, |all, to| all | at_start[to as usize])
}

const fn step(after: Registers, effect: (Registers, Registers)) -> Registers {
    after & !effect.1 | effect.0
}

/// Registers that were written before each instruction: on some way, or on all.
fn filled(code: &[Inst], graph: &Graph, given: Registers, all: bool) -> Vec<Registers> {
    let mut at_start: Vec<Option<Registers>> = vec![None; graph.blocks.len()];
    let mut set = vec![0; code.len()];
    let mut work: Vec<u32> = Vec::new();
    if let Some(entry) = at_start.first_mut() {
        *entry = Some(given);
        work.push(0);
    }
    while let Some(index) = work.pop() {
        let block = graph.blocks[index as usize];
        let mut now = at_start[index as usize].unwrap_or_default();
        let range = block.start as usize..block.end as usize;
        for (inst, set) in code[range.clone()].iter().zip(&mut set[range]) {
            *set = now;
            if inst.insn.is_call() {
                now &= !SCRATCH;
            }
            now |= written(inst.insn);
        }
        for to in [block.next, block.jump].into_iter().flatten() {
            let there = &mut at_start[to as usize];
            let joined = match *there {
                Some(known) if all => known & now,
                Some(known) => known | now,
                None => now,
            };
            if *there != Some(joined) {
                *there = Some(joined);
                work.push(to);
            }
        }
    }
    set
}

/// Registers that an instruction gives a value.
pub(super) fn written(insn: Insn) -> Registers {
    match insn.class() {
        class::ALU | class::ALU64 | class::LDX => bit(insn.dst()),
        class::LD if insn.is_wide() => bit(insn.dst()),
        class::LD => bit(0),
        class::STX if insn.code & 0xe0 == mode::ATOMIC => match insn.imm {
            atomic::CMPXCHG => bit(0),
            atomic::LOAD_ACQUIRE => bit(insn.dst()),
            imm if imm & atomic::FETCH != 0 => bit(insn.src()),
            _ => 0,
        },
        class::JMP if insn.is_call() => bit(0),
        _ => 0,
    }
}

/// Whether the source field names a register that is read.
pub(super) fn reads_src(insn: Insn) -> bool {
    match insn.class() {
        class::LDX | class::STX => true,
        class::ALU | class::ALU64 if insn.code & 0xf0 == alu::END => false,
        class::ALU | class::ALU64 => insn.code & X != 0,
        class::JMP | class::JMP32 if insn.is_call() => false,
        class::JMP | class::JMP32 => insn.code & X != 0,
        _ => false,
    }
}

/// Which arguments functions take.
struct Taken<'m> {
    module: &'m Module,
    known: HashMap<FunctionId, Registers>,
    depth: usize,
}

impl Taken<'_> {
    fn effect(&mut self, inst: &Inst) -> (Registers, Registers) {
        let arguments = match inst.target {
            Target::Call(callee) => self.by(callee),
            _ if inst.insn.is_call() => arguments(inst),
            _ => 0,
        };
        effect(inst, arguments)
    }

    /// Registers that a function reads before it writes them.
    fn by(&mut self, id: FunctionId) -> Registers {
        if let Some(&known) = self.known.get(&id) {
            return known;
        }
        let Some(function) = self.module.functions.get(id.0 as usize) else { return ARGUMENTS };
        // Deeper than the kernel lets functions call each other.
        if self.depth > 8 {
            return ARGUMENTS;
        }
        self.depth += 1;
        let effects: Vec<_> = function.code.iter().map(|inst| self.effect(inst)).collect();
        self.depth -= 1;
        let starts = starts(&Graph::of(function), &effects);
        let taken = starts.first().copied().unwrap_or_default() & ARGUMENTS;
        self.known.insert(id, taken);
        taken
    }
}

/// What an instruction reads, and what it overwrites or destroys.
fn effect(inst: &Inst, arguments: Registers) -> (Registers, Registers) {
    let insn = inst.insn;
    let (dst, src) = (bit(insn.dst()), if reads_src(insn) { bit(insn.src()) } else { 0 });
    match insn.class() {
        class::ALU | class::ALU64 if insn.code & 0xf0 == alu::MOV => (src, dst),
        class::ALU | class::ALU64 => (src | dst, dst),
        class::LDX => (src, dst),
        class::LD if insn.is_wide() => (0, dst),
        class::LD => (bit(6) | bit(insn.src()), SCRATCH),
        class::ST => (dst, 0),
        class::STX if insn.code & 0xe0 == mode::ATOMIC => match insn.imm {
            atomic::CMPXCHG => (src | dst | bit(0), bit(0)),
            atomic::LOAD_ACQUIRE => (src, dst),
            imm if imm & atomic::FETCH != 0 => (src | dst, src),
            _ => (src | dst, 0),
        },
        class::STX => (src | dst, 0),
        class::JMP if insn.code & 0xf0 == jmp::EXIT => (bit(0), 0),
        class::JMP if insn.is_call() => (arguments, SCRATCH),
        class::JMP | class::JMP32 if insn.code & 0xf0 == jmp::JA => (src, 0),
        _ => (src | dst, 0),
    }
}

/// Registers in which a call of something outside the module takes arguments.
pub(super) fn arguments(inst: &Inst) -> Registers {
    let count = match (inst.insn.src(), inst.target) {
        (pseudo::HELPER_CALL, Target::None) => match inst.insn.imm {
            // get_prandom_u32, ktime_get_ns, get_smp_processor_id and their like.
            5 | 7 | 8 | 42 | 118 | 125 | 160 | 208 => 0,
            // xdp_get_buff_len, jiffies64 takes none but reading r1 does no harm.
            188 => 1,
            // map_lookup_elem, map_delete_elem, redirect, xdp_adjust_*, ringbuf_submit, _discard.
            1 | 3 | 23 | 44 | 54 | 65 | 88 | 89 | 132 | 133 => 2,
            // tail_call, redirect_map, push, ringbuf_reserve.
            12 | 51 | 87 | 131 => 3,
            // map_update_elem, fib_lookup, loop, xdp_load_bytes, xdp_store_bytes.
            2 | 69 | 130 | 164 | 181 | 189 | 190 => 4,
            _ => 5,
        },
        _ => 5,
    };
    ARGUMENTS & ((1 << (count + 1)) - 1)
}
