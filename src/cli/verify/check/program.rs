//! Case files held against the program they are for: its maps and variables by name.

use hoist_offload::bpf::module::Module;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Mistake, place};
use crate::session::inventory;
use crate::suggest;

/// Names of maps and variables in a sound case file that the program does not have.
pub(in crate::cli::verify) fn mistakes(text: &str, module: &Module) -> Vec<Mistake> {
    let Ok(file) = DeTable::parse(text) else { return Vec::new() };
    let maps: Vec<&str> = module
        .maps
        .iter()
        .filter(|map| map.section.is_none())
        .map(|map| map.name.as_str())
        .collect();
    let variables: Vec<String> =
        inventory::variables(module).into_iter().map(|item| item.name).collect();
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    let mut look = |table: &DeTable<'_>| {
        for (field, what, names) in [
            ("maps", "map", &maps),
            ("maps-after", "map", &maps),
            ("variables", "variable", &variables),
            ("variables-after", "variable", &variables),
        ] {
            for (key, _) in entries(table, field) {
                let name: &str = key.get_ref();
                if !names.contains(&name) {
                    let (line, column) = place(text, key.span().start);
                    found.push(Mistake {
                        line,
                        column,
                        what: format!("the program has no {what} '{name}'"),
                        next: Some(suggest::instead(name, what, names)),
                    });
                }
            }
        }
    };
    look(file.get_ref());
    let cases = file.get_ref().iter().find(|(key, _)| key.get_ref() == "case");
    let cases = cases.and_then(|(_, value)| value.get_ref().as_array());
    for case in cases.into_iter().flat_map(|all| all.iter()) {
        if let Some(case) = case.get_ref().as_table() {
            look(case);
        }
    }
    found.sort_by_key(|mistake| (mistake.line, mistake.column));
    found
}

type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// The entries of a table within a table.
fn entries<'t, 'i>(table: &'t DeTable<'i>, field: &str) -> Vec<Entry<'t, 'i>> {
    let inner = table.iter().find(|(key, _)| key.get_ref() == field);
    let inner = inner.and_then(|(_, value)| value.get_ref().as_table());
    inner.into_iter().flat_map(|table| table.iter()).collect()
}

#[cfg(test)]
mod tests {
    use hoist_offload::bpf::programs;

    use super::*;

    #[test]
    fn names_that_the_program_lacks_are_told_with_their_place() {
        let object = programs::get("lpm_block").expect("one of ours").object;
        let module = Module::parse("lpm_block", object).expect("well-formed");
        let told = |text: &str| -> Vec<(usize, usize, String, Option<String>)> {
            let all = mistakes(text, &module).into_iter();
            all.map(|m| (m.line, m.column, m.what, m.next)).collect()
        };
        assert_eq!(told("[maps]\nblocked = []\n[[case]]\nmaps-after.blocked = []\n"), []);
        let wrong = "[variables]\nlimit = 1\n[[case]]\nmaps-after.blokced = []\n";
        let wrong = told(wrong);
        assert_eq!((wrong[0].0, wrong[0].1), (2, 1), "{wrong:#?}");
        assert!(wrong[0].2.contains("no variable 'limit'"), "{wrong:#?}");
        assert_eq!((wrong[1].0, wrong[1].1), (4, 12), "{wrong:#?}");
        assert_eq!(wrong[1].3.as_deref(), Some("did you mean 'blocked'?"));
    }
}
