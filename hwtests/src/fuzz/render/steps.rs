//! Steps that are instructions only, and the way from each step to its writer.

use hoist_bpf::Insn;
use hoist_bpf::opcode::{X, alu, class, jmp};

use super::super::model::{Alu, Block, Operand, Step, Test};
use super::{TRACE, Writer, code, register, slot};

impl Writer<'_> {
    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Alu(alu) => self.alu(*alu),
            Step::Branch { test, then, otherwise } => self.branch(*test, then, otherwise),
            Step::Loop { count, body } => self.bounded_loop(*count, body),
            Step::Exit(verdict) => {
                // The flags are never 0, but the verifier cannot know: what follows stays reachable,
                // wherever the step stands.
                self.global(1, TRACE, 0);
                self.code.put(code::load(8, 1, 1, 0));
                self.verdict(*verdict);
                let end = self.end;
                self.code.jump(code::jump_imm(jmp::JNE, 1, 0), end);
            }
            Step::Load { .. }
            | Step::Store { .. }
            | Step::Head { .. }
            | Step::Tail { .. }
            | Step::LoadBytes { .. }
            | Step::StoreBytes { .. }
            | Step::Length { .. }
            | Step::Field { .. }
            | Step::Metadata { .. } => self.packet_step(step),
            Step::Lookup { .. }
            | Step::Update { .. }
            | Step::Delete { .. }
            | Step::Queue { .. }
            | Step::Global { .. } => self.table_step(step),
            Step::Call { .. }
            | Step::BpfLoop { .. }
            | Step::TailCall { .. }
            | Step::Checksum { .. }
            | Step::Mtu { .. }
            | Step::Fib { .. }
            | Step::Redirect { .. }
            | Step::RedirectMap { .. } => self.call_step(step),
        }
    }

    fn alu(&mut self, step: Alu) {
        let dst = register(step.dst);
        let class = if step.wide { class::ALU64 } else { class::ALU };
        match (step.op, step.src) {
            (alu::END, Operand::Imm(bits)) if step.off != 0 => {
                self.code.put(Insn::new(class::ALU64 | alu::END, dst, 0, 0, bits));
            }
            (alu::END, src) => {
                let bits = if let Operand::Imm(bits) = src { bits } else { 16 };
                let big = if step.wide { X } else { 0 };
                self.code.put(Insn::new(class::ALU | alu::END | big, dst, 0, 0, bits));
            }
            (alu::NEG, _) => self.code.put(Insn::new(class | alu::NEG, dst, 0, 0, 0)),
            (op, Operand::Imm(value)) => {
                self.code.put(Insn::new(class | op, dst, 0, step.off, value))
            }
            (op, src) => {
                self.value(1, src);
                self.code.put(Insn::new(class | X | op, dst, 1, step.off, 0));
            }
        }
    }

    fn branch(&mut self, test: Test, then: &Block, otherwise: &Block) {
        let (yes, end) = (self.code.label(), self.code.label());
        let class = if test.wide { class::JMP } else { class::JMP32 };
        let left = register(test.left);
        let jump = if let Operand::Imm(value) = test.right {
            Insn::new(class | test.op, left, 0, 0, value)
        } else {
            self.value(1, test.right);
            Insn::new(class | X | test.op, left, 1, 0, 0)
        };
        self.code.jump(jump, yes);
        self.block(otherwise);
        self.code.jump(code::go(), end);
        self.code.place(yes);
        self.block(then);
        self.code.place(end);
        // Both ways meet in an instruction, also at the end of a block.
        self.code.put(code::mov_imm(0, 0));
    }

    /// Deeper loops than there are counters run their body once.
    fn bounded_loop(&mut self, count: u8, body: &Block) {
        let Some(&counter) = slot::LOOPS.get(self.depth) else {
            self.block(body);
            return;
        };
        self.depth += 1;
        let (top, end) = (self.code.label(), self.code.label());
        self.code.put(code::store_imm(8, 10, counter, 0));
        self.code.place(top);
        self.code.put(code::load(8, 1, 10, counter));
        self.code.jump(code::jump_imm(jmp::JGE, 1, i32::from(count)), end);
        self.code.puts([code::imm(alu::ADD, 1, 1), code::store(8, 10, counter, 1)]);
        self.block(body);
        self.code.jump(code::go(), top);
        self.code.place(end);
        self.code.put(code::mov_imm(0, 0));
        self.depth -= 1;
    }
}
