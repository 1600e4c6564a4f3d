//! From a difference to the least that shows it.
//!
//! Steps stand alone, so any of them can go. A change is kept when the same kind of difference is
//! still there in the same form, whatever its details.

use super::bench::{Bench, Tally, Trial};
use super::compare::Difference;
use super::frames::{SHORTEST, admissible};
use super::model::{Block, Model, Step};

/// Loads of both forms that may be spent on one difference.
const ATTEMPTS: usize = 1500;

/// Shrinks a model and its frames as far as they still differ in the same way. The last frame is the
/// one that differs.
#[must_use]
pub fn shrink(
    bench: Bench<'_>,
    model: &Model,
    frames: &[Vec<u8>],
    form: &'static str,
    difference: Difference,
) -> (Model, Vec<Vec<u8>>, Difference) {
    let mut search = Search {
        bench,
        model: model.clone(),
        frames: frames.to_vec(),
        form,
        difference,
        left: ATTEMPTS,
    };
    while search.round() {}
    (search.model, search.frames, search.difference)
}

struct Search<'a> {
    bench: Bench<'a>,
    model: Model,
    frames: Vec<Vec<u8>>,
    form: &'static str,
    difference: Difference,
    left: usize,
}

impl Search<'_> {
    /// Whether anything became smaller.
    fn round(&mut self) -> bool {
        let before = self.size();
        self.fewer_frames();
        self.fewer_steps();
        self.smaller_frames();
        self.size() < before && self.left > 0
    }

    fn size(&self) -> usize {
        self.model.steps() + self.frames.len() + self.frames.iter().map(Vec::len).sum::<usize>()
    }

    /// Keeps a candidate that still differs in the same way.
    fn keeps(&mut self, model: &Model, frames: &[Vec<u8>]) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        match self.bench.attempt(model, frames, 1, &mut Tally::default()) {
            Trial::Differs(at, form, found)
                if form == self.form && found.kind() == self.difference.kind() =>
            {
                self.model = model.clone();
                self.frames = frames[..=at.min(frames.len().saturating_sub(1))].to_vec();
                self.difference = found;
                true
            }
            _ => false,
        }
    }

    fn fewer_frames(&mut self) {
        let model = self.model.clone();
        let Some(last) = self.frames.len().checked_sub(1) else { return };
        let alone = vec![self.frames[last].clone()];
        if last > 0 && self.keeps(&model, &alone) {
            return;
        }
        let mut chunk = self.frames.len() / 2;
        while chunk > 0 {
            let mut at = 0;
            while at + chunk < self.frames.len() {
                let mut fewer = self.frames.clone();
                fewer.drain(at..at + chunk);
                if !self.keeps(&model, &fewer) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn fewer_steps(&mut self) {
        let bodies = self.model.bodies_mut().count();
        for index in 0..bodies {
            let mut at = 0;
            loop {
                let mut candidate = self.model.clone();
                let Some(body) = candidate.bodies_mut().nth(index) else { break };
                let Some(changed) = variant(body, at) else { break };
                *body = changed;
                let frames = self.frames.clone();
                if !self.keeps(&candidate, &frames) {
                    at += 1;
                }
            }
        }
    }

    fn smaller_frames(&mut self) {
        let model = self.model.clone();
        for index in 0..self.frames.len() {
            let mut length = SHORTEST;
            while let Some(frame) = self.frames.get(index)
                && length < frame.len()
            {
                let mut frames = self.frames.clone();
                frames[index].truncate(length);
                admissible(&mut frames[index]);
                if self.keeps(&model, &frames) {
                    break;
                }
                length = (length * 2).max(length + 8);
            }
        }
    }
}

/// The `number`th way to make a block smaller: without one of its halves, without a step, with a
/// step's inner block in the step's place, or with a smaller inner block. `None` past the last.
fn variant(block: &Block, number: usize) -> Option<Block> {
    let mut number = number;
    if block.len() > 3 {
        let half = block.len() / 2;
        match number {
            0 => return Some(block[half..].to_vec()),
            1 => return Some(block[..half].to_vec()),
            _ => number -= 2,
        }
    }
    if number < block.len() {
        let mut fewer = block.clone();
        fewer.remove(number);
        return Some(fewer);
    }
    number -= block.len();
    for (at, step) in block.iter().enumerate() {
        let blocks: Vec<&Block> = step.blocks().into_iter().filter(|b| !b.is_empty()).collect();
        if let Some(inner) = blocks.get(number) {
            let mut changed = block.clone();
            changed.splice(at..=at, inner.iter().cloned());
            return Some(changed);
        }
        number -= blocks.len();
        for which in 0..step.blocks().len() {
            let inner = step.blocks()[which];
            let mut count = 0;
            while variant(inner, count).is_some() {
                if count == number {
                    return replaced(block, at, which, variant(inner, count)?);
                }
                count += 1;
            }
            number -= count;
        }
    }
    None
}

fn replaced(block: &Block, at: usize, which: usize, with: Block) -> Option<Block> {
    let mut changed = block.clone();
    let step: &mut Step = changed.get_mut(at)?;
    **step.blocks_mut().get_mut(which)? = with;
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::super::model::{Operand, Test, Var, Verdict};
    use super::*;

    #[test]
    fn every_way_to_make_a_block_smaller_is_tried_once() {
        let exit = |n| Step::Exit(Verdict::Imm(n));
        let test = Test { op: 0x10, wide: true, left: Var(0), right: Operand::Imm(1) };
        let branch = Step::Branch { test, then: vec![exit(1), exit(2)], otherwise: vec![] };
        let block = vec![exit(0), branch];
        let all: Vec<Block> = (0..).map_while(|n| variant(&block, n)).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(all[0].len(), 1);
        assert_eq!(all[1], [exit(0)]);
        assert_eq!(all[2], [exit(0), exit(1), exit(2)]);
        assert!(all.iter().all(|smaller| *smaller != block));
        assert_eq!(all[3][1].blocks()[0], &[exit(2)]);
    }
}
