//! What is proven about programs before they run.

use hoist_bpf::{Module, programs};
use hoist_fallback::userspace::vm::code::{Code, Op};
use hoist_fallback::userspace::vm::proof::{Proof, prove};

/// Accesses of a module, and those that are checked when they run.
fn accesses(module: &Module) -> (usize, Vec<String>) {
    let code = Code::decode(module);
    let proofs = prove(module, &code);
    let (mut all, mut unproven) = (0, Vec::new());
    for ((function, proofs), named) in code.functions.iter().zip(&proofs).zip(&module.functions) {
        for (at, (op, proof)) in function.ops.iter().zip(&proofs.ops).enumerate() {
            let is_access = matches!(
                op,
                Op::Load { .. } | Op::Store { .. } | Op::Atomic { .. } | Op::LoadAcquire { .. }
            );
            if is_access && *proof != Proof::Unreachable {
                all += 1;
                let proven = matches!(
                    proof,
                    Proof::Frame
                        | Proof::Stack(_)
                        | Proof::AnyStack
                        | Proof::Context(_)
                        | Proof::Value(_)
                );
                if !proven {
                    unproven.push(format!("{}+{at} {op:?}: {proof:?}", named.name));
                }
            }
        }
    }
    (all, unproven)
}

/// Programs with accesses that are checked when they run: a callback's arguments, what a subprogram is given on
/// its caller's stack,
/// the metadata in front of the frame, a ring buffer's record.
const CHECKED: [(&str, usize); 4] = [("loop", 6), ("meta", 1), ("ringbuf", 5), ("subprog", 4)];

#[test]
fn programs_that_come_with_hoist_are_proven() {
    for prebuilt in programs::LIST {
        let module = Module::parse(prebuilt.name, prebuilt.object).unwrap();
        let (all, unproven) = accesses(&module);
        let name = prebuilt.name;
        let expected = CHECKED.iter().find(|(other, _)| *other == name).map_or(0, |(_, n)| *n);
        assert_eq!(unproven.len(), expected, "{name}, of {all}: {unproven:#?}");
    }
}
