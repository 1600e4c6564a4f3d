//! What the object expects from the loader: undefined symbols declared in `.ksyms` and `.kconfig`.

use std::collections::HashMap;

use super::{Budget, ParseError, shorten};
use crate::btf::{Btf, Kind, Type};
use crate::elf::Elf;
use crate::module::{Extern, ExternId, ExternKind, Module, Resolution};

/// Externs by the index of their symbol.
pub(super) type BySymbol = HashMap<usize, ExternId>;

/// `BTF_VAR_GLOBAL_EXTERN` and `BTF_FUNC_EXTERN`.
const LINKAGE_EXTERN: u32 = 2;

/// Whether the object has undefined symbols.
pub(super) fn any(elf: &Elf<'_>) -> Result<bool, ParseError> {
    for symbol in elf.symbols() {
        let symbol = symbol?;
        if symbol.is_extern() && !symbol.name.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lists externs in libbpf's order: Kconfig values by falling alignment, rising size and name (so
/// that the `.kconfig` map has no holes), then kernel symbols by name.
pub(super) fn collect(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<BySymbol, ParseError> {
    let mut found = Vec::new();
    if !any(elf)? {
        return Ok(BySymbol::new());
    }
    let declared = Declarations::read(btf, budget)?;
    for symbol in elf.symbols() {
        let symbol = symbol?;
        if !symbol.is_extern() || symbol.name.is_empty() {
            continue;
        }
        // A symbol nobody declared may be one nobody uses; a relocation against it is refused.
        let Some((btf, declaration, section)) = declared.find(btf, symbol.name) else { continue };
        let (kind, align) = kind_of(btf, declaration, section, symbol.name)?;
        budget.charge(size_of::<Extern>() + 64, symbol.name)?;
        let external = Extern {
            name: budget.name(symbol.name)?,
            kind,
            weak: symbol.weak,
            btf_type_id: Some(declaration.id()),
            resolution: Resolution::Pending,
        };
        found.push((external, align, symbol.index));
    }
    found.sort_by(|(a, a_align, _), (b, b_align, _)| {
        let key = |e: &Extern, align: u32| match e.kind {
            ExternKind::Kconfig { size, .. } => (0, u32::MAX - align, size),
            _ => (1, 0, 0),
        };
        key(a, *a_align).cmp(&key(b, *b_align)).then_with(|| a.name.cmp(&b.name))
    });
    lay_out_kconfig(&mut found)?;
    let mut by_symbol = BySymbol::new();
    for (i, (external, _, symbol)) in found.into_iter().enumerate() {
        by_symbol.insert(symbol, ExternId(i as u32));
        module.externs.push(external);
    }
    Ok(by_symbol)
}

fn lay_out_kconfig(found: &mut [(Extern, u32, usize)]) -> Result<(), ParseError> {
    let mut end = 0u32;
    for (external, align, _) in found {
        if let ExternKind::Kconfig { offset, size } = &mut external.kind {
            let placed = end.checked_next_multiple_of(*align).map(|at| (at, at.checked_add(*size)));
            let Some((at, Some(next))) = placed else {
                return Err(ParseError::Symbol {
                    symbol: shorten(&external.name),
                    problem: format!("{size} bytes do not fit the .kconfig map"),
                });
            };
            *offset = at;
            end = next;
        }
    }
    Ok(())
}

/// Extern declarations of the object's BTF by name, and the data section each is listed in.
#[derive(Default)]
struct Declarations<'b> {
    by_name: HashMap<&'b str, u32>,
    section_of: HashMap<u32, &'b str>,
}

impl<'b> Declarations<'b> {
    fn read(btf: Option<&'b Btf>, budget: &mut Budget) -> Result<Self, ParseError> {
        let mut declared = Self::default();
        let Some(btf) = btf else { return Ok(declared) };
        for t in btf.types() {
            if t.linkage() == Some(LINKAGE_EXTERN) {
                budget.charge(48, ".BTF")?;
                declared.by_name.entry(t.name()).or_insert(t.id());
            }
            if t.kind() == Kind::Datasec && matches!(t.name(), ".ksyms" | ".kconfig") {
                for variable in t.variables() {
                    budget.charge(48, ".BTF")?;
                    declared.section_of.entry(variable.type_id).or_insert(t.name());
                }
            }
        }
        Ok(declared)
    }

    fn find(&self, btf: Option<&'b Btf>, name: &str) -> Option<(&'b Btf, Type<'b>, &'b str)> {
        let (btf, id) = (btf?, *self.by_name.get(name)?);
        Some((btf, btf.type_by_id(id)?, self.section_of.get(&id)?))
    }
}

/// The kind of an extern, and the alignment of a Kconfig value (1 for the others).
fn kind_of(
    btf: &Btf,
    declaration: Type<'_>,
    section: &str,
    name: &str,
) -> Result<(ExternKind, u32), ParseError> {
    if declaration.kind() == Kind::Func {
        return Ok((ExternKind::Kfunc, 1));
    }
    let type_id = declaration.size_or_type();
    if section == ".ksyms" {
        let typed = btf.strip(type_id).is_some();
        return Ok((if typed { ExternKind::KsymTyped } else { ExternKind::Ksym }, 1));
    }
    match (btf.size_of(type_id), btf.align_of(type_id)) {
        (Some(size), Some(align)) if size > 0 => {
            Ok((ExternKind::Kconfig { offset: 0, size }, align))
        }
        _ => Err(ParseError::Symbol {
            symbol: shorten(name),
            problem: "its type has no size, so it cannot be a Kconfig value".into(),
        }),
    }
}
