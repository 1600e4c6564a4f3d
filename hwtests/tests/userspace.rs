//! Every program of the corpus on the userspace engine's machine, whatever compiler and instruction set
//! made it: verdicts, bytes and maps as by `BPF_PROG_TEST_RUN`. What it does not run is what user space
//! has not, by name, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use hoist_hwtests::fuzz::objects::Trial;
use hoist_hwtests::fuzz::run::Hook;
use hoist_hwtests::{programs, require};

/// Random frames that each program is run on.
const FRAMES: usize = 12;

/// Compiler and instruction set; v3 lies in the repository.
const BUILDS: [(&str, &str, &str); 3] = [
    ("clang-14", "llvm-strip-14", "v1"),
    ("clang-14", "llvm-strip-14", "v2"),
    ("clang-19", "llvm-strip-19", "v4"),
];

/// Programs that do not run, by source: what came of them, and how the reason begins. Each must come
/// about, or else the list is out of date.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    // Sockets are the kernel's.
    ("lookups", "refused", "missing-helper: bpf_sk_lookup_udp: "),
    // The receive hash is the driver's: a program that asks for it is bound to its device, and the kernel
    // gives no test run of it.
    ("rx_hash", "not-for-xdp-here", "BPF_PROG_LOAD"),
];

/// Objects of the corpus by name: source, or file, and how it was made.
fn corpus(made: &Path) -> BTreeMap<(String, String), Vec<u8>> {
    let mut all = BTreeMap::new();
    let ours = hoist_bpf::programs::LIST.iter().map(|p| (p.name, p.object));
    for (name, object) in ours.chain(programs::LIST.iter().map(|p| (p.name, p.object))) {
        all.insert((name.to_owned(), "v3".to_owned()), object.to_vec());
    }
    let installed = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let mut folders = vec![("installed", PathBuf::from(installed))];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/programs/build.sh");
    for (clang, strip, cpu) in BUILDS {
        if Command::new(clang).arg("--version").output().is_err() {
            println!("not run: builds for -mcpu={cpu}: {clang} is not installed");
            continue;
        }
        let out = made.join(cpu);
        std::fs::create_dir(&out).unwrap();
        let build = [("CLANG", clang), ("LLVM_STRIP", strip), ("CPU", cpu)];
        let status = Command::new(&script).arg("--into").arg(&out).envs(build).status().unwrap();
        assert!(status.success(), "{clang} -mcpu={cpu}");
        folders.push((cpu, out));
    }
    for (how, folder) in folders {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            let name = name.trim_end_matches(".o").trim_end_matches(".bpf").to_owned();
            all.insert((name, how.to_owned()), std::fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn the_machine_runs_the_whole_corpus_but_for_what_is_the_kernels() {
    if !require::veth("the_machine_runs_the_whole_corpus_but_for_what_is_the_kernels") {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let corpus = corpus(made.path());
    let (mut wrong, mut same) = (Vec::new(), 0);
    let mut came = BTreeMap::from(EXCEPTIONS.map(|(name, ..)| (name, 0)));
    for hook in [Hook::Interpreter, Hook::Compiled] {
        let trial = Trial::new(hook, FRAMES, 1).unwrap();
        for ((name, how), bytes) in &corpus {
            let exception = EXCEPTIONS.iter().find(|(source, ..)| source == name);
            for (program, outcome) in trial.object(name, bytes) {
                let right = match exception {
                    None => outcome.word == "same",
                    Some((_, word, detail)) => {
                        outcome.word == *word && outcome.detail.contains(detail)
                    }
                };
                match (right, exception) {
                    (true, None) => same += 1,
                    (true, Some((source, ..))) => *came.entry(*source).or_default() += 1,
                    _ => wrong.push(format!(
                        "{name} {how} {program}, {}: {}: {}",
                        hook.form(),
                        outcome.word,
                        outcome.detail
                    )),
                }
            }
        }
    }
    println!("{} objects, {same} programs the same, exceptions: {came:?}", corpus.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(came.values().all(|times| *times > 0), "an exception that is none: {came:?}");
    assert!(same >= 150, "only {same} programs were compared");
}
