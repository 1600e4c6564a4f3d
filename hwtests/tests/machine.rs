//! Every program that there is here, on the userspace engine's machine, interpreted and compiled:
//! verdicts, bytes and maps as by `BPF_PROG_TEST_RUN`.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use hoist_hwtests::fuzz::objects::Trial;
use hoist_hwtests::fuzz::run::Hook;
use hoist_hwtests::{programs, require};

const FRAMES: usize = 200;

/// Objects that come with hoist, those of the suite, and those that Debian's xdp-tools install.
fn objects() -> Vec<(String, Vec<u8>)> {
    let ours = hoist_bpf::programs::LIST.iter().map(|p| (p.name.to_owned(), p.object.to_vec()));
    let suite = programs::LIST.iter().map(|p| (p.name.to_owned(), p.object.to_vec()));
    let mut all: Vec<_> = ours.chain(suite).collect();
    let folder = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    for entry in Path::new(&folder).read_dir().into_iter().flatten() {
        let path = entry.unwrap().path();
        all.push((path.file_stem().unwrap().display().to_string(), std::fs::read(path).unwrap()));
    }
    all.sort();
    all
}

/// What came of each program, by its object's name and its own.
fn outcomes(hook: Hook) -> BTreeMap<(String, String), (&'static str, String)> {
    let trial = Trial::new(hook, FRAMES, 1).unwrap();
    let mut outcomes = BTreeMap::new();
    for (name, bytes) in objects() {
        for (program, outcome) in trial.object(&name, &bytes) {
            outcomes.insert((name.clone(), program), (outcome.word, outcome.detail));
        }
    }
    outcomes
}

#[test]
fn every_program_does_what_it_does_in_the_kernel() {
    if !require::veth("every_program_does_what_it_does_in_the_kernel") {
        return;
    }
    for hook in [Hook::Interpreter, Hook::Compiled] {
        let outcomes = outcomes(hook);
        let word = |object: &str, program: &str| match (object, program) {
            // Sockets are the kernel's.
            ("lookups", _) => "refused",
            // Bound to a device, which no test run is.
            ("rx_hash", _) => "not-for-xdp-here",
            _ => "same",
        };
        let wrong: Vec<_> = (outcomes.iter())
            .filter(|((object, program), (came, _))| *came != word(object, program))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", hook.form());
        let sockets = &outcomes[&("lookups".to_owned(), "xdp_lookups".to_owned())].1;
        assert!(sockets.starts_with("missing-helper: bpf_sk_lookup_udp: "), "{sockets}");
        assert!(outcomes.len() >= 40, "{outcomes:#?}");
    }
}
