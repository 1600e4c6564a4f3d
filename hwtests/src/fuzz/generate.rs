//! Random models, likely to get past their own first checks.

use super::Random;
use super::model::{
    Block, Delta, Entry, GLOBAL_BYTES, Model, Operand, Passing, Sub, Table, Test, Var, Verdict, Via,
};

mod operands;
mod steps;
mod tables;

/// Interfaces that programs redirect to: the loopback and the first other one of the namespace that
/// the runs are made in. Both are there, see [`super::run::Place`].
pub const INTERFACES: [u32; 2] = [1, 2];

/// What a model may hold: choices that known differences between engines need switched off are here,
/// not hidden in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the main program.
    pub steps: (i32, i32),
    /// The most by which one step lengthens a frame at its end. The room there is the driver's on
    /// native and a constant on TC.
    pub tail_growth: i32,
    /// Whether frames are sent to all interfaces of a devmap. TC sends the copies at once and drops
    /// the frame itself.
    pub broadcast: bool,
    /// Whether there is more of what cards lack and lowering rewrites: operations of version 4, per-CPU
    /// maps that only count.
    pub cards: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: (5, 12), tail_growth: 128, broadcast: true, cards: false }
    }
}

/// Where a block is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope {
    /// Blocks around it.
    depth: usize,
    /// Subprograms that may be called: those from here on.
    subs: usize,
    /// Whether tail calls may be made.
    tail_calls: bool,
    /// Whether it is inside a loop.
    repeated: bool,
    /// Whether it belongs to an entry program.
    entry: bool,
}

/// A model under construction.
struct Maker<'a> {
    random: &'a mut Random,
    limits: Limits,
    maps: Vec<Table>,
    passing: Vec<Passing>,
    entries: usize,
}

/// A random model.
#[must_use]
pub fn model(random: &mut Random, limits: Limits, name: &str) -> Model {
    let entries = random.pick(&[1, 1, 1, 2, 3]);
    let count = random.pick(&[0, 1, 2, 2, 3]);
    let passing: Vec<Passing> = (0..count)
        .map(|_| random.pick(&[Passing::Direct, Passing::Struct, Passing::Callback]))
        .collect();
    let maps = tables::choose(random, entries);
    let mut maker = Maker { random, limits, maps, passing, entries };
    let subs: Vec<Sub> = (0..count).map(|index| maker.sub(index)).collect();
    let entries: Vec<Entry> = (0..entries).map(|index| maker.entry(index)).collect();
    let mut bytes = || (0..GLOBAL_BYTES).map(|_| maker.random.word() as u8).collect();
    let (constants, variables) = (bytes(), bytes());
    let deep = subs.is_empty() && entries.len() == 1 && maker.random.chance(30);
    let mut model = Model {
        name: name.to_owned(),
        maps: maker.maps,
        constants,
        variables,
        entries,
        subs,
        frags: maker.random.chance(15),
        gpl: true,
        stack: if deep { maker.random.pick(&[256, 480, 504, 512]) } else { 0 },
    };
    model.gpl = model.needs_gpl() || maker.random.chance(50);
    model
}

impl Maker<'_> {
    fn entry(&mut self, index: usize) -> Entry {
        let (low, high) = self.limits.steps;
        let most = if index == 0 { high } else { (high / 2).max(2) };
        let count = self.random.between(low.min(most), most);
        let scope = Scope { depth: 0, subs: 0, tail_calls: true, repeated: false, entry: true };
        let body = self.block(count, scope);
        Entry { body, verdict: self.verdict() }
    }

    fn sub(&mut self, index: usize) -> Sub {
        // Only the first may call others: chains of calls share 512 bytes of stack.
        let subs = if index == 0 { 1 } else { usize::MAX };
        let callback = self.passing[index] == Passing::Callback;
        let scope = Scope {
            depth: 1,
            subs,
            tail_calls: self.passing[index] == Passing::Direct && self.random.chance(30),
            repeated: callback,
            entry: false,
        };
        let count = self.random.between(1, if callback { 3 } else { 5 });
        Sub { passing: self.passing[index], body: self.block(count, scope) }
    }

    fn block(&mut self, count: i32, scope: Scope) -> Block {
        (0..count).flat_map(|_| self.steps(scope)).collect()
    }

    /// A block inside a step.
    fn inner(&mut self, scope: Scope) -> Block {
        let scope = Scope { depth: scope.depth + 1, ..scope };
        let count = self.random.between(0, 3);
        let mut block = self.block(count, scope);
        if self.random.chance(if scope.entry { 12 } else { 6 }) {
            block.push(super::model::Step::Exit(self.verdict()));
        }
        block
    }

    fn var(&mut self) -> Var {
        Var(self.random.below(3) as u8)
    }

    fn via(&mut self) -> Via {
        self.random.pick(&[Via::Register, Via::Register, Via::Spilled, Via::Copied, Via::Either])
    }

    fn verdict(&mut self) -> Verdict {
        let var = self.var();
        match self.random.below(100) {
            0..60 => Verdict::Spread(var, self.random.between(0, 4)),
            60..64 => Verdict::Imm(self.random.pick(&[5, 7, 200, -1, i32::MIN])),
            64..68 => Verdict::Var(var),
            _ => Verdict::Imm(self.random.between(0, 4)),
        }
    }

    fn operand(&mut self) -> Operand {
        match self.random.below(3) {
            0 => Operand::Imm(self.constant()),
            1 => Operand::Var(self.var()),
            _ => Operand::Masked(self.var(), self.random.pick(&[1, 3, 7, 0xff, 0x0ff0])),
        }
    }

    /// A number small enough to be an index, known or bounded.
    fn index(&mut self, mask: i32) -> Operand {
        if self.random.chance(30) {
            Operand::Imm(self.random.between(0, mask))
        } else {
            Operand::Masked(self.var(), mask)
        }
    }

    fn delta(&mut self, head: bool) -> Delta {
        if self.random.chance(40) {
            let var = self.var();
            let bias = self.random.pick(&[0, 2, 4, 8, 14]);
            return Delta::Computed(var, self.random.pick(&[1, 3, 4, 7, 12, 15]), bias);
        }
        if self.random.chance(10) {
            let extremes: &[i32] = if head {
                &[-300, -217, -216, -216, -215, -120, 0, 60, 200, 1000, 1500, 70_000]
            } else {
                &[-2000, -1500, -100, 0, 5000, 70_000]
            };
            return Delta::Const(self.random.pick(extremes));
        }
        if head {
            Delta::Const(self.random.pick(&[
                -40, -28, -20, -18, -16, -14, -8, -7, -4, -4, -2, -1, 1, 2, 4, 4, 8, 13, 14, 18,
                20, 22, 28, 34, 40,
            ]))
        } else {
            let most = self.limits.tail_growth;
            let delta = self.random.pick(&[-60, -40, -28, -20, -8, -4, -1, 1, 4, 16, 64, 128]);
            Delta::Const(delta.min(most))
        }
    }

    fn test(&mut self, left: Var) -> Test {
        Test {
            op: operands::comparison(self.random),
            wide: self.random.chance(60),
            left,
            right: self.operand(),
        }
    }
}
