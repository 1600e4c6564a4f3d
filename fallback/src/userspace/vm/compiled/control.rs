//! Jumps, fuel, returns and faults.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};

use super::super::code::{Condition, Op, Register, Source};
use super::function::{Role, Translator};
use super::{layout, routines};

/// Whether a function's own code spends fuel: jumps back and calls do.
pub(super) fn spends_fuel(ops: &[Op]) -> bool {
    ops.iter().enumerate().any(|(at, op)| match *op {
        Op::Jump { to } | Op::Branch { to, .. } | Op::MayGoto { to } => to as usize <= at,
        Op::Call(_) | Op::TailCall => true,
        _ => false,
    })
}

impl Translator<'_, '_> {
    pub(super) fn jump(&mut self, to: u32) {
        self.charge_jump(to);
        let block = self.block_at(to);
        self.builder.ins().jump(block, &[]);
    }

    pub(super) fn branch(
        &mut self,
        wide: bool,
        cond: Condition,
        left: Register,
        right: Source,
        to: u32,
    ) {
        let ty = if wide { I64 } else { I32 };
        let left = self.register_as(left, ty);
        let right = match right {
            Source::Register(register) => self.register_as(register, ty),
            Source::Constant(value) if wide => self.constant(ty, value.cast_signed()),
            Source::Constant(value) => self.constant(ty, i64::from(value as i32)),
        };
        let holds = match comparison(cond) {
            Some(code) => self.builder.ins().icmp(code, left, right),
            None => self.builder.ins().band(left, right),
        };
        self.branch_if(holds, to);
    }

    /// Takes the jump of the current operation if a value is not zero, else goes on.
    fn branch_if(&mut self, holds: Value, to: u32) {
        let next = self.block_at(self.at + 1);
        if to > self.at {
            let taken = self.block_at(to);
            self.builder.ins().brif(holds, taken, &[], next, &[]);
            return;
        }
        let taken = self.builder.create_block();
        self.builder.ins().brif(holds, taken, &[], next, &[]);
        self.enter(taken);
        self.jump(to);
    }

    pub(super) fn may_goto(&mut self, to: u32) {
        // Declared in the prologue of every function that has such an operation.
        let Some(variable) = self.passes else { return };
        let passes = self.builder.use_var(variable);
        let spent = self.builder.ins().icmp_imm_s(IntCC::Equal, passes, 0);
        let left = self.builder.ins().iadd_imm_s(passes, -1);
        let rest = self.builder.ins().select(spent, passes, left);
        self.builder.def_var(variable, rest);
        self.branch_if(spent, to);
    }

    /// A jump back costs the instructions that it repeats.
    fn charge_jump(&mut self, to: u32) {
        if to <= self.at {
            self.charge(i64::from(self.at - to) + 1);
        }
    }

    pub(super) fn charge(&mut self, cost: i64) {
        let fuel = self.builder.use_var(self.fuel);
        let cost = self.constant(I64, cost);
        let short = self.builder.ins().icmp(IntCC::UnsignedLessThan, fuel, cost);
        self.fault_if(short, routines::OUT_OF_FUEL);
        let left = self.builder.ins().isub(fuel, cost);
        self.builder.def_var(self.fuel, left);
    }

    /// Leaves the fuel where others find it.
    pub(super) fn flush_fuel(&mut self) {
        if self.spends_fuel {
            let fuel = self.builder.use_var(self.fuel);
            self.set_run_field(fuel, layout::FUEL);
        }
    }

    /// Takes the fuel that others have left.
    pub(super) fn reload_fuel(&mut self) {
        if self.spends_fuel {
            let fuel = self.run_field(I64, layout::FUEL);
            self.builder.def_var(self.fuel, fuel);
        }
    }

    pub(super) fn exit(&mut self) {
        self.flush_fuel();
        let result = self.register(0);
        let status = self.constant(I64, 0);
        self.return_with(result, status);
    }

    pub(super) fn return_with(&mut self, result: Value, status: Value) {
        match self.role {
            // Who runs a program asks the run whether there was a fault.
            Role::Program | Role::Callback => self.builder.ins().return_(&[result]),
            Role::Subprogram => self.builder.ins().return_(&[result, status]),
        };
    }

    pub(super) fn invalid(&mut self) {
        self.raise(routines::INVALID);
    }

    /// Records a fault of the current operation, which has no other cause than itself, and returns.
    fn raise(&mut self, kind: i64) {
        let (site, kind) = (self.site(), self.constant(I64, kind));
        let run = self.run;
        self.routine(routines::raise as *const () as usize, &[run, site, kind], 0);
        let unwind = self.unwind();
        self.builder.ins().jump(unwind, &[]);
    }

    /// Raises a fault if a value is not zero, else goes on in a new block.
    pub(super) fn fault_if(&mut self, wrong: Value, kind: i64) {
        let (bad, good) = (self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(wrong, bad, &[], good, &[]);
        self.enter(bad);
        self.raise(kind);
        self.enter(good);
    }

    /// Returns if a routine has recorded a fault, else goes on in a new block.
    pub(super) fn unwind_if_raised(&mut self) {
        let raised = self.run_field(I64, layout::RAISED);
        self.unwind_if(raised);
    }

    pub(super) fn unwind_if(&mut self, status: Value) {
        let (unwind, good) = (self.unwind(), self.builder.create_block());
        self.builder.ins().brif(status, unwind, &[], good, &[]);
        self.enter(good);
    }

    pub(super) fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }
}

/// The machine's comparison; none for the test of common bits.
const fn comparison(cond: Condition) -> Option<IntCC> {
    Some(match cond {
        Condition::Eq => IntCC::Equal,
        Condition::Ne => IntCC::NotEqual,
        Condition::Gt => IntCC::UnsignedGreaterThan,
        Condition::Ge => IntCC::UnsignedGreaterThanOrEqual,
        Condition::Lt => IntCC::UnsignedLessThan,
        Condition::Le => IntCC::UnsignedLessThanOrEqual,
        Condition::SignedGt => IntCC::SignedGreaterThan,
        Condition::SignedGe => IntCC::SignedGreaterThanOrEqual,
        Condition::SignedLt => IntCC::SignedLessThan,
        Condition::SignedLe => IntCC::SignedLessThanOrEqual,
        Condition::Set => return None,
    })
}
