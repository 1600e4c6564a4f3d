//! Fits a module to one kernel: CO-RE relocations, kernel symbols, Kconfig values.
//!
//! The rules are libbpf's. A relocation without an answer is no error: its instruction becomes a
//! call that the verifier refuses if it can be reached, for programs guard such code themselves.

mod core;
mod error;
mod kconfig;
mod ksyms;
mod target;

pub use error::ResolveError;
pub use kconfig::{KernelConfig, fill_kconfig};
pub use ksyms::set_symbol_addresses;
pub use target::TargetBtf;

use crate::btf::Btf;
use crate::module::{ExternKind, Module};

/// What a module needs to know of the kernel before it can be loaded. Reading the kernel's BTF
/// costs milliseconds and megabytes; most modules need nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// `/sys/kernel/btf/vmlinux`, for [`resolve`].
    pub kernel_btf: bool,
    /// The kernel's configuration or version, for [`fill_kconfig`].
    pub kernel_config: bool,
    /// Addresses from `/proc/kallsyms`, for [`set_symbol_addresses`].
    pub symbol_addresses: bool,
}

impl Needs {
    /// What this module needs.
    #[must_use]
    pub fn of(module: &Module) -> Self {
        let any = |wanted: fn(ExternKind) -> bool| module.externs.iter().any(|e| wanted(e.kind));
        Self {
            kernel_btf: module.core_relocations.iter().any(|r| core::needs_target(r.kind))
                || any(|k| matches!(k, ExternKind::Kfunc | ExternKind::KsymTyped)),
            kernel_config: any(|k| matches!(k, ExternKind::Kconfig { .. })),
            symbol_addresses: any(|k| k == ExternKind::Ksym),
        }
    }
}

/// Applies CO-RE relocations and looks kernel symbols up in the kernel's BTF.
///
/// A kernel symbol that vmlinux BTF does not have is left
/// [`Unknown`](crate::module::Resolution::Unknown): a kernel module may have it.
///
/// # Errors
/// Relocations that need BTF when there is none, that are damaged, ambiguous, or do not fit their
/// instruction.
pub fn resolve(module: &Module, target: &TargetBtf) -> Result<Module, ResolveError> {
    let mut resolved = module.clone();
    let relocations = std::mem::take(&mut resolved.core_relocations);
    let symbols = resolved
        .externs
        .iter()
        .any(|e| matches!(e.kind, ExternKind::Kfunc | ExternKind::KsymTyped));
    if relocations.is_empty() && !symbols {
        return Ok(resolved);
    }
    let local = Btf::parse(&resolved.btf).map_err(ResolveError::ModuleBtf)?;
    core::apply(&mut resolved, &local, target, &relocations)?;
    ksyms::look_up(&mut resolved, &local, target)?;
    Ok(resolved)
}
