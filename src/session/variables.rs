//! Setting global variables before a program is loaded.

use hoist_offload::Error;
use hoist_offload::bpf::btf::{Btf, Kind, value};
use hoist_offload::bpf::module::{DataSection, Module};

use super::codec::{FORMS, text_value};
use crate::suggest;

/// One variable of a data section.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) section: String,
    pub(super) type_id: u32,
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// Sets variables in `.rodata`, `.data` and `.bss`, by name and in text.
///
/// # Errors
/// [`Error::Input`] when the object has no types, no such variable, or the value does not fit.
pub fn set(module: &mut Module, assignments: &[(String, String)]) -> Result<(), Error> {
    if assignments.is_empty() {
        return Ok(());
    }
    if module.btf.is_empty() {
        return Err(Error::Input {
            what: format!("{}: variables cannot be set: the object has no BTF", module.name),
            hint: Some("build it with clang -g".to_owned()),
        });
    }
    let btf = Btf::parse(&module.btf)
        .map_err(|error| Error::Input { what: format!("{}: {error}", module.name), hint: None })?;
    let variables = all(module, &btf);
    for (name, text) in assignments {
        let variable = variables.iter().find(|v| v.name == *name).ok_or_else(|| {
            let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
            Error::Input {
                what: format!("{}: no variable is called '{name}'", module.name),
                hint: Some(suggest::instead(name, "variable", &names)),
            }
        })?;
        let bytes = room(module, variable);
        let set =
            bytes.map(|bytes| value::update(&btf, variable.type_id, &text_value(text), bytes));
        if let Some(Err(why)) = set {
            return Err(Error::Input {
                what: format!("variable '{name}': {why}"),
                hint: Some(FORMS.into()),
            });
        }
    }
    Ok(())
}

/// The variables of all writable-before-load sections.
pub(super) fn all(module: &Module, btf: &Btf) -> Vec<Variable> {
    let mut variables = Vec::new();
    let maps = module.maps.iter().filter(|m| {
        matches!(m.section, Some(DataSection::Rodata | DataSection::Data | DataSection::Bss))
    });
    for map in maps {
        let Some(section) = btf.find(&map.name, Kind::Datasec) else { continue };
        for entry in section.variables() {
            let Some(var) = btf.type_by_id(entry.type_id).filter(|v| v.kind() == Kind::Var) else {
                continue;
            };
            variables.push(Variable {
                name: var.name().to_owned(),
                section: map.name.clone(),
                type_id: var.size_or_type(),
                offset: entry.offset as usize,
                size: entry.size as usize,
            });
        }
    }
    variables
}

/// The bytes of a variable. Fields that a value leaves out keep what they hold.
fn room<'m>(module: &'m mut Module, variable: &Variable) -> Option<&'m mut [u8]> {
    let map = module.maps.iter_mut().find(|m| m.name == variable.section)?;
    if map.data.len() < map.value_size as usize {
        map.data.resize(map.value_size as usize, 0);
    }
    map.data.get_mut(variable.offset..variable.offset + variable.size)
}
