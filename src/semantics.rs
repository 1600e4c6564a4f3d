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
    /// What each engine makes of it: native, generic, tc, user.
    pub engines: [String; 4],
    /// Whether it is the same everywhere.
    pub class: Class,
    /// A test run cannot show it: only frames that come from somewhere and go somewhere do.
    pub only_traffic: bool,
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
    let mut rows = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
        let unseen = Unseen::of(text);
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let row = row(line, heading.trim(), &unseen);
            rows.push(row.ok_or_else(|| format!("not a row: {line}")));
        }
    }
    rows
}

/// What a section says that test runs cannot show: these words, or these followed by ids.
#[derive(Debug, PartialEq, Eq)]
enum Unseen {
    All,
    Some(Vec<String>),
}

impl Unseen {
    const ALL: &'static str = "\nOnly real traffic shows these rows.";
    const SOME: &'static str = "\nOf these rows only real traffic shows ";

    fn of(text: &str) -> Self {
        if text.contains(Self::ALL) {
            return Self::All;
        }
        let list = text.split_once(Self::SOME).map(|(_, rest)| rest);
        let list = list.and_then(|rest| rest.split_once(".\n")).map_or("", |(list, _)| list);
        Self::Some(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    }

    fn has(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(ids) => ids.iter().any(|unseen| unseen == id),
        }
    }
}

fn row(line: &str, section: &str, unseen: &Unseen) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
    let [id, observable, native, generic, tc, user, class] = cells.as_slice() else { return None };
    let id = id.trim().strip_prefix('`')?.strip_suffix('`')?;
    let text = |cell: &&str| cell.trim().to_owned();
    Some(Row {
        id: id.to_owned(),
        section: section.to_owned(),
        observable: text(observable),
        engines: [native, generic, tc, user].map(text),
        class: class_of(class.trim())?,
        only_traffic: unseen.has(id),
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
    fn what_a_test_run_cannot_show_is_said_by_rows_that_there_are() {
        let rows = rows();
        let unseen = |id: &str| rows.iter().find(|row| row.id == id).map(|row| row.only_traffic);
        assert_eq!(unseen("taps"), Some(true));
        assert_eq!(unseen("tx-path"), Some(true));
        assert_eq!(unseen("packet-writes"), Some(false));
        for section in PAGE.split("\n## ").skip(1) {
            if let Unseen::Some(ids) = Unseen::of(section) {
                let absent: Vec<_> = ids.iter().filter(|id| unseen(id) != Some(true)).collect();
                assert!(absent.is_empty(), "{absent:?}");
            }
        }
    }

    #[test]
    fn a_row_has_seven_cells_and_a_class() {
        let class = |cell: &str| {
            let line = format!("\n## s\n| `a-b` | x | n | g | t | u | {cell} |");
            parse(&line).remove(0).map(|row| row.class)
        };
        assert_eq!(class("same"), Ok(Class::Same));
        assert_eq!(class("made same"), Ok(Class::MadeSame));
        assert_eq!(class("differs ([a](refusals.md#a))"), Ok(Class::Differs("a".to_owned())));
        for wrong in ["", "equal", "differs", "differs (a)", "differs ([a](refusals.md#b))"] {
            assert!(class(wrong).is_err(), "{wrong}");
        }
        assert!(parse("\n## s\n| `a` | six | cells | are | here | same |").remove(0).is_err());
    }
}
