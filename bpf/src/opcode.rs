//! Operation codes of RFC 9669, by the names of `linux/bpf.h`.

/// Instruction classes (RFC 9669 section 3.1): the low three bits of the code.
pub mod class {
    /// Non-standard loads: wide immediates and the legacy packet loads.
    pub const LD: u8 = 0;
    /// Load into a register.
    pub const LDX: u8 = 1;
    /// Store an immediate.
    pub const ST: u8 = 2;
    /// Store a register, and atomics.
    pub const STX: u8 = 3;
    /// 32-bit arithmetic.
    pub const ALU: u8 = 4;
    /// 64-bit compares and jumps, calls, exit.
    pub const JMP: u8 = 5;
    /// 32-bit compares and jumps.
    pub const JMP32: u8 = 6;
    /// 64-bit arithmetic.
    pub const ALU64: u8 = 7;
}

/// Arithmetic operations: the high four bits of the code in classes `ALU` and `ALU64`.
pub mod alu {
    /// `dst += src`.
    pub const ADD: u8 = 0x00;
    /// `dst -= src`.
    pub const SUB: u8 = 0x10;
    /// `dst *= src`.
    pub const MUL: u8 = 0x20;
    /// `dst /= src`; signed when the offset is 1.
    pub const DIV: u8 = 0x30;
    /// `dst |= src`.
    pub const OR: u8 = 0x40;
    /// `dst &= src`.
    pub const AND: u8 = 0x50;
    /// `dst <<= src`.
    pub const LSH: u8 = 0x60;
    /// `dst >>= src`, unsigned.
    pub const RSH: u8 = 0x70;
    /// `dst = -dst`.
    pub const NEG: u8 = 0x80;
    /// `dst %= src`; signed when the offset is 1.
    pub const MOD: u8 = 0x90;
    /// `dst ^= src`.
    pub const XOR: u8 = 0xa0;
    /// `dst = src`; sign-extending when the offset is 8, 16 or 32.
    pub const MOV: u8 = 0xb0;
    /// `dst >>= src`, signed.
    pub const ARSH: u8 = 0xc0;
    /// Byte swaps.
    pub const END: u8 = 0xd0;
}

/// Jump operations: the high four bits of the code in classes `JMP` and `JMP32`.
pub mod jmp {
    /// Always; in class `JMP32` the distance is in `imm` (`gotol`).
    pub const JA: u8 = 0x00;
    /// `dst == src`.
    pub const JEQ: u8 = 0x10;
    /// `dst > src`, unsigned.
    pub const JGT: u8 = 0x20;
    /// `dst >= src`, unsigned.
    pub const JGE: u8 = 0x30;
    /// `dst & src`.
    pub const JSET: u8 = 0x40;
    /// `dst != src`.
    pub const JNE: u8 = 0x50;
    /// `dst > src`, signed.
    pub const JSGT: u8 = 0x60;
    /// `dst >= src`, signed.
    pub const JSGE: u8 = 0x70;
    /// Call: helper, subprogram or kernel function by the source field.
    pub const CALL: u8 = 0x80;
    /// Return.
    pub const EXIT: u8 = 0x90;
    /// `dst < src`, unsigned.
    pub const JLT: u8 = 0xa0;
    /// `dst <= src`, unsigned.
    pub const JLE: u8 = 0xb0;
    /// `dst < src`, signed.
    pub const JSLT: u8 = 0xc0;
    /// `dst <= src`, signed.
    pub const JSLE: u8 = 0xd0;
    /// `may_goto`: jumps when the kernel's iteration budget is used up.
    pub const JCOND: u8 = 0xe0;

    /// The jump that is taken where this one falls through; `None` where there is none, as for
    /// [`JSET`].
    #[must_use]
    pub const fn opposite(op: u8) -> Option<u8> {
        Some(match op {
            JEQ => JNE,
            JNE => JEQ,
            JGT => JLE,
            JLE => JGT,
            JGE => JLT,
            JLT => JGE,
            JSGT => JSLE,
            JSLE => JSGT,
            JSGE => JSLT,
            JSLT => JSGE,
            _ => return None,
        })
    }
}

/// Operand bit of arithmetic and jumps: set when the source is a register.
pub const X: u8 = 0x08;

/// Access sizes: bits 3 and 4 of loads and stores.
pub mod size {
    /// Four bytes.
    pub const W: u8 = 0x00;
    /// Two bytes.
    pub const H: u8 = 0x08;
    /// One byte.
    pub const B: u8 = 0x10;
    /// Eight bytes.
    pub const DW: u8 = 0x18;
}

/// Access modes: the high three bits of loads and stores.
pub mod mode {
    /// Wide immediate.
    pub const IMM: u8 = 0x00;
    /// Legacy packet load at a constant offset.
    pub const ABS: u8 = 0x20;
    /// Legacy packet load at an offset in a register.
    pub const IND: u8 = 0x40;
    /// Plain memory.
    pub const MEM: u8 = 0x60;
    /// Sign-extending load.
    pub const MEMSX: u8 = 0x80;
    /// Atomic operation; `imm` says which.
    pub const ATOMIC: u8 = 0xc0;
}

/// Atomic operations, in `imm`.
pub mod atomic {
    /// Flag: the old value is returned.
    pub const FETCH: i32 = 0x01;
    /// Exchange.
    pub const XCHG: i32 = 0xe1;
    /// Compare and exchange with `r0`.
    pub const CMPXCHG: i32 = 0xf1;
    /// Load with acquire ordering.
    pub const LOAD_ACQUIRE: i32 = 0x100;
    /// Store with release ordering.
    pub const STORE_RELEASE: i32 = 0x110;
}

/// Values of the source field of calls and wide loads (`BPF_PSEUDO_*`).
pub mod pseudo {
    /// Call of a helper.
    pub const HELPER_CALL: u8 = 0;
    /// Call of a subprogram.
    pub const CALL: u8 = 1;
    /// Call of a kernel function.
    pub const KFUNC_CALL: u8 = 2;
    /// Wide load of a map by descriptor.
    pub const MAP_FD: u8 = 1;
    /// Wide load of an address in a map's value.
    pub const MAP_VALUE: u8 = 2;
    /// Wide load of a kernel variable by BTF id.
    pub const BTF_ID: u8 = 3;
    /// Wide load of a function's address.
    pub const FUNC: u8 = 4;
}

/// Bytes a load or store of this code accesses.
#[must_use]
pub const fn access_bytes(code: u8) -> u8 {
    match code & 0x18 {
        size::B => 1,
        size::H => 2,
        size::DW => 8,
        _ => 4,
    }
}
