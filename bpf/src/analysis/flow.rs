//! The flow graph of one function: basic blocks and their edges.

use std::collections::HashMap;

use crate::module::{Function, Inst, InstId, Target};
use crate::opcode::{class, jmp};

/// A run of instructions entered only at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Index of the first instruction.
    pub(crate) start: u32,
    /// Index after the last.
    pub(crate) end: u32,
    /// Block that follows in the code, unless the last instruction never falls through.
    pub(crate) next: Option<u32>,
    /// Block that the last instruction jumps to.
    pub(crate) jump: Option<u32>,
    /// Whether an edge comes in from this block or a later one.
    pub(crate) loops: bool,
}

/// How an instruction may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next instruction.
    Next,
    /// To its target.
    Jump,
    /// To either.
    Branch,
    /// Nowhere.
    Exit,
}

/// How an instruction goes on.
pub(crate) fn flow(inst: &Inst) -> Flow {
    let code = inst.insn.code;
    match (inst.insn.class(), code & 0xf0) {
        (class::JMP, jmp::EXIT) => Flow::Exit,
        (class::JMP | class::JMP32, jmp::JA) => Flow::Jump,
        (class::JMP, jmp::CALL) => Flow::Next,
        (class::JMP | class::JMP32, _) => Flow::Branch,
        _ => Flow::Next,
    }
}

/// Where each instruction id stands.
enum Positions {
    /// By id: as parsed, and where passes have put in more.
    Dense(Vec<u32>),
    /// Where ids are few and far between: passes took most out, or the code is hostile.
    Sparse(HashMap<InstId, u32>),
}

impl Positions {
    fn of(function: &Function) -> Self {
        let code = &function.code;
        let most = code.iter().map(|i| i.id.0).max().map_or(0, |id| id as usize + 1);
        let each = code.iter().enumerate().map(|(at, inst)| (inst.id, at as u32));
        if most > 4 * code.len() + 64 {
            return Self::Sparse(each.collect());
        }
        let mut table = vec![u32::MAX; most];
        for (id, at) in each {
            table[id.0 as usize] = at;
        }
        Self::Dense(table)
    }

    fn get(&self, id: InstId) -> Option<u32> {
        match self {
            Self::Dense(table) => table.get(id.0 as usize).copied().filter(|&at| at != u32::MAX),
            Self::Sparse(map) => map.get(&id).copied(),
        }
    }
}

/// Basic blocks in the order of the code. Block 0 is the entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) blocks: Vec<Block>,
}

impl Graph {
    /// Builds the graph. Jumps to instructions that do not exist, and falling off the end, lead
    /// nowhere: the kernel refuses such code by itself.
    pub(crate) fn of(function: &Function) -> Self {
        let code = &function.code;
        let positions = Positions::of(function);
        let target = |inst: &Inst| match inst.target {
            Target::Jump(id) => positions.get(id),
            _ => None,
        };
        let mut leader = vec![false; code.len() + 1];
        leader[0] = true;
        for (at, inst) in code.iter().enumerate() {
            if flow(inst) != Flow::Next {
                leader[at + 1] = true;
                if let Some(to) = target(inst) {
                    leader[to as usize] = true;
                }
            }
        }
        let mut block_of = vec![0_u32; code.len()];
        let mut blocks: Vec<Block> = Vec::new();
        for at in 0..code.len() {
            if leader[at] {
                let start = at as u32;
                blocks.push(Block { start, end: start, next: None, jump: None, loops: false });
            }
            let index = blocks.len() - 1;
            blocks[index].end = at as u32 + 1;
            block_of[at] = index as u32;
        }
        for index in 0..blocks.len() {
            let last = &code[blocks[index].end as usize - 1];
            let flow = flow(last);
            if matches!(flow, Flow::Next | Flow::Branch) && index + 1 < blocks.len() {
                blocks[index].next = Some(index as u32 + 1);
            }
            if matches!(flow, Flow::Jump | Flow::Branch) {
                blocks[index].jump = target(last).map(|to| block_of[to as usize]);
            }
            if let Some(to) = blocks[index].jump.filter(|&to| to as usize <= index) {
                blocks[to as usize].loops = true;
            }
        }
        Self { blocks }
    }
}

impl Graph {
    /// Ends of the blocks whose edge closes a loop. `live` says of a block whether it goes on, and
    /// whether its jump is taken.
    pub(crate) fn back_edges(&self, live: impl Fn(&Block) -> (bool, bool)) -> Vec<u32> {
        let taken = |b: &Block| live(b).1;
        let backwards = self
            .blocks
            .iter()
            .enumerate()
            .any(|(i, b)| b.jump.is_some_and(|to| to as usize <= i) && taken(b));
        if !backwards {
            return Vec::new();
        }
        #[derive(Clone, Copy, PartialEq)]
        enum Visit {
            New,
            Open,
            Done,
        }
        let mut visit = vec![Visit::New; self.blocks.len()];
        let mut edges = Vec::new();
        // Depth first without recursion: each entry is a block and how many of its edges were taken.
        let mut path = vec![(0_usize, 0_u8)];
        visit[0] = Visit::Open;
        while let Some((index, edge)) = path.last_mut() {
            let block = &self.blocks[*index];
            let (falls, jumps) = live(block);
            let to = match *edge {
                0 => block.next.filter(|_| falls),
                1 => block.jump.filter(|_| jumps),
                _ => {
                    visit[*index] = Visit::Done;
                    path.pop();
                    continue;
                }
            };
            *edge += 1;
            let Some(to) = to else { continue };
            match visit[to as usize] {
                Visit::New => {
                    visit[to as usize] = Visit::Open;
                    path.push((to as usize, 0));
                }
                Visit::Open => edges.push(block.end),
                Visit::Done => {}
            }
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}
