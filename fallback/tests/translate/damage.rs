//! Damages modules: instructions change, move and vanish, references point elsewhere.

use hoist_bpf::Insn;
use hoist_bpf::module::{ExternId, FunctionId, Inst, InstId, MapId, Module, ProgramHint, Target};

/// A small generator of pseudo-random numbers (xorshift64*): the same seed, the same module.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

/// Helpers worth calling: those that are translated, and some that are not.
const HELPERS: [i32; 14] = [1, 2, 7, 12, 23, 44, 51, 54, 65, 69, 163, 181, 189, 190];
const EDGES: [i32; 9] = [0, 1, -1, 4, 8, 16, 0x7fff_ffff, i32::MIN, 0xffff];

/// Damages a module in a few places.
pub(crate) fn damage(random: &mut Random, module: &mut Module) {
    for _ in 0..=random.below(5) {
        match random.below(12) {
            0 => map(random, module),
            1 => program(random, module),
            _ => {
                let function = random.below(module.functions.len());
                code(random, module, function);
            }
        }
    }
}

fn map(random: &mut Random, module: &mut Module) {
    let at = random.below(module.maps.len());
    if let Some(map) = module.maps.get_mut(at) {
        map.kind = random.below(34) as u32;
    }
}

fn program(random: &mut Random, module: &mut Module) {
    let functions = module.functions.len();
    let at = random.below(module.programs.len());
    if let Some(program) = module.programs.get_mut(at) {
        match random.below(3) {
            0 => program.function = FunctionId(random.below(functions) as u32),
            1 => program.hint = ProgramHint::XdpCpumap,
            _ => module.license = "Proprietary".to_owned(),
        }
    }
}

fn code(random: &mut Random, module: &mut Module, function: usize) {
    let (maps, functions, externs) =
        (module.maps.len(), module.functions.len(), module.externs.len());
    let code = &mut module.functions[function].code;
    let length = code.len();
    let at = random.below(length);
    let Some(&old) = code.get(at) else { return };
    let other = code[random.below(length)];
    let inst = &mut code[at];
    match random.below(12) {
        0 => inst.insn.code = random.below(256) as u8,
        1 => inst.insn.regs = random.below(256) as u8,
        2 => inst.insn.off = EDGES[random.below(EDGES.len())] as i16,
        3 => inst.insn.imm = EDGES[random.below(EDGES.len())],
        4 => inst.insn.regs = (inst.insn.regs & 0xf0) | random.below(11) as u8,
        5 => inst.insn.regs = (inst.insn.regs & 0x0f) | (random.below(11) as u8) << 4,
        // An instruction that stands elsewhere, in this one's place.
        6 | 7 => *inst = Inst { id: old.id, ..other },
        8 => {
            let insn = Insn::new(0x85, 0, 0, 0, HELPERS[random.below(HELPERS.len())]);
            *inst = Inst { insn, wide_imm: None, target: Target::None, ..old };
        }
        9 => {
            inst.target = match random.below(7) {
                0 => Target::None,
                1 => Target::Call(FunctionId(random.below(functions + 1) as u32)),
                2 => Target::FunctionAddress(FunctionId(random.below(functions + 1) as u32)),
                3 => Target::Map(MapId(random.below(maps + 1) as u32)),
                4 => Target::Extern(ExternId(random.below(externs + 1) as u32)),
                5 => Target::Jump(InstId(random.below(2 * length) as u32)),
                _ => Target::Jump(other.id),
            };
        }
        10 => {
            code.remove(at);
        }
        _ => inst.wide_imm = old.wide_imm.xor(Some(0)),
    }
}
