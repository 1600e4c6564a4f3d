//! The hand-written TC forms: the committed objects are what their sources give, and each does to a
//! frame what the XDP program does that it is a port of.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hoist_benches::test_run::{Column, Effect, cases, prepare};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::require;

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

#[test]
fn committed_objects_are_fresh() {
    if !installed("clang-14") || !installed("llvm-strip-14") {
        println!("not run: committed_objects_are_fresh: needs clang-14 and llvm-strip-14");
        return;
    }
    for script in ["tc/build.sh", "programs/build.sh"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let output = Command::new(script).arg("--check").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Test runs do not show a tag that is in the buffer's description, where TC has it, so the tag in
/// the data is taken off where XDP has it.
fn without_tag(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [0x81, 0] {
        frame.drain(12..16);
    }
    frame
}

#[test]
fn each_form_makes_the_frame_that_the_xdp_program_makes() {
    if !require::veth("each_form_makes_the_frame_that_the_xdp_program_makes") {
        return;
    }
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
    for case in cases() {
        // Preparing checks the verdict.
        let xdp = prepare(&kernel, &case, Column::Xdp).unwrap().output().unwrap();
        let by_hand = prepare(&kernel, &case, Column::ByHand).unwrap().output().unwrap();
        if matches!(case.effect, Effect::Resizes { .. }) {
            let bare = prepare(&kernel, &case, Column::Bare).unwrap().output().unwrap();
            assert_eq!(bare.len(), by_hand.len(), "{}: the bare helpers", case.name);
        }
        assert_eq!(without_tag(xdp), without_tag(by_hand), "{}", case.name);
    }
}
