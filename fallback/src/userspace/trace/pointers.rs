//! Which registers hold addresses. A number that looks like one may be a hash or an IP address, so
//! it is followed where each came from.

use std::collections::BTreeSet;

use crate::userspace::vm::address::{CONTEXT, tag};
use crate::userspace::vm::code::{AluOp, Op, Register, Size, Source};

/// One function's registers, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointers(u16);

impl Pointers {
    /// The entry: `r1` is the context, `r10` the stack.
    pub(super) const ENTRY: Self = Self(1 << 1 | 1 << 10);

    pub(super) const fn has(self, register: Register) -> bool {
        self.0 >> register & 1 == 1
    }

    pub(super) const fn set(&mut self, register: Register, is: bool) {
        self.0 = self.0 & !(1 << register) | (is as u16) << register;
    }

    /// What a function of the program that is called now starts with.
    pub(super) const fn callee(self) -> Self {
        Self(self.0 & 0b11_1110 | 1 << 10)
    }

    /// What a callback starts with, which its helper gave its arguments.
    pub(super) fn callback(registers: &[u64]) -> Self {
        let mut pointers = Self(1 << 10);
        for register in 1..=5 {
            let value = registers.get(usize::from(register)).copied().unwrap_or(0);
            pointers.set(register, tag(value) != 0);
        }
        pointers
    }

    fn source(self, source: Source) -> bool {
        matches!(source, Source::Register(register) if self.has(register))
    }

    /// Follows an operation. `read` and `wrote` are the addresses that it accessed, `result` what is in
    /// `r0` afterwards.
    pub(super) fn follow(
        &mut self,
        op: &Op,
        read: Option<(u64, u64)>,
        wrote: Option<(u64, u64)>,
        result: u64,
        spilled: &mut Spilled,
    ) {
        match *op {
            Op::Move { wide, dst, source, sign_bits } => {
                self.set(dst, wide && sign_bits == 0 && self.source(source));
            }
            Op::Alu { wide, op, dst, source } => {
                let (left, right) = (self.has(dst), self.source(source));
                self.set(
                    dst,
                    wide && match op {
                        AluOp::Add => left != right,
                        AluOp::Sub => left && !right,
                        AluOp::And | AluOp::Or => left,
                        _ => false,
                    },
                );
            }
            Op::LoadImm { dst, value } => self.set(dst, tag(value) != 0),
            Op::Load { dst, size, .. } => self.set(
                dst,
                read.is_some_and(|(address, _)| {
                    let field = address.wrapping_sub(CONTEXT);
                    field <= 8 || (size == Size::D && spilled.0.contains(&address))
                }),
            ),
            Op::Store { size, source, .. } => {
                spilled.wrote(wrote, size == Size::D && self.source(source));
            }
            Op::Neg { dst, .. } | Op::Endian { dst, .. } | Op::LoadAcquire { dst, .. } => {
                self.set(dst, false);
            }
            Op::Atomic { .. } | Op::StoreRelease { .. } => spilled.wrote(wrote, false),
            Op::Helper(_) | Op::Kfunc(_) => self.set(0, tag(result) != 0),
            _ => {}
        }
    }
}

/// Addresses of memory that holds an address.
#[derive(Debug, Default)]
pub(super) struct Spilled(BTreeSet<u64>);

impl Spilled {
    pub(super) fn has(&self, address: u64) -> bool {
        self.0.contains(&address)
    }

    fn wrote(&mut self, wrote: Option<(u64, u64)>, pointer: bool) {
        let Some((address, size)) = wrote else { return };
        let over: Vec<u64> = self
            .0
            .range(address.saturating_sub(7)..address.saturating_add(size))
            .copied()
            .collect();
        for one in over {
            self.0.remove(&one);
        }
        if pointer {
            self.0.insert(address);
        }
    }
}
