//! Why an object file cannot be read.

use crate::btf::BtfError;

/// Why an object file cannot be read. Every variant names the part of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bytes are not an ELF file.
    #[error("not an ELF object: {reason}; hoist takes what `clang -target bpf -c` writes")]
    NotElf {
        /// What is wrong with it.
        reason: String,
    },
    /// An ELF file, but not a BPF object of this machine's byte order.
    #[error("not a BPF object: the file {what}; build it with `clang -target bpf -c`")]
    NotBpf {
        /// What it is instead.
        what: &'static str,
    },
    /// A section that is damaged or that nothing can be made of.
    #[error("section '{section}': {problem}")]
    Section {
        /// Section name, or its number when the name is damaged.
        section: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A symbol that is damaged or that nothing can be made of.
    #[error("symbol '{symbol}': {problem}")]
    Symbol {
        /// Symbol name, or its number when the name is damaged.
        symbol: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An instruction that cannot be represented.
    #[error("function '{function}', instruction {slot}: {problem}")]
    Instruction {
        /// Function name.
        function: String,
        /// Slot offset from the start of the function.
        slot: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// A relocation that cannot be carried out.
    #[error("section '{section}', offset {offset:#x}, relocation against '{symbol}': {problem}")]
    Relocation {
        /// The section that would be patched.
        section: String,
        /// Byte offset within it.
        offset: u64,
        /// Symbol name; the section's name for section symbols.
        symbol: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A map whose definition makes no sense.
    #[error("map '{map}': {problem}")]
    Map {
        /// Map name.
        map: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The object needs its BTF and that is damaged or missing.
    #[error("section '.BTF': {0}")]
    Btf(#[from] BtfError),
    /// The object is beyond what hoist is willing to hold in memory.
    #[error("{what} is too large: the object would take more than {limit_mib} MiB of memory")]
    TooLarge {
        /// What no longer fitted.
        what: String,
        /// The limit for one object.
        limit_mib: usize,
    },
    /// No function can be entered.
    #[error("the object holds no program: no section with code has a function symbol")]
    NoProgram,
}
