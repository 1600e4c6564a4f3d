//! Tables of constants that are indexed by a variable: the address becomes the number of the byte in
//! the table, and each load a tree of comparisons with a constant at each leaf.
//!
//! That is done where the whole use of the address can be seen: it is moved, added to, kept on the
//! stack and loaded through, and nothing else.

mod congruence;

use std::collections::{BTreeMap, BTreeSet};

use super::asm;
use super::constants::{is_constant, value};
use super::edit::{Code, Edits};
use super::report::{Report, Rewrite, site};
use super::scope::Scope;
use super::target::Target;
use crate::analysis::{self, Entry, Kinds, Value, Values};
use crate::insn::Insn;
use crate::module::{FunctionId, Inst, InstId, MapId, Module, ProgramId, Target as Reference};
use crate::opcode::{access_bytes, alu, class, jmp, mode};
use congruence::Low;

/// Most different values in a row that a load is written out for. A comparison and a constant each:
/// up to 255 instruction slots, of which a run makes 6 comparisons.
const LEAVES: usize = 64;

/// Writes out what can be; tables that are left are told of where their address is loaded.
pub(super) fn run(module: &mut Module, scope: &Scope, target: &Target, report: &mut Report) {
    let refers = |inst: &Inst| table(module, inst).is_some();
    let indexed: Vec<FunctionId> = scope
        .functions
        .iter()
        .copied()
        .filter(|id| module.function(*id).code.iter().any(refers))
        .collect();
    if indexed.is_empty() {
        return;
    }
    let mut uses = Uses { module, spoilt: BTreeSet::new(), trees: BTreeMap::new() };
    let mut followed = BTreeSet::new();
    // The program, and those that it can tail-call.
    for (at, entry) in module.programs.iter().enumerate() {
        if !scope.functions.contains(&entry.function) {
            continue;
        }
        // Fields of the context do not matter here.
        let program = ProgramId(at as u32);
        let Ok(values) = analysis::values(module, program, Entry::Xdp) else { return };
        for &id in &scope.functions {
            uses.function(id, &values);
            let refers = |at: &usize| table(module, &module.function(id).code[*at]).is_some();
            let known = (0..module.function(id).code.len()).filter(refers);
            followed.extend(known.filter(|at| values.given(id, *at).is_some()).map(|at| (id, at)));
        }
    }
    uses.spoil_unless(scope, &followed);
    let Uses { spoilt, trees, .. } = uses;
    let spoilt = all_or_none(module, scope, spoilt, &trees, target);
    for &id in &scope.functions {
        write(module, id, &spoilt, &trees, report);
    }
}

/// The table whose address an instruction loads.
fn table(module: &Module, inst: &Inst) -> Option<(MapId, u32)> {
    match inst.target {
        Reference::MapValue { map, offset } if is_constant(module.map(map)) => Some((map, offset)),
        _ => None,
    }
}

/// A load that becomes comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tree {
    map: MapId,
    /// The least number in the base register, and what is loaded from there up to the next; in
    /// order.
    leaves: Vec<(i32, u64)>,
}

/// What is done with addresses of tables.
struct Uses<'a> {
    module: &'a Module,
    /// Tables of which an address is used otherwise.
    spoilt: BTreeSet<MapId>,
    trees: Trees,
}

/// Loads by function and position.
type Trees = BTreeMap<(FunctionId, usize), Tree>;

impl Uses<'_> {
    fn function(&mut self, id: FunctionId, values: &Values) {
        let low = congruence::of(self.module, id);
        for (at, inst) in self.module.function(id).code.iter().enumerate() {
            let Some(given) = values.given(id, at) else { continue };
            for arg in given.args.into_iter().flatten() {
                self.spoil(arg);
            }
            let insn = inst.insn;
            let (dst, src) = (self.table_of(given.dst), self.table_of(given.src));
            let fine = match insn.class() {
                class::LDX if loads(insn) => match src {
                    Some((map, span)) => {
                        match self.leaves(map, span, low[at], insn) {
                            Some(leaves) => self.tree(id, at, Tree { map, leaves }),
                            None => self.spoil(given.src),
                        }
                        true
                    }
                    None => !may_be_table(given.src),
                },
                class::LDX => src.is_none() && !may_be_table(given.src),
                class::ST => dst.is_none(),
                class::STX => {
                    let spill = matches!(given.dst, Value::Stack { .. })
                        && insn.code & 0xe0 == mode::MEM
                        && access_bytes(insn.code) == 8;
                    dst.is_none() && (src.is_none() || spill)
                }
                class::ALU64 | class::ALU => match (dst, src) {
                    (None, None) => true,
                    _ => self.adds(insn, given.dst, given.src),
                },
                class::JMP | class::JMP32 if !insn.is_call() && insn.code & 0xf0 != jmp::EXIT => {
                    dst.is_none() && src.is_none()
                }
                _ => true,
            };
            if !fine {
                self.spoil(given.dst);
                self.spoil(given.src);
            }
        }
    }

    /// A load, of which another program that shares the function may load something else.
    fn tree(&mut self, id: FunctionId, at: usize, tree: Tree) {
        if self.trees.get(&(id, at)).is_some_and(|known| *known != tree) {
            self.spoilt.insert(tree.map);
        }
        self.trees.insert((id, at), tree);
    }

    /// Leaves tables alone whose address is loaded where nobody knows what becomes of it.
    fn spoil_unless(&mut self, scope: &Scope, followed: &BTreeSet<(FunctionId, usize)>) {
        for &id in &scope.functions {
            for (at, inst) in self.module.function(id).code.iter().enumerate() {
                if let Some((map, _)) = table(self.module, inst)
                    && !followed.contains(&(id, at))
                {
                    self.spoilt.insert(map);
                }
            }
        }
    }

    /// Arithmetic that does to a number in the table what it does to the address.
    fn adds(&self, insn: Insn, dst: Value, src: Value) -> bool {
        let number = |value| matches!(value, Value::Number(_));
        let wide = insn.class() == class::ALU64 && insn.off == 0;
        let table = |value| self.table_of(value).is_some();
        wide && match insn.code & 0xf0 {
            alu::MOV => true,
            alu::ADD => table(dst) && number(src) || number(dst) && table(src),
            alu::SUB => table(dst) && number(src),
            _ => false,
        }
    }

    /// The table that a value points into, and how far.
    fn table_of(&self, value: Value) -> Option<(MapId, analysis::Span)> {
        match value {
            Value::MapValue { map: Some(map), at, .. }
                if self.module.maps.get(map.0 as usize).is_some_and(is_constant) =>
            {
                Some((map, at))
            }
            _ => None,
        }
    }

    fn spoil(&mut self, value: Value) {
        if let Some((map, _)) = self.table_of(value) {
            self.spoilt.insert(map);
        } else if may_be_table(value) {
            let all = (0..self.module.maps.len() as u32).map(MapId);
            self.spoilt.extend(all.filter(|map| is_constant(self.module.map(*map))));
        }
    }

    /// What a load finds, by the number in its base register; `None` where that is too much to write
    /// down.
    fn leaves(
        &self,
        map: MapId,
        span: analysis::Span,
        low: Low,
        insn: Insn,
    ) -> Option<Vec<(i32, u64)>> {
        let map = self.module.map(map);
        let (off, bytes) = (i64::from(insn.off), i64::from(access_bytes(insn.code)));
        // The verifier has seen that it is in bounds.
        let least = span.low.checked_add(off)?.max(0) as u64;
        let most = span.high.checked_add(off)?.min(map.value_size as i64 - bytes);
        let low = low.plus(off);
        let mut leaves: Vec<(i32, u64)> = Vec::new();
        let mut at = low.first_from(least);
        while i64::try_from(at).ok()? <= most {
            let loaded = value(map, at as u32, insn)?;
            if leaves.last().is_none_or(|(_, known)| *known != loaded) {
                leaves.push((i32::try_from(at as i64 - off).ok()?, loaded));
            }
            if leaves.len() > LEAVES {
                return None;
            }
            at += low.step();
        }
        (!leaves.is_empty()).then_some(leaves)
    }
}

/// A load whose result is the bytes it finds, with or without their sign.
fn loads(insn: Insn) -> bool {
    matches!(insn.code & 0xe0, mode::MEM | mode::MEMSX)
}

/// Whether a value may point into a table without it being known which.
fn may_be_table(value: Value) -> bool {
    match value {
        Value::MapValue { map, .. } => map.is_none(),
        // What a function that is judged by its types was handed.
        Value::Other => true,
        Value::Mixed(kinds) => kinds.intersects(Kinds::MAP_VALUE | Kinds::OTHER),
        _ => false,
    }
}

/// Tables that stay: those that are spoilt, and all of them where the program would get too long.
fn all_or_none(
    module: &Module,
    scope: &Scope,
    spoilt: BTreeSet<MapId>,
    trees: &Trees,
    target: &Target,
) -> BTreeSet<MapId> {
    let slots: usize = scope.functions.iter().map(|id| module.function(*id).slots()).sum();
    let more: usize = trees
        .values()
        .filter(|tree| !spoilt.contains(&tree.map))
        .map(|tree| 4 * tree.leaves.len())
        .sum();
    if slots + more <= target.most_slots {
        return spoilt;
    }
    trees.values().map(|tree| tree.map).collect()
}

fn write(
    module: &mut Module,
    id: FunctionId,
    spoilt: &BTreeSet<MapId>,
    trees: &Trees,
    report: &mut Report,
) {
    let function = module.function(id);
    let (mut edits, mut next_id) = (Edits::default(), function.next_id);
    for (at, inst) in function.code.iter().enumerate() {
        if let Some((map, offset)) = table(module, inst)
            && !spoilt.contains(&map)
        {
            let mut code = Code::new(&mut next_id, *inst);
            code.put(asm::mov_imm(inst.insn.dst(), offset as i32));
            edits.replace(at, code);
        }
    }
    for (&(_, at), tree) in trees.range((id, 0)..=(id, usize::MAX)) {
        if spoilt.contains(&tree.map) {
            continue;
        }
        let inst = &function.code[at];
        let Some(end) = function.code.get(at + 1).map(|next| next.id) else { continue };
        let mut code = Code::new(&mut next_id, *inst);
        let first = code.label();
        branches(&mut code, inst.insn, first, &tree.leaves, end);
        edits.replace(at, code);
        let (bytes, name) = (access_bytes(inst.insn.code), &module.map(tree.map).name);
        let message = format!(
            "{bytes} bytes of a table in {name} come from comparisons with {} values",
            tree.leaves.len()
        );
        report.code_changed(Rewrite::Table, site(module, function, inst), message);
    }
    let function = &mut module.functions[id.0 as usize];
    function.next_id = next_id;
    edits.apply(function);
}

/// Chooses among leaves by the base register, from the label on. Numbers are signed: what the load
/// adds to the register may be more than what it leads to.
fn branches(code: &mut Code<'_>, insn: Insn, label: InstId, leaves: &[(i32, u64)], end: InstId) {
    if let [(_, value)] = leaves {
        code.constant_at(label, insn.dst(), *value);
        code.refer(asm::goto(), Reference::Jump(end));
        return;
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let (below, from) = (code.label(), code.label());
    let Some(&(start, _)) = right.first() else { return };
    code.place(label, asm::jump_imm(jmp::JSGE, insn.src(), start), Reference::Jump(from));
    branches(code, insn, below, left, end);
    branches(code, insn, from, right, end);
}
