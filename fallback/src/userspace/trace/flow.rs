//! Which branches decide whether an operation is reached: control dependence, after Ferrante,
//! Ottenstein and Warren (1987), over the operations of one function.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::userspace::vm::code::{AtomicOp, Op, Register};

/// No operation: behind it the function is left.
const OUT: u32 = u32::MAX;

/// One function's control flow.
#[derive(Debug)]
pub(super) struct Flow<'c> {
    ops: &'c [Op],
    /// For each operation the first one that every way out of it comes through; [`OUT`] where that is
    /// only the end. `None`: no way leads out.
    after: Vec<Option<u32>>,
    known: RefCell<HashMap<(u32, u32), bool>>,
}

/// Where an operation may lead.
fn next(ops: &[Op], at: u32) -> [Option<u32>; 2] {
    let on = Some(at + 1).filter(|next| (*next as usize) < ops.len());
    match ops.get(at as usize) {
        Some(Op::Jump { to }) => [Some(*to), None],
        Some(Op::Branch { to, .. } | Op::MayGoto { to }) => [on, Some(*to)],
        Some(Op::Exit | Op::Invalid(_)) | None => [None, None],
        Some(_) => [on, None],
    }
}

impl<'c> Flow<'c> {
    pub(super) fn of(ops: &'c [Op]) -> Self {
        let order = order(ops);
        let mut rank = vec![None; ops.len()];
        for (at, op) in order.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*op as usize) {
                *rank = Some(at);
            }
        }
        let mut after: Vec<Option<u32>> = vec![None; ops.len()];
        // Cooper, Harvey and Kennedy (2001), on the reversed graph.
        let mut changed = true;
        while changed {
            changed = false;
            for &op in &order {
                let ways = next(ops, op);
                let leaves = ways == [None, None];
                let mut meet = leaves.then_some(OUT);
                for way in ways.into_iter().flatten() {
                    let settled = after.get(way as usize).copied().flatten().is_some();
                    if settled {
                        meet = Some(meet.map_or(way, |other| common(&after, &rank, way, other)));
                    }
                }
                if let Some(slot) = after.get_mut(op as usize)
                    && *slot != meet
                {
                    *slot = meet;
                    changed = true;
                }
            }
        }
        Self { ops, after, known: RefCell::default() }
    }

    /// Whether going one way or the other at `branch` decides that `op` is reached.
    pub(super) fn decides(&self, branch: u32, op: u32) -> bool {
        if let Some(known) = self.known.borrow().get(&(branch, op)) {
            return *known;
        }
        let [on, to] = next(self.ops, branch);
        let decides = to.is_some()
            && [on, to].into_iter().flatten().any(|way| self.surely(op, way))
            && (branch == op || !self.surely(op, branch));
        self.known.borrow_mut().insert((branch, op), decides);
        decides
    }

    /// Whether every way out of `from` comes through `op`.
    fn surely(&self, op: u32, mut from: u32) -> bool {
        for _ in 0..=self.ops.len() {
            if from == op {
                return true;
            }
            match self.after.get(from as usize).copied().flatten() {
                Some(next) if next != OUT => from = next,
                _ => return false,
            }
        }
        false
    }

    /// Whether the way that was not taken at `branch` might have set a register, before the ways meet.
    pub(super) fn other_way_sets(&self, branch: u32, taken: bool, register: Register) -> bool {
        let [on, to] = next(self.ops, branch);
        let Some(other) = (if taken { on } else { to }) else { return false };
        let meet = self.after.get(branch as usize).copied().flatten().unwrap_or(OUT);
        let mut seen = vec![false; self.ops.len()];
        let mut left = vec![other];
        while let Some(at) = left.pop() {
            let Some(seen) = seen.get_mut(at as usize) else { continue };
            if at == meet || std::mem::replace(seen, true) {
                continue;
            }
            if self.ops.get(at as usize).is_some_and(|op| sets(op, register)) {
                return true;
            }
            left.extend(next(self.ops, at).into_iter().flatten());
        }
        false
    }
}

/// The operations from which the end is reached, those nearest to it first.
fn order(ops: &[Op]) -> Vec<u32> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); ops.len()];
    let mut left = Vec::new();
    for at in 0..ops.len() as u32 {
        let ways = next(ops, at);
        if ways == [None, None] {
            left.push((at, 0));
        }
        for way in ways.into_iter().flatten() {
            if let Some(before) = before.get_mut(way as usize) {
                before.push(at);
            }
        }
    }
    let mut seen = vec![false; ops.len()];
    let mut order = Vec::with_capacity(ops.len());
    for (root, _) in left {
        let mut path: Vec<(u32, usize)> = Vec::new();
        if !std::mem::replace(&mut seen[root as usize], true) {
            path.push((root, 0));
        }
        while let Some((at, way)) = path.last_mut() {
            let next = before[*at as usize].get(*way).copied();
            *way += 1;
            match next {
                Some(next) if !std::mem::replace(&mut seen[next as usize], true) => {
                    path.push((next, 0));
                }
                Some(_) => {}
                None => {
                    order.push(*at);
                    path.pop();
                }
            }
        }
    }
    order.reverse();
    order
}

/// The first operation that the ways from two have in common.
fn common(after: &[Option<u32>], rank: &[Option<usize>], mut a: u32, mut b: u32) -> u32 {
    let rank = |op: u32| rank.get(op as usize).copied().flatten();
    while a != b {
        // The end has no rank and comes first.
        let (higher, lower) = if rank(a) > rank(b) { (&mut a, b) } else { (&mut b, a) };
        let up = after.get(*higher as usize).copied().flatten().unwrap_or(OUT);
        if up == *higher {
            return lower;
        }
        *higher = up;
    }
    a
}

/// Whether an operation puts something into a register.
pub(super) fn sets(op: &Op, register: Register) -> bool {
    match *op {
        Op::Alu { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Move { dst, .. }
        | Op::Endian { dst, .. }
        | Op::LoadImm { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. } => dst == register,
        Op::Atomic { op: AtomicOp::CompareExchange, .. } => register == 0,
        Op::Atomic { op, src, .. } => {
            let keeps = matches!(
                op,
                AtomicOp::Add { fetch: false }
                    | AtomicOp::Or { fetch: false }
                    | AtomicOp::And { fetch: false }
                    | AtomicOp::Xor { fetch: false }
            );
            !keeps && src == register
        }
        Op::Call(_) | Op::Helper(_) | Op::Kfunc(_) | Op::TailCall => register == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::userspace::vm::code::{Condition, Source};

    fn branch(to: u32) -> Op {
        let (cond, right) = (Condition::Eq, Source::Constant(0));
        Op::Branch { wide: true, cond, left: 1, right, to }
    }

    fn set(dst: Register) -> Op {
        Op::Move { wide: true, dst, source: Source::Constant(1), sign_bits: 0 }
    }

    #[test]
    fn a_branch_decides_what_only_one_of_its_ways_reaches() {
        // 0: if .. goto 3; 1: r0 = 1; 2: goto 4; 3: r0 = 1; 4: if .. goto 4; 5: exit
        let ops = [branch(3), set(0), Op::Jump { to: 4 }, set(0), branch(4), Op::Exit];
        let flow = Flow::of(&ops);
        let decided: Vec<u32> = (0..6).filter(|op| flow.decides(0, *op)).collect();
        assert_eq!(decided, [1, 2, 3]);
        assert!(flow.decides(4, 4), "a loop decides on its own next round");
        assert!(!flow.decides(4, 5) && !flow.decides(1, 2));
    }

    #[test]
    fn functions_without_an_end_have_no_decisions_to_explain() {
        let ops = [branch(2), Op::Jump { to: 0 }, Op::Jump { to: 1 }];
        let flow = Flow::of(&ops);
        assert!((0..3).all(|op| !flow.decides(0, op) || op < 3));
        assert!(!flow.other_way_sets(0, true, 0));
    }

    #[test]
    fn a_way_that_was_not_taken_may_set_a_register_until_the_ways_meet() {
        // 0: r0 = 1; 1: if .. goto 3; 2: r0 = 1; 3: r6 = 1; 4: exit
        let ops = [set(0), branch(3), set(0), set(6), Op::Exit];
        let flow = Flow::of(&ops);
        assert!(flow.other_way_sets(1, true, 0));
        assert!(!flow.other_way_sets(1, false, 0), "the jump sets nothing");
        assert!(!flow.other_way_sets(1, true, 6), "both ways come there");
    }
}
