//! What the documentation must keep up with: its own links, the codes of refusals, the schemas, the
//! dependencies.
#![expect(clippy::unwrap_used, reason = "a repository that cannot be read has failed the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Files below `folder` with the given ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", ".md");
    pages.push(root().join("README.md"));
    for name in ["bpf", "offload", "drivers", "fallback", "hwtests", "benches"] {
        pages.push(root().join(name).join("README.md"));
    }
    pages
}

/// Lines of a page outside code blocks, whether fenced or indented.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        !fenced && !line.starts_with("    ")
    })
}

/// Targets of the links of one page.
fn links(page: &str) -> Vec<String> {
    prose(page)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// Anchors of a page's headings, as mdBook and code hosts make them.
fn anchors(page: &str) -> BTreeSet<String> {
    prose(page)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            let found =
                target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_page_is_in_the_summary() {
    let docs = root().join("docs");
    let listed: BTreeSet<PathBuf> =
        links(&read("docs/SUMMARY.md")).iter().map(|link| docs.join(link)).collect();
    let pages: BTreeSet<PathBuf> =
        files("docs", ".md").into_iter().filter(|p| !p.ends_with("SUMMARY.md")).collect();
    assert_eq!(pages, listed, "pages of docs/ (left) and lines of docs/SUMMARY.md (right)");
}

/// Folders in which a hyphenated word in quotes is a code: the engines and what is known of NICs.
const ENGINES: [&str; 6] = [
    "benches/src/meter/findings.rs",
    "offload/src/xdp",
    "offload/src/kernel_program",
    "offload/src/profile",
    "drivers/src",
    "fallback/src",
];

/// Hyphenated words in those folders that are no codes: features as ethtool and the host's report
/// name them, how serde names variants, a thread.
const FEATURES: [&str; 14] = [
    "bpf2bpf-tail-calls",
    "dev-bound-only",
    "hw-tc-offload",
    "hoist-compile",
    "isa-v2",
    "isa-v3",
    "isa-v4",
    "kebab-case",
    "rx-gro",
    "rx-gro-hw",
    "rx-lro",
    "rx-vlan-hw-parse",
    "rx-vlan-stag-hw-parse",
    "xdp-frags",
];

/// Codes of gaps, conditions and warnings that the sources can produce.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in [
        "bpf/src",
        "offload/src",
        "drivers/src",
        "fallback/src",
        "benches/src/meter",
        "benches/src/report",
        "benches/src/scenario",
        "benches/src/search",
        "src",
    ] {
        for file in files(folder, ".rs") {
            if file.ends_with("tests.rs")
                || file.ends_with("sample.rs")
                || file.components().any(|c| c.as_os_str() == "tests")
            {
                continue;
            }
            let source = read(&file);
            let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            codes.extend(codes_in(source));
            if ENGINES.iter().any(|folder| file.starts_with(root().join(folder))) {
                codes.extend(hyphenated(source));
            }
        }
    }
    codes.extend(differences());
    codes.extend(known());
    codes
}

/// Codes of the differences that conformance cases name.
fn known() -> BTreeSet<String> {
    let cases: String = files("hwtests/cases", ".toml").iter().map(read).collect();
    let codes = cases.split("code = \"").skip(1).filter_map(|rest| rest.split_once('"'));
    codes.map(|(code, _)| code.to_owned()).collect()
}

/// Codes of the differences that docs/semantics.md tells; not every one is a refusal or a warning.
fn differences() -> BTreeSet<String> {
    let page = read("docs/semantics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split_once("differs ([")?.1.split_once(']'));
    cells.map(|(code, _)| code.to_owned()).collect()
}

/// String literals that stand where a code is expected.
fn codes_in(source: &str) -> BTreeSet<String> {
    /// What comes before a code.
    const PLACES: [&str; 10] = [
        "code: \"",
        "code: Some(\"",
        "Gap::new(\"",
        "gap = Self::new(\"",
        "Gap::kernel(\"",
        "Condition::new(\"",
        "Problem::new(\"",
        "self.problem(\"",
        "Rule::Note(\"",
        "Rule::Untold(\"",
    ];
    let mut codes = BTreeSet::new();
    // rustfmt may break the line after an opening parenthesis.
    let joined = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    for place in PLACES {
        let found = joined.split(place).skip(1).filter_map(|rest| rest.split_once('"'));
        codes.extend(found.map(|(code, _)| code.to_owned()));
    }
    if let Some((_, body)) = joined.split_once("fn gap_code(") {
        let body = body.split("pub const fn").next().unwrap_or_default();
        let arms = body.split("=> \"").skip(1).filter_map(|rest| rest.split_once('"'));
        codes.extend(arms.map(|(code, _)| code.to_owned()));
    }
    codes
}

/// Hyphenated words in quotes, save names of drivers and of their features.
fn hyphenated(source: &str) -> BTreeSet<String> {
    let is_code = |word: &str| {
        word.contains('-')
            && word.split('-').all(|part| {
                !part.is_empty()
                    && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            })
            && !FEATURES.contains(&word)
    };
    source
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
        .filter(|line| !line.starts_with("name:") && !line.starts_with("aliases:"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|word| is_code(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn codes_are_found_where_they_stand() {
    let source = "Gap::new(\n    \"a-b\", x); Condition { code: \"c\".into() } \
                  pub const fn gap_code(n) { X => \"d\", } pub const fn other() { Y => \"e\" }";
    let expected: BTreeSet<String> = ["a-b", "c", "d"].map(str::to_owned).into();
    assert_eq!(codes_in(source), expected);
    let source =
        "name: \"a-b\",\naliases: &[\"c-d\"],\n// \"e-f\"\n(\"A text\", \"g-h\"), \"rx-lro\"";
    assert_eq!(hyphenated(source), BTreeSet::from(["g-h".to_owned()]));
}

#[test]
fn every_code_has_its_section_and_every_section_its_code() {
    let page = read("docs/refusals.md");
    let sections: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|heading| heading.trim().to_owned())
        .collect();
    assert_eq!(codes(), sections, "codes in the sources (left), sections (right)");
}

#[test]
fn every_section_says_cause_sight_and_remedy() {
    let page = read("docs/refusals.md");
    for section in page.split("\n### ").skip(1) {
        let (code, body) = section.split_once('\n').unwrap();
        for part in ["**Cause.**", "**See it.**", "**Remedy.**"] {
            assert!(body.contains(part), "the section {code} has no {part}");
        }
    }
}

/// Where a page shows what the command prints, it names the file that the command's own tests hold
/// its output against.
#[test]
fn shown_screens_are_what_the_command_prints() {
    let mut shown = 0;
    for page in pages() {
        for block in read(&page).split("<!-- screen: ").skip(1) {
            let (name, rest) = block.split_once(" -->\n```text\n").expect("a name, then a block");
            let (text, _) = rest.split_once("\n```\n").expect("the end of the block");
            let screen = read(Path::new("tests/screens").join(name));
            assert_eq!(text, screen.trim_end(), "{}: {name}", page.display());
            shown += 1;
        }
    }
    assert!(shown > 0, "no page shows a screen");
}

/// Pieces of a block of code, at lines that stand for what was left out.
fn pieces(block: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in block.lines() {
        match line.trim() {
            "// ..." | "# ..." => pieces.push(String::new()),
            _ => {
                let last = pieces.len() - 1;
                pieces[last].push_str(&format!("{line}\n"));
            }
        }
    }
    pieces
}

/// Where a page shows code, it names the file, and the file has these lines in this order.
#[test]
fn shown_code_is_in_the_files() {
    let mut shown = 0;
    for page in pages() {
        let text = read(&page);
        for block in text.split("<!-- code: ").skip(1) {
            let (file, rest) = block.split_once(" -->\n```").expect("a file, then a block");
            let (_, rest) = rest.split_once('\n').expect("the language");
            let (code, _) = rest.split_once("\n```\n").expect("the end of the block");
            let source = read(file);
            let mut left = source.as_str();
            for piece in pieces(code) {
                let at = left.find(&piece);
                let at =
                    at.unwrap_or_else(|| panic!("{}: {file} has not\n{piece}", page.display()));
                left = &left[at + piece.len()..];
            }
            shown += 1;
        }
    }
    assert!(shown > 0, "no page shows code");
}

/// The pages that are written about code show it only as it is.
#[test]
fn adding_a_driver_shows_no_code_of_its_own() {
    let text = read("docs/adding-a-driver.md");
    let mut before = "";
    for line in text.lines() {
        if ["```rust", "```toml"].contains(&line) {
            assert!(before.starts_with("<!-- code: "), "a block without its file after: {before}");
        }
        before = line;
    }
}

#[test]
fn every_schema_is_described() {
    let page = read("docs/json.md");
    for schema in files("docs/schemas", ".json") {
        let name = schema.file_name().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&format!("schemas/{name}")), "docs/json.md does not mention {name}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let direct: BTreeSet<&str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|name| !name.starts_with("hoist"))
        .collect();
    let page = read("docs/decisions/0007-dependencies.md");
    let listed: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(direct, listed, "direct dependencies (left), rows of the record (right)");
}
