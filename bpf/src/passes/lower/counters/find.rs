//! Looks for counters: a word is loaded, added to and stored back, whichever way the program goes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::live::{self, Live, Registers, bit, reads_src};
use super::super::maps;
use super::Counter;
use crate::analysis::flow::Graph;
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, MapId, Module, Target};
use crate::opcode::{access_bytes, alu, class, jmp, mode, pseudo};

/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;

/// Looks for counters in one function.
pub(super) struct Finder<'a> {
    module: &'a Module,
    id: FunctionId,
    code: &'a [Inst],
    trace: &'a Trace,
    live: Live,
    graph: Graph,
}

/// A word of a map's value that is loaded.
#[derive(Clone, Copy, Debug)]
struct Word {
    load: usize,
    first: Insn,
    map: MapId,
    offset: Option<u32>,
}

/// What is known on the way from the load to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The register that leads to the word, while it does.
    base: Option<u8>,
    /// Registers that hold the word plus something, and are read later.
    sums: Registers,
}

impl<'a> Finder<'a> {
    pub(super) fn new(module: &'a Module, id: FunctionId, trace: &'a Trace) -> Self {
        let code = &module.function(id).code;
        let graph = Graph::of(module.function(id));
        Self { module, id, code, trace, live: Live::of(module, id), graph }
    }

    pub(super) fn all(&self) -> Vec<Counter> {
        let mut counters = Vec::new();
        for (index, block) in self.graph.blocks.iter().enumerate() {
            for at in block.start as usize..block.end as usize {
                if let Some(word) = self.word(at)
                    && let Some(stores) = self.stores(&word, index)
                {
                    let goes_on = at + 1 < block.end as usize;
                    counters.push(Counter { load: at, stores, goes_on });
                }
            }
        }
        // What is loaded twice and stored once is added to itself.
        let mut times: BTreeMap<usize, u32> = BTreeMap::new();
        for store in counters.iter().flat_map(|counter| &counter.stores) {
            *times.entry(*store).or_default() += 1;
        }
        counters.retain(|counter| counter.stores.iter().all(|store| times[store] == 1));
        counters
    }

    /// The word of a map's value that is loaded.
    fn word(&self, load: usize) -> Option<Word> {
        let first = self.code[load].insn;
        if first.class() != class::LDX
            || first.code & 0xe0 != mode::MEM
            || access_bytes(first.code) < 4
        {
            return None;
        }
        match self.trace.base(self.id, load) {
            Some(Base::MapValue(map, offset)) => Some(Word { load, first, map, offset }),
            _ => None,
        }
    }

    /// Where the sum is stored that begins with a word, on every way that leads on from it; `None`
    /// where it is used otherwise on some way, or nowhere stored.
    fn stores(&self, word: &Word, start: usize) -> Option<Vec<usize>> {
        let blocks = &self.graph.blocks;
        let first = word.first;
        let base = (first.dst() != first.src()).then_some(first.src());
        let state = State { base, sums: bit(first.dst()) & self.live.after(word.load) };
        let mut found = BTreeSet::new();
        // What holds at the start of blocks behind that of the load, and at the end of blocks.
        let (mut starts, mut ends) = (BTreeMap::new(), BTreeMap::new());
        let mut work = vec![(start, word.load + 1, state)];
        while let Some((index, from, state)) = work.pop() {
            let end = self.walk(word, from, blocks[index].end as usize, state, &mut found)?;
            ends.insert(index, end);
            if end.sums == 0 {
                continue;
            }
            for to in [blocks[index].next, blocks[index].jump].into_iter().flatten() {
                let to = to as usize;
                let end = State { sums: end.sums & self.live.at_block(to), ..end };
                let joined = match starts.get(&to) {
                    None if end.sums == 0 => continue,
                    Some(known) if *known == end => continue,
                    Some(State { sums, .. }) if *sums != end.sums => return None,
                    Some(_) => State { base: None, ..end },
                    None => end,
                };
                if starts.insert(to, joined) != Some(joined) {
                    work.push((to, blocks[to].start as usize, joined));
                }
            }
        }
        // Nobody else may come to where the sum is, with something else in its registers.
        for (index, block) in blocks.iter().enumerate() {
            if !self.trace.reached(self.id, block.start as usize) {
                continue;
            }
            let sums = ends.get(&index).map_or(0, |end| end.sums);
            for to in [block.next, block.jump].into_iter().flatten() {
                let sums = sums & self.live.at_block(to as usize);
                if starts.get(&(to as usize)).is_some_and(|there| there.sums != sums) {
                    return None;
                }
            }
        }
        (!found.is_empty()).then(|| found.into_iter().collect())
    }

    /// Follows the sum through a part of a block; what holds at its end. Without sums there is nothing
    /// more to follow.
    fn walk(
        &self,
        word: &Word,
        from: usize,
        end: usize,
        mut state: State,
        found: &mut BTreeSet<usize>,
    ) -> Option<State> {
        let bytes = access_bytes(word.first.code);
        for at in from..end {
            if state.sums == 0 {
                break;
            }
            let insn = self.code[at].insn;
            if at == word.load {
                // Around a loop: the next round has a sum of its own.
                let others = state.sums & !bit(insn.dst());
                return (others == 0).then_some(State { base: None, sums: 0 });
            }
            if matches!(insn.class(), class::ST | class::STX) {
                let here = self.same(at, insn, state.base, word);
                if insn.class() == class::STX && bit(insn.src()) & state.sums != 0 {
                    let plain = insn.code & 0xe0 == mode::MEM && access_bytes(insn.code) == bytes;
                    let ends = here == Place::Same && plain;
                    found.insert(at);
                    let left = self.live.after(at) & state.sums;
                    return (ends && left == 0).then_some(State { base: None, sums: 0 });
                }
                if here != Place::Other || bit(insn.dst()) & state.sums != 0 {
                    return None;
                }
                continue;
            }
            if insn.is_call() {
                if !self.leaves_alone(at, &self.code[at]) {
                    return None;
                }
                state.base = state.base.filter(|base| *base > 5);
                state.sums &= !SCRATCH;
            } else {
                state.sums = follow(insn, bytes, state.sums)?;
                state.base = state.base.filter(|base| writes(insn) & bit(*base) == 0);
            }
            state.sums &= self.live.after(at);
        }
        Some(state)
    }

    /// Whether a call neither reads nor changes values of maps.
    fn leaves_alone(&self, at: usize, inst: &Inst) -> bool {
        let helper = inst.insn.src() == pseudo::HELPER_CALL && inst.target == Target::None;
        let Some(arguments) = self.trace.arguments(self.id, at).filter(|_| helper) else {
            return false;
        };
        let taken = live::arguments(inst);
        arguments.iter().zip(1..).filter(|(_, register)| taken & bit(*register) != 0).all(
            |(argument, _)| {
                !argument.is_map() && matches!(argument.base(), Base::Stack(_) | Base::Other)
            },
        )
    }

    /// Where a store goes, seen from the word that was loaded.
    fn same(&self, at: usize, insn: Insn, base: Option<u8>, word: &Word) -> Place {
        let &Word { first, map, offset, .. } = word;
        let apart = |a: i64, b: i64| {
            let (first, other) = (access_bytes(first.code), access_bytes(insn.code));
            a + i64::from(first) <= b || b + i64::from(other) <= a
        };
        let compare = |a: i64, b: i64| match (a == b, apart(a, b)) {
            (true, _) => Place::Same,
            (_, true) => Place::Other,
            _ => Place::Unknown,
        };
        if base == Some(insn.dst()) {
            return compare(i64::from(first.off), i64::from(insn.off));
        }
        match self.trace.base(self.id, at) {
            Some(Base::Stack(_) | Base::Other) => Place::Other,
            Some(Base::MapValue(other, _)) if other != map => Place::Other,
            // Of a map with one value, offsets tell words apart.
            Some(Base::MapValue(_, Some(there))) if self.single(map) => match offset {
                Some(offset) => compare(
                    i64::from(offset) + i64::from(first.off),
                    i64::from(there) + i64::from(insn.off),
                ),
                None => Place::Unknown,
            },
            _ => Place::Unknown,
        }
    }

    fn single(&self, map: MapId) -> bool {
        let map = self.module.map(map);
        map.max_entries == 1 && matches!(map.kind, maps::ARRAY | maps::PERCPU_ARRAY)
    }
}

/// Where a store goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Same,
    Other,
    Unknown,
}

/// Registers that an instruction other than a store changes.
fn writes(insn: Insn) -> Registers {
    match insn.class() {
        class::ALU | class::ALU64 | class::LDX | class::LD => bit(insn.dst()),
        _ => 0,
    }
}

/// The registers that hold the word plus something after an instruction; `None` when it makes
/// something else of the word, or shows it.
fn follow(insn: Insn, bytes: u8, sums: Registers) -> Option<Registers> {
    let (dst, src) = (bit(insn.dst()), if reads_src(insn) { bit(insn.src()) } else { 0 });
    let (is, takes) = (dst & sums != 0, src & sums != 0);
    // The lower half of a sum depends on lower halves alone.
    let keeps = insn.class() == class::ALU64 || insn.class() == class::ALU && bytes == 4;
    match insn.class() {
        class::JMP if insn.code & 0xf0 == jmp::JA => Some(sums),
        class::JMP if insn.code & 0xf0 == jmp::EXIT => (sums & bit(0) == 0).then_some(0),
        class::JMP | class::JMP32 => (!is && !takes).then_some(sums),
        class::ALU | class::ALU64 => match (insn.code & 0xf0, is, takes) {
            (alu::MOV, _, false) => Some(sums & !dst),
            (_, false, false) => Some(sums),
            (alu::MOV, _, true) if keeps && insn.off == 0 => Some(sums | dst),
            (alu::ADD | alu::SUB, true, false) if keeps => Some(sums),
            (alu::ADD, false, true) if keeps => Some(sums | dst),
            _ => None,
        },
        class::LDX if takes => None,
        class::LDX => Some(sums & !dst),
        class::LD if insn.is_wide() => Some(sums & !dst),
        _ => None,
    }
}
