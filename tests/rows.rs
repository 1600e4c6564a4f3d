//! docs/offload-rows.md against the tests of the offload path: every row names tests that are there, or
//! says why there is none, and the kernel's own list is whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Cases of the kernel's list.
const CASES: usize = 63;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of functions with `#[test]` before them.
fn tests(source: &str) -> impl Iterator<Item = String> {
    source.split("#[test]\n").skip(1).filter_map(|rest| {
        let (name, _) = rest.trim_start().strip_prefix("fn ")?.split_once('(')?;
        Some(name.to_owned())
    })
}

/// Rows of every table, cell by cell.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .filter(|row: &Vec<String>| row.last().is_some_and(|cell| cell != "test"))
        .collect()
}

fn named(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_row_has_its_test() {
    let folder = root().join("hwtests/tests/offload");
    let mut here: BTreeSet<String> = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        here.extend(tests(&read(entry.unwrap().path())));
    }
    here.extend(tests(&read("hwtests/tests/offload_card.rs")));
    let page = read("docs/offload-rows.md");
    let rows = rows(&page);
    let mut wrong = Vec::new();
    for row in &rows {
        let cell = row.last().unwrap();
        let tests = named(cell);
        if tests.is_empty() && !cell.starts_with("not made: ") {
            wrong.push(format!("no test and no reason: {row:?}"));
        }
        for test in tests {
            if !here.contains(&test) {
                wrong.push(format!("there is no test {test}: {row:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_kernels_list_is_whole() {
    let page = read("docs/offload-rows.md");
    let (_, list) = page.split_once("## The kernel's own list").unwrap();
    let numbers: Vec<usize> =
        rows(list).iter().filter_map(|row| row[0].split(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=CASES).collect::<Vec<_>>());
}
