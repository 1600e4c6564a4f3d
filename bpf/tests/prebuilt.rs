//! The committed objects are what their sources give, and every instruction set version of them
//! is read and understood.
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;
use std::process::Command;

use hoist_bpf::module::ProgramId;
use hoist_bpf::requirements::Need;
use hoist_bpf::{Module, analysis};

/// Compilers with the versions of the instruction set that they write.
const COMPILERS: [(&str, &str, &[u8]); 2] =
    [("clang-14", "llvm-strip-14", &[1, 2, 3]), ("clang-19", "llvm-strip-19", &[4])];

fn build(clang: &str, strip: &str, version: u8, arguments: &[&str]) -> std::process::Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/build.sh"))
        .args(arguments)
        .env("CLANG", clang)
        .env("LLVM_STRIP", strip)
        .env("CPU", format!("v{version}"))
        .output()
        .unwrap()
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

#[test]
fn committed_objects_are_fresh() {
    let (clang, strip, _) = COMPILERS[0];
    if !installed(clang) || !installed(strip) {
        println!("not run: committed_objects_are_fresh: needs {clang} and {strip}");
        return;
    }
    let output = build(clang, strip, 3, &["--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_program_claims_more_than_its_instruction_set() {
    for (clang, strip, versions) in COMPILERS {
        if !installed(clang) || !installed(strip) {
            println!(
                "not run: no_program_claims_more_than_its_instruction_set: needs {clang} and {strip}"
            );
            continue;
        }
        for &version in versions {
            let directory = tempfile::tempdir().unwrap();
            let output =
                build(clang, strip, version, &["--into", directory.path().to_str().unwrap()]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let mut highest = 1;
            for entry in std::fs::read_dir(directory.path()).unwrap() {
                let path = entry.unwrap().path();
                let module = Module::parse("", &std::fs::read(&path).unwrap()).unwrap();
                for program in 0..module.programs.len() as u32 {
                    for item in analysis::requirements(&module, ProgramId(program)).items {
                        let Need::Isa(found) = item.need else { continue };
                        // Fetching atomics and 32-bit endianness come with any version.
                        assert!(found <= version.max(3), "{} {item:?}", path.display());
                        highest = highest.max(found);
                    }
                }
            }
            assert!(version < 3 || highest == version, "v{version} objects claim v{highest}");
        }
    }
}
