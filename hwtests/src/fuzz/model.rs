//! The structured program that everything works on: generating, rendering, shrinking.
//!
//! A model says what a program does in steps, each of which stands alone: it finds the packet from
//! the context again, checks bounds itself and leaves nothing behind but its result. So any step can
//! be taken out, and what is left is still a program that the verifier takes.

/// One of three scalars that live in r7, r8 and r9, always initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(pub u8);

/// A value that a step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A constant.
    Imm(i32),
    /// A variable.
    Var(Var),
    /// A variable, `and`ed with a mask: what the verifier must see bounded.
    Masked(Var, i32),
}

/// Where a step takes the context from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// r6, where it always is.
    Register,
    /// Its copy on the stack.
    Spilled,
    /// A register it is first moved to.
    Copied,
    /// The stack or r6, depending on a variable.
    Either,
}

/// A place in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Bytes from the start.
    pub offset: i16,
    /// A variable part, masked.
    pub index: Option<(Var, i32)>,
}

/// By how much a frame is resized, in bytes, as the helper takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// A constant.
    Const(i32),
    /// `(variable & mask) - bias`; `bias` is at most 14, so that what a growth brings can be
    /// overwritten in any frame.
    Computed(Var, i32, i32),
}

/// What is done to the value that a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read into the step's variable.
    Read,
    /// Overwritten.
    Write(Operand),
    /// Read, changed, written back.
    Add(Operand),
    /// An atomic instruction with this immediate (`opcode::atomic`, or an arithmetic operation).
    Atomic(i32, Operand),
}

/// A return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This one.
    Imm(i32),
    /// A variable, whatever it holds.
    Var(Var),
    /// A variable plus a constant, modulo 5: one of the five verdicts.
    Spread(Var, i32),
}

/// A field of `struct xdp_md` that holds a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `ingress_ifindex`.
    Interface,
    /// `rx_queue_index`.
    Queue,
}

/// An arithmetic instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alu {
    /// `opcode::alu`.
    pub op: u8,
    /// 64 bits; else 32.
    pub wide: bool,
    /// The variable it changes.
    pub dst: Var,
    /// The other side; for a byte swap the number of bits.
    pub src: Operand,
    /// The offset, by which version 4 of the instruction set tells its operations from others: 1 for
    /// signed division and modulo and for swaps whatever the order, bits for sign-extending moves.
    pub off: i16,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// `opcode::jmp`.
    pub op: u8,
    /// 64 bits; else 32.
    pub wide: bool,
    /// Left side.
    pub left: Var,
    /// Right side.
    pub right: Operand,
}

/// Steps, one after the other.
pub type Block = Vec<Step>;

/// One thing a program does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the operands of the helper or instruction named")]
pub enum Step {
    /// Arithmetic.
    Alu(Alu),
    /// Two ways.
    Branch { test: Test, then: Block, otherwise: Block },
    /// A packet read of `size` bytes, or `short` where the packet ends before.
    Load { via: Via, dst: Var, at: At, size: u8, short: Block },
    /// A packet write.
    Store { via: Via, at: At, size: u8, src: Operand, short: Block },
    /// `bpf_xdp_adjust_head`; what a growth uncovers is overwritten with `fill`.
    Head { via: Via, delta: Delta, fill: u8, result: Var },
    /// `bpf_xdp_adjust_tail`.
    Tail { via: Via, delta: Delta, result: Var },
    /// `bpf_map_lookup_elem` and something done to the value at `offset`.
    Lookup {
        map: usize,
        key: Operand,
        access: Access,
        offset: i16,
        size: u8,
        dst: Var,
        missing: Block,
    },
    /// `bpf_map_update_elem`.
    Update { map: usize, key: Operand, value: Operand, flags: i32, result: Var },
    /// `bpf_map_delete_elem`.
    Delete { map: usize, key: Operand, result: Var },
    /// `bpf_map_push_elem` 87, `bpf_map_pop_elem` 88, `bpf_map_peek_elem` 89.
    Queue { map: usize, helper: i32, value: Operand, dst: Var },
    /// A global variable: read into `dst`, or written.
    Global { constant: bool, at: At, size: u8, write: Option<Operand>, dst: Var },
    /// A call of a subprogram.
    Call { sub: usize, via: Via, arguments: [Operand; 2], dst: Var },
    /// A bounded loop.
    Loop { count: u8, body: Block },
    /// `bpf_loop` with a callback.
    BpfLoop { sub: usize, via: Via, count: Operand, argument: Operand, dst: Var },
    /// `bpf_tail_call`; falls through when the slot is empty.
    TailCall { via: Via, slot: Operand },
    /// `bpf_xdp_load_bytes` into a buffer of which the first eight bytes are then read.
    LoadBytes { via: Via, offset: Operand, length: u8, dst: Var },
    /// `bpf_xdp_store_bytes` of eight bytes made from `src`, repeated.
    StoreBytes { via: Via, offset: Operand, length: u8, src: Operand, result: Var },
    /// `bpf_xdp_get_buff_len`.
    Length { via: Via, dst: Var },
    /// A field of the context.
    Field { via: Via, field: Field, dst: Var },
    /// Whether four bytes of metadata lie before the packet; none ever do here.
    Metadata { via: Via, dst: Var },
    /// `bpf_csum_diff` over two buffers made from variables.
    Checksum { from: u8, to: u8, seed: Operand, dst: Var },
    /// `bpf_check_mtu`.
    Mtu { via: Via, interface: Operand, difference: i32, dst: Var },
    /// `bpf_fib_lookup` of a host behind the second interface. Only in entry programs.
    Fib { via: Via, length: u16, flags: i32, dst: Var },
    /// `bpf_redirect`.
    Redirect { interface: Operand, flags: i32, dst: Var },
    /// `bpf_redirect_map`.
    RedirectMap { map: usize, key: Operand, flags: i32, dst: Var },
    /// Returns; from an entry program this is its verdict.
    Exit(Verdict),
}

/// How a subprogram is given the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// In r1, with two arguments behind it.
    Direct,
    /// In a structure on the caller's stack, which r1 points to.
    Struct,
    /// As [`Passing::Struct`], called by `bpf_loop` with the iteration's number in r1.
    Callback,
}

/// A subprogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub {
    /// How it is called.
    pub passing: Passing,
    /// What it does.
    pub body: Block,
}

/// An entry program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub body: Block,
    /// What it returns at the end.
    pub verdict: Verdict,
}

/// A map, and what it starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes per key.
    pub key_size: u32,
    /// Bytes per value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// First entries; for a program array the slot and the entry program.
    pub initial: Vec<(u32, u64)>,
}

/// A program with everything it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Names it in messages and files.
    pub name: String,
    /// Maps, besides the global variables and the trace.
    pub maps: Vec<Table>,
    /// Bytes of constants (`.rodata`) and of variables (`.data`), 64 each.
    pub constants: Vec<u8>,
    /// See [`Model::constants`].
    pub variables: Vec<u8>,
    /// The main program, then the targets of tail calls.
    pub entries: Vec<Entry>,
    /// Subprograms; each calls only later ones.
    pub subs: Vec<Sub>,
    /// Whether the programs say that they take frames in several parts (`xdp.frags`); these are in one.
    pub frags: bool,
    /// Whether the licence is one that the kernel counts as GPL-compatible.
    pub gpl: bool,
    /// Bytes of stack that the main program uses at least, a multiple of 8.
    pub stack: i16,
}

/// Bytes of constants and of variables.
pub const GLOBAL_BYTES: usize = 64;

impl Step {
    /// The blocks within.
    pub fn blocks(&self) -> Vec<&Block> {
        match self {
            Self::Branch { then, otherwise, .. } => vec![then, otherwise],
            Self::Load { short, .. } | Self::Store { short, .. } => vec![short],
            Self::Lookup { missing, .. } => vec![missing],
            Self::Loop { body, .. } => vec![body],
            _ => vec![],
        }
    }

    /// The blocks within, to change.
    pub fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            Self::Branch { then, otherwise, .. } => vec![then, otherwise],
            Self::Load { short, .. } | Self::Store { short, .. } => vec![short],
            Self::Lookup { missing, .. } => vec![missing],
            Self::Loop { body, .. } => vec![body],
            _ => vec![],
        }
    }
}

impl Model {
    /// Every outermost block: bodies of entry programs, then of subprograms.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        let entries = self.entries.iter_mut().map(|e| &mut e.body);
        entries.chain(self.subs.iter_mut().map(|s| &mut s.body))
    }

    /// Whether a step calls a helper that only GPL-compatible programs may call, or that becomes one on
    /// TC.
    #[must_use]
    pub fn needs_gpl(&self) -> bool {
        fn any(block: &Block) -> bool {
            block.iter().any(|step| {
                let helper = matches!(
                    step,
                    Step::Redirect { .. }
                        | Step::RedirectMap { .. }
                        | Step::Fib { .. }
                        | Step::Mtu { .. }
                );
                helper || step.blocks().into_iter().any(any)
            })
        }
        self.entries.iter().any(|e| any(&e.body)) || self.subs.iter().any(|s| any(&s.body))
    }

    /// Steps in all blocks, nested ones included.
    #[must_use]
    pub fn steps(&self) -> usize {
        fn count(block: &Block) -> usize {
            block.iter().map(|s| 1 + s.blocks().into_iter().map(count).sum::<usize>()).sum()
        }
        let entries = self.entries.iter().map(|e| count(&e.body));
        entries.chain(self.subs.iter().map(|s| count(&s.body))).sum()
    }
}
