//! The contract of docs/semantics.md as data: what programs and the world around them can observe,
//! and whether it is the same on every engine.

/// The page itself.
const PAGE: &str = include_str!("../docs/semantics.md");

/// One observable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Stable kebab-case name: what conformance cases call it.
    pub id: String,
    /// The heading it stands under.
    pub section: String,
    /// What is observed, in words.
    pub observable: String,
    /// What each engine makes of it: native, generic, tc.
    pub engines: [String; 3],
    /// Whether it is the same everywhere.
    pub class: Class,
}

/// How equal the engines are in one respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Without help.
    Same,
    /// By hoist's doing.
    MadeSame,
    /// They are not, and the code says why: a section of docs/refusals.md.
    Differs(String),
}

/// Every row of the contract, in the order of the page.
///
/// A row that cannot be read is left out here; the repository's own tests hold the page against
/// [`parse`], which says what is wrong.
#[must_use]
pub fn rows() -> Vec<Row> {
    parse(PAGE).into_iter().filter_map(Result::ok).collect()
}

/// Reads the tables of a page: each line that starts with an id in backquotes is a row.
///
/// # Errors
/// In the place of a row: what is wrong with that line.
pub fn parse(page: &str) -> Vec<Result<Row, String>> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.trim().clone_into(&mut section);
        } else if line.starts_with("| `") {
            rows.push(row(line, &section).ok_or_else(|| format!("not a row: {line}")));
        }
    }
    rows
}

fn row(line: &str, section: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
    let [id, observable, native, generic, tc, class] = cells.as_slice() else { return None };
    let id = id.trim().strip_prefix('`')?.strip_suffix('`')?;
    let text = |cell: &&str| cell.trim().to_owned();
    Some(Row {
        id: id.to_owned(),
        section: section.to_owned(),
        observable: text(observable),
        engines: [native, generic, tc].map(text),
        class: class_of(class.trim())?,
    })
}

fn class_of(cell: &str) -> Option<Class> {
    match cell {
        "same" => Some(Class::Same),
        "made same" => Some(Class::MadeSame),
        _ => {
            // differs ([code](refusals.md#code))
            let (code, link) = cell.strip_prefix("differs ([")?.split_once("](")?;
            let target = link.strip_suffix("))")?;
            (target == format!("refusals.md#{code}")).then(|| Class::Differs(code.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_read_whole() {
        let rows = parse(PAGE);
        let wrong: Vec<&String> = rows.iter().filter_map(|r| r.as_ref().err()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(rows.len() > 60, "{}", rows.len());
        assert!(rows.iter().flatten().all(|row| !row.section.is_empty()));
    }

    #[test]
    fn a_row_has_six_cells_and_a_class() {
        let class = |cell: &str| {
            let line = format!("| `a-b` | x | n | g | t | {cell} |");
            parse(&line).remove(0).map(|row| row.class)
        };
        assert_eq!(class("same"), Ok(Class::Same));
        assert_eq!(class("made same"), Ok(Class::MadeSame));
        assert_eq!(class("differs ([a](refusals.md#a))"), Ok(Class::Differs("a".to_owned())));
        for wrong in ["", "equal", "differs", "differs (a)", "differs ([a](refusals.md#b))"] {
            assert!(class(wrong).is_err(), "{wrong}");
        }
        assert!(parse("| `a` | five | cells | here | same |").remove(0).is_err());
    }
}
