//! One function of the program becomes one machine function.
//!
//! Registers `r0` to `r9` are variables of Cranelift's front end, which brings them into SSA form;
//! `r10` is a constant of the activation. Blocks start where jumps lead to; operations that no path
//! reaches are left out.

use std::collections::BTreeMap;

use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, SigRef, StackSlot, Type, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use hoist_bpf::module::{FunctionId, MapId};

use super::super::address::{CONTEXT, STACK_FRAME, STACK_TOP};
use super::super::code::{Function, Op, Register};
use super::super::interpreter;
use super::super::proof::Proof;
use super::NotCompiled;
use super::control::spends_fuel;
use super::layout::{self, Regions};
use super::unit::Unit;

/// What a machine function stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The program itself: takes the run alone; `r1` is the context.
    Program,
    /// What other functions call: takes the run and `r1` to `r5`.
    Subprogram,
    /// What helpers call: a way into the subprogram.
    Callback,
}

/// Status that a machine function returns beside `r0`.
pub(super) const FAULTED: i64 = 1;

pub(super) struct Translator<'a, 'b> {
    pub(super) unit: &'a mut Unit<'b>,
    pub(super) builder: FunctionBuilder<'a>,
    pub(super) id: FunctionId,
    pub(super) function: &'a Function,
    pub(super) proofs: &'a [Proof],
    pub(super) role: Role,
    /// The block whose parameters are the function's.
    pub(super) entry: Block,
    /// Index of the operation being translated.
    pub(super) at: u32,
    /// `*mut Running`.
    pub(super) run: Value,
    /// `r10`.
    pub(super) frame_pointer: Value,
    /// Added to a VM address of the frame, it gives the address in this process.
    pub(super) frame_delta: Value,
    /// Likewise for the stack.
    pub(super) stack_delta: Value,
    /// Fuel left, while the function runs by itself; in memory while others may use it.
    pub(super) fuel: Variable,
    pub(super) regions: Regions,
    registers: [Variable; 10],
    blocks: BTreeMap<u32, Block>,
    /// Where a fault that is recorded already returns from.
    unwind: Option<Block>,
    /// Signatures of routines, by their numbers of arguments and results.
    pub(super) routines: BTreeMap<(usize, usize), SigRef>,
    /// Where arguments of helpers are passed.
    pub(super) arguments: Option<StackSlot>,
    /// Whether the function's own code spends fuel; if not, the fuel stays in memory.
    pub(super) spends_fuel: bool,
    /// What went wrong with the translation itself.
    pub(super) failed: Option<NotCompiled>,
    /// Values that lookups returned, each with the map.
    pub(super) found: BTreeMap<Value, MapId>,
    stack_bounds: Value,
    /// Passes that `may_goto` has left; there if the function has one.
    pub(super) passes: Option<Variable>,
}

/// Operations that jumps lead to, and those behind jumps: where blocks start.
fn leaders(ops: &[Op]) -> Vec<bool> {
    let mut leads = vec![false; ops.len()];
    let mut mark = |index: usize| {
        if let Some(lead) = leads.get_mut(index) {
            *lead = true;
        }
    };
    mark(0);
    for (at, op) in ops.iter().enumerate() {
        if let Op::Jump { to } | Op::Branch { to, .. } | Op::MayGoto { to } = *op {
            mark(to as usize);
            mark(at + 1);
        }
    }
    leads
}

/// Operations that jumps from behind lead to: more may come than what was translated before.
fn loop_heads(ops: &[Op]) -> Vec<bool> {
    let mut heads = vec![false; ops.len()];
    for (at, op) in ops.iter().enumerate() {
        if let Op::Jump { to } | Op::Branch { to, .. } | Op::MayGoto { to } = *op
            && to as usize <= at
            && let Some(head) = heads.get_mut(to as usize)
        {
            *head = true;
        }
    }
    heads
}

/// Whether control may go on to the next operation.
const fn falls_through(op: &Op) -> bool {
    !matches!(op, Op::Jump { .. } | Op::Exit | Op::Invalid(_))
}

/// Operations that some path from the start reaches.
pub(super) fn reachable(ops: &[Op]) -> Vec<bool> {
    let mut reached = vec![false; ops.len()];
    let mut waiting = vec![0];
    while let Some(at) = waiting.pop() {
        let Some(op) = ops.get(at) else { continue };
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        if let Op::Jump { to } | Op::Branch { to, .. } | Op::MayGoto { to } = *op {
            waiting.push(to as usize);
        }
        if falls_through(op) {
            waiting.push(at + 1);
        }
    }
    reached
}

impl<'a, 'b> Translator<'a, 'b> {
    pub(super) fn new(
        unit: &'a mut Unit<'b>,
        mut builder: FunctionBuilder<'a>,
        id: FunctionId,
        function: &'a Function,
        proofs: &'a [Proof],
        role: Role,
    ) -> Self {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let regions = Regions::declare(builder.func);
        let params = builder.block_params(entry).to_vec();
        let run = params[0];
        let zero = builder.ins().iconst(I64, 0);
        let registers = std::array::from_fn(|_| builder.declare_var(I64));
        for (number, variable) in registers.iter().enumerate() {
            let value = match (role, number) {
                (Role::Program, 1) => builder.ins().iconst(I64, CONTEXT as i64),
                (Role::Subprogram, 1..=5) => params[number],
                _ => zero,
            };
            builder.def_var(*variable, value);
        }
        let fuel = builder.declare_var(I64);
        let mut translator = Self {
            unit,
            builder,
            id,
            function,
            proofs,
            role,
            entry,
            at: 0,
            run,
            frame_pointer: zero,
            frame_delta: zero,
            stack_delta: zero,
            fuel,
            regions,
            registers,
            blocks: BTreeMap::new(),
            unwind: None,
            routines: BTreeMap::new(),
            arguments: None,
            spends_fuel: spends_fuel(&function.ops),
            failed: None,
            found: BTreeMap::new(),
            stack_bounds: zero,
            passes: None,
        };
        translator.prologue();
        translator
    }

    fn prologue(&mut self) {
        self.frame_delta = self.run_field(I64, layout::FRAME_DELTA);
        self.stack_delta = self.constant(I64, self.unit.stack_delta);
        self.stack_bounds = self.run_field(I64, layout::STACK);
        self.frame_pointer = match self.role {
            Role::Program => {
                let floor = self.constant(I64, (STACK_TOP - STACK_FRAME) as i64);
                self.set_stack_field(floor, layout::STACK_FLOOR);
                self.constant(I64, STACK_TOP as i64)
            }
            Role::Subprogram | Role::Callback => {
                let floor = self.stack_field(layout::STACK_FLOOR);
                self.builder.ins().iadd_imm_s(floor, STACK_FRAME as i64)
            }
        };
        self.clear_stack();
        let fuel = self.run_field(I64, layout::FUEL);
        self.builder.def_var(self.fuel, fuel);
        if self.function.ops.iter().any(|op| matches!(op, Op::MayGoto { .. })) {
            let passes = self.builder.declare_var(I64);
            let all = self.constant(I64, i64::from(interpreter::MAX_LOOPS));
            self.builder.def_var(passes, all);
            self.passes = Some(passes);
        }
    }

    /// Clears what the function is seen to use of its stack.
    fn clear_stack(&mut self) {
        let used = i32::from(self.function.stack);
        let clean = self.builder.ins().iadd_imm_s(self.frame_pointer, -i64::from(used));
        self.set_stack_field(clean, layout::STACK_CLEAN);
        let low = self.builder.ins().iadd(clean, self.stack_delta);
        let zero = self.constant(I64, 0);
        let flags = MemFlagsData::trusted().with_alias_region(Some(self.regions.stack));
        for offset in (0..used).step_by(8) {
            self.builder.ins().store(flags, zero, low, offset);
        }
    }

    /// Translates every operation that can be reached.
    pub(super) fn translate(mut self) -> Result<(), NotCompiled> {
        let reachable = reachable(&self.function.ops);
        let (leads, heads) = (leaders(&self.function.ops), loop_heads(&self.function.ops));
        for (at, (lead, reached)) in leads.iter().zip(&reachable).enumerate() {
            if *lead && *reached {
                let block = self.builder.create_block();
                self.blocks.insert(at as u32, block);
            }
        }
        let mut open = true;
        for (at, op) in self.function.ops.iter().enumerate() {
            if !reachable[at] {
                open = false;
                continue;
            }
            self.at = at as u32;
            if let Some(&block) = self.blocks.get(&self.at) {
                if open {
                    self.builder.ins().jump(block, &[]);
                }
                self.builder.switch_to_block(block);
                if !heads[at] {
                    self.builder.seal_block(block);
                }
            }
            self.op(op);
            open = falls_through(op) && !matches!(op, Op::Branch { .. } | Op::MayGoto { .. });
        }
        if let Some(unwind) = self.unwind {
            self.builder.switch_to_block(unwind);
            let (zero, status) = (self.constant(I64, 0), self.constant(I64, FAULTED));
            self.return_with(zero, status);
        }
        self.builder.seal_all_blocks();
        let config = self.unit.frontend_config();
        self.builder.finalize(config);
        self.failed.map_or(Ok(()), Err)
    }

    fn op(&mut self, op: &Op) {
        match *op {
            Op::Alu { wide, op, dst, source } => self.alu(wide, op, dst, source),
            Op::Neg { wide, dst } => self.neg(wide, dst),
            Op::Move { wide, dst, source, sign_bits } => self.mov(wide, dst, source, sign_bits),
            Op::Endian { order, width, dst } => self.endian(order, width, dst),
            Op::LoadImm { dst, value } => {
                let value = self.constant(I64, value.cast_signed());
                self.set(dst, value);
            }
            Op::Load { dst, base, off, size, signed } => self.load(dst, base, off, size, signed),
            Op::Store { base, off, size, source } => self.store(base, off, size, source),
            Op::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src),
            Op::LoadAcquire { dst, base, off, size } => self.load_acquire(dst, base, off, size),
            Op::StoreRelease { base, off, size, src } => self.store_release(base, off, size, src),
            Op::Jump { to } => self.jump(to),
            Op::Branch { wide, cond, left, right, to } => self.branch(wide, cond, left, right, to),
            Op::MayGoto { to } => self.may_goto(to),
            Op::Call(function) => self.call(function),
            Op::Helper(number) => self.helper(number),
            Op::TailCall => self.tail_call(),
            Op::Kfunc(external) => self.kfunc(external),
            Op::Exit => self.exit(),
            Op::Invalid(_) => self.invalid(),
        }
    }

    /// The block that starts at an operation. Only reachable leaders are asked for.
    pub(super) fn block_at(&mut self, at: u32) -> Block {
        let builder = &mut self.builder;
        *self.blocks.entry(at).or_insert_with(|| builder.create_block())
    }

    /// Goes on in a block to which nothing more will jump.
    pub(super) fn enter(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Where to go once a fault is recorded.
    pub(super) fn unwind(&mut self) -> Block {
        if let Some(block) = self.unwind {
            return block;
        }
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        self.unwind = Some(block);
        block
    }

    pub(super) fn proof(&self) -> Proof {
        self.proofs.get(self.at as usize).copied().unwrap_or_default()
    }

    pub(super) fn constant(&mut self, ty: Type, value: i64) -> Value {
        // Cranelift wants constants of narrow types without bits above their width.
        let value = match ty {
            I32 => i64::from(value as u32),
            I8 => i64::from(value as u8),
            _ => value,
        };
        self.builder.ins().iconst(ty, value)
    }

    /// A register's value.
    pub(super) fn register(&mut self, register: Register) -> Value {
        match self.registers.get(register as usize) {
            Some(variable) => self.builder.use_var(*variable),
            None => self.frame_pointer,
        }
    }

    /// The lower bits of a register.
    pub(super) fn register_as(&mut self, register: Register, ty: Type) -> Value {
        let value = self.register(register);
        if ty == I64 { value } else { self.builder.ins().ireduce(ty, value) }
    }

    pub(super) fn set(&mut self, register: Register, value: Value) {
        // `r10` is never a destination: such instructions are invalid.
        if let Some(variable) = self.registers.get(register as usize) {
            self.builder.def_var(*variable, value);
        }
    }

    /// Sets a register to a value of any width, the bits above it zero.
    pub(super) fn set_zero_extended(&mut self, register: Register, value: Value) {
        let narrow = self.builder.func.dfg.value_type(value) != I64;
        let value = if narrow { self.builder.ins().uextend(I64, value) } else { value };
        self.set(register, value);
    }

    /// Memory of the run's own state.
    pub(super) fn run_flags(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(self.regions.run))
    }

    pub(super) fn run_field(&mut self, ty: Type, offset: i32) -> Value {
        let flags = self.run_flags();
        self.builder.ins().load(ty, flags, self.run, offset)
    }

    pub(super) fn set_run_field(&mut self, value: Value, offset: i32) {
        let flags = self.run_flags();
        self.builder.ins().store(flags, value, self.run, offset);
    }

    /// One of the bounds of the stack.
    pub(super) fn stack_field(&mut self, offset: i32) -> Value {
        let flags = self.run_flags();
        self.builder.ins().load(I64, flags, self.stack_bounds, offset)
    }

    pub(super) fn set_stack_field(&mut self, value: Value, offset: i32) {
        let flags = self.run_flags();
        self.builder.ins().store(flags, value, self.stack_bounds, offset);
    }

    /// Number of the operation, for faults: the function above, the operation below.
    pub(super) fn site(&mut self) -> Value {
        let site = i64::from(self.id.0) << 32 | i64::from(self.at);
        self.constant(I64, site)
    }
}
