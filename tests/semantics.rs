//! docs/semantics.md against the conformance cases: no row without a case, no case without a row, no
//! difference without its reason.
#![expect(clippy::unwrap_used, reason = "a repository that cannot be read has failed the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hoist::semantics::{Class, Row};
use hoist_hwtests::conformance::{Source, suite};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

fn rows() -> Vec<Row> {
    let rows = hoist::semantics::parse(&page("semantics.md"));
    rows.into_iter().collect::<Result<_, _>>().unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn sources() -> Vec<Source> {
    suite::read(&root().join("hwtests/cases")).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Rows that cases name, each with the cases.
fn proven(sources: &[Source]) -> BTreeMap<&str, Vec<String>> {
    let mut proven: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources {
        for case in &source.file.cases {
            for row in &case.rows {
                let name = format!("{}/{}", source.name, case.name);
                proven.entry(row.as_str()).or_default().push(name);
            }
        }
    }
    proven
}

#[test]
fn ids_are_stable_words_and_stand_once() {
    let rows = rows();
    let mut seen = BTreeSet::new();
    for row in &rows {
        let is_word = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        assert!(row.id.split('-').all(is_word), "{} is not kebab-case", row.id);
        assert!(seen.insert(row.id.as_str()), "{} stands twice", row.id);
    }
}

/// Which place in the kernel makes a difference unavoidable: `- id: file, function ...`.
#[test]
fn every_difference_cites_the_kernel_and_nothing_else_does() {
    let page = page("semantics.md");
    let cited: BTreeSet<&str> = page
        .split("\n- `")
        .skip(1)
        .filter_map(|item| item.split_once("`: "))
        .filter(|(_, reason)| {
            let mut names = reason.split('`').skip(1).step_by(2);
            names.next().is_some_and(|file| {
                ["net/", "kernel/", "drivers/", "include/"].iter().any(|f| file.starts_with(f))
            }) && names.next().is_some()
        })
        .map(|(id, _)| id)
        .collect();
    let rows = rows();
    let differing = rows.iter().filter(|row| matches!(row.class, Class::Differs(_)));
    let differing: BTreeSet<&str> = differing.map(|row| row.id.as_str()).collect();
    assert_eq!(cited, differing, "rows that cite the kernel (left), rows that differ (right)");
}

#[test]
fn every_difference_has_its_section() {
    let refusals = page("refusals.md");
    let sections: BTreeSet<&str> =
        refusals.lines().filter_map(|line| line.strip_prefix("### ")).map(str::trim).collect();
    for row in rows() {
        if let Class::Differs(code) = &row.class {
            assert!(sections.contains(code.as_str()), "{}: {code} has no section", row.id);
        }
    }
    for source in sources() {
        let known = source.file.cases.iter().flat_map(|case| &case.known);
        for known in known.chain(&source.file.known) {
            let (name, code) = (&source.name, &known.code);
            assert!(sections.contains(code.as_str()), "{name}: {code} has no section");
        }
    }
}

#[test]
fn every_row_has_a_case() {
    let rows = rows();
    let sources = sources();
    let proven = proven(&sources);
    let without: Vec<&str> =
        rows.iter().map(|row| row.id.as_str()).filter(|id| !proven.contains_key(id)).collect();
    assert!(without.is_empty(), "no case in hwtests/cases names these rows: {without:#?}");
}

#[test]
fn every_case_names_rows_that_there_are() {
    let rows = rows();
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let sources = sources();
    let unknown: Vec<_> =
        proven(&sources).into_iter().filter(|(row, _)| !known.contains(row)).collect();
    assert!(unknown.is_empty(), "no such row in docs/semantics.md: {unknown:#?}");
}
