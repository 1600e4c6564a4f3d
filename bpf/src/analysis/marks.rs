//! What the interpretation notes of each instruction.

use bitflags::bitflags;

bitflags! {
    /// Notes on one instruction, gathered over every way it is reached.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Mark: u32 {
        /// Some path from the entry reaches it.
        const REACHED = 1;
        /// Its jump can be taken.
        const TAKEN = 1 << 1;
        /// It reads `xdp_md` at offset 0, 4, 8, 12, 16, 20: six bits in this order.
        const DATA = 1 << 2;
        /// See [`Mark::DATA`].
        const DATA_END = 1 << 3;
        /// See [`Mark::DATA`].
        const DATA_META = 1 << 4;
        /// See [`Mark::DATA`].
        const INGRESS_IFINDEX = 1 << 5;
        /// See [`Mark::DATA`].
        const RX_QUEUE_INDEX = 1 << 6;
        /// See [`Mark::DATA`].
        const EGRESS_IFINDEX = 1 << 7;
        /// It stores to packet bytes.
        const PACKET_WRITE = 1 << 8;
        /// It stores to a map's value.
        const MAP_VALUE_WRITE = 1 << 9;
        /// It ends the program with the constant `XDP_TX`.
        const RETURNS_TX = 1 << 10;
        /// It ends the program with the constant `XDP_REDIRECT`, or a redirect helper's result.
        const RETURNS_REDIRECT = 1 << 11;
        /// It ends the program with a verdict that is computed at run time.
        const RETURNS_ANY = 1 << 12;
        /// It ends the program with the constant `XDP_PASS`.
        const RETURNS_PASS = 1 << 18;
        /// Its condition can fail, so that the next instruction follows.
        const FALLEN = 1 << 19;
        /// It moves a pointer to the context.
        const CONTEXT_MOVED = 1 << 13;
        /// It adds or takes away a register that may point into a map's value.
        const ADDS_MAP_VALUE = 1 << 20;
        /// A pointer into the packet is held in r6, r7, r8, r9 across this call: four bits in this
        /// order.
        const R6_HOLDS_PACKET = 1 << 14;
        /// See [`Mark::R6_HOLDS_PACKET`].
        const R7_HOLDS_PACKET = 1 << 15;
        /// See [`Mark::R6_HOLDS_PACKET`].
        const R8_HOLDS_PACKET = 1 << 16;
        /// See [`Mark::R6_HOLDS_PACKET`].
        const R9_HOLDS_PACKET = 1 << 17;
    }
}

impl Mark {
    /// The registers that survive calls, each with the note that it holds a packet pointer.
    pub(super) const HOLDERS: [(usize, Self); 4] = [
        (6, Self::R6_HOLDS_PACKET),
        (7, Self::R7_HOLDS_PACKET),
        (8, Self::R8_HOLDS_PACKET),
        (9, Self::R9_HOLDS_PACKET),
    ];

    /// The registers of [`Mark::R6_HOLDS_PACKET`] and its like: a bit for each number.
    pub(super) fn holding(self) -> u16 {
        let held = Self::HOLDERS.into_iter().filter(|(_, mark)| self.contains(*mark));
        held.fold(0, |set, (register, _)| set | 1 << register)
    }

    /// The note for a read of `xdp_md` at a byte offset.
    pub(super) fn field(offset: i16) -> Self {
        match offset {
            0 => Self::DATA,
            4 => Self::DATA_END,
            8 => Self::DATA_META,
            12 => Self::INGRESS_IFINDEX,
            16 => Self::RX_QUEUE_INDEX,
            20 => Self::EGRESS_IFINDEX,
            _ => Self::empty(),
        }
    }
}

/// Notes on one function.
#[derive(Clone, Debug, Default)]
pub(super) struct FunctionMarks {
    /// One per instruction; empty when the function was never entered.
    pub(super) insts: Vec<Mark>,
    /// Kinds of the pointer that each load or store goes through: bits of `value::kind`.
    pub(super) bases: Vec<u16>,
    /// Bytes of stack it uses itself.
    pub(super) stack: u32,
    /// Set as an asynchronous callback (a timer's): it runs on a stack of its own.
    pub(super) asynchronous: bool,
}
