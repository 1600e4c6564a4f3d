//! What a program does, operation by operation, in a form that the interpreter, the compiler, the
//! prover and the tracer share.

use hoist_bpf::module::{ExternId, FunctionId, InstId};

mod decode;
mod stack;

/// Every function of a module, decoded. Functions are found by their [`FunctionId`].
#[derive(Clone, Debug)]
pub struct Code {
    /// The functions, in the module's order.
    pub functions: Vec<Function>,
}

/// One function, decoded.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its operations. Never empty, and the last one never falls through: a function whose last
    /// instruction does has an [`Op::Invalid`] behind it.
    pub ops: Vec<Op>,
    /// For each operation, the instruction that it stands for. An operation that stands for none
    /// (the one behind the end) repeats the last instruction.
    pub insts: Vec<InstId>,
    /// Length in instruction slots: what a call of it costs in fuel.
    pub slots: u32,
    /// Bytes below `r10` that the function is seen to address by constants, a multiple of 8, at most
    /// 512: what is cleared on entry. A program may reach further down by arithmetic, which is
    /// noticed when it happens.
    pub stack: u16,
}

/// A register number, 0..=10.
pub type Register = u8;

/// The second operand of arithmetic and comparisons, or what a store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A register.
    Register(Register),
    /// A constant, sign-extended to 64 bits as RFC 9669 section 4 says; operations on 32 bits use its
    /// lower half.
    Constant(u64),
}

/// Bytes of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// One byte.
    B = 1,
    /// Two bytes.
    H = 2,
    /// Four bytes.
    W = 4,
    /// Eight bytes.
    D = 8,
}

impl Size {
    /// As a number.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self as u64
    }
}

/// Two-operand arithmetic (RFC 9669 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AluOp {
    /// Wrapping sum.
    Add,
    /// Wrapping difference.
    Sub,
    /// Wrapping product.
    Mul,
    /// Unsigned quotient; 0 where the divisor is 0.
    Div,
    /// Signed quotient, rounded to zero; 0 where the divisor is 0, the dividend itself for the
    /// least number over -1.
    SignedDiv,
    /// Unsigned remainder; the dividend where the divisor is 0.
    Mod,
    /// Signed remainder with the dividend's sign; the dividend where the divisor is 0, 0 for the
    /// least number over -1.
    SignedMod,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Bitwise exclusive or.
    Xor,
    /// Shift left by the operand's lower 6 bits (5 for 32-bit operations).
    Lsh,
    /// Unsigned shift right, likewise.
    Rsh,
    /// Signed shift right, likewise.
    Arsh,
}

/// Comparisons (RFC 9669 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// Any common bit.
    Set,
    /// Signed greater.
    SignedGt,
    /// Signed greater or equal.
    SignedGe,
    /// Signed less.
    SignedLt,
    /// Signed less or equal.
    SignedLe,
}

/// Atomic read-modify-write operations (RFC 9669 section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicOp {
    /// Sum; with `fetch` the register receives the old value.
    Add {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise or.
    Or {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise and.
    And {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Bitwise exclusive or.
    Xor {
        /// Whether the old value is returned.
        fetch: bool,
    },
    /// Exchange: the register receives the old value.
    Exchange,
    /// Stores the register if memory equals `r0`; `r0` receives the old value either way.
    CompareExchange,
}

impl AtomicOp {
    /// Whether a register receives the old value: `r0` of a compare and exchange, else the operand's.
    #[must_use]
    pub const fn fetches(self) -> bool {
        match self {
            Self::Add { fetch }
            | Self::Or { fetch }
            | Self::And { fetch }
            | Self::Xor { fetch } => fetch,
            Self::Exchange | Self::CompareExchange => true,
        }
    }
}

/// How wide a byte swap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SwapWidth {
    /// The lower 16 bits.
    W16 = 16,
    /// The lower 32 bits.
    W32 = 32,
    /// All 64 bits.
    W64 = 64,
}

/// Byte-order operations (RFC 9669 section 4.2). All clear the bits above their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Between host and little-endian order.
    ToLittle,
    /// Between host and big-endian order.
    ToBig,
    /// Unconditional swap (`bswap` of -mcpu=v4).
    Swap,
}

/// Why an instruction is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No instruction has this code.
    #[error("unknown operation code {0:#04x}")]
    Code(u8),
    /// A field that must be zero is not, or a field has a value without meaning.
    #[error("operation code {0:#04x} with reserved fields")]
    Reserved(u8),
    /// A register beyond `r10`.
    #[error("register r{0} does not exist")]
    Register(u8),
    /// `r10` as destination.
    #[error("the frame pointer is read only")]
    FramePointer,
    /// A jump to no instruction of the function.
    #[error("jump out of the function")]
    Jump,
    /// A call of, or the address of, a function that the module has not.
    #[error("call of a function that does not exist")]
    Function,
    /// The address of a map that the module has not, or of a place outside its values.
    #[error("no such map, or no such place in it")]
    Map,
    /// A kernel variable, which only a kernel has.
    #[error("address of a kernel variable")]
    KernelVariable,
    /// The code goes on behind the last instruction.
    #[error("execution runs past the end of the function")]
    End,
    /// `BPF_LD | BPF_ABS` and `BPF_IND`, which XDP has not (`may_access_skb` of the kernel).
    #[error("legacy packet loads are not for XDP programs")]
    LegacyLoad,
}

/// One operation. Jump targets are indices into [`Function::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `dst = dst op source`, on 64 bits or on 32 with the upper half cleared.
    Alu {
        /// 64 bits.
        wide: bool,
        /// What.
        op: AluOp,
        /// First operand and result.
        dst: Register,
        /// Second operand.
        source: Source,
    },
    /// `dst = -dst`.
    Neg {
        /// 64 bits.
        wide: bool,
        /// Operand and result.
        dst: Register,
    },
    /// `dst = source`.
    Move {
        /// 64 bits.
        wide: bool,
        /// Result.
        dst: Register,
        /// Operand.
        source: Source,
        /// 0: plain; 8, 16 or 32: that many lower bits of the source, sign-extended.
        sign_bits: u8,
    },
    /// Byte order of the lower bits; the rest is cleared.
    Endian {
        /// Which.
        order: Order,
        /// Of how many bits.
        width: SwapWidth,
        /// Operand and result.
        dst: Register,
    },
    /// `dst = value`: a constant, or a VM address of a map, a value or a function
    /// ([`super::address`]).
    LoadImm {
        /// Result.
        dst: Register,
        /// The value.
        value: u64,
    },
    /// `dst = *(base + off)`.
    Load {
        /// Result.
        dst: Register,
        /// Address.
        base: Register,
        /// Added to it.
        off: i16,
        /// Bytes.
        size: Size,
        /// Sign-extended to 64 bits instead of zero-extended.
        signed: bool,
    },
    /// `*(base + off) = source`.
    Store {
        /// Address.
        base: Register,
        /// Added to it.
        off: i16,
        /// Bytes.
        size: Size,
        /// What is written.
        source: Source,
    },
    /// An atomic operation on `*(base + off)`, 4 or 8 bytes, aligned.
    Atomic {
        /// Which.
        op: AtomicOp,
        /// Bytes.
        size: Size,
        /// Address.
        base: Register,
        /// Added to it.
        off: i16,
        /// Operand, and where the old value goes.
        src: Register,
    },
    /// A load with acquire ordering; aligned.
    LoadAcquire {
        /// Result, zero-extended.
        dst: Register,
        /// Address.
        base: Register,
        /// Added to it.
        off: i16,
        /// Bytes.
        size: Size,
    },
    /// A store with release ordering; aligned.
    StoreRelease {
        /// Address.
        base: Register,
        /// Added to it.
        off: i16,
        /// Bytes.
        size: Size,
        /// What is written.
        src: Register,
    },
    /// Always.
    Jump {
        /// Where to.
        to: u32,
    },
    /// If `left cond right`.
    Branch {
        /// 64 bits.
        wide: bool,
        /// How they are compared.
        cond: Condition,
        /// First operand.
        left: Register,
        /// Second operand.
        right: Source,
        /// Where to.
        to: u32,
    },
    /// `may_goto`: jumps once the function activation has run out of its `BPF_MAX_LOOPS`
    /// (8388608) passes.
    MayGoto {
        /// Where to.
        to: u32,
    },
    /// Calls a function of the module.
    Call(FunctionId),
    /// Calls a helper; `bpf_tail_call` excepted.
    Helper(u32),
    /// `bpf_tail_call`: `r2` is the prog array, `r3` the index.
    TailCall,
    /// Calls a kernel function.
    Kfunc(ExternId),
    /// Returns.
    Exit,
    /// A fault when reached.
    Invalid(Invalid),
}
