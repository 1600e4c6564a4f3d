//! Why a module cannot be fitted to a kernel.

use crate::btf::BtfError;

/// Why a module cannot be fitted to a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The module relocates against kernel types and there are none.
    #[error(
        "function '{function}' uses the kernel type '{type_name}' (CO-RE), but this kernel has no \
         BTF; it needs CONFIG_DEBUG_INFO_BTF"
    )]
    NoKernelBtf {
        /// The function with the relocation.
        function: String,
        /// The type it is about.
        type_name: String,
    },
    /// The module's own BTF is damaged.
    #[error("the module's BTF: {0}")]
    ModuleBtf(BtfError),
    /// A CO-RE relocation that makes no sense or has several answers.
    #[error(
        "function '{function}', instruction {slot}: CO-RE relocation {kind} of '{type_name}' \
         ({access}): {problem}"
    )]
    Relocation {
        /// Function name.
        function: String,
        /// Slot offset in the object file from the start of the function.
        slot: u32,
        /// Name of the relocation's kind, as bpftool prints it.
        kind: &'static str,
        /// Name of the local root type.
        type_name: String,
        /// Access path.
        access: String,
        /// What is wrong.
        problem: String,
    },
    /// A kernel symbol exists but is something else than the module thinks.
    #[error("kernel symbol '{symbol}': {problem}")]
    Symbol {
        /// Symbol name.
        symbol: String,
        /// What is wrong.
        problem: String,
    },
    /// A Kconfig value that is missing or does not fit its declaration.
    #[error("Kconfig value '{option}': {problem}")]
    Kconfig {
        /// Name of the option.
        option: String,
        /// What is wrong.
        problem: String,
    },
}
