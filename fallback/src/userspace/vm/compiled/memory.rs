//! Loads, stores and atomic operations.
//!
//! An access that is proven to be in bounds is one machine instruction: the address in this process
//! is the VM address plus a number that is constant for the run (frame) or for the machine (stack,
//! map values). What is not proven is compared with the bounds of the frame or the stack in place;
//! what lies in neither goes to the routine that the interpreter uses too, which allows it or says
//! what is wrong with it.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AliasRegion, Block, InstBuilder, MemFlagsData, Type, Value};

use super::super::address::{FRAME, STACK_TOP, map_value};
use super::super::code::{AtomicOp, Register, Size, Source};
use super::super::proof::Proof;
use super::function::Translator;
use super::{layout, routines};

/// Where an access goes.
#[derive(Clone, Copy)]
struct Host {
    address: Value,
    /// The memory it lies in, where that is known.
    region: Option<AliasRegion>,
}

impl Host {
    /// Programs access memory at any alignment.
    fn flags(self) -> MemFlagsData {
        MemFlagsData::new().with_notrap().with_alias_region(self.region)
    }
}

/// What is compared in place where nothing is proven.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guess {
    Frame,
    Stack,
    None,
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
        let value = if let Some(value) = self.context_field(base, off, size) {
            value
        } else if let Some(host) = self.proven(base, off, size) {
            self.builder.ins().load(ty, host.flags(), host.address, 0)
        } else {
            self.checked_load(base, off, size)
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
        if let Some(host) = self.proven(base, off, size) {
            self.builder.ins().store(host.flags(), value, host.address, 0);
        } else {
            self.checked_store(base, off, size, value);
        }
    }

    /// A proven read of the context is a read of the run's own state.
    fn context_field(&mut self, base: Register, off: i16, size: Size) -> Option<Value> {
        let Proof::Context(field) = self.proof() else { return None };
        if self.unit.paranoid || size != Size::W {
            return None;
        }
        let _address = (base, off);
        let position = match field {
            0 => layout::FRAME_DATA,
            4 => layout::FRAME_END,
            8 => layout::FRAME_META,
            _ => {
                let arrival = self.run_field(I64, layout::ARRIVAL);
                let offset = match field {
                    12 => layout::INGRESS_IFINDEX,
                    16 => layout::RX_QUEUE_INDEX,
                    20 => layout::EGRESS_IFINDEX,
                    _ => return None,
                };
                let flags = self.run_flags();
                return Some(self.builder.ins().load(I32, flags, arrival, offset));
            }
        };
        let position = self.run_field(I32, position);
        Some(self.builder.ins().iadd_imm_s(position, FRAME as i64))
    }

    /// The address in this process of an access that needs no check.
    fn proven(&mut self, base: Register, off: i16, size: Size) -> Option<Host> {
        let own_stack = base == 10 && off >= -512 && i64::from(off) + size.bytes() as i64 <= 0;
        if own_stack && u64::from(off.unsigned_abs()) <= u64::from(self.function.stack) {
            return Some(self.on_stack(base, off));
        }
        if self.unit.paranoid {
            return None;
        }
        match self.proof() {
            Proof::Frame => {
                let address = self.vm_address(base, off);
                let address = self.builder.ins().iadd(address, self.frame_delta);
                Some(Host { address, region: Some(self.regions.frame) })
            }
            Proof::Stack(_) | Proof::AnyStack => Some(self.on_stack(base, off)),
            Proof::Value(map) => {
                let start = self.unit.region(map)?.start;
                let delta = start.wrapping_sub(map_value(map, 0));
                let address = self.vm_address(base, off);
                let delta = self.constant(I64, delta.cast_signed());
                let address = self.builder.ins().iadd(address, delta);
                Some(Host { address, region: Some(self.regions.values) })
            }
            _ => None,
        }
    }

    fn on_stack(&mut self, base: Register, off: i16) -> Host {
        let address = self.vm_address(base, off);
        let address = self.builder.ins().iadd(address, self.stack_delta);
        Host { address, region: Some(self.regions.stack) }
    }

    fn vm_address(&mut self, base: Register, off: i16) -> Value {
        let base = self.register(base);
        if off == 0 { base } else { self.builder.ins().iadd_imm_s(base, i64::from(off)) }
    }

    fn guess(&self, base: Register) -> Guess {
        match self.proof() {
            Proof::MaybeStack | Proof::Stack(_) | Proof::AnyStack => Guess::Stack,
            Proof::MaybeValue(_) | Proof::Value(_) | Proof::Context(_) => Guess::None,
            _ if base == 10 => Guess::Stack,
            _ => Guess::Frame,
        }
    }

    fn checked_load(&mut self, base: Register, off: i16, size: Size) -> Value {
        let ty = integer(size);
        let address = self.vm_address(base, off);
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        let result = self.builder.append_block_param(done, ty);
        if let Some(host) = self.compare(base, address, size, slow) {
            let value = self.builder.ins().load(ty, host.flags(), host.address, 0);
            self.builder.ins().jump(done, &[value.into()]);
        }
        self.slow_load(routines::load as *const () as usize, slow, done, address, size);
        result
    }

    /// Lets a routine load, and goes on in `done` with the value.
    fn slow_load(&mut self, routine: usize, slow: Block, done: Block, address: Value, size: Size) {
        self.builder.switch_to_block(slow);
        let access = self.access(size, false);
        let site = self.site();
        let value = self.routine(routine, &[self.run, site, address, access], 1);
        self.unwind_if_raised();
        let ty = integer(size);
        let value = if ty == I64 { value } else { self.builder.ins().ireduce(ty, value) };
        self.builder.ins().jump(done, &[value.into()]);
        self.builder.switch_to_block(done);
    }

    fn checked_store(&mut self, base: Register, off: i16, size: Size, value: Value) {
        let address = self.vm_address(base, off);
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        if let Some(host) = self.compare(base, address, size, slow) {
            self.builder.ins().store(host.flags(), value, host.address, 0);
            self.builder.ins().jump(done, &[]);
        }
        let routine = routines::store as *const () as usize;
        self.slow_store(routine, slow, done, address, size, value);
    }

    /// Lets a routine store, and goes on in `done`.
    fn slow_store(
        &mut self,
        routine: usize,
        slow: Block,
        done: Block,
        address: Value,
        size: Size,
        value: Value,
    ) {
        self.builder.switch_to_block(slow);
        let wide = size == Size::D;
        let value = if wide { value } else { self.builder.ins().uextend(I64, value) };
        let access = self.access(size, true);
        let site = self.site();
        self.routine(routine, &[self.run, site, address, access, value], 0);
        self.unwind_if_raised();
        self.builder.ins().jump(done, &[]);
        self.builder.switch_to_block(done);
    }

    /// What the routines are told of an access: its bytes, and bit 8 for a write.
    fn access(&mut self, size: Size, write: bool) -> Value {
        self.constant(I64, size.bytes() as i64 | i64::from(write) << 8)
    }

    /// Compares an address with the bounds of the memory it probably lies in. Goes to `slow` if it
    /// lies elsewhere and on in a new block if it lies within; none if there is nothing to compare
    /// with, and then it has gone to `slow`.
    fn compare(&mut self, base: Register, address: Value, size: Size, slow: Block) -> Option<Host> {
        let (low, length, delta, region) = match self.guess(base) {
            Guess::None => {
                self.builder.ins().jump(slow, &[]);
                return None;
            }
            Guess::Frame => {
                let meta = self.run_field(I32, layout::FRAME_META);
                let end = self.run_field(I32, layout::FRAME_END);
                let (meta, end) =
                    (self.builder.ins().uextend(I64, meta), self.builder.ins().uextend(I64, end));
                let length = self.builder.ins().isub(end, meta);
                let low = self.builder.ins().iadd_imm_s(meta, FRAME as i64);
                (low, length, self.frame_delta, self.regions.frame)
            }
            Guess::Stack => {
                let low = self.stack_field(layout::STACK_CLEAN);
                let top = self.constant(I64, STACK_TOP as i64);
                let length = self.builder.ins().isub(top, low);
                (low, length, self.stack_delta, self.regions.stack)
            }
        };
        // Both ends are compared, because an address shortly below wraps to 0 when the size is added.
        let first = self.builder.ins().isub(address, low);
        let behind = self.builder.ins().iadd_imm_s(first, size.bytes() as i64);
        let starts = self.builder.ins().icmp(IntCC::UnsignedLessThan, first, length);
        let ends = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, behind, length);
        let inside = self.builder.ins().band(starts, ends);
        let fast = self.builder.create_block();
        self.builder.ins().brif(inside, fast, &[], slow, &[]);
        self.builder.switch_to_block(fast);
        let address = self.builder.ins().iadd(address, delta);
        Some(Host { address, region: Some(region) })
    }

    /// Goes on in a new block if an access is proven and aligned, else to `slow`.
    fn aligned(
        &mut self,
        base: Register,
        off: i16,
        size: Size,
        address: Value,
        slow: Block,
    ) -> Option<Host> {
        let Some(host) = self.proven(base, off, size) else {
            self.builder.ins().jump(slow, &[]);
            return None;
        };
        let good = self.builder.create_block();
        let rest = self.builder.ins().band_imm_s(address, size.bytes() as i64 - 1);
        self.builder.ins().brif(rest, slow, &[], good, &[]);
        self.builder.switch_to_block(good);
        Some(host)
    }

    /// The address in this process of what an atomic operation reads and writes.
    fn atomic_place(&mut self, base: Register, off: i16, size: Size) -> Host {
        let address = self.vm_address(base, off);
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        let result = self.builder.append_block_param(done, I64);
        let proven = self.aligned(base, off, size, address, slow);
        if let Some(host) = proven {
            self.builder.ins().jump(done, &[host.address.into()]);
        }
        self.builder.switch_to_block(slow);
        let access = self.access(size, true);
        let site = self.site();
        let routine = routines::atomic as *const () as usize;
        let place = self.routine(routine, &[self.run, site, address, access], 1);
        self.unwind_if_raised();
        self.builder.ins().jump(done, &[place.into()]);
        self.builder.switch_to_block(done);
        Host { address: result, region: proven.and_then(|host| host.region) }
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
            AtomicOp::Exchange
            | AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => self.set_zero_extended(src, old),
            _ => {}
        }
    }

    pub(super) fn load_acquire(&mut self, dst: Register, base: Register, off: i16, size: Size) {
        let ty = integer(size);
        let address = self.vm_address(base, off);
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        let result = self.builder.append_block_param(done, ty);
        if let Some(host) = self.aligned(base, off, size, address, slow) {
            let value = self.builder.ins().load(ty, host.flags(), host.address, 0);
            self.builder.ins().jump(done, &[value.into()]);
        }
        let routine = routines::load_aligned as *const () as usize;
        self.slow_load(routine, slow, done, address, size);
        self.set_zero_extended(dst, result);
    }

    pub(super) fn store_release(&mut self, base: Register, off: i16, size: Size, src: Register) {
        let address = self.vm_address(base, off);
        let value = self.register_as(src, integer(size));
        let (slow, done) = (self.cold_block(), self.builder.create_block());
        if let Some(host) = self.aligned(base, off, size, address, slow) {
            self.builder.ins().store(host.flags(), value, host.address, 0);
            self.builder.ins().jump(done, &[]);
        }
        let routine = routines::store_aligned as *const () as usize;
        self.slow_store(routine, slow, done, address, size, value);
    }
}
