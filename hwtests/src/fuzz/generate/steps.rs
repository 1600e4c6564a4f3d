//! Random steps.

use hoist_bpf::opcode::{alu, atomic};

use super::super::model::{Access, At, Block, Field, Operand, Passing, Step, Test, Var, Verdict};
use super::operands::FIELDS;
use super::tables::kind;
use super::{INTERFACES, Maker, Scope};

/// Maps whose values are looked up, changed and deleted.
const TABLES: [u32; 6] = [
    kind::ARRAY,
    kind::HASH,
    kind::PERCPU_ARRAY,
    kind::PERCPU_HASH,
    kind::LRU_HASH,
    kind::LPM_TRIE,
];
const QUEUES: [u32; 2] = [kind::QUEUE, kind::STACK];
const DEVMAPS: [u32; 2] = [kind::DEVMAP, kind::DEVMAP_HASH];

/// Deepest nesting of blocks.
const DEPTH: usize = 2;

impl Maker<'_> {
    /// One step, or a few that belong together.
    pub(super) fn steps(&mut self, scope: Scope) -> Block {
        let (via, dst) = (self.via(), self.var());
        let step = match self.random.below(100) {
            0..8 => Step::Alu(self.arithmetic()),
            8..20 if scope.depth < DEPTH => return self.matching(scope),
            8..28 => {
                let (at, size) = (self.place(), self.size());
                Step::Load { via, dst, at, size, short: self.short(scope) }
            }
            28..37 => {
                let (at, size, src) = (self.place(), self.size(), self.operand());
                Step::Store { via, at, size, src, short: self.short(scope) }
            }
            37..43 => {
                let delta = self.delta(true);
                let fill = self.random.pick(&[0, 0x08, 0x81, 0x45, 0xff, 0x02]);
                Step::Head { via, delta, fill, result: dst }
            }
            43..48 => Step::Tail { via, delta: self.delta(false), result: dst },
            48..62 => return self.table(scope),
            62..66 => self.global(dst),
            66..72 => return self.call(scope),
            72..75 if !scope.repeated => {
                let inside = Scope { repeated: true, depth: scope.depth + 1, ..scope };
                let steps = self.random.between(1, 3);
                Step::Loop {
                    count: self.random.between(1, 5) as u8,
                    body: self.block(steps, inside),
                }
            }
            72..77 if scope.tail_calls && self.entries > 1 => {
                Step::TailCall { via, slot: self.index(3) }
            }
            77..80 => {
                let length = self.random.pick(&[1, 2, 4, 8, 14, 20, 32]);
                Step::LoadBytes { via, offset: self.packet_offset(), length, dst }
            }
            80..83 => {
                let (offset, src) = (self.packet_offset(), self.operand());
                let length = self.random.pick(&[1, 2, 4, 6, 12, 14, 32]);
                Step::StoreBytes { via, offset, length, src, result: dst }
            }
            83..85 => Step::Length { via, dst },
            85..87 => {
                let field = self.random.pick(&[Field::Interface, Field::Queue]);
                Step::Field { via, field, dst }
            }
            87 => Step::Metadata { via, dst },
            88 => {
                let (from, to) = (self.random.pick(&[0, 4, 16]), self.random.pick(&[4, 8, 16]));
                Step::Checksum { from, to, seed: self.operand(), dst }
            }
            89 => {
                let interface = self.interface();
                let difference = self.random.pick(&[0, 0, 20, 100, -4, 1400]);
                Step::Mtu { via, interface, difference, dst }
            }
            90..97 => return self.redirect(scope, dst),
            97 if scope.entry => Step::Fib {
                via,
                length: self.random.pick(&[0, 0, 60, 600, 601, 1500]),
                flags: self.random.pick(&[0, 0, 1, 2, 4]),
                dst,
            },
            _ => Step::Alu(self.arithmetic()),
        };
        vec![step]
    }

    /// A field of a header is read and decided on, often with a value that it may well have.
    fn matching(&mut self, scope: Scope) -> Block {
        let (offset, size, values) = self.random.pick(&FIELDS);
        let (dst, via, at) = (self.var(), self.via(), At { offset, index: None });
        let mut test = self.test(dst);
        if self.random.chance(60) {
            let op = self.random.pick(&[hoist_bpf::opcode::jmp::JEQ, hoist_bpf::opcode::jmp::JNE]);
            test = Test { op, right: Operand::Imm(self.random.pick(values)), ..test };
        }
        let load = Step::Load { via, dst, at, size, short: self.short(scope) };
        let branch = Step::Branch { test, then: self.inner(scope), otherwise: self.inner(scope) };
        vec![load, branch]
    }

    /// What happens where the packet is too short: mostly nothing.
    fn short(&mut self, scope: Scope) -> Block {
        match self.random.below(100) {
            0..85 => vec![],
            85..93 => vec![Step::Alu(self.arithmetic())],
            _ if scope.entry => vec![Step::Exit(self.verdict())],
            _ => vec![Step::Exit(Verdict::Var(self.var()))],
        }
    }

    fn size(&mut self) -> u8 {
        self.random.pick(&[1, 2, 2, 4, 4, 8])
    }

    /// In the first headers, mostly.
    fn place(&mut self) -> At {
        let offset = match self.random.below(10) {
            0..5 => self.random.between(0, 46),
            5..8 => self.random.pick(&FIELDS).0.into(),
            8 => self.random.between(0, 13),
            _ => self.random.between(0, 1500),
        } as i16;
        let index = self.random.chance(25).then(|| {
            let var = self.var();
            (var, self.random.pick(&[3, 0xf, 0x3f, 0x1ff]))
        });
        At { offset, index }
    }

    fn packet_offset(&mut self) -> Operand {
        match self.random.below(10) {
            0..6 => Operand::Imm(self.random.between(0, 40)),
            6..9 => Operand::Masked(self.var(), self.random.pick(&[0xf, 0x3f, 0x7ff])),
            _ => Operand::Imm(self.random.pick(&[1500, 0xffff, 4000])),
        }
    }

    /// The models' maps of certain types, one of them; `None` when there is none.
    fn one_of(&mut self, kinds: &[u32]) -> Option<usize> {
        let fit: Vec<usize> =
            (0..self.maps.len()).filter(|&i| kinds.contains(&self.maps[i].kind)).collect();
        (!fit.is_empty()).then(|| self.random.pick(&fit))
    }

    fn table(&mut self, scope: Scope) -> Block {
        let dst = self.var();
        if self.random.chance(15)
            && let Some(map) = self.one_of(&QUEUES)
        {
            let helper = self.random.pick(&[87, 88, 89]);
            return vec![Step::Queue { map, helper, value: self.operand(), dst }];
        }
        let Some(map) = self.one_of(&TABLES) else { return vec![] };
        let key = self.index(15);
        if self.limits.cards
            && matches!(self.maps[map].kind, kind::PERCPU_ARRAY | kind::PERCPU_HASH)
        {
            return vec![self.counter(map, key, dst)];
        }
        let update = Step::Update {
            map,
            key,
            value: self.operand(),
            flags: self.random.pick(&[0, 0, 0, 1, 2]),
            result: self.var(),
        };
        match self.random.below(10) {
            0..6 => {
                let missing = if self.random.chance(50) { vec![update] } else { self.short(scope) };
                let (size, access) = self.access();
                let offset = self.random.pick(&[0, 0, 8]);
                vec![Step::Lookup { map, key, access, offset, size, dst, missing }]
            }
            6..9 => vec![update],
            _ => vec![Step::Delete { map, key, result: dst }],
        }
    }

    /// What a map that counts is used for. Now and then one is read, so that it cannot be shared.
    fn counter(&mut self, map: usize, key: Operand, dst: Var) -> Step {
        let value = self.operand();
        match self.random.below(10) {
            0 => Step::Update { map, key, value, flags: 1, result: dst },
            1 => Step::Delete { map, key, result: dst },
            choice => {
                let access = match choice {
                    2..4 => Access::Atomic(0, value),
                    4 if self.random.chance(20) => Access::Read,
                    _ => Access::Add(value),
                };
                let (offset, size) = (self.random.pick(&[0, 8]), self.random.pick(&[4, 8]));
                Step::Lookup { map, key, access, offset, size, dst, missing: vec![] }
            }
        }
    }

    fn access(&mut self) -> (u8, Access) {
        let operand = self.operand();
        match self.random.below(8) {
            0..2 => (self.size(), Access::Read),
            2..4 => (self.size(), Access::Write(operand)),
            4..6 => (self.size(), Access::Add(operand)),
            _ => {
                let plain = [alu::ADD, alu::OR, alu::AND, alu::XOR].map(i32::from);
                let fetch = plain.map(|op| op | atomic::FETCH);
                let others = [atomic::XCHG, atomic::CMPXCHG];
                let all: Vec<i32> = plain.into_iter().chain(fetch).chain(others).collect();
                (self.random.pick(&[4, 8]), Access::Atomic(self.random.pick(&all), operand))
            }
        }
    }

    fn global(&mut self, dst: Var) -> Step {
        let index = self.random.chance(50).then(|| (self.var(), 0x1f));
        let mut offset = self.random.between(0, 24) as i16;
        let constant = self.random.chance(30);
        if self.limits.cards && constant && index.is_none() {
            offset += 16;
        }
        let at = At { offset, index };
        let write = (!constant && self.random.chance(60)).then(|| self.operand());
        Step::Global { constant, at, size: self.size(), write, dst }
    }

    fn call(&mut self, scope: Scope) -> Block {
        if scope.subs >= self.passing.len() {
            return vec![Step::Alu(self.arithmetic())];
        }
        let last = self.passing.len() as i32 - 1;
        let sub = self.random.between(scope.subs as i32, last) as usize;
        let (via, dst) = (self.via(), self.var());
        if self.passing[sub] == Passing::Callback {
            if scope.repeated {
                return vec![];
            }
            let (count, argument) = (self.index(7), self.operand());
            return vec![Step::BpfLoop { sub, via, count, argument, dst }];
        }
        vec![Step::Call { sub, via, arguments: [self.operand(), self.operand()], dst }]
    }

    fn interface(&mut self) -> Operand {
        if self.random.chance(20) {
            return Operand::Masked(self.var(), 3);
        }
        let interface = self.random.pick(&[INTERFACES[0], INTERFACES[1], INTERFACES[1], 77]);
        Operand::Imm(interface.cast_signed())
    }

    fn redirect(&mut self, scope: Scope, dst: Var) -> Block {
        let map = if self.random.chance(60) { self.one_of(&DEVMAPS) } else { None };
        let step = match map {
            Some(map) => {
                let devmap = self.maps[map].kind == kind::DEVMAP;
                let mut flags = self.random.pick(&[0, 0, 1, 2, 3, 2, 4, 64]);
                if self.limits.broadcast && devmap && self.random.chance(5) {
                    flags = self.random.pick(&[8, 24]);
                }
                Step::RedirectMap { map, key: self.index(7), flags, dst }
            }
            None => {
                let flags = self.random.pick(&[0, 0, 0, 0, 1, 4]);
                Step::Redirect { interface: self.interface(), flags, dst }
            }
        };
        // Mostly the answer is the verdict, as in any program that redirects.
        if scope.depth > 0 && self.random.chance(50) {
            return vec![step, Step::Exit(Verdict::Var(dst))];
        }
        vec![step]
    }
}
