//! Every helper and kernel function of the userspace machine against the kernel's: small programs call
//! them with good and bad arguments and note what they return, on both, and everything must be equal:
//! notes, verdict, frame, metadata, maps.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bench;
mod route;

use bench::{Bench, FRAME};
use hoist_hwtests::require;

const OBJECTS: [(&str, &[u8]); 5] = [
    ("frame", include_bytes!("objects/frame.bpf.o")),
    ("redirect", include_bytes!("objects/redirect.bpf.o")),
    ("values", include_bytes!("objects/values.bpf.o")),
    ("control", include_bytes!("objects/control.bpf.o")),
    ("events", include_bytes!("objects/events.bpf.o")),
];

#[test]
fn helpers_do_what_the_kernels_do() {
    let name = "helpers_do_what_the_kernels_do";
    if !require::veth(name) {
        return;
    }
    let mut bench = Bench::new();
    let mut wrong = Vec::new();
    for (object, bytes) in OBJECTS {
        let module = bench.module(object, bytes);
        for (at, program) in module.programs.iter().enumerate() {
            let differences = bench.compare(&module, at, &FRAME);
            wrong.extend(differences.into_iter().map(|d| format!("{}: {d}", program.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn routes_are_those_of_the_kernel() {
    let name = "routes_are_those_of_the_kernel";
    if require::veth_and_command(name, "ip") {
        route::compare();
    }
}
