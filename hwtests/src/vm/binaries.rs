//! Test binaries of this workspace, as cargo builds them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{VmError, host};

/// Builds targets of the workspace, in the profile of the program that runs now, and tells where
/// each is. After `cargo test --workspace` there is nothing left to build.
///
/// `bins` are programs of packages of which a test is built as well: cargo builds them along with it,
/// and `--bin` would give the tests within them instead.
///
/// # Errors
/// cargo is not there or fails, or a target is missing.
pub fn build(tests: &[&str], bins: &[&str]) -> Result<BTreeMap<String, PathBuf>, VmError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--locked", "--no-run", "--message-format=json"]);
    command.args(profile());
    if let Some(target) = host::target() {
        command.arg("--target-dir").arg(target);
    }
    for test in tests {
        command.args(["--test", test]);
    }
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let messages = host::output(&mut command)?;
    let found: BTreeMap<String, PathBuf> = messages.lines().filter_map(executable).collect();
    // A name with `*` is a pattern, which may fit nothing.
    let mut exact = tests.iter().chain(bins).filter(|name| !name.contains('*'));
    if let Some(name) = exact.find(|name| !found.contains_key(**name)) {
        return Err(VmError::failed("cargo test --no-run", name, "it built no such program"));
    }
    Ok(found)
}

/// Name and file, when a line of cargo's tells of a test binary or a program.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let file = message.get("executable")?.as_str()?;
    let kind = message.pointer("/target/kind/0")?.as_str()?;
    let test = message.pointer("/profile/test")?.as_bool()?;
    let name = message.pointer("/target/name")?.as_str()?;
    // The tests within a library or a command have its name; they are not meant.
    (kind == "test" || (kind == "bin" && !test)).then(|| (name.to_owned(), PathBuf::from(file)))
}

/// What selects the profile that this program was built in.
fn profile() -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = host::target().and_then(|target| {
        let below = program.strip_prefix(target).ok()?;
        Some(below.iter().next()?.to_string_lossy().into_owned())
    });
    match folder.as_deref() {
        None | Some("debug") => Vec::new(),
        Some(profile) => vec!["--profile".to_owned(), profile.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_name_the_programs() {
        let message = |kind: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"n"}},"profile":{{"test":{test}}},"executable":"/x/n-1"}}"#
            )
        };
        for (kind, test, expected) in
            [("test", true, true), ("bin", false, true), ("bin", true, false), ("lib", true, false)]
        {
            assert_eq!(executable(&message(kind, test)).is_some(), expected, "{kind} {test}");
        }
        assert_eq!(executable("warning: not JSON"), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
