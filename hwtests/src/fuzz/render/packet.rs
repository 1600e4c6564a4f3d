//! Steps on the packet and its context.

use hoist_bpf::Insn;
use hoist_bpf::opcode::{alu, jmp};

use super::super::model::{At, Block, Delta, Field, Step, Via};
use super::{Label, Mark, Writer, code, register, slot};

/// Helpers of `linux/bpf.h`.
const ADJUST_HEAD: i32 = 44;
const ADJUST_TAIL: i32 = 65;
const GET_BUFF_LEN: i32 = 188;
const LOAD_BYTES: i32 = 189;
const STORE_BYTES: i32 = 190;

/// Offsets into `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DATA_META: i16 = 8;
const INGRESS_IFINDEX: i16 = 12;
const RX_QUEUE_INDEX: i16 = 16;

/// Room for [`LOAD_BYTES`] and [`STORE_BYTES`].
const BUFFER: u8 = 32;

impl Writer<'_> {
    pub(super) fn packet_step(&mut self, step: &Step) {
        match step {
            Step::Load { via, dst, at, size, short } => {
                let (beyond, end) = self.reach(*via, *at, i32::from(*size));
                self.code.put(code::load(*size, register(*dst), 2, at.offset));
                self.otherwise(beyond, end, short);
            }
            Step::Store { via, at, size, src, short } => {
                let (beyond, end) = self.reach(*via, *at, i32::from(*size));
                self.value(1, *src);
                self.code.put(code::store(*size, 2, at.offset, 1));
                self.mark(Mark::Wrote);
                self.otherwise(beyond, end, short);
            }
            Step::Head { via, delta, fill, result } => {
                self.resize(*via, *delta, ADJUST_HEAD);
                let failed = self.resized(register(*result));
                self.moved();
                self.cut(jmp::JSLE);
                self.fill(*via, *delta, *fill);
                self.code.place(failed);
                self.code.put(code::mov_imm(0, 0));
            }
            Step::Tail { via, delta, result } => {
                self.resize(*via, *delta, ADJUST_TAIL);
                let failed = self.resized(register(*result));
                self.cut(jmp::JSGE);
                self.code.place(failed);
                self.code.put(code::mov_imm(0, 0));
            }
            Step::LoadBytes { via, offset, length, dst } => {
                self.code.puts([
                    code::store_imm(8, 10, slot::BYTES, 0x1111),
                    code::store_imm(8, 10, slot::BYTES + 8, 0x2222),
                    code::store_imm(8, 10, slot::BYTES + 16, 0x3333),
                    code::store_imm(8, 10, slot::BYTES + 24, 0x4444),
                ]);
                self.value(2, *offset);
                self.buffer(*via, *length);
                self.code.puts([code::helper(LOAD_BYTES), code::load(8, 1, 10, slot::BYTES)]);
                let dst = register(*dst);
                self.code.puts([code::mov(dst, 0), code::reg(alu::XOR, dst, 1)]);
            }
            Step::StoreBytes { via, offset, length, src, result } => {
                self.value(3, *src);
                for word in 0..4 {
                    self.code.put(code::store(8, 10, slot::BYTES + 8 * word, 3));
                }
                self.value(2, *offset);
                self.buffer(*via, *length);
                self.code.puts([code::helper(STORE_BYTES), code::mov(register(*result), 0)]);
                let failed = self.code.label();
                self.code.jump(code::jump_imm(jmp::JNE, 0, 0), failed);
                self.mark(Mark::Wrote);
                self.code.place(failed);
                self.code.put(code::mov_imm(0, 0));
            }
            Step::Length { via, dst } => {
                self.context_argument(*via);
                self.code.puts([code::helper(GET_BUFF_LEN), code::mov(register(*dst), 0)]);
            }
            Step::Field { via, field, dst } => {
                let offset = match field {
                    Field::Interface => INGRESS_IFINDEX,
                    Field::Queue => RX_QUEUE_INDEX,
                };
                let context = self.context(*via, 2);
                self.code.put(code::load(4, register(*dst), context, offset));
            }
            Step::Metadata { via, dst } => {
                let context = self.context(*via, 4);
                self.code.puts([
                    code::load(4, 2, context, DATA_META),
                    code::load(4, 3, context, DATA),
                    code::imm(alu::ADD, 2, 4),
                    code::mov_imm(register(*dst), 0),
                ]);
                let none = self.code.label();
                self.code.jump(code::jump_reg(jmp::JGT, 2, 3), none);
                self.code.put(code::mov_imm(register(*dst), 1));
                self.code.place(none);
                self.code.put(code::mov_imm(0, 0));
            }
            _ => {}
        }
    }

    /// Makes r2 such that `size` bytes at `at.offset` from it are in the packet; what follows is
    /// jumped over when they are not.
    fn reach(&mut self, via: Via, at: At, size: i32) -> (Label, Label) {
        let (beyond, end) = (self.code.label(), self.code.label());
        let context = self.context(via, 4);
        // The packet's end first: the context may be in r4.
        self.code.puts([code::load(4, 3, context, DATA_END), code::load(4, 2, context, DATA)]);
        if let Some((var, mask)) = at.index {
            self.code.puts([
                code::mov(1, register(var)),
                code::imm(alu::AND, 1, mask),
                code::reg(alu::ADD, 2, 1),
            ]);
        }
        let bytes = i32::from(at.offset) + size;
        self.code.puts([code::mov(4, 2), code::imm(alu::ADD, 4, bytes)]);
        self.code.jump(code::jump_reg(jmp::JGT, 4, 3), beyond);
        (beyond, end)
    }

    fn otherwise(&mut self, beyond: Label, end: Label, short: &Block) {
        self.code.jump(code::go(), end);
        self.code.place(beyond);
        self.block(short);
        // A label needs an instruction behind it, at the end of a block too.
        self.code.place(end);
        self.code.put(code::mov_imm(0, 0));
    }

    fn resize(&mut self, via: Via, delta: Delta, helper: i32) {
        match delta {
            Delta::Const(bytes) => self.code.put(code::mov_imm(2, bytes)),
            Delta::Computed(var, mask, bias) => self.code.puts([
                code::mov(2, register(var)),
                code::imm(alu::AND, 2, mask),
                code::imm(alu::SUB, 2, bias),
            ]),
        }
        self.code.put(code::store(8, 10, slot::VALUE, 2));
        self.context_argument(via);
        self.code.put(code::helper(helper));
    }

    /// Notes by how much the start was moved up, and whether that is far. Movements down do not make
    /// up for it: on TC a short rest is moved, and the buffer's start stays.
    fn moved(&mut self) {
        let near = self.code.label();
        self.code.put(code::load(8, 3, 10, slot::VALUE));
        self.code.jump(code::jump_imm(jmp::JSGE, 3, 0), near);
        self.global(1, super::TRACE, 0);
        self.code.puts([
            code::load(8, 2, 1, super::MOVED),
            code::reg(alu::ADD, 2, 3),
            code::store(8, 1, super::MOVED, 2),
        ]);
        self.code.jump(code::jump_imm(jmp::JSGE, 2, -super::ROOM), near);
        self.code.put(code::store_imm(8, 1, super::FAR, 1));
        self.code.place(near);
        self.code.put(code::mov_imm(0, 0));
    }

    /// Notes that the frame was cut after its start had moved far; `unless` tells an amount that cuts
    /// nothing.
    fn cut(&mut self, unless: u8) {
        let none = self.code.label();
        self.code.put(code::load(8, 3, 10, slot::VALUE));
        self.code.jump(code::jump_imm(unless, 3, 0), none);
        self.global(1, super::TRACE, 0);
        self.code.puts([code::load(8, 2, 1, super::FAR), code::store(8, 1, super::CUT as i16, 2)]);
        self.code.place(none);
        self.code.put(code::mov_imm(0, 0));
    }

    /// Keeps the helper's answer; what follows is jumped over when it failed.
    fn resized(&mut self, result: u8) -> Label {
        let failed = self.code.label();
        self.code.put(code::mov(result, 0));
        self.code.jump(code::jump_imm(jmp::JNE, 0, 0), failed);
        self.mark(Mark::Resized);
        failed
    }

    /// Overwrites what a growth may have uncovered: what lies there is undefined.
    fn fill(&mut self, via: Via, delta: Delta, fill: u8) {
        let bytes = match delta {
            Delta::Const(bytes) => -bytes,
            Delta::Computed(_, _, bias) => bias,
        };
        if bytes <= 0 {
            return;
        }
        let at = At { offset: 0, index: None };
        let (beyond, _) = self.reach(via, at, bytes);
        let pattern = i32::from_ne_bytes([fill; 4]);
        let mut offset = 0;
        while offset < bytes {
            let size = [8, 4, 2, 1].into_iter().find(|s| offset + s <= bytes).unwrap_or(1);
            let insn: Insn = code::store_imm(size as u8, 2, offset as i16, pattern);
            self.code.put(insn);
            offset += size;
        }
        self.code.place(beyond);
        self.code.put(code::mov_imm(0, 0));
    }

    /// Offset in r2 already: the buffer in r3, its length in r4, the context in r1.
    fn buffer(&mut self, via: Via, length: u8) {
        self.code.puts([
            code::mov(3, 10),
            code::imm(alu::ADD, 3, i32::from(slot::BYTES)),
            code::mov_imm(4, i32::from(length.clamp(1, BUFFER))),
        ]);
        self.context_argument(via);
    }
}
