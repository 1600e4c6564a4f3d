//! Which lookup a pointer into the value of a map comes from.
//!
//! The lookup tells the key. A lookup that is made again gives a new pointer, so that older ones from
//! the same place are of no known origin any more; and where entries are replaced rather than
//! overwritten (hashes), so are pointers to what an update or a deletion may have replaced.

use std::collections::BTreeMap;

use super::super::live::{bit, written};
use super::super::maps;
use super::{DELETE, LOOKUP, UPDATE};
use crate::analysis::flow::Graph;
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, MapId, Module, Target};
use crate::opcode::{X, access_bytes, alu, class, mode, pseudo};

/// Positions of lookups, where it is known which; by register.
pub(super) type Registers = [Option<usize>; 11];

/// Registers, and slots of the frame by offset.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct State {
    registers: Registers,
    slots: BTreeMap<i32, usize>,
}

/// What is known before each instruction of a function.
#[derive(Debug)]
pub(super) struct Origins {
    before: Vec<Registers>,
}

impl Origins {
    /// Follows a function. `updates` are positions behind which a map's entries were replaced, besides
    /// those that calls replace.
    pub(super) fn of(
        module: &Module,
        id: FunctionId,
        trace: &Trace,
        updates: &BTreeMap<usize, Vec<MapId>>,
    ) -> Self {
        let function = module.function(id);
        let graph = Graph::of(function);
        let follower = Follower { module, id, trace, updates };
        let mut before = vec![Registers::default(); function.code.len()];
        let mut at_start: Vec<Option<State>> = vec![None; graph.blocks.len()];
        let mut work = vec![0_u32];
        if let Some(entry) = at_start.first_mut() {
            *entry = Some(State::default());
        }
        while let Some(index) = work.pop() {
            let Some(block) = graph.blocks.get(index as usize) else { continue };
            let mut now = at_start[index as usize].clone().unwrap_or_default();
            let range = block.start as usize..block.end as usize;
            for (at, known) in range.clone().zip(&mut before[range]) {
                *known = now.registers;
                follower.step(at, &function.code[at], &mut now);
            }
            for to in [block.next, block.jump].into_iter().flatten() {
                let there = &mut at_start[to as usize];
                let joined = there.as_ref().map_or_else(|| now.clone(), |known| known.join(&now));
                if there.as_ref() != Some(&joined) {
                    *there = Some(joined);
                    work.push(to);
                }
            }
        }
        Self { before }
    }

    /// The lookup that a register comes from.
    pub(super) fn before(&self, at: usize, register: u8) -> Option<usize> {
        self.before[at].get(usize::from(register)).copied().flatten()
    }
}

impl State {
    fn join(&self, other: &Self) -> Self {
        let registers = std::array::from_fn(|r| {
            self.registers[r].filter(|site| other.registers[r] == Some(*site))
        });
        let same = |(offset, site): &(&i32, &usize)| other.slots.get(offset) == Some(site);
        let slots = self.slots.iter().filter(same).map(|(o, s)| (*o, *s)).collect();
        Self { registers, slots }
    }

    /// Forgets pointers from some lookups.
    fn forget(&mut self, gone: impl Fn(usize) -> bool) {
        for register in &mut self.registers {
            *register = register.filter(|site| !gone(*site));
        }
        self.slots.retain(|_, site| !gone(*site));
    }
}

struct Follower<'a> {
    module: &'a Module,
    id: FunctionId,
    trace: &'a Trace,
    updates: &'a BTreeMap<usize, Vec<MapId>>,
}

impl Follower<'_> {
    fn step(&self, at: usize, inst: &Inst, now: &mut State) {
        let insn = inst.insn;
        if insn.is_call() {
            self.call(at, inst, now);
        } else {
            let value = match insn.class() {
                class::ALU64 if insn.code & (0xf0 | X) == alu::MOV | X && insn.off == 0 => {
                    now.registers.get(usize::from(insn.src())).copied().flatten()
                }
                // `A - B + C` points to what C does: of pointers nothing is known that is added or taken
                // away.
                class::ALU64
                    if matches!(insn.code & 0xf0, alu::ADD | alu::SUB)
                        && !self.trace.adds_map_value(self.id, at) =>
                {
                    now.registers.get(usize::from(insn.dst())).copied().flatten()
                }
                class::LDX if insn.src() == 10 && access_bytes(insn.code) == 8 => {
                    now.slots.get(&i32::from(insn.off)).copied()
                }
                _ => None,
            };
            if matches!(insn.class(), class::ST | class::STX) {
                self.store(at, insn, now);
            }
            for register in (0..10).filter(|r| written(insn) & bit(*r) != 0) {
                now.registers[usize::from(register)] = value;
            }
        }
        for map in self.updates.get(&at).into_iter().flatten() {
            now.forget(|site| self.map(site) == Some(*map));
        }
    }

    fn store(&self, at: usize, insn: Insn, now: &mut State) {
        let bytes = i32::from(access_bytes(insn.code));
        let offset = match self.trace.base(self.id, at) {
            _ if insn.dst() == 10 => i32::from(insn.off),
            Some(Base::Stack(Some(offset))) => offset + i32::from(insn.off),
            Some(Base::Stack(None) | Base::Mixed) => return now.slots.clear(),
            _ => return,
        };
        now.slots.retain(|slot, _| *slot + 8 <= offset || offset + bytes <= *slot);
        let whole = insn.class() == class::STX && insn.code & 0xe0 == mode::MEM && bytes == 8;
        let source = now.registers.get(usize::from(insn.src())).copied().flatten();
        if let (true, 10, Some(site)) = (whole, insn.dst(), source) {
            now.slots.insert(offset, site);
        }
    }

    fn call(&self, at: usize, inst: &Inst, now: &mut State) {
        let helper = match (inst.insn.src(), inst.target) {
            (pseudo::HELPER_CALL, Target::None) => inst.insn.imm,
            _ => {
                // A function of the program's own may write to this one's stack.
                now.slots.clear();
                0
            }
        };
        let map = self.map(at);
        match (helper, map) {
            (LOOKUP, _) => now.forget(|site| site == at),
            (UPDATE | DELETE, Some(map)) if !overwrites(self.module, map) => {
                now.forget(|site| self.map(site) == Some(map));
            }
            (UPDATE | DELETE, Some(_)) => {}
            (UPDATE | DELETE, None) => now.forget(|_| true),
            _ => {}
        }
        now.registers[..6].fill(None);
        if helper == LOOKUP && map.is_some() {
            now.registers[0] = Some(at);
        }
    }

    /// The map that a call is given.
    fn map(&self, at: usize) -> Option<MapId> {
        self.trace.arguments(self.id, at)?[0].map()
    }
}

/// Whether an update writes to the entry that is there, so that pointers to it go on to be good.
pub(super) fn overwrites(module: &Module, map: MapId) -> bool {
    module.map(map).kind == maps::ARRAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis;
    use crate::module::{Function, Linkage, Map, ProgramId};
    use crate::passes::asm;

    /// Where the pointer in `r6` comes from after these instructions: pointers to values of one map
    /// are in `r6`, `r7` and `r0`, from three lookups, and a number in `r8`.
    fn origin(code: &[Insn]) -> (Option<usize>, [usize; 3]) {
        let mut f = Function::empty("f", Linkage::Global);
        let end = f.new_inst(asm::mov_imm(0, 2), Target::None);
        let mut emit = |insn, target| {
            let inst = f.new_inst(insn, target);
            f.append([inst]);
            f.code.len() - 1
        };
        emit(asm::load32(8, 1, 16), Target::None);
        let lookups = [6, 7, 0].map(|register| {
            for insn in [asm::mov(2, 10), asm::add_imm(2, -4)] {
                emit(insn, Target::None);
            }
            emit(asm::store32(10, -4, 8), Target::None);
            emit(asm::load_map(1), Target::Map(MapId(0)));
            let lookup = emit(asm::helper(LOOKUP), Target::None);
            emit(asm::jump_imm(crate::opcode::jmp::JEQ, 0, 0), Target::Jump(end.id));
            emit(asm::mov(register, 0), Target::None);
            lookup
        });
        for insn in code {
            emit(*insn, Target::None);
        }
        let at = emit(asm::load64(0, 6, 0), Target::None);
        f.append([end]);
        let exit = f.new_inst(asm::exit(), Target::None);
        f.append([exit]);
        let mut module = crate::passes::tests::module(vec![f]);
        let map = Map { kind: maps::HASH, key_size: 4, value_size: 16, ..Map::default() };
        module.maps = vec![Map { max_entries: 4, ..map }];
        let trace = analysis::trace(&module, ProgramId(0)).unwrap();
        let origins = Origins::of(&module, FunctionId(0), &trace, &BTreeMap::new());
        (origins.before(at, 6), lookups)
    }

    #[test]
    fn a_sum_with_another_pointer_comes_from_no_lookup_that_is_known() {
        let add = asm::add;
        for (name, code, first) in [
            ("as it is", vec![], true),
            ("with a constant", vec![asm::add_imm(6, 8)], true),
            ("with a number", vec![add(6, 8)], true),
            ("without a number", vec![asm::sub(6, 8)], true),
            ("A - B + C", vec![asm::sub(6, 7), add(6, 0)], false),
            ("A + (C - B)", vec![asm::sub(0, 7), add(6, 0)], true),
            ("number + C", vec![asm::mov(6, 8), add(6, 0)], false),
        ] {
            let (is, lookups) = origin(&code);
            assert_eq!(is, first.then_some(lookups[0]), "{name}");
        }
    }
}
