//! Stack for what lowering has to keep: below what a function uses itself.

use super::asm;
use super::edit::Code;
use super::live::{Registers, bit};
use crate::analysis::Trace;
use crate::insn::Insn;
use crate::module::FunctionId;

/// Slots of eight bytes below a function's own stack. All places of a function share them: nothing
/// is kept from one replaced instruction to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Bytes of the function's own, a multiple of 8.
    own: i32,
}

impl Frame {
    pub(super) fn of(trace: &Trace, id: FunctionId) -> Self {
        Self { own: trace.stack(id).next_multiple_of(8) as i32 }
    }

    /// The slots behind these: for what stands between the saving of registers and their return.
    pub(super) const fn behind(self, slots: usize) -> Self {
        Self { own: self.own + 8 * slots as i32 }
    }

    /// Offset of a slot from the frame pointer.
    pub(super) const fn slot(self, number: usize) -> i16 {
        (-self.own - 8 * (number as i32 + 1)) as i16
    }

    /// Saves registers, the lowest in the first slot; how many there are.
    pub(super) fn save(self, code: &mut Code<'_>, registers: Registers) -> usize {
        let saved = each(registers);
        for (number, register) in saved.clone().enumerate() {
            code.put(asm::store64(10, self.slot(number), register));
        }
        saved.count()
    }

    /// What brings saved registers back.
    pub(super) fn restored(self, registers: Registers) -> Vec<Insn> {
        let saved = each(registers).enumerate();
        saved.map(|(number, register)| asm::load64(register, 10, self.slot(number))).collect()
    }
}

/// The registers of a set.
pub(super) fn each(registers: Registers) -> impl Iterator<Item = u8> + Clone {
    (0..11).filter(move |register| registers & bit(*register) != 0)
}
