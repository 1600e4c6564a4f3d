//! Atomic operations, on the stack: the verifier allows none on the frame.

use hoist_bpf::opcode::{atomic, class, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_hwtests::instructions::{CORNERS, Line, module, plain, prologue};
use hoist_hwtests::require;

use crate::sides::{Both, SIZES, operand, pass, result};

const OPERATIONS: [(&str, i32); 10] = [
    ("add", 0x00),
    ("fetch add", atomic::FETCH),
    ("or", 0x40),
    ("fetch or", 0x40 | atomic::FETCH),
    ("and", 0x50),
    ("fetch and", 0x50 | atomic::FETCH),
    ("xor", 0xa0),
    ("fetch xor", 0xa0 | atomic::FETCH),
    ("exchange", atomic::XCHG),
    ("compare and exchange", atomic::CMPXCHG),
];

/// Operand 0 in memory, 1 in `r8`, 2 in `r0`; the results are memory, `r8`, `r0`.
fn around(insn: Insn) -> Vec<Line> {
    let mut code = prologue();
    code.extend([operand(7, 0), plain(asm::store64(10, -8, 7)), operand(8, 1), operand(0, 2)]);
    code.extend([plain(insn), result(1, 8), result(2, 0)]);
    code.extend([plain(asm::load64(9, 10, -8)), result(0, 9)]);
    code.extend(pass());
    code
}

#[test]
fn atomic_operations_are_the_kernels() {
    if !require::veth("atomic_operations_are_the_kernels") {
        return;
    }
    for (name, op) in OPERATIONS {
        for (size, off) in [(size::DW, -8), (size::W, -8), (size::W, -4)] {
            let name = format!("{name}, size {size:#x} at {off}");
            let insn = Insn::new(class::STX | mode::ATOMIC | size, 10, 8, off, op);
            let mut both = Both::try_load(&name, module(vec![around(insn)])).unwrap();
            for a in CORNERS {
                for b in CORNERS {
                    // `r0` equal to memory, equal in the lower half only, and neither.
                    both.agree(&[a, b, a]);
                    both.agree(&[a, b, a ^ 1 << 63]);
                    both.agree(&[a, b, b]);
                }
            }
        }
    }
}

#[test]
fn ordered_loads_and_stores_are_the_kernels() {
    if !require::veth("ordered_loads_and_stores_are_the_kernels") || !require::kernel(6, 15) {
        return;
    }
    for (size, bytes) in SIZES {
        let load = Insn::new(class::STX | mode::ATOMIC | size, 8, 10, -8, atomic::LOAD_ACQUIRE);
        let store = Insn::new(class::STX | mode::ATOMIC | size, 10, 8, -8, atomic::STORE_RELEASE);
        for insn in [load, store] {
            let name = format!("ordered, {bytes} bytes, {:#x}", insn.imm);
            let mut both = Both::try_load(&name, module(vec![around(insn)])).unwrap();
            CORNERS.iter().for_each(|a| both.agree(&[*a, !*a]));
        }
    }
}
