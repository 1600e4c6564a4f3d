//! The corpus: programs that come with hoist at every version of the instruction set, those of the
//! conformance suite, and what Debian's xdp-tools install.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use hoist_bpf::kernel::{Entries, Kernel as _, Linux};
use hoist_bpf::module::{MapId, Module, ProgramHint, ProgramId};
use hoist_bpf::passes::lower::{Rewrite, Target, lower};
use hoist_bpf::programs;
use hoist_bpf::resolve::{Needs, TargetBtf, resolve};
use hoist_hwtests::fuzz::frames::Pool;
use hoist_hwtests::fuzz::{Random, lowered};
use hoist_hwtests::require;

use crate::pair::{Pair, stay};

/// Compilers with the versions of the instruction set that they write.
pub(crate) const COMPILERS: [(&str, &str, &[u8]); 2] =
    [("clang-14", "llvm-strip-14", &[1, 2, 3]), ("clang-19", "llvm-strip-19", &[4])];

/// Where Debian's xdp-tools and libxdp put their objects.
const INSTALLED: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// Random frames for each program.
const FRAMES: usize = 150;

/// Programs that come with hoist and that a card can be given, as far as lowering is concerned.
const FIT: [&str; 13] = [
    "acl",
    "bytes",
    "count_proto",
    "drop",
    "ipip_decap",
    "ipip_encap",
    "pass",
    "redirect",
    "subprog",
    "swap_tx",
    "tail_shrink",
    "vlan_pop",
    "vlan_push",
];

/// What came of programs.
#[derive(Debug, Default)]
struct Tally {
    /// Names of those that were compared.
    compared: BTreeSet<String>,
    /// Programs that something was rewritten of, by what.
    rewrites: BTreeMap<Rewrite, u32>,
    /// Codes of what could not be rewritten, by program.
    refused: BTreeMap<String, String>,
}

struct Bench {
    linux: Linux,
    target: Option<TargetBtf>,
    tally: Tally,
}

impl Bench {
    fn new() -> Self {
        stay();
        Self { linux: Linux::new().unwrap(), target: None, tally: Tally::default() }
    }

    fn module(&mut self, name: &str, object: &[u8]) -> Option<Module> {
        let module = Module::parse(name, object).ok()?;
        if !Needs::of(&module).kernel_btf {
            return resolve(&module, &TargetBtf::none()).ok();
        }
        let linux = &self.linux;
        let target = self.target.get_or_insert_with(|| {
            let btf = linux.kernel_btf().unwrap().unwrap();
            TargetBtf::parse((*btf).as_ref().to_vec()).unwrap()
        });
        resolve(&module, target).ok()
    }

    /// Compares every XDP program of an object with its lowered form.
    fn object(&mut self, name: &str, object: &[u8], target: &Target) {
        let Some(module) = self.module(name, object) else { return };
        for (at, program) in module.programs.iter().enumerate() {
            let xdp = matches!(program.hint, ProgramHint::Xdp | ProgramHint::Unknown);
            if xdp {
                self.program(&module, ProgramId(at as u32), target);
            }
        }
    }

    fn program(&mut self, module: &Module, program: ProgramId, target: &Target) {
        let name = format!("{} {}", module.name, module.program(program).name);
        let lowered = match lower(module, program, target) {
            Ok(lowered) => lowered,
            Err(problems) => {
                let codes: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
                let codes: Vec<&str> = codes.into_iter().collect();
                self.tally.refused.insert(name, codes.join(" "));
                return;
            }
        };
        let rewrites: BTreeSet<Rewrite> = lowered.changes.iter().map(|c| c.rewrite).collect();
        let Some(pair) = Pair::load(&name, module, program, lowered, &contents(module)) else {
            return;
        };
        let (pool, mut random) = (Pool::default(), Random::new(19, 5));
        let mut frame = Vec::new();
        for _ in 0..FRAMES {
            pool.write(&mut random, &mut frame);
            pair.agree(&frame);
        }
        pair.agree_on_maps();
        self.tally.compared.insert(name);
        for rewrite in rewrites {
            *self.tally.rewrites.entry(rewrite).or_default() += 1;
        }
    }

    fn of(&self, name: &str) -> bool {
        let start = format!("{name} ");
        self.tally.compared.iter().any(|compared| compared.starts_with(&start))
    }
}

/// Small numbers in every plain array, so that what depends on them goes several ways.
fn contents(module: &Module) -> BTreeMap<MapId, Entries> {
    let mut contents = BTreeMap::new();
    for (at, map) in module.maps.iter().enumerate() {
        if map.kind != 2 || map.section.is_some() {
            continue;
        }
        let entries = (0..map.max_entries.min(64)).map(|key| {
            let mut value = vec![0; map.value_size as usize];
            value[0] = (key % 5) as u8;
            (key.to_ne_bytes().to_vec(), value)
        });
        contents.insert(MapId(at as u32), entries.collect());
    }
    contents
}

fn build(directory: &Path, clang: &str, strip: &str, version: u8) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/programs/build.sh");
    let status = Command::new(script)
        .arg("--into")
        .arg(directory)
        .env("CLANG", clang)
        .env("LLVM_STRIP", strip)
        .env("CPU", format!("v{version}"))
        .status()
        .unwrap();
    assert!(status.success(), "{clang} v{version}");
}

#[test]
fn programs_of_every_version_do_the_same_lowered() {
    let commands = COMPILERS.iter().flat_map(|(clang, strip, _)| [clang, strip]);
    for command in commands {
        if !require::veth_and_command("programs_of_every_version_do_the_same_lowered", command) {
            return;
        }
    }
    let mut bench = Bench::new();
    let targets = [("card", lowered::card()), ("least", lowered::least())];
    for (clang, strip, versions) in COMPILERS {
        for &version in versions {
            let directory = tempfile::tempdir().unwrap();
            build(directory.path(), clang, strip, version);
            for prebuilt in programs::LIST {
                let path = directory.path().join(format!("{}.bpf.o", prebuilt.name));
                let object = std::fs::read(path).unwrap();
                for (card, target) in &targets {
                    let name = format!("{}, version {version}, {card}:", prebuilt.name);
                    bench.object(&name, &object, target);
                    if FIT.contains(&prebuilt.name) {
                        assert!(bench.of(&name), "{name} {:#?}", bench.tally.refused);
                    }
                }
            }
        }
    }
    println!("{:#?}", bench.tally);
    let rewritten = |rewrite| bench.tally.rewrites.get(&rewrite).copied().unwrap_or(0);
    for rewrite in
        [Rewrite::Constant, Rewrite::Counter, Rewrite::SharedCounters, Rewrite::Instruction]
    {
        assert!(rewritten(rewrite) > 0, "{rewrite} is not tried");
    }
}

#[test]
fn other_peoples_programs_do_the_same_lowered() {
    if !require::veth("other_peoples_programs_do_the_same_lowered") {
        return;
    }
    let mut bench = Bench::new();
    for program in hoist_hwtests::programs::LIST {
        bench.object(program.name, program.object, &lowered::card());
    }
    let mut installed: Vec<PathBuf> = std::fs::read_dir(INSTALLED)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    installed.sort();
    for path in installed {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        bench.object(&name, &std::fs::read(&path).unwrap(), &lowered::card());
    }
    println!("{:#?}", bench.tally);
    assert!(bench.tally.compared.len() >= 10, "{:#?}", bench.tally);
}
