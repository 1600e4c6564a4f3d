//! Replacing instructions by others, many at a time.

use std::collections::{BTreeMap, HashMap};

use crate::insn::Insn;
use crate::module::{Function, Inst, InstId, Target};

/// Replacements for instructions of one function, gathered and then made at once.
///
/// Jumps to a replaced instruction lead to the first of its replacements, and jumps to a removed one
/// to what follows it. What is put in keeps the place in the object file and the source line of what
/// it stands for, so that line information, logs and messages go on to make sense.
#[derive(Debug, Default)]
pub(super) struct Edits {
    by_position: BTreeMap<usize, Vec<Inst>>,
}

impl Edits {
    pub(super) fn is_empty(&self) -> bool {
        self.by_position.is_empty()
    }

    /// Takes an instruction out.
    pub(super) fn remove(&mut self, at: usize) {
        self.by_position.insert(at, Vec::new());
    }

    /// Puts instructions in its place.
    pub(super) fn replace(&mut self, at: usize, code: Code<'_>) {
        self.by_position.insert(at, code.insts);
    }

    /// Puts instructions before an instruction, or before what replaces it; jumps to it lead to them.
    pub(super) fn before(&mut self, at: usize, code: Code<'_>) {
        let Code { instead, mut insts, .. } = code;
        insts.extend(self.by_position.remove(&at).unwrap_or_else(|| vec![instead]));
        self.by_position.insert(at, insts);
    }

    /// Makes the replacements.
    pub(super) fn apply(mut self, function: &mut Function) {
        if self.is_empty() {
            return;
        }
        let old = std::mem::take(&mut function.code);
        let mut code: Vec<Inst> = Vec::with_capacity(old.len() + 4 * self.by_position.len());
        // Removed instructions, waiting for what follows them, and what it was.
        let (mut waiting, mut moved) = (Vec::new(), HashMap::new());
        for (at, inst) in old.into_iter().enumerate() {
            let new = self.by_position.remove(&at).unwrap_or_else(|| vec![inst]);
            match new.first() {
                None => waiting.push(inst.id),
                Some(first) => {
                    if first.id != inst.id {
                        waiting.push(inst.id);
                    }
                    moved.extend(waiting.drain(..).map(|id: InstId| (id, first.id)));
                }
            }
            code.extend(new);
        }
        if !moved.is_empty() {
            for inst in &mut code {
                if let Target::Jump(to) = &mut inst.target
                    && let Some(new) = moved.get(to)
                {
                    *to = *new;
                }
            }
        }
        function.code = code;
    }
}

/// Instructions that stand for one that is replaced.
#[derive(Debug)]
pub(super) struct Code<'f> {
    next_id: &'f mut u32,
    instead: Inst,
    insts: Vec<Inst>,
}

impl<'f> Code<'f> {
    /// Nothing yet; `next_id` is the function's.
    pub(super) fn new(next_id: &'f mut u32, instead: Inst) -> Self {
        Self { next_id, instead, insts: Vec::new() }
    }

    /// The name of an instruction that is put in later.
    pub(super) fn label(&mut self) -> InstId {
        let id = InstId(*self.next_id);
        *self.next_id += 1;
        id
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
        let id = self.label();
        self.place(id, insn, target);
    }

    /// Puts the instruction of a label in.
    pub(super) fn place(&mut self, id: InstId, insn: Insn, target: Target) {
        let wide_imm = insn.is_wide().then_some(0);
        self.insts.push(Inst { id, insn, wide_imm, target, ..self.instead });
    }

    /// Puts an instruction of a callee in, changed: it keeps its source line, and stands where the
    /// call stood.
    pub(super) fn adopt(&mut self, id: InstId, inst: &Inst, insn: Insn, target: Target) {
        let wide_imm = inst.wide_imm.filter(|_| insn.is_wide());
        let (origin, line) = (self.instead.origin, inst.line);
        self.insts.push(Inst { id, insn, wide_imm, target, origin, line });
    }

    /// `dst = value`, 64 bits.
    pub(super) fn constant(&mut self, dst: u8, value: u64) {
        let id = self.label();
        self.constant_at(id, dst, value);
    }

    /// The same, by the instruction of a label.
    pub(super) fn constant_at(&mut self, id: InstId, dst: u8, value: u64) {
        match i32::try_from(value as i64) {
            Ok(imm) => self.place(id, super::asm::mov_imm(dst, imm), Target::None),
            Err(_) => {
                self.place(id, super::asm::wide(dst, value as i32), Target::None);
                if let Some(last) = self.insts.last_mut() {
                    last.wide_imm = Some((value >> 32) as i32);
                }
            }
        }
    }
}
