//! The committed runtime is what its sources give, and keeps what the translator relies on.

use std::path::Path;
use std::process::Command;

use hoist_bpf::Module;

const OBJECT: &[u8] = include_bytes!("../../prebuilt/runtime.bpf.o");

#[test]
fn the_committed_object_is_fresh() {
    let installed = |command: &str| {
        Command::new(command).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    if !installed("clang-14") || !installed("llvm-strip-14") {
        println!("not run: the_committed_object_is_fresh: needs clang-14 and llvm-strip-14");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/build.sh");
    let output = Command::new(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The old main may use all the stack there is. What sends copies runs after it has returned.
#[test]
fn nothing_that_is_live_with_the_program_uses_stack() {
    const MAY: [&str; 2] = ["hoist_broadcast_devmap", "send_copy"];
    let runtime = Module::parse("runtime", OBJECT).unwrap();
    assert!(runtime.functions.len() > 20);
    for function in &runtime.functions {
        let uses = function.code.iter().any(|inst| inst.insn.dst() == 10 || inst.insn.src() == 10);
        assert!(!uses || MAY.contains(&function.name.as_str()), "{} uses stack", function.name);
    }
}
