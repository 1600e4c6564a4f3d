//! Programs in C for each rewrite of whole functions, compiled for every version of the instruction
//! set: the rewrite is made, nothing else stands in the way, and the program does the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use hoist_bpf::Module;
use hoist_bpf::module::ProgramId;
use hoist_bpf::passes::lower::{Lowered, Rewrite, Target, attempt, lower};
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_hwtests::fuzz::frames::Pool;
use hoist_hwtests::fuzz::{Random, lowered};
use hoist_hwtests::require;

use crate::corpus::COMPILERS;
use crate::pair::{Pair, stay};

const FRAMES: usize = 400;

/// A source file, the rewrite that it is for, how often it is to be made at least, and the code of the
/// difference that has to be accepted for it.
const CASES: [(&str, Rewrite, usize, Option<&str>); 5] = [
    ("calls", Rewrite::Inline, 5, None),
    ("counters", Rewrite::Counter, 4, None),
    ("lookups", Rewrite::Table, 5, None),
    ("stores", Rewrite::MapUpdate, 4, Some("map-store-race")),
    ("whole", Rewrite::MapUpdate, 2, None),
];

fn compile(clang: &str, version: u8, name: &str, into: &Path) -> Module {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lowering/programs");
    let object = into.join(format!("{name}-v{version}.o"));
    let status = Command::new(clang)
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(["-Wno-unused-parameter", &format!("-mcpu=v{version}"), "-c", "-o"])
        .arg(&object)
        .arg(folder.join(format!("{name}.bpf.c")))
        .status()
        .unwrap();
    assert!(status.success(), "{clang} v{version} {name}");
    let module = Module::parse(name, &std::fs::read(object).unwrap()).unwrap();
    resolve(&module, &TargetBtf::none()).unwrap()
}

fn without(target: &Target, code: &str) -> Target {
    let mut target = target.clone();
    target.accept.remove(code);
    target
}

/// Runs both forms on random frames, every few of them followed by themselves.
fn compare(name: &str, module: &Module, lowered: Lowered) -> BTreeSet<u32> {
    let pair = Pair::load(name, module, ProgramId(0), lowered, &std::collections::BTreeMap::new())
        .unwrap_or_else(|| panic!("{name}: the kernel refuses the original"));
    let (pool, mut random) = (Pool::default(), Random::new(23, 7));
    let (mut frame, mut verdicts) = (Vec::new(), BTreeSet::new());
    for _ in 0..FRAMES {
        pool.write(&mut random, &mut frame);
        for byte in frame.iter_mut().skip(4).take(30) {
            // Where these programs look.
            *byte = random.word() as u8;
        }
        verdicts.insert(pair.agree(&frame));
        pair.agree_on_maps();
    }
    verdicts
}

#[test]
fn compiled_programs_are_rewritten_and_do_the_same() {
    for command in COMPILERS.map(|(clang, _, _)| clang) {
        if !require::veth_and_command("compiled_programs_are_rewritten_and_do_the_same", command) {
            return;
        }
    }
    stay();
    let folder = tempfile::tempdir().unwrap();
    for (clang, _, versions) in COMPILERS {
        for &version in versions {
            for (file, rewrite, least, accept) in CASES {
                let name = format!("{file}, version {version}");
                let module = compile(clang, version, file, folder.path());
                let all = lowered::least();
                let target =
                    accept.map_or_else(|| without(&all, "map-store-race"), |_| all.clone());
                let lowered = lower(&module, ProgramId(0), &target)
                    .unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
                let made = lowered.changes.iter().filter(|c| c.rewrite == rewrite).count();
                assert!(made >= least, "{name}: {:#?}", lowered.changes);
                let verdicts = compare(&name, &module, lowered);
                assert!(verdicts.len() > usize::from(file != "counters"), "{name}: {verdicts:?}");
                if let Some(code) = accept {
                    let (_, problems) = attempt(&module, ProgramId(0), &without(&all, code));
                    let codes: BTreeSet<&str> = problems.iter().map(|p| p.code).collect();
                    assert_eq!(codes, [code].into(), "{name}: {problems:#?}");
                    assert!(problems.iter().all(|p| p.site.is_some()), "{problems:#?}");
                }
            }
        }
    }
}
