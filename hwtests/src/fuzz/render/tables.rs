//! Steps on maps and global variables.

use hoist_bpf::opcode::{alu, jmp};

use super::super::model::{Access, At, Block, Operand, Step};
use super::{CONSTANTS, Mark, VARIABLES, Writer, code, register, slot};

/// Helpers of `linux/bpf.h`.
const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const DELETE: i32 = 3;
const PUSH: i32 = 87;

/// `LPM_TRIE`.
const LPM_TRIE: u32 = 11;
/// `BPF_CMPXCHG` compares with r0.
const CMPXCHG: i32 = hoist_bpf::opcode::atomic::CMPXCHG;

impl Writer<'_> {
    pub(super) fn table_step(&mut self, step: &Step) {
        match step {
            Step::Lookup { map, key, access, offset, size, dst, missing } => {
                self.lookup(*map, *key);
                self.found(*access, *offset, *size, register(*dst), missing);
            }
            Step::Update { map, key, value, flags, result } => {
                self.key(*map, *key);
                self.value(1, *value);
                self.code.puts([
                    code::store(8, 10, slot::VALUE, 1),
                    code::store(8, 10, slot::VALUE + 8, 1),
                    code::mov(2, 10),
                    code::imm(alu::ADD, 2, i32::from(slot::KEY)),
                    code::mov(3, 10),
                    code::imm(alu::ADD, 3, i32::from(slot::VALUE)),
                    code::mov_imm(4, *flags),
                ]);
                self.map(1, *map);
                self.code.put(code::helper(UPDATE));
                self.stored(register(*result));
            }
            Step::Delete { map, key, result } => {
                self.key(*map, *key);
                self.code.puts([code::mov(2, 10), code::imm(alu::ADD, 2, i32::from(slot::KEY))]);
                self.map(1, *map);
                self.code.put(code::helper(DELETE));
                self.stored(register(*result));
            }
            Step::Queue { map, helper, value, dst } => self.queue(*map, *helper, *value, *dst),
            Step::Global { constant, at, size, write, dst } => {
                self.global_step(*constant, *at, *size, *write, register(*dst));
            }
            _ => {}
        }
    }

    /// Writes a key to its stack slot: 8 bytes, of which a map may use 4. An LPM key has its prefix
    /// length first.
    fn key(&mut self, map: usize, key: Operand) {
        self.value(1, key);
        if self.model.maps[map].kind == LPM_TRIE {
            self.code.puts([
                code::mov(2, 1),
                code::imm(alu::AND, 2, 31),
                code::store(4, 10, slot::KEY, 2),
                code::store(4, 10, slot::KEY + 4, 1),
            ]);
        } else {
            self.code.put(code::store(8, 10, slot::KEY, 1));
        }
    }

    fn lookup(&mut self, map: usize, key: Operand) {
        self.key(map, key);
        self.code.puts([code::mov(2, 10), code::imm(alu::ADD, 2, i32::from(slot::KEY))]);
        self.map(1, map);
        self.code.put(code::helper(LOOKUP));
    }

    /// Uses the value that r0 points to, if there is one.
    fn found(&mut self, access: Access, offset: i16, size: u8, dst: u8, missing: &Block) {
        let (absent, end) = (self.code.label(), self.code.label());
        self.code.jump(code::jump_imm(jmp::JEQ, 0, 0), absent);
        self.code.put(code::mov(3, 0));
        match access {
            Access::Read => self.code.put(code::load(size, dst, 3, offset)),
            Access::Write(operand) => {
                self.value(1, operand);
                self.code.put(code::store(size, 3, offset, 1));
            }
            Access::Add(operand) => {
                self.value(1, operand);
                self.code.put(code::load(size, 2, 3, offset));
                let (odd, end) = (self.code.label(), self.code.label());
                if let Operand::Masked(..) = operand {
                    // Two ways from the load to the store.
                    self.code.jump(code::jump_imm(jmp::JSET, 1, 1), odd);
                }
                self.code.put(code::reg(alu::ADD, 2, 1));
                if let Operand::Masked(..) = operand {
                    self.code.jump(code::go(), end);
                    self.code.place(odd);
                    self.code.put(code::imm(alu::SUB, 2, 5));
                    self.code.place(end);
                }
                self.code.put(code::store(size, 3, offset, 2));
            }
            Access::Atomic(op, operand) => {
                self.value(1, operand);
                let size = size.max(4);
                if op == CMPXCHG {
                    self.code.puts([code::load(size, 0, 3, offset), code::imm(alu::AND, 0, -2)]);
                }
                self.code.put(code::atomic(size, 3, offset, 1, op));
                self.code.put(code::mov(dst, if op == CMPXCHG { 0 } else { 1 }));
            }
        }
        if access != Access::Read {
            self.mark(Mark::Stored);
        }
        self.code.jump(code::go(), end);
        self.code.place(absent);
        self.block(missing);
        self.code.place(end);
        self.code.put(code::mov_imm(0, 0));
    }

    /// Keeps a helper's answer and notes its success.
    fn stored(&mut self, result: u8) {
        let failed = self.code.label();
        self.code.put(code::mov(result, 0));
        self.code.jump(code::jump_imm(jmp::JNE, 0, 0), failed);
        self.mark(Mark::Stored);
        self.code.place(failed);
        self.code.put(code::mov_imm(0, 0));
    }

    fn queue(&mut self, map: usize, helper: i32, value: Operand, dst: super::Var) {
        self.value(1, value);
        self.code.puts([
            code::store(8, 10, slot::VALUE, 1),
            code::mov(2, 10),
            code::imm(alu::ADD, 2, i32::from(slot::VALUE)),
            code::mov_imm(3, 0),
        ]);
        self.map(1, map);
        self.code.put(code::helper(helper));
        if helper == PUSH {
            self.stored(register(dst));
        } else {
            let dst = register(dst);
            self.code.puts([code::load(8, 1, 10, slot::VALUE), code::mov(dst, 0)]);
            self.code.put(code::reg(alu::XOR, dst, 1));
        }
    }

    fn global_step(&mut self, constant: bool, at: At, size: u8, write: Option<Operand>, dst: u8) {
        self.global(3, if constant { CONSTANTS } else { VARIABLES }, 0);
        if let Some((var, mask)) = at.index {
            self.code.puts([
                code::mov(1, register(var)),
                code::imm(alu::AND, 1, mask),
                code::reg(alu::ADD, 3, 1),
            ]);
        }
        match write {
            Some(operand) if !constant => {
                self.value(1, operand);
                self.code.put(code::store(size, 3, at.offset, 1));
                self.mark(Mark::Stored);
            }
            _ => self.code.put(code::load(size, dst, 3, at.offset)),
        }
    }
}
