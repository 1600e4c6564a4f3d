//! Programs that come with hoist.

use std::sync::Arc;

use hoist_bpf::module::ProgramId;
use hoist_bpf::{Module, programs};
use hoist_fallback::userspace::vm::Machine;
use hoist_offload::Verdict;

use crate::machine::{run, ways};

fn own(name: &str, options: &hoist_fallback::userspace::vm::Options) -> Machine {
    let prebuilt = programs::get(name).unwrap();
    let module = Arc::new(Module::parse(name, prebuilt.object).unwrap());
    let at = module.programs.iter().position(|p| p.name == prebuilt.program()).unwrap();
    Machine::new(&module, ProgramId(at as u32), options).unwrap()
}

/// An IPv4 frame of 60 bytes.
fn frame() -> Vec<u8> {
    let mut frame = vec![0_u8; 60];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[22..24].copy_from_slice(&[64, 17]);
    frame
}

#[test]
fn programs_end_as_they_say() {
    let cases = [
        ("pass", Verdict::Pass),
        ("drop", Verdict::Drop),
        ("swap_tx", Verdict::Tx),
        ("globals", Verdict::Pass),
        ("subprog", Verdict::Pass),
        ("loop", Verdict::Pass),
        ("count_proto", Verdict::Pass),
        ("tail_call", Verdict::Pass),
        ("vlan_push", Verdict::Pass),
    ];
    for options in ways(1 << 20) {
        for (name, verdict) in cases {
            let (ran, _) = run(&mut own(name, &options), &frame());
            assert_eq!((ran.verdict, ran.fault), (verdict, None), "{name}");
        }
    }
}

#[test]
fn a_program_changes_the_frame() {
    for options in ways(1 << 20) {
        let (_, swapped) = run(&mut own("swap_tx", &options), &frame());
        let mut expected = frame();
        expected[..12].rotate_left(6);
        assert_eq!(swapped, expected);
        let (_, tagged) = run(&mut own("vlan_push", &options), &frame());
        assert_eq!((tagged.len(), &tagged[12..14]), (64, &[0x81, 0][..]));
    }
}
