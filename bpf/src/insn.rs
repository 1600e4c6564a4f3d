//! One BPF instruction as RFC 9669 section 3 encodes it.

use serde::{Deserialize, Serialize};

/// One 64-bit instruction slot in host byte order (`struct bpf_insn` in `linux/bpf.h`).
///
/// A wide instruction (`BPF_LD | BPF_IMM | BPF_DW`) takes two slots; the second slot carries the
/// upper 32 bits in `imm` and zeroes elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C)]
pub struct Insn {
    /// Operation code: class in the low three bits (RFC 9669 section 3.1).
    pub code: u8,
    /// Destination register in the low nibble, source register in the high nibble.
    pub regs: u8,
    /// Signed offset: bytes for memory access, instruction slots for jumps.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Insn {
    /// Size of one slot, in bytes.
    pub const SIZE: usize = 8;

    /// Builds an instruction from its fields. `dst` and `src` are register numbers 0..=10
    /// (or a pseudo-source value for wide loads and calls).
    #[must_use]
    pub const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        Self { code, regs: (src << 4) | (dst & 0x0f), off, imm }
    }

    /// Destination register number.
    #[must_use]
    pub const fn dst(self) -> u8 {
        self.regs & 0x0f
    }

    /// Source register number, or the pseudo-source value of wide loads and calls.
    #[must_use]
    pub const fn src(self) -> u8 {
        self.regs >> 4
    }

    /// Instruction class, the low three bits of [`Insn::code`].
    #[must_use]
    pub const fn class(self) -> u8 {
        self.code & 0x07
    }

    /// Decodes one slot stored in host byte order.
    #[must_use]
    pub const fn from_ne_bytes(b: [u8; 8]) -> Self {
        Self {
            code: b[0],
            regs: b[1],
            off: i16::from_ne_bytes([b[2], b[3]]),
            imm: i32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Encodes one slot in host byte order.
    #[must_use]
    pub const fn to_ne_bytes(self) -> [u8; 8] {
        let (o, i) = (self.off.to_ne_bytes(), self.imm.to_ne_bytes());
        [self.code, self.regs, o[0], o[1], i[0], i[1], i[2], i[3]]
    }

    /// Whether this is the first slot of a wide (two-slot) instruction.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        self.code == 0x18
    }

    /// `BPF_JMP | BPF_CALL`: a call of a helper, a subprogram or a kfunc, by [`Insn::src`].
    #[must_use]
    pub const fn is_call(self) -> bool {
        self.code == 0x85
    }

    /// Where a jump within the function keeps its distance, in slots from the next slot; `None`
    /// for everything that is not such a jump (calls, exit, indirect jumps included).
    #[must_use]
    pub const fn jump_kind(self) -> Option<JumpKind> {
        match (self.class(), self.code & 0xf0) {
            // Call and exit.
            (0x05 | 0x06, 0x80 | 0x90) => None,
            // `gotol` keeps 32 bits in the immediate, `goto` 16 in the offset; the register form
            // of either is an indirect jump.
            (0x06, 0x00) if self.code == 0x06 => Some(JumpKind::Immediate),
            (0x05, 0x00) if self.code == 0x05 => Some(JumpKind::Offset),
            (0x05 | 0x06, 0x00) => None,
            (0x05 | 0x06, _) => Some(JumpKind::Offset),
            _ => None,
        }
    }
}

/// Where a jump keeps its distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumpKind {
    /// In [`Insn::off`].
    Offset,
    /// In [`Insn::imm`] (`gotol` of -mcpu=v4).
    Immediate,
}
