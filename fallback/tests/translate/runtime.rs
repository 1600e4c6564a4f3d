//! The committed runtime is what its sources give, and keeps what the translator relies on.

use std::path::Path;
use std::process::Command;

use hoist_bpf::Module;
use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::module::{Inst, ProgramId};
use hoist_fallback::tc::translate::{Globals, Options, translate};

const OBJECTS: [&[u8]; 3] = [
    include_bytes!("../../prebuilt/runtime.bpf.o"),
    include_bytes!("../../prebuilt/runtime_older.bpf.o"),
    include_bytes!("../../prebuilt/runtime_constant.bpf.o"),
];

#[test]
fn the_committed_objects_are_fresh() {
    let installed = |command: &str| {
        Command::new(command).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    if !installed("clang-14") || !installed("llvm-strip-14") {
        println!("not run: the_committed_objects_are_fresh: needs clang-14 and llvm-strip-14");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/build.sh");
    let output = Command::new(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The old main may use all the stack there is. What counts and what sends copies runs when it has
/// returned.
#[test]
fn nothing_that_is_live_with_the_program_uses_stack() {
    const MAY: [&str; 4] = ["hoist_broadcast_devmap", "send_copy", "note", "count_by_stack"];
    for object in OBJECTS {
        let runtime = Module::parse("runtime", object).unwrap();
        assert!(runtime.functions.len() > 20);
        for function in &runtime.functions {
            let stack = |inst: &Inst| inst.insn.dst() == 10 || inst.insn.src() == 10;
            let uses = function.code.iter().any(stack);
            let name = function.name.as_str();
            assert!(!uses || MAY.contains(&name), "{name} uses stack");
        }
    }
}

/// Global functions become static, or stay global and take the context of TC.
#[test]
fn global_functions_are_inlined_or_kept() {
    for (globals, kept) in [(Globals::Inline, false), (Globals::Keep, true)] {
        let object = hoist_bpf::programs::get("subprog").unwrap().object;
        let module = Module::parse("subprog", object).unwrap();
        let options = Options { globals, ..Options::default() };
        let translated = translate(&module, ProgramId(0), &options).unwrap();
        let btf = Btf::parse(&translated.module.btf).unwrap();
        let global = btf.types().filter(|t| t.kind() == Kind::Func && t.linkage() == Some(1));
        let names: Vec<&str> = global.map(|t| t.name()).collect();
        assert_eq!(names, if kept { vec!["account"] } else { vec![] });
        assert_eq!(
            btf.find("__sk_buff", Kind::Struct).is_some_and(|t| t.members().count() == 6),
            kept
        );
    }
}
