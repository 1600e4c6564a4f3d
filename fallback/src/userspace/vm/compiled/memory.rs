//! Loads, stores and atomic operations.
//!
//! An access that is known to be in bounds is one machine instruction: the address in this process is
//! the VM address plus a number that is constant for the run (frame) or for the machine (stack, map
//! values). What is not known is compared with the bounds of the frame or the stack in place; what
//! lies in neither goes to the routine that the interpreter uses too, which allows it or says what is
//! wrong with it.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Type, Value};

use super::super::address::{CONTEXT, FRAME};
use super::super::code::{AtomicOp, Register, Size, Source};
use super::function::Translator;
use super::reach::{Host, Reach};
use super::{layout, routines};

/// An access that may leave the fast path.
#[derive(Clone, Copy)]
struct Detour {
    /// Where a routine makes it.
    slow: Block,
    /// Where both paths meet.
    done: Block,
    address: Value,
    size: Size,
    /// Whether it was proven, and is checked all the same.
    proven: bool,
}

const fn integer(size: Size) -> Type {
    match size {
        Size::B => I8,
        Size::H => I16,
        Size::W => I32,
        Size::D => I64,
    }
}

impl Translator<'_, '_> {
    pub(super) fn load(
        &mut self,
        dst: Register,
        base: Register,
        off: i16,
        size: Size,
        signed: bool,
    ) {
        let ty = integer(size);
        let value = match self.reach(base, off, size, false) {
            Reach::Context(field) => self.context_field(field),
            Reach::Direct(host) => self.builder.ins().load(ty, host.flags(), host.address, 0),
            reach @ Reach::MaybeContext(field, root) => {
                let detour = self.detour(base, off, size, reach);
                let result = self.builder.append_block_param(detour.done, ty);
                let context = self.constant(I64, CONTEXT.cast_signed());
                let is_context = self.builder.ins().icmp(IntCC::Equal, root, context);
                let fast = self.builder.create_block();
                self.builder.ins().brif(is_context, fast, &[], detour.slow, &[]);
                self.enter(fast);
                let value = self.context_field(field);
                self.builder.ins().jump(detour.done, &[value.into()]);
                self.slow_load(routines::load as *const () as usize, detour);
                result
            }
            reach => {
                let detour = self.detour(base, off, size, reach);
                let result = self.builder.append_block_param(detour.done, ty);
                if let Some(host) = self.compare(reach, detour.address, size, detour.slow) {
                    let value = self.builder.ins().load(ty, host.flags(), host.address, 0);
                    self.builder.ins().jump(detour.done, &[value.into()]);
                }
                self.slow_load(routines::load as *const () as usize, detour);
                result
            }
        };
        if signed && ty != I64 {
            let value = self.builder.ins().sextend(I64, value);
            self.set(dst, value);
        } else {
            self.set_zero_extended(dst, value);
        }
    }

    pub(super) fn store(&mut self, base: Register, off: i16, size: Size, source: Source) {
        let ty = integer(size);
        let value = match source {
            Source::Register(register) => self.register_as(register, ty),
            Source::Constant(value) => {
                let mask = u64::MAX >> (64 - 8 * size.bytes());
                self.builder.ins().iconst(ty, (value & mask).cast_signed())
            }
        };
        match self.reach(base, off, size, true) {
            Reach::Direct(host) => {
                self.builder.ins().store(host.flags(), value, host.address, 0);
            }
            reach => {
                let detour = self.detour(base, off, size, reach);
                if let Some(host) = self.compare(reach, detour.address, size, detour.slow) {
                    self.builder.ins().store(host.flags(), value, host.address, 0);
                    self.builder.ins().jump(detour.done, &[]);
                }
                self.slow_store(routines::store as *const () as usize, detour, value);
            }
        }
    }

    /// A field of the context is part of the run's own state.
    fn context_field(&mut self, field: u16) -> Value {
        let position = match field {
            0 => layout::FRAME_DATA,
            4 => layout::FRAME_END,
            8 => layout::FRAME_META,
            _ => {
                let arrival = self.run_field(I64, layout::ARRIVAL);
                let offset = match field {
                    12 => layout::INGRESS_IFINDEX,
                    16 => layout::RX_QUEUE_INDEX,
                    _ => layout::EGRESS_IFINDEX,
                };
                let flags = self.run_flags();
                return self.builder.ins().load(I32, flags, arrival, offset);
            }
        };
        let position = self.run_field(I32, position);
        self.builder.ins().iadd_imm_s(position, FRAME as i64)
    }

    fn detour(&mut self, base: Register, off: i16, size: Size, reach: Reach) -> Detour {
        let address = self.vm_address(base, off);
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        let proven = matches!(reach, Reach::Checked { proven: true, .. });
        Detour { slow, done, address, size, proven }
    }

    /// Lets a routine load, and goes on where the paths meet with the value.
    fn slow_load(&mut self, routine: usize, detour: Detour) {
        self.enter(detour.slow);
        let (site, access) = (self.site(), self.access(detour, false));
        let value = self.routine(routine, &[self.run, site, detour.address, access], 1);
        self.unwind_if_raised();
        let ty = integer(detour.size);
        let value = if ty == I64 { value } else { self.builder.ins().ireduce(ty, value) };
        self.builder.ins().jump(detour.done, &[value.into()]);
        self.enter(detour.done);
    }

    /// Lets a routine store, and goes on where the paths meet.
    fn slow_store(&mut self, routine: usize, detour: Detour, value: Value) {
        self.enter(detour.slow);
        let wide = detour.size == Size::D;
        let value = if wide { value } else { self.builder.ins().uextend(I64, value) };
        let (site, access) = (self.site(), self.access(detour, true));
        self.routine(routine, &[self.run, site, detour.address, access, value], 0);
        self.unwind_if_raised();
        self.builder.ins().jump(detour.done, &[]);
        self.enter(detour.done);
    }

    /// What the routines are told of an access: its bytes, and [`routines::WRITE`],
    /// [`routines::PROVEN`].
    fn access(&mut self, detour: Detour, write: bool) -> Value {
        let write = if write { routines::WRITE } else { 0 };
        let proven = if detour.proven { routines::PROVEN } else { 0 };
        self.constant(I64, (detour.size.bytes() | write | proven).cast_signed())
    }

    /// For an access that must be aligned: goes on in a new block if it needs no check and is
    /// aligned, else to the routine.
    fn aligned(&mut self, reach: Reach, detour: Detour) -> Option<Host> {
        let Reach::Direct(host) = reach else {
            self.builder.ins().jump(detour.slow, &[]);
            return None;
        };
        let good = self.builder.create_block();
        let rest = detour.size.bytes().cast_signed() - 1;
        let rest = self.builder.ins().band_imm_s(detour.address, rest);
        self.builder.ins().brif(rest, detour.slow, &[], good, &[]);
        self.enter(good);
        Some(host)
    }

    /// The place of what an atomic operation reads and writes.
    fn atomic_place(&mut self, base: Register, off: i16, size: Size) -> Host {
        let reach = self.reach(base, off, size, true);
        let detour = self.detour(base, off, size, reach);
        let address = self.builder.append_block_param(detour.done, I64);
        let direct = match reach {
            // What a lookup returned is aligned wherever it is in bounds, if the distance is; the
            // comparison finds both out.
            Reach::Found(host, root) => {
                let there = self.builder.create_block();
                self.builder.ins().brif(root, there, &[], detour.slow, &[]);
                self.enter(there);
                self.aligned(Reach::Direct(host), detour)
            }
            reach => self.aligned(reach, detour),
        };
        if let Some(host) = direct {
            self.builder.ins().jump(detour.done, &[host.address.into()]);
        }
        self.enter(detour.slow);
        let (site, access) = (self.site(), self.access(detour, true));
        let routine = routines::atomic as *const () as usize;
        let place = self.routine(routine, &[self.run, site, detour.address, access], 1);
        self.unwind_if_raised();
        self.builder.ins().jump(detour.done, &[place.into()]);
        self.enter(detour.done);
        // The routine leads to the same memory, or to none.
        Host { address, region: direct.and_then(|host| host.region) }
    }

    /// Nothing else runs while a program does, so plain loads and stores are atomic enough.
    pub(super) fn atomic(
        &mut self,
        op: AtomicOp,
        size: Size,
        base: Register,
        off: i16,
        src: Register,
    ) {
        let host = self.atomic_place(base, off, size);
        let ty = integer(size);
        let old = self.builder.ins().load(ty, host.flags(), host.address, 0);
        let operand = self.register_as(src, ty);
        let new = match op {
            AtomicOp::Add { .. } => self.builder.ins().iadd(old, operand),
            AtomicOp::Or { .. } => self.builder.ins().bor(old, operand),
            AtomicOp::And { .. } => self.builder.ins().band(old, operand),
            AtomicOp::Xor { .. } => self.builder.ins().bxor(old, operand),
            AtomicOp::Exchange => operand,
            AtomicOp::CompareExchange => {
                let expected = self.register_as(0, ty);
                let equal = self.builder.ins().icmp(IntCC::Equal, old, expected);
                self.builder.ins().select(equal, operand, old)
            }
        };
        self.builder.ins().store(host.flags(), new, host.address, 0);
        match op {
            AtomicOp::CompareExchange => self.set_zero_extended(0, old),
            _ if op.fetches() => self.set_zero_extended(src, old),
            _ => {}
        }
    }

    pub(super) fn load_acquire(&mut self, dst: Register, base: Register, off: i16, size: Size) {
        let ty = integer(size);
        let reach = self.reach(base, off, size, false);
        let detour = self.detour(base, off, size, reach);
        let result = self.builder.append_block_param(detour.done, ty);
        if let Some(host) = self.aligned(reach, detour) {
            let value = self.builder.ins().load(ty, host.flags(), host.address, 0);
            self.builder.ins().jump(detour.done, &[value.into()]);
        }
        self.slow_load(routines::load_aligned as *const () as usize, detour);
        self.set_zero_extended(dst, result);
    }

    pub(super) fn store_release(&mut self, base: Register, off: i16, size: Size, src: Register) {
        let reach = self.reach(base, off, size, true);
        let detour = self.detour(base, off, size, reach);
        let value = self.register_as(src, integer(size));
        if let Some(host) = self.aligned(reach, detour) {
            self.builder.ins().store(host.flags(), value, host.address, 0);
            self.builder.ins().jump(detour.done, &[]);
        }
        self.slow_store(routines::store_aligned as *const () as usize, detour, value);
    }
}
