//! Writes groups of stores down: the key kept at the lookup, the copy of the value, the update.

use std::collections::{BTreeMap, BTreeSet};

use super::super::asm;
use super::super::edit::{Code, Edits};
use super::super::frame::Frame;
use super::super::live::{Live, Registers, bit};
use super::super::report::{Report, Rewrite, site};
use super::{Access, Group, Key, UPDATE};
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, MapId, Module, Target};
use crate::opcode::{class, mode, size};

use super::origins::overwrites;

/// Registers that a call destroys.
const SCRATCH: Registers = 0b11_1111;
/// `BPF_EXIST`.
const EXIST: i32 = 2;

/// Writes the groups of a function down.
pub(in super::super) fn write(
    module: &Module,
    id: FunctionId,
    trace: &Trace,
    groups: &[Group],
    edits: &mut Edits,
    next_id: &mut u32,
    report: &mut Report,
) {
    if groups.is_empty() {
        return;
    }
    let live = Live::of(module, id);
    let writer =
        Writer { module, id, trace, live: &live, room: Room::of(module, id, trace, groups) };
    for group in groups {
        writer.group(group, edits, next_id);
        let (first, map) = (&module.function(id).code[group.first()], module.map(group.map));
        let what = match group.stores.len() {
            1 => "a store".to_owned(),
            stores => format!("{stores} stores"),
        };
        let rest = match group.whole {
            true => String::new(),
            false => " with the rest as it was read".to_owned(),
        };
        let message = format!("{what} to a value of {} became an update of it{rest}", map.name);
        report.code_changed(Rewrite::MapUpdate, site(module, module.function(id), first), message);
    }
    let lookups: BTreeSet<usize> = groups
        .iter()
        .filter_map(|group| match group.key {
            Key::Lookup(at) => Some(at),
            Key::Zero => None,
        })
        .collect();
    for at in lookups {
        writer.keep_key(at, edits, next_id);
    }
}

/// The part of the frame that is kept from one place to another.
struct Room {
    /// Offsets from the frame pointer, by position of the lookup.
    keys: BTreeMap<usize, i16>,
    /// And by map: values of one map are not open at the same time.
    copies: BTreeMap<MapId, i16>,
    /// What lies below.
    below: Frame,
}

impl Room {
    fn of(module: &Module, id: FunctionId, trace: &Trace, groups: &[Group]) -> Self {
        let frame = Frame::of(trace, id);
        let mut slots = 0;
        let mut take = |bytes: u32| {
            slots += bytes.div_ceil(8) as usize;
            frame.slot(slots - 1)
        };
        let (mut keys, mut copies) = (BTreeMap::new(), BTreeMap::new());
        for group in groups {
            let map = module.map(group.map);
            if let Key::Lookup(at) = group.key {
                keys.entry(at).or_insert_with(|| take(map.key_size));
            }
            copies.entry(group.map).or_insert_with(|| take(map.value_size));
        }
        Self { keys, copies, below: frame.behind(slots) }
    }
}

struct Writer<'a> {
    module: &'a Module,
    id: FunctionId,
    trace: &'a Trace,
    live: &'a Live,
    room: Room,
}

impl Writer<'_> {
    fn inst(&self, at: usize) -> &Inst {
        &self.module.function(self.id).code[at]
    }

    /// Copies the key before a lookup takes it: it may be overwritten later.
    fn keep_key(&self, at: usize, edits: &mut Edits, next_id: &mut u32) {
        let inst = self.inst(at);
        let Some(arguments) = self.trace.arguments(self.id, at) else { return };
        let Some(map) = arguments[0].map().map(|map| self.module.map(map)) else { return };
        let aligned = match arguments[1].base() {
            Base::Stack(Some(offset)) => [8, 4, 2, 1].into_iter().find(|n| offset % n == 0),
            _ => None,
        };
        let mut code = Code::new(next_id, *inst);
        let mut done = 0;
        while done < map.key_size {
            let bytes = piece(done, map.key_size, aligned.unwrap_or(1) as u32);
            // r0 is what the call gives.
            code.puts([
                load(bytes, 0, 2, done as i16),
                store(bytes, self.room.keys[&at] + done as i16, 0),
            ]);
            done += bytes;
        }
        edits.before(at, code);
    }

    fn group(&self, group: &Group, edits: &mut Edits, next_id: &mut u32) {
        let copy = self.room.copies[&group.map];
        for &Access { at, offset } in &group.loads {
            let inst = self.inst(at);
            let mut code = Code::new(next_id, *inst);
            code.put(Insn::new(inst.insn.code, inst.insn.dst(), 10, copy + offset as i16, 0));
            edits.replace(at, code);
        }
        for &Access { at, offset } in &group.stores {
            let inst = self.inst(at);
            let mut code = Code::new(next_id, *inst);
            if at == group.first() && group.reads() {
                self.read(group, inst, copy, &mut code);
            }
            let insn = inst.insn;
            let source = if insn.class() == class::STX { insn.src() } else { 0 };
            code.put(Insn::new(insn.code, 10, source, copy + offset as i16, insn.imm));
            if at == group.last() {
                self.update(group, inst, copy, &mut code);
            }
            edits.replace(at, code);
        }
    }

    /// Copies the value as it is to the stack.
    fn read(&self, group: &Group, inst: &Inst, copy: i16, code: &mut Code<'_>) {
        let (at, base) = (group.first(), inst.insn.dst());
        let free = self.live.free(at, inst);
        let unused = |r: &u8| *r != base && *r != inst.insn.src();
        let chosen = (0..10).find(|r| free & bit(*r) != 0);
        let saved = (0..10).find(|r| unused(r) && self.live.surely(at) & bit(*r) != 0);
        let through = chosen.or(saved).unwrap_or(0);
        let keeps = if chosen.is_some() { 0 } else { bit(through) };
        self.room.below.save(code, keeps);
        let bytes = self.module.map(group.map).value_size;
        let mut done = 0;
        while done < bytes {
            let length = piece(done, bytes, 8);
            let from = i64::from(done) - i64::from(group.base);
            code.puts([
                load(length, through, base, from as i16),
                store(length, copy + done as i16, through),
            ]);
            done += length;
        }
        for insn in self.room.below.restored(keeps) {
            code.put(insn);
        }
    }

    /// Writes the copy back.
    fn update(&self, group: &Group, inst: &Inst, copy: i16, code: &mut Code<'_>) {
        let kept = self.live.across(group.last(), inst) & SCRATCH;
        let below = self.room.below;
        let saved = below.save(code, kept);
        let key = match group.key {
            Key::Lookup(at) => self.room.keys[&at],
            Key::Zero => {
                let key = below.slot(saved);
                code.puts([asm::mov_imm(2, 0), store(4, key, 2)]);
                key
            }
        };
        code.puts([asm::mov(2, 10), asm::add_imm(2, key.into())]);
        code.puts([asm::mov(3, 10), asm::add_imm(3, copy.into())]);
        // An entry that somebody deleted meanwhile stays deleted, as it does when it is stored to.
        let exist = if overwrites(self.module, group.map) { 0 } else { EXIST };
        code.put(asm::mov_imm(4, exist));
        code.refer(asm::load_map(1), Target::Map(group.map));
        code.put(asm::helper(UPDATE));
        for insn in below.restored(kept) {
            code.put(insn);
        }
    }
}

/// How many of the bytes that are left are copied at a time.
fn piece(done: u32, all: u32, most: u32) -> u32 {
    let left = all - done;
    [8, 4, 2, 1]
        .into_iter()
        .find(|n| *n <= left && *n <= most && done.is_multiple_of(*n))
        .unwrap_or(1)
}

const fn size_of_piece(bytes: u32) -> u8 {
    match bytes {
        8 => size::DW,
        4 => size::W,
        2 => size::H,
        _ => size::B,
    }
}

const fn load(bytes: u32, dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(class::LDX | mode::MEM | size_of_piece(bytes), dst, src, off, 0)
}

/// To the frame.
const fn store(bytes: u32, off: i16, src: u8) -> Insn {
    Insn::new(class::STX | mode::MEM | size_of_piece(bytes), 10, src, off, 0)
}
