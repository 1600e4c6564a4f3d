//! Why a BTF section cannot be read.

/// Why a BTF section cannot be read. Offsets are in bytes from the start of the section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The section is shorter than its header says.
    #[error("BTF is truncated: {what} needs {needed} bytes, the section has {have}")]
    Truncated {
        /// What did not fit.
        what: &'static str,
        /// Bytes from the start of the section.
        needed: u64,
        /// Length of the section in bytes.
        have: u64,
    },
    /// The first two bytes are not 0xeb9f.
    #[error("this is not BTF: it starts with {found:#06x}, not 0xeb9f")]
    Magic {
        /// What is there instead.
        found: u16,
    },
    /// Written for a machine of the other byte order.
    #[error("BTF has the other byte order; build the object for this machine (clang -target bpf)")]
    ByteOrder,
    /// A header field that no known version has.
    #[error("BTF header: {what} is {found}")]
    Header {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// The string section does not start and end with NUL, or is not UTF-8.
    #[error("BTF string section {0}")]
    Strings(&'static str),
    /// A kind this reader does not know, so that the types after it cannot be found either.
    #[error("BTF type [{id}] at offset {offset:#x} has unknown kind {kind}")]
    Kind {
        /// Type id.
        id: u32,
        /// Offset of the type.
        offset: u64,
        /// The kind found.
        kind: u8,
    },
    /// A type reaches beyond the type section.
    #[error("BTF type [{id}] at offset {offset:#x} reaches beyond the type section")]
    TypeBeyondEnd {
        /// Type id.
        id: u32,
        /// Offset of the type.
        offset: u64,
    },
    /// `.BTF.ext` is damaged.
    #[error(".BTF.ext {what} at offset {offset:#x}: {problem}")]
    Ext {
        /// Which part of the section.
        what: &'static str,
        /// Offset within `.BTF.ext`.
        offset: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
}
