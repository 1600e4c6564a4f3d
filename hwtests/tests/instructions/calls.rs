//! Calls of subprograms.

use hoist_bpf::module::{FunctionId, Target};
use hoist_bpf::passes::asm;
use hoist_hwtests::require;

use crate::sides::{Both, CORNERS, Line, module, operand, pass, plain, prologue, result};

fn call(function: u32) -> Line {
    (asm::call(), Target::Call(FunctionId(function)))
}

/// `r1` to `r5` go in, `r0` comes out, `r6` to `r9` survive, and each function has its own stack.
#[test]
fn calls_keep_what_they_must() {
    if !require::veth("calls_keep_what_they_must") {
        return;
    }
    let mut main = prologue();
    main.extend((1..6).map(|n| operand(n as u8, n - 1)));
    main.extend([operand(7, 5), operand(8, 6), operand(9, 7), plain(asm::store64(10, -8, 9))]);
    main.push(call(1));
    main.extend([result(0, 0), result(1, 7), result(2, 8), result(3, 9)]);
    main.extend([plain(asm::load64(7, 10, -8)), result(4, 7)]);
    main.extend(pass());
    // r0 = r1 - r2 + (r3 ... through one more level), with r6 to r9 and the stack overwritten.
    let inner = vec![
        plain(asm::mov(6, 1)),
        plain(asm::sub(6, 2)),
        plain(asm::mov(7, 3)),
        plain(asm::mov(8, 4)),
        plain(asm::mov(9, 5)),
        plain(asm::store64(10, -8, 6)),
        plain(asm::mov(1, 7)),
        plain(asm::mov(2, 8)),
        plain(asm::mov(3, 10)),
        plain(asm::add_imm(3, -8)),
        call(2),
        plain(asm::load64(1, 10, -8)),
        plain(asm::add(0, 1)),
        plain(asm::sub(0, 9)),
        plain(asm::exit()),
    ];
    // Changes its caller's stack through a pointer.
    let innermost = vec![
        plain(asm::store64(10, -8, 2)),
        plain(asm::load64(4, 3, 0)),
        plain(asm::add(4, 1)),
        plain(asm::store64(3, 0, 4)),
        plain(asm::load64(0, 10, -8)),
        plain(asm::mov_imm(6, 77)),
        plain(asm::exit()),
    ];
    let mut both = Both::try_load("calls", module(vec![main, inner, innermost])).unwrap();
    for a in CORNERS {
        both.agree(&[a, !a, a ^ 5, a.rotate_left(3), 17, a << 1, a >> 1, 99]);
    }
}
