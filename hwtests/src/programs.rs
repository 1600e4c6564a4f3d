//! Programs of the conformance suite: behaviours that the programs that come with hoist lack. Built
//! from `programs/*.bpf.c`, committed compiled and embedded.

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Short name: the stem of its source file.
    pub name: &'static str,
    /// The object file, as the compiler wrote it. It holds one XDP program.
    pub object: &'static [u8],
}

macro_rules! embedded {
    ($($name:literal,)+) => {
        &[$(Program {
            name: $name,
            object: include_bytes!(concat!("../prebuilt/", $name, ".bpf.o")),
        }),+]
    };
}

/// All of them, by name.
pub const LIST: &[Program] = embedded! {
    "broadcast",
    "broadcast_hash",
    "checksum",
    "context",
    "cpumap",
    "dynptr",
    "head",
    "lookups",
    "ranges",
    "redirect_no_gpl",
    "redirects",
    "rewrite",
    "store_pointers",
    "tables",
    "tail",
    "tail_verdict",
    "verdict",
    "xskmap",
};

/// The program of that name.
#[must_use]
pub fn get(name: &str) -> Option<&'static Program> {
    LIST.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn stems(directory: &str, suffix: &str) -> BTreeSet<String> {
        std::fs::read_dir(root().join(directory))
            .unwrap()
            .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(suffix)?.to_owned()))
            .collect()
    }

    #[test]
    fn the_list_is_every_source_and_every_object() {
        let listed: BTreeSet<String> = LIST.iter().map(|p| p.name.to_owned()).collect();
        assert_eq!(listed, stems("programs", ".bpf.c"));
        assert_eq!(listed, stems("prebuilt", ".bpf.o"));
        assert!(LIST.is_sorted_by_key(|p| p.name), "LIST is sorted by name");
        let twice = LIST.iter().find(|p| hoist_bpf::programs::get(p.name).is_some());
        assert!(twice.is_none(), "{twice:?} comes with hoist too");
    }

    #[test]
    fn committed_objects_are_fresh() {
        let there = |program: &str| {
            Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
        };
        if !there("clang-14") || !there("llvm-strip-14") {
            println!("not run: committed_objects_are_fresh: needs clang-14 and llvm-strip-14");
            return;
        }
        let check = Command::new(root().join("programs/build.sh")).arg("--check").output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}
