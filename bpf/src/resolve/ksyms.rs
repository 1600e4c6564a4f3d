//! Kernel functions and variables, by name, in the kernel's BTF.

use std::collections::BTreeMap;

use super::core::{Comparison, essential};
use super::{ResolveError, TargetBtf};
use crate::btf::{Btf, Kind, Type};
use crate::module::{Extern, ExternKind, Module, Resolution};

/// Looks up kfuncs and typed variables.
pub(super) fn look_up(
    module: &mut Module,
    local: &Btf,
    target: &TargetBtf,
) -> Result<(), ResolveError> {
    for external in &mut module.externs {
        let kind = match external.kind {
            ExternKind::Kfunc => Kind::Func,
            ExternKind::KsymTyped => Kind::Var,
            ExternKind::Ksym | ExternKind::Kconfig { .. } => continue,
        };
        external.resolution = find(external, kind, local, target)?;
    }
    Ok(())
}

fn find(
    external: &Extern,
    kind: Kind,
    local: &Btf,
    target: &TargetBtf,
) -> Result<Resolution, ResolveError> {
    let absent = if external.weak { Resolution::Absent } else { Resolution::Unknown };
    // Only functions may carry a flavour: `bpf_foo___v2` stands for `bpf_foo`.
    let name = match kind {
        Kind::Func => essential(&external.name),
        _ => &external.name,
    };
    let Some(target) = target.btf() else { return Ok(absent) };
    let Some(found) = target.find(name, kind) else { return Ok(absent) };
    let declared = external.btf_type_id.and_then(|id| local.type_by_id(id));
    let declared = declared.map_or(0, Type::size_or_type);
    let error =
        |problem: &str| ResolveError::Symbol { symbol: name.to_owned(), problem: problem.into() };
    let (wanted, there) = match kind {
        Kind::Func => (declared, found.size_or_type()),
        // Types of variables are compared without their qualifiers.
        _ => (
            local.strip_id(declared).unwrap_or_default(),
            target.strip_id(found.size_or_type()).unwrap_or_default(),
        ),
    };
    let same = Comparison::new(local, target).types_compatible(wanted, there).map_err(error)?;
    match (same, kind) {
        (true, _) => Ok(Resolution::KernelBtf(found.id())),
        (false, Kind::Func) if external.weak => Ok(Resolution::Absent),
        (false, _) => Err(error("the module declares it with another type than the kernel's")),
    }
}

/// Fills in the addresses of untyped kernel symbols, from `/proc/kallsyms`. A weak symbol that is
/// not there reads as 0.
///
/// # Errors
/// A symbol that the module cannot do without and the kernel does not have.
pub fn set_symbol_addresses(
    module: &mut Module,
    addresses: &BTreeMap<String, u64>,
) -> Result<(), ResolveError> {
    for external in module.externs.iter_mut().filter(|e| e.kind == ExternKind::Ksym) {
        external.resolution = match addresses.get(&external.name) {
            Some(address) => Resolution::Address(*address),
            None if external.weak => Resolution::Absent,
            None => {
                return Err(ResolveError::Symbol {
                    symbol: external.name.clone(),
                    problem: "the running kernel has no such symbol".into(),
                });
            }
        };
    }
    Ok(())
}
