//! Calls: of the program's own functions, of helpers, of other programs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, Value,
};
use hoist_bpf::module::{ExternId, FunctionId};

use super::super::address::{CONTEXT, STACK_FRAME};
use super::super::interpreter;
use super::function::{Role, Translator};
use super::lookup::LOOKUP;
use super::{layout, routines};

impl Translator<'_, '_> {
    /// Calls a function of this process. All arguments and the result are 64 bits wide.
    pub(super) fn routine(&mut self, routine: usize, args: &[Value], results: usize) -> Value {
        let signature = match self.routines.get(&(args.len(), results)) {
            Some(signature) => *signature,
            None => {
                let mut signature = Signature::new(self.unit.call_conv());
                signature.params = vec![AbiParam::new(I64); args.len()];
                signature.returns = vec![AbiParam::new(I64); results];
                let signature = self.builder.import_signature(signature);
                self.routines.insert((args.len(), results), signature);
                signature
            }
        };
        let routine = self.constant(I64, routine as i64);
        let call = self.builder.ins().call_indirect(signature, routine, args);
        self.builder.inst_results(call).first().copied().unwrap_or(routine)
    }

    pub(super) fn helper(&mut self, number: u32) {
        if number == LOOKUP && self.lookup() {
            return;
        }
        self.outside(routines::helper as *const () as usize, number);
    }

    pub(super) fn kfunc(&mut self, external: ExternId) {
        self.outside(routines::kfunc as *const () as usize, external.0);
    }

    /// Calls a helper or kernel function through its table.
    fn outside(&mut self, routine: usize, number: u32) {
        self.flush_fuel();
        let args = self.arguments();
        let (site, number) = (self.site(), self.constant(I64, i64::from(number)));
        let result = self.routine(routine, &[self.run, site, number, args], 1);
        self.unwind_if_raised();
        self.reload_fuel();
        self.set(0, result);
    }

    /// `r1` to `r5` in memory.
    fn arguments(&mut self) -> Value {
        let slot = match self.arguments {
            Some(slot) => slot,
            None => {
                let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 40, 3);
                let slot = self.builder.create_sized_stack_slot(data);
                self.arguments = Some(slot);
                slot
            }
        };
        let address = self.builder.ins().stack_addr(I64, slot, 0);
        for register in 1..=5 {
            let value = self.register(register);
            let offset = 8 * (i32::from(register) - 1);
            self.builder.ins().store(MemFlagsData::trusted(), value, address, offset);
        }
        address
    }

    pub(super) fn call(&mut self, callee: FunctionId) {
        let Some(function) = self.unit.code().functions.get(callee.0 as usize) else {
            return self.invalid();
        };
        self.charge(i64::from(function.slots));
        // The callee's `r10`, and the lowest byte of this function's stack.
        let top = self.builder.ins().iadd_imm_s(self.frame_pointer, -(STACK_FRAME as i64));
        let limit = self.stack_field(layout::STACK_LIMIT);
        let deepest = self.builder.ins().icmp(IntCC::Equal, top, limit);
        self.fault_if(deepest, routines::CALL_DEPTH);
        self.clean_own_stack(top);
        self.flush_fuel();
        let below = self.builder.ins().iadd_imm_s(top, -(STACK_FRAME as i64));
        self.set_stack_field(below, layout::STACK_FLOOR);
        let mut args = vec![self.run];
        args.extend((1..=5).map(|register| self.register(register)));
        let callee = match self.unit.declare(callee, Role::Subprogram) {
            Ok(callee) => callee,
            Err(error) => {
                self.failed = Some(error);
                return self.invalid();
            }
        };
        let callee = self.unit.import(callee, self.builder.func);
        let call = self.builder.ins().call(callee, &args);
        let results = self.builder.inst_results(call);
        let (result, status) = (results[0], results[1]);
        self.unwind_if(status);
        self.set_stack_field(top, layout::STACK_FLOOR);
        self.set_stack_field(top, layout::STACK_CLEAN);
        // The callee may have made place for another program.
        self.set_stack_field(limit, layout::STACK_LIMIT);
        self.reload_fuel();
        self.set(0, result);
    }

    /// Clears what is not clean of this function's stack: its callee may hold pointers there.
    fn clean_own_stack(&mut self, low: Value) {
        let clean = self.stack_field(layout::STACK_CLEAN);
        let dirty = self.builder.ins().icmp(IntCC::NotEqual, clean, low);
        let (clear, go_on) = (self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(dirty, clear, &[], go_on, &[]);
        self.enter(clear);
        self.routine(routines::clear_stack as *const () as usize, &[self.run], 0);
        self.builder.ins().jump(go_on, &[]);
        self.enter(go_on);
    }

    /// The target takes this function's place: what it returns is what this function returns.
    pub(super) fn tail_call(&mut self) {
        self.flush_fuel();
        let site = self.site();
        let (context, map, index) = (self.register(1), self.register(2), self.register(3));
        let args = [self.run, site, context, map, index, self.frame_pointer];
        let target = self.routine(routines::tail_call as *const () as usize, &args, 1);
        self.unwind_if_raised();
        self.reload_fuel();
        let (leave, stay) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(target, leave, &[], stay, &[]);
        self.enter(leave);
        let signature = self.unit.signature(Role::Subprogram);
        let signature = self.builder.import_signature(signature);
        let context = self.constant(I64, CONTEXT as i64);
        let zero = self.constant(I64, 0);
        let args = [self.run, context, zero, zero, zero, zero];
        let call = self.builder.ins().call_indirect(signature, target, &args);
        let results = self.builder.inst_results(call);
        let (result, status) = (results[0], results[1]);
        self.return_with(result, status);
        self.enter(stay);
        // What the helper returns, the kernel leaves open.
        let fallen_through = self.constant(I64, interpreter::NO_TAIL_CALL as i64);
        self.set(0, fallen_through);
    }
}
