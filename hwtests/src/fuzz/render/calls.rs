//! Steps that call: subprograms, callbacks, other programs, helpers.

use hoist_bpf::module::{FunctionId, Target};
use hoist_bpf::opcode::{alu, jmp, pseudo};

use super::super::model::{Operand, Passing, Step, Via};
use super::{Mark, Writer, code, register, slot};

/// Helpers of `linux/bpf.h`.
const TAIL_CALL: i32 = 12;
const REDIRECT: i32 = 23;
const CSUM_DIFF: i32 = 28;
const REDIRECT_MAP: i32 = 51;
const FIB_LOOKUP: i32 = 69;
const CHECK_MTU: i32 = 163;
const LOOP: i32 = 181;

/// `BPF_F_BROADCAST`, and all flags that `bpf_redirect_map` takes for a devmap.
const BROADCAST: i32 = 8;
const ALLOWED: i32 = 0x1b;

impl Writer<'_> {
    pub(super) fn call_step(&mut self, step: &Step) {
        match step {
            Step::Call { sub, via, arguments, dst } => {
                self.call(*sub, *via, *arguments);
                self.code.put(code::mov(register(*dst), 0));
            }
            Step::BpfLoop { sub, via, count, argument, dst } => {
                self.structure(*via, *argument);
                self.value(1, *count);
                // Never 0: a callback that the verifier knows is not called makes it stumble over
                // the address of what it then leaves out ("No program to jit", Linux 6.18).
                self.code.put(code::imm(alu::ADD, 1, 1));
                let callback = Target::FunctionAddress(self.sub(*sub));
                self.code.refer(code::wide(2, pseudo::FUNC), callback);
                self.code.puts([
                    code::mov(3, 10),
                    code::imm(alu::ADD, 3, i32::from(slot::STRUCT)),
                    code::mov_imm(4, 0),
                    code::helper(LOOP),
                    code::load(8, register(*dst), 10, slot::STRUCT + 8),
                    code::reg(alu::ADD, register(*dst), 0),
                ]);
            }
            Step::TailCall { via, slot } => self.tail_call(*via, *slot),
            Step::Checksum { from, to, seed, dst } => self.checksum(*from, *to, *seed, *dst),
            Step::Mtu { via, interface, difference, dst } => {
                self.value(2, *interface);
                self.code.puts([
                    code::store_imm(8, 10, slot::VALUE, 0),
                    code::mov(3, 10),
                    code::imm(alu::ADD, 3, i32::from(slot::VALUE)),
                    code::mov_imm(4, *difference),
                    code::mov_imm(5, 0),
                ]);
                self.context_argument(*via);
                let dst = register(*dst);
                self.code.puts([
                    code::helper(CHECK_MTU),
                    code::load(4, 1, 10, slot::VALUE),
                    code::mov(dst, 0),
                    code::reg(alu::ADD, dst, 1),
                ]);
            }
            Step::Redirect { interface, flags, dst } => {
                self.value(1, *interface);
                if let Operand::Masked(..) = interface {
                    // Never 0: TC leaves it to the kernel to drop such a frame, as XDP does, which a
                    // test run does not show.
                    self.code.put(code::imm(alu::ADD, 1, 1));
                }
                self.code.put(code::store(8, 10, slot::VALUE, 1));
                self.code.puts([code::mov_imm(2, *flags), code::helper(REDIRECT)]);
                if *flags == 0 {
                    self.code.put(code::load(8, 3, 10, slot::VALUE));
                    self.target();
                }
                self.redirected(register(*dst));
            }
            Step::RedirectMap { map, key, flags, dst } => {
                self.redirect_map(*map, *key, *flags);
                self.redirected(register(*dst));
            }
            Step::Fib { via, length, flags, dst } => self.fib(*via, *length, *flags, *dst),
            _ => {}
        }
    }

    fn sub(&self, index: usize) -> FunctionId {
        FunctionId((self.model.entries.len() + index) as u32)
    }

    fn call(&mut self, sub: usize, via: Via, arguments: [Operand; 2]) {
        if self.model.subs[sub].passing == Passing::Struct {
            self.structure(via, arguments[0]);
            self.value(2, arguments[1]);
            self.code.puts([code::mov(1, 10), code::imm(alu::ADD, 1, i32::from(slot::STRUCT))]);
        } else {
            self.value(2, arguments[0]);
            self.value(3, arguments[1]);
            self.context_argument(via);
        }
        let callee = Target::Call(self.sub(sub));
        self.code.refer(code::call(), callee);
    }

    /// Fills the structure that a subprogram gets by pointer.
    fn structure(&mut self, via: Via, argument: Operand) {
        let context = self.context(via, 2);
        self.code.put(code::store(8, 10, slot::STRUCT, context));
        self.value(1, argument);
        self.code.puts([
            code::store(8, 10, slot::STRUCT + 8, 1),
            code::store_imm(8, 10, slot::STRUCT + 16, 0),
        ]);
    }

    fn tail_call(&mut self, via: Via, slot: Operand) {
        let Some(map) = self.model.maps.iter().position(|m| m.kind == super::PROG_ARRAY) else {
            return;
        };
        self.value(3, slot);
        self.map(2, map);
        self.context_argument(via);
        self.code.put(code::helper(TAIL_CALL));
    }

    fn checksum(&mut self, from: u8, to: u8, seed: Operand, dst: super::Var) {
        for (word, var) in [7, 8, 9, 7].into_iter().enumerate() {
            self.code.put(code::store(8, 10, slot::BYTES + 8 * word as i16, var));
        }
        self.value(5, seed);
        self.code.puts([
            code::mov(1, 10),
            code::imm(alu::ADD, 1, i32::from(slot::BYTES)),
            code::mov_imm(2, i32::from(from)),
            code::mov(3, 10),
            code::imm(alu::ADD, 3, i32::from(slot::BYTES) + 16),
            code::mov_imm(4, i32::from(to)),
            code::helper(CSUM_DIFF),
            code::mov(register(dst), 0),
        ]);
    }

    fn redirect_map(&mut self, map: usize, key: Operand, flags: i32) {
        self.value(2, key);
        self.code.put(code::store(8, 10, slot::KEY, 2));
        self.code.put(code::mov_imm(3, flags));
        self.map(1, map);
        self.code.put(code::helper(REDIRECT_MAP));
        if flags & !ALLOWED != 0 {
            return;
        }
        // The last call counts, also when its map has no such entry.
        self.code.put(code::mov_imm(3, 0));
        if flags & BROADCAST == 0 {
            for &(entry, interface) in &self.model.maps[map].initial {
                let other = self.code.label();
                self.code.put(code::load(4, 1, 10, slot::KEY));
                self.code.jump(code::jump_imm(jmp::JNE, 1, entry.cast_signed()), other);
                self.code.put(code::mov_imm(3, interface as i32));
                self.code.place(other);
                self.code.put(code::mov(1, 3));
            }
        }
        self.target();
    }

    /// Notes r3 as the interface that the frame would be redirected to. Uses r1.
    fn target(&mut self) {
        self.global(1, super::TRACE, super::TARGET);
        self.code.put(code::store(8, 1, 0, 3));
    }

    /// `struct bpf_fib_lookup` lies over slots that an entry program does not hold anything in.
    fn fib(&mut self, via: Via, length: u16, flags: i32, dst: super::Var) {
        let at = slot::FIB;
        for word in 0..8 {
            self.code.put(code::store_imm(8, 10, at + 8 * word, 0));
        }
        let from_far = i32::from_ne_bytes([10, 0, 0, 77]);
        let to_far = i32::from_ne_bytes([10, 0, 0, 2]);
        self.code.puts([
            code::store_imm(1, 10, at, 2),
            code::store_imm(2, 10, at + 6, i32::from(length)),
            code::store_imm(4, 10, at + 8, 2),
            code::store_imm(4, 10, at + 16, from_far),
            code::store_imm(4, 10, at + 32, to_far),
            code::mov(2, 10),
            code::imm(alu::ADD, 2, i32::from(at)),
            code::mov_imm(3, 64),
            code::mov_imm(4, flags),
        ]);
        self.context_argument(via);
        let dst = register(dst);
        self.code.puts([
            code::helper(FIB_LOOKUP),
            code::mov(dst, 0),
            code::load(2, 1, 10, at + 6),
            code::imm(alu::LSH, 1, 8),
            code::reg(alu::ADD, dst, 1),
            code::load(4, 1, 10, at + 8),
            code::imm(alu::LSH, 1, 24),
            code::reg(alu::ADD, dst, 1),
            code::load(2, 1, 10, at + 58),
            code::imm(alu::LSH, 1, 32),
            code::reg(alu::XOR, dst, 1),
        ]);
    }

    /// Keeps a redirect helper's answer, and notes the call when the answer is the verdict.
    fn redirected(&mut self, dst: u8) {
        let refused = self.code.label();
        self.code.put(code::mov(dst, 0));
        self.code.jump(code::jump_imm(jmp::JNE, 0, 4), refused);
        self.mark(Mark::Redirected);
        self.code.place(refused);
        self.code.put(code::mov_imm(0, 0));
    }
}
