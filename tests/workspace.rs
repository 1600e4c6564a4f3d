//! The repository's own rules: who depends on whom, under which licences, and where `unsafe` may
//! stand. All of it is read from `cargo metadata` and the sources themselves.
#![expect(clippy::unwrap_used, reason = "a repository that cannot be read has failed the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Workspace crates with the workspace crates they may depend on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("hoist-bpf", &[]),
    ("hoist-offload", &["hoist-bpf"]),
    ("hoist-drivers", &["hoist-bpf", "hoist-offload"]),
    ("hoist-fallback", &["hoist-bpf", "hoist-offload"]),
    ("hoist-hwtests", &["hoist-bpf", "hoist-offload", "hoist-drivers", "hoist-fallback"]),
    (
        "hoist-benches",
        &["hoist-bpf", "hoist-offload", "hoist-drivers", "hoist-fallback", "hoist-hwtests"],
    ),
    (
        "hoist",
        &[
            "hoist-bpf",
            "hoist-offload",
            "hoist-drivers",
            "hoist-fallback",
            "hoist-hwtests",
            "hoist-benches",
        ],
    ),
];

/// Packages that only the named crates may depend on directly.
const RESERVED: [(&str, &[&str]); 7] = [
    ("libbpf-rs", &["hoist-bpf"]),
    ("libbpf-sys", &["hoist-bpf"]),
    ("ethtool", &["hoist-offload"]),
    ("pci-ids", &["hoist-offload"]),
    ("bitflags", &["hoist-bpf", "hoist-offload"]),
    ("criterion", &["hoist-benches"]),
    ("serial_test", &["hoist-hwtests"]),
];

/// Licences under which code may be linked into a work that is Apache-2.0 OR MIT.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Where `unsafe` may stand; everything else is safe Rust.
const UNSAFE_PLACES: [&str; 13] = [
    "benches/compare/bare.rs",
    "benches/vm/rbpf.rs",
    "bpf/src/kernel/",
    "bpf/tests/fuzz/",
    "bpf/tests/libbpf/",
    "fallback/src/userspace/maps/memory",
    "fallback/src/userspace/ports/af_packet/ring",
    "fallback/src/userspace/ports/af_xdp/ring",
    "fallback/src/userspace/ports/sys.rs",
    "fallback/src/userspace/vm/compiled/",
    "fallback/src/userspace/vm/memory",
    "fallback/tests/hostile/",
    "hwtests/src/sys.rs",
];

/// Longest source file, in lines.
const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Direct dependencies of every workspace crate, tests and build scripts included.
fn direct_dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| {
            let names = package["dependencies"].as_array().unwrap().iter();
            let names = names.map(|d| text(&d["name"]).to_owned()).collect();
            (text(&package["name"]).to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let direct = direct_dependencies(&metadata());
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = direct.keys().map(String::as_str).collect();
    assert_eq!(found, known, "a crate without a place in ARROWS, or a place without a crate");
    for (name, allowed) in ARROWS {
        let ours = direct[name].iter().map(String::as_str).filter(|d| known.contains(d));
        let wrong: Vec<&str> = ours.filter(|d| !allowed.contains(d)).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

/// The example of a vendor's crate: the driver knows hoist-offload alone, without its default features.
#[test]
fn the_vendors_driver_depends_on_the_contract_alone() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root().join("examples/vendor"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    for (package, expected) in [
        ("acme", &["hoist-offload"][..]),
        ("acme-hoist", &["acme", "hoist", "hoist-hwtests (dev)"]),
    ] {
        let packages = metadata["packages"].as_array().unwrap().iter();
        let found = packages.filter(|p| text(&p["name"]) == package).collect::<Vec<_>>();
        let [found] = found.as_slice() else { panic!("{package} is not there") };
        let dependencies = found["dependencies"].as_array().unwrap();
        let named: BTreeSet<String> = dependencies
            .iter()
            .map(|d| match text(&d["kind"]) {
                "" => text(&d["name"]).to_owned(),
                kind => format!("{} ({kind})", text(&d["name"])),
            })
            .collect();
        assert_eq!(named, expected.iter().map(|&name| name.to_owned()).collect(), "{package}");
        if package == "acme" {
            assert_eq!(dependencies[0]["uses_default_features"], false);
        }
    }
}

#[test]
fn reserved_packages_are_used_by_their_crate_alone() {
    for (user, packages) in direct_dependencies(&metadata()) {
        for (package, owners) in RESERVED {
            let allowed = owners.contains(&user.as_str()) || !packages.contains(package);
            assert!(allowed, "{user} depends on {package}, which is for {owners:?} alone");
        }
    }
}

/// Whether some choice within an SPDX expression needs only allowed licences.
fn acceptable(expression: &str) -> bool {
    // Old manifests separate alternatives by a slash.
    let expression = expression.replace('/', " OR ");
    split(&expression, " OR ").iter().any(|alternative| {
        split(alternative, " AND ").iter().all(|term| {
            let term = term.trim();
            match term.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
                Some(inner) => acceptable(inner),
                None => LICENCES.contains(&term),
            }
        })
    })
}

/// Splits at a separator that stands outside parentheses.
fn split<'a>(expression: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b' ' if depth == 0 && expression[at..].starts_with(separator) => {
                parts.push(&expression[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn spdx_expressions_are_read_as_written() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-2.0-only", false),
        ("LGPL-2.1-only OR BSD-2-Clause", true),
        ("MIT AND GPL-2.0-only", false),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
        ("(GPL-2.0-only OR GPL-3.0-only) AND MIT", false),
        ("Unlicense/MIT", true),
        ("", false),
    ] {
        assert_eq!(acceptable(expression), expected, "{expression:?}");
    }
}

#[test]
fn every_dependency_has_a_compatible_licence() {
    let metadata = metadata();
    let wrong: Vec<String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| !acceptable(text(&package["license"])))
        .map(|package| format!("{}: {}", text(&package["name"]), package["license"]))
        .collect();
    assert!(wrong.is_empty(), "not compatible with Apache-2.0 OR MIT: {wrong:#?}");
}

#[test]
fn every_crate_carries_its_licences_and_a_readme() {
    let metadata = metadata();
    let members: Vec<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    for package in metadata["packages"].as_array().unwrap() {
        if members.contains(&text(&package["id"])) {
            assert_eq!(text(&package["license"]), "Apache-2.0 OR MIT", "{}", package["name"]);
            let folder = Path::new(text(&package["manifest_path"])).parent().unwrap().to_owned();
            for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
                assert!(folder.join(file).is_file(), "{} has no {file}", folder.display());
            }
        }
    }
}

/// Files of the repository with one of the given endings, build results excluded.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if name != "target" && (name == ".ci" || !name.starts_with('.')) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn unsafe_stands_in_named_places_only() {
    // Hyphens join words of other languages, such as a page's 'unsafe-inline'.
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut wrong = Vec::new();
    for path in files(&[".rs"]) {
        let name = relative(&path);
        if name == "tests/workspace.rs" || UNSAFE_PLACES.iter().any(|f| name.starts_with(f)) {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.split(|c| !is_word(c)).any(|w| w == "unsafe" || w == "unsafe_code") {
                wrong.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe belongs in {UNSAFE_PLACES:?}: {wrong:#?}");
}

#[test]
fn source_files_fit_in_one_head() {
    for path in files(&[".rs", ".c", ".h", ".sh"]) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", relative(&path));
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("HA", "CK"),
        concat!("#[ign", "ore]"),
        concat!("assert!(tr", "ue"),
    ];
    let mut wrong = Vec::new();
    for path in files(&[".rs", ".c", ".h", ".sh", ".md", ".toml", "run"]) {
        let source = std::fs::read_to_string(&path).unwrap();
        for (number, line) in source.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                wrong.push(format!("{}:{}: {line}", relative(&path), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bpf_sources_say_their_licence() {
    for path in files(&[".bpf.c", ".bpf.h"]) {
        let source = std::fs::read_to_string(&path).unwrap();
        let first = source.lines().next().unwrap_or_default();
        let dual = first.contains("SPDX-License-Identifier:")
            && first.contains("GPL-2.0")
            && first.contains("MIT");
        assert!(dual, "{}: the first line is {first:?}", relative(&path));
    }
}
