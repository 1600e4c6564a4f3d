//! Loads and stores of every size, on the frame and on the stack, aligned and not.

use hoist_bpf::opcode::{class, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_hwtests::instructions::{CONSTANTS, CORNERS, Line, RESULTS, module, plain, prologue};
use hoist_hwtests::require;

use crate::sides::{Both, SIZES, ldx, operand, pass, result, stx};

/// Copies the operands `0..8` to the stack at `r10 - 64`.
fn onto_stack() -> Vec<Line> {
    (0..8).flat_map(|n| [operand(7, n), plain(asm::store64(10, 8 * n - 64, 7))]).collect()
}

#[test]
fn loads_of_every_size_are_the_kernels() {
    if !require::veth("loads_of_every_size_are_the_kernels") {
        return;
    }
    for (size, bytes) in SIZES {
        for mode in [mode::MEM, mode::MEMSX] {
            if mode == mode::MEMSX && size == size::DW {
                continue;
            }
            let mut code = prologue();
            code.extend(onto_stack());
            for at in 0..4_i16 {
                // The frame at any offset; the stack aligned, as the verifier wants it.
                code.push(plain(ldx(mode, size, 7, 6, 3 * at)));
                code.push(result(at, 7));
                code.push(plain(ldx(mode, size, 8, 10, -64 + bytes * at)));
                code.push(result(4 + at, 8));
            }
            code.extend(pass());
            let name = format!("load {bytes}, mode {mode:#x}");
            let mut both = Both::try_load(&name, module(vec![code])).unwrap();
            for a in CORNERS {
                both.agree(&[a, !a, a.rotate_left(17), a.wrapping_mul(0x0123_4567_89ab_cdef)]);
            }
        }
    }
}

#[test]
fn stores_of_every_size_are_the_kernels() {
    if !require::veth("stores_of_every_size_are_the_kernels") {
        return;
    }
    for (size, bytes) in SIZES {
        for constant in CONSTANTS.map(Some).into_iter().chain([None]) {
            let store = |base: u8, off: i16| match constant {
                Some(imm) => Insn::new(class::ST | mode::MEM | size, base, 0, off, imm),
                None => stx(size, base, 8, off),
            };
            let mut code = prologue();
            code.extend(onto_stack());
            code.push(operand(8, 0));
            code.push(plain(store(6, RESULTS + 1)));
            code.push(plain(store(6, RESULTS + 16)));
            code.push(plain(store(10, -64 + bytes)));
            code.extend(
                (0..4).flat_map(|n| [plain(asm::load64(7, 10, -64 + 8 * n)), result(4 + n, 7)]),
            );
            code.extend(pass());
            let name = format!("store {bytes} {constant:?}");
            let mut both = Both::try_load(&name, module(vec![code])).unwrap();
            CORNERS.iter().for_each(|a| both.agree(&[*a, !*a]));
        }
    }
}
