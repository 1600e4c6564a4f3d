//! Following a function block by block: the loop that the interpretations share.
//!
//! States are kept where blocks begin and joined where ways meet, so the work is bounded by the size of
//! the code and not by the number of its ways; a budget of steps and memory bounds it for hostile
//! code.

use std::collections::BTreeSet;

use super::flow::Graph;
use crate::module::{Function, FunctionId};

/// Steps that are made before an interpretation gives up, counting a copied slot as one.
const STEPS: u64 = 3_000_000;
/// Rounds of a loop after which its state is widened.
const ROUNDS: u8 = 3;

/// The budget is used up: what was noted so far is not all there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exhausted;

/// What was spent.
#[derive(Debug, Default)]
pub(super) struct Budget {
    steps: u64,
    /// Bytes of states that are kept.
    bytes: usize,
}

impl Budget {
    /// Spends steps, with so many bytes of states at the most.
    pub(super) fn spend(&mut self, steps: usize, most_bytes: usize) -> Result<(), Exhausted> {
        self.steps += steps as u64;
        if self.steps > STEPS || self.bytes > most_bytes { Err(Exhausted) } else { Ok(()) }
    }
}

/// What is known at one point of a program.
pub(super) trait State: Clone {
    /// What a comparison tells on one of its ways.
    type Learnt;

    /// Memory it takes, about, in bytes.
    fn bytes(&self) -> usize;

    /// Joins another state into this one; whether anything changed. With `widen`, what changes goes
    /// far enough that loops end.
    fn merge(&mut self, other: &Self, widen: bool) -> bool;

    /// Hands out the state with what is learnt on one way; it is what it was afterwards.
    fn learning<R>(&mut self, learnt: Self::Learnt, told: impl FnOnce(&Self) -> R) -> R;
}

/// How a block goes on: whether to the next one and to the target of its jump, with what is learnt
/// there; and whether it returns.
#[derive(Debug)]
pub(super) struct Ways<L> {
    pub(super) next: Option<Option<L>>,
    pub(super) jump: Option<Option<L>>,
    pub(super) exits: bool,
}

impl<L> Ways<L> {
    /// Nowhere.
    pub(super) const NONE: Self = Self { next: None, jump: None, exits: false };
    /// On, as every instruction does that is no jump.
    pub(super) const NEXT: Self = Self { next: Some(None), jump: None, exits: false };
}

/// An interpretation.
pub(super) trait Interpreter {
    /// What it knows.
    type State: State;

    /// What was spent, and how many bytes of states may be kept.
    fn budget(&mut self) -> (&mut Budget, usize);

    /// Follows one block; the state is that at its end afterwards.
    fn block(
        &mut self,
        id: FunctionId,
        function: &Function,
        range: std::ops::Range<u32>,
        state: &mut Self::State,
    ) -> Result<Ways<<Self::State as State>::Learnt>, Exhausted>;

    /// Spends steps.
    fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let (budget, most) = self.budget();
        budget.spend(steps, most)
    }

    /// Follows a function; the state where it returns, if it does.
    fn follow(
        &mut self,
        id: FunctionId,
        function: &Function,
        graph: &Graph,
        entry: Self::State,
    ) -> Result<Option<Self::State>, Exhausted> {
        let before = self.budget().0.bytes;
        self.spend(graph.blocks.len())?;
        let mut at_entry: Vec<Option<Box<Self::State>>> = vec![None; graph.blocks.len()];
        let mut rounds = vec![0_u8; graph.blocks.len()];
        let mut work = BTreeSet::from([0_u32]);
        let mut exit: Option<Self::State> = None;
        at_entry[0] = Some(Box::new(entry));
        // In the order of the code, so that most joins are complete when they are followed.
        while let Some(index) = work.pop_first() {
            let Some(mut state) = at_entry[index as usize].as_deref().cloned() else { continue };
            let block = graph.blocks[index as usize];
            let ways = self.block(id, function, block.start..block.end, &mut state)?;
            for (to, learnt) in [(block.next, ways.next), (block.jump, ways.jump)] {
                let (Some(to), Some(learnt)) = (to, learnt) else { continue };
                let (slot, round) = (&mut at_entry[to as usize], &mut rounds[to as usize]);
                let widen = graph.blocks[to as usize].loops && *round >= ROUNDS;
                let bytes = &mut self.budget().0.bytes;
                let mut arrive = |state: &Self::State| match slot {
                    Some(there) => there.merge(state, widen),
                    None => {
                        *bytes += state.bytes();
                        *slot = Some(Box::new(state.clone()));
                        true
                    }
                };
                let changed = match learnt {
                    Some(learnt) => state.learning(learnt, arrive),
                    None => arrive(&state),
                };
                if changed {
                    *round = round.saturating_add(1);
                    work.insert(to);
                }
                self.spend(1)?;
            }
            if ways.exits {
                match &mut exit {
                    Some(there) => {
                        there.merge(&state, false);
                    }
                    None => exit = Some(state),
                }
            }
        }
        self.budget().0.bytes = before;
        Ok(exit)
    }
}
