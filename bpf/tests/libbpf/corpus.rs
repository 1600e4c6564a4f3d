//! The objects that are compared.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One object file.
pub(crate) struct Object {
    /// Where it came from, for messages.
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

/// A compiler and an instruction set to build the sources with.
const BUILDS: [(&str, &str, &str); 4] = [
    ("clang-14", "llvm-strip-14", "v1"),
    ("clang-14", "llvm-strip-14", "v2"),
    ("clang-14", "llvm-strip-14", "v3"),
    ("clang-19", "llvm-strip-19", "v4"),
];

/// Directories where distributions install BPF objects.
const INSTALLED: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/aarch64-linux-gnu/bpf", "/usr/lib64/bpf"];

/// Everything there is on this machine; what is missing is said.
pub(crate) fn all() -> Vec<Object> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut objects = Vec::new();
    for dir in INSTALLED {
        read_into(&mut objects, Path::new(dir), dir);
    }
    if objects.is_empty() {
        println!("not compared: no objects of xdp-tools and libxdp are installed");
    }
    read_into(&mut objects, &here.join("prebuilt"), "prebuilt");
    read_into(&mut objects, &here.join("tests/objects"), "tests/objects");
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (clang, strip, cpu) in BUILDS {
        if Command::new(clang).arg("--version").output().is_err() {
            println!("not compared: builds for -mcpu={cpu}: {clang} is not installed");
            continue;
        }
        for (name, script, flag) in [
            ("programs", "programs/build.sh", Some("--into")),
            ("tests", "tests/objects/build.sh", None),
        ] {
            let out = dir.path().join(format!("{name}-{cpu}"));
            std::fs::create_dir_all(&out).expect("a directory in a temporary directory");
            build(&here.join(script), flag, &out, [clang, strip, cpu]);
            read_into(&mut objects, &out, &format!("{name} -mcpu={cpu}"));
        }
    }
    variants(here, dir.path(), &mut objects);
    objects
}

/// The same sources made into objects in other ways: without BTF, with DWARF, by libbpf's linker.
fn variants(here: &Path, dir: &Path, objects: &mut Vec<Object>) {
    let source = here.join("tests/objects/functions.bpf.c");
    let linked = ["functions", "core", "kconfig", "ksyms"]
        .map(|name| here.join(format!("tests/objects/{name}.bpf.o")).display().to_string());
    let out = dir.join("variants");
    std::fs::create_dir_all(&out).expect("a directory in a temporary directory");
    let clang = ["-target", "bpf", "-O2", "-Wno-unused", "-c"];
    let runs: [(&str, &str, Vec<&str>); 3] = [
        ("no-btf.o", "clang-14", [&clang[..], &["-g0", "-o"]].concat()),
        ("dwarf.o", "clang-14", [&clang[..], &["-g", "-o"]].concat()),
        ("linked.o", "bpftool", vec!["gen", "object"]),
    ];
    for (name, program, arguments) in runs {
        let mut command = Command::new(program);
        command.args(arguments).arg(out.join(name));
        if program == "bpftool" {
            command.args(&linked)
        } else {
            command.arg(&source)
        };
        match command.status() {
            Ok(status) => assert!(status.success(), "{command:?}"),
            Err(_) => println!("not compared: {name}: {program} is not installed"),
        }
    }
    read_into(objects, &out, "variants");
}

fn build(script: &Path, flag: Option<&str>, out: &Path, [clang, strip, cpu]: [&str; 3]) {
    let status = Command::new(script)
        .args(flag)
        .arg(out)
        .envs([("CLANG", clang), ("LLVM_STRIP", strip), ("CPU", cpu)])
        .status()
        .unwrap_or_else(|e| panic!("{}: {e}", script.display()));
    assert!(status.success(), "{} with {clang} -mcpu={cpu}", script.display());
}

fn read_into(objects: &mut Vec<Object>, dir: &Path, label: &str) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "o"));
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        objects.push(Object { label: format!("{label}/{name}"), bytes });
    }
}
