//! Where an access goes, and what has to be compared first.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AliasRegion, Block, InstBuilder, MemFlagsData, Value};
use hoist_bpf::module::MapId;

use super::super::address::{FRAME, STACK_TOP, map_value};
use super::super::code::{Register, Size};
use super::super::proof::Proof;
use super::function::Translator;
use super::layout;

/// A place in this process.
#[derive(Clone, Copy)]
pub(super) struct Host {
    pub(super) address: Value,
    /// The memory it lies in, where that is known.
    pub(super) region: Option<AliasRegion>,
}

impl Host {
    /// Programs access memory at any alignment.
    pub(super) fn flags(self) -> MemFlagsData {
        MemFlagsData::new().with_notrap().with_alias_region(self.region)
    }
}

/// How an access is made.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// It reads a field of the context.
    Context(u16),
    /// It reads a field of the context if this value, an argument, is the context.
    MaybeContext(u16, Value),
    /// Without a check.
    Direct(Host),
    /// Without a check, unless this value, which a lookup returned, is null.
    Found(Host, Value),
    /// With a check.
    Checked {
        /// What to compare with.
        guess: Guess,
        /// Whether it was proven nevertheless.
        proven: bool,
    },
}

/// What is compared in place where nothing is proven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    Frame,
    Stack,
    /// An argument of a subprogram points to either, as a rule.
    Either,
    Nothing,
}

impl Translator<'_, '_> {
    /// How the access of the current operation is made.
    pub(super) fn reach(&mut self, base: Register, off: i16, size: Size, write: bool) -> Reach {
        let proof = self.proof();
        let (evident, found) = self.evident(base, off, size.bytes(), write);
        let known = if evident == Proof::Unknown { proof } else { evident };
        let direct = match known {
            _ if self.unit.paranoid => None,
            Proof::Context(field) if size == Size::W && !write => return Reach::Context(field),
            Proof::Frame => Some(self.in_frame(base, off)),
            Proof::Stack(_) | Proof::AnyStack => Some(self.on_stack(base, off)),
            Proof::Value(map) => self.in_value(map, base, off),
            _ => None,
        };
        if let Some(host) = direct {
            return found.map_or(Reach::Direct(host), |root| Reach::Found(host, root));
        }
        let argument = if known == Proof::Unknown { self.argument(base, off) } else { None };
        if let Some((1, root, at @ (0 | 4 | 8 | 12 | 16 | 20))) = argument
            && size == Size::W
            && !write
        {
            return Reach::MaybeContext(at as u16, root);
        }
        let guess = match known {
            _ if argument.is_some() => Guess::Either,
            Proof::MaybeStack | Proof::Stack(_) | Proof::AnyStack => Guess::Stack,
            Proof::MaybeValue(_) | Proof::Value(_) | Proof::Context(_) => Guess::Nothing,
            _ if base == 10 => Guess::Stack,
            _ => Guess::Frame,
        };
        let proven = matches!(
            known,
            Proof::Frame | Proof::Stack(_) | Proof::AnyStack | Proof::Context(_) | Proof::Value(_)
        );
        Reach::Checked { guess, proven: proven && found.is_none() }
    }

    pub(super) fn vm_address(&mut self, base: Register, off: i16) -> Value {
        let base = self.register(base);
        if off == 0 { base } else { self.builder.ins().iadd_imm_s(base, i64::from(off)) }
    }

    fn in_frame(&mut self, base: Register, off: i16) -> Host {
        let address = self.vm_address(base, off);
        let address = self.builder.ins().iadd(address, self.frame_delta);
        Host { address, region: Some(self.regions.frame) }
    }

    pub(super) fn on_stack(&mut self, base: Register, off: i16) -> Host {
        let address = self.vm_address(base, off);
        let address = self.builder.ins().iadd(address, self.stack_delta);
        Host { address, region: Some(self.regions.stack) }
    }

    pub(super) fn in_value(&mut self, map: MapId, base: Register, off: i16) -> Option<Host> {
        let start = self.unit.region(map)?.start;
        let delta = start.wrapping_sub(map_value(map, 0));
        let address = self.vm_address(base, off);
        let delta = self.constant(I64, delta.cast_signed());
        let address = self.builder.ins().iadd(address, delta);
        Some(Host { address, region: Some(self.regions.values) })
    }

    /// Goes on in a new block where the access is in bounds, else to `slow`; none if there is
    /// nothing to compare with, and then it has gone to `slow`.
    pub(super) fn compare(
        &mut self,
        reach: Reach,
        address: Value,
        size: Size,
        slow: Block,
    ) -> Option<Host> {
        let bytes = size.bytes().cast_signed();
        let (inside, delta, region) = match reach {
            Reach::Direct(host) => return Some(host),
            Reach::Found(host, root) => {
                let fast = self.builder.create_block();
                self.builder.ins().brif(root, fast, &[], slow, &[]);
                self.enter(fast);
                return Some(host);
            }
            Reach::Context(_)
            | Reach::MaybeContext(..)
            | Reach::Checked { guess: Guess::Nothing, .. } => {
                self.builder.ins().jump(slow, &[]);
                return None;
            }
            Reach::Checked { guess: Guess::Either, proven } => {
                let other = self.builder.create_block();
                let fast = self.builder.create_block();
                let host = self.builder.append_block_param(fast, I64);
                for (guess, else_to) in [(Guess::Stack, other), (Guess::Frame, slow)] {
                    let reach = Reach::Checked { guess, proven };
                    if let Some(host) = self.compare(reach, address, size, else_to) {
                        self.builder.ins().jump(fast, &[host.address.into()]);
                    }
                    if guess == Guess::Stack {
                        self.enter(other);
                    }
                }
                self.enter(fast);
                return Some(Host { address: host, region: None });
            }
            Reach::Checked { guess: Guess::Frame, .. } => {
                let meta = self.run_field(I32, layout::FRAME_META);
                let end = self.run_field(I32, layout::FRAME_END);
                let meta = self.builder.ins().uextend(I64, meta);
                let end = self.builder.ins().uextend(I64, end);
                let length = self.builder.ins().isub(end, meta);
                let low = self.builder.ins().iadd_imm_s(meta, FRAME as i64);
                // Not below zero: machine code gets no frame shorter than an access.
                let highest = self.builder.ins().iadd_imm_s(length, -bytes);
                let first = self.builder.ins().isub(address, low);
                let code = IntCC::UnsignedLessThanOrEqual;
                let inside = self.builder.ins().icmp(code, first, highest);
                (inside, self.frame_delta, self.regions.frame)
            }
            Reach::Checked { guess: Guess::Stack, .. } => {
                let low = self.stack_field(layout::STACK_CLEAN);
                // The stack may be empty, so both ends count.
                let highest = self.constant(I64, STACK_TOP as i64 - bytes);
                let code = IntCC::UnsignedGreaterThanOrEqual;
                let starts = self.builder.ins().icmp(code, address, low);
                let ends = self.builder.ins().icmp(code, highest, address);
                let inside = self.builder.ins().band(starts, ends);
                (inside, self.stack_delta, self.regions.stack)
            }
        };
        let fast = self.builder.create_block();
        self.builder.ins().brif(inside, fast, &[], slow, &[]);
        self.enter(fast);
        let address = self.builder.ins().iadd(address, delta);
        Some(Host { address, region: Some(region) })
    }
}
