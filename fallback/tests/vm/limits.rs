//! What the kernel's verifier would not load, but RFC 9669 defines; and the budget.

use hoist_bpf::opcode::{X, alu, class, jmp};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::fault::FaultKind;

use crate::machine::{Line, machine, module, plain, run, to, ways};

/// `r7 = a; r7 op= b; return r7`, in two halves because verdicts have 32 bits.
fn computed(insn: Insn, a: u64) -> Vec<u64> {
    let code: Vec<Line> = vec![
        plain(asm::mov_imm(7, (a >> 32) as i32)),
        plain(Insn::new(class::ALU64 | alu::LSH, 7, 0, 0, 32)),
        plain(Insn::new(class::ALU | alu::MOV, 8, 0, 0, a as i32)),
        plain(Insn::new(class::ALU64 | X | alu::OR, 7, 8, 0, 0)),
        plain(insn),
        plain(asm::mov(0, 7)),
        plain(asm::exit()),
    ];
    let module = module(vec![code], Vec::new());
    let codes = ways(1 << 20).map(|options| {
        let (ran, _) = run(&mut machine(&module, &options), &[0; 60]);
        assert_eq!(ran.fault, None, "{insn:?}");
        ran.code
    });
    codes.to_vec()
}

#[test]
fn constants_that_the_verifier_refuses_compute_what_the_rfc_says() {
    let a = 0x8765_4321_0fed_cba9_u64;
    let cases = [
        (class::ALU64 | alu::DIV, 0, 0, 0),
        (class::ALU64 | alu::DIV, 1, 0, 0),
        (class::ALU64 | alu::MOD, 0, 0, a),
        (class::ALU64 | alu::MOD, 1, 0, a),
        (class::ALU | alu::DIV, 0, 0, 0),
        (class::ALU | alu::MOD, 0, 0, a & 0xffff_ffff),
        (class::ALU | alu::MOD, 1, 0, a & 0xffff_ffff),
        (class::ALU64 | alu::LSH, 0, 68, a << 4),
        (class::ALU64 | alu::RSH, 0, -1, 1),
        (class::ALU64 | alu::ARSH, 0, 64, a),
        (class::ALU | alu::LSH, 0, 36, (a << 4) & 0xffff_ffff),
        (class::ALU | alu::RSH, 0, 32, a & 0xffff_ffff),
        (class::ALU | alu::ARSH, 0, -1, 0),
    ];
    for (code, off, imm, expected) in cases {
        let insn = Insn::new(code, 7, 0, off, imm);
        assert_eq!(computed(insn, a), [expected; 3], "{insn:?}");
    }
}

#[test]
fn what_does_not_end_is_ended() {
    let cases: [(&str, Vec<Vec<Line>>); 3] = [
        ("a jump to itself", vec![vec![to(asm::goto(), 0), plain(asm::exit())]]),
        (
            "a loop that would end too late",
            vec![vec![
                plain(asm::mov_imm(1, -1)),
                plain(asm::add_imm(1, -1)),
                to(Insn::new(class::JMP | jmp::JNE, 1, 0, 0, 0), 1),
                plain(asm::exit()),
            ]],
        ),
        (
            "may_goto, whose own budget is larger",
            vec![vec![
                to(Insn::new(class::JMP | jmp::JCOND, 0, 0, 0, 0), 2),
                to(asm::goto(), 0),
                plain(asm::exit()),
            ]],
        ),
    ];
    for (name, functions) in cases {
        let module = module(functions, Vec::new());
        for options in ways(100_000) {
            let (ran, _) = run(&mut machine(&module, &options), &[0; 60]);
            let fault = ran.fault.unwrap_or_else(|| panic!("{name} ended"));
            assert_eq!(fault.kind, FaultKind::OutOfFuel, "{name}");
        }
    }
}

#[test]
fn the_budget_is_the_same_to_the_instruction() {
    // A loop of three instructions, a hundred times: 99 jumps back, each charged with three.
    let code = vec![
        plain(asm::mov_imm(0, 100)),
        plain(asm::mov(1, 0)),
        plain(asm::add_imm(0, -1)),
        to(Insn::new(class::JMP | jmp::JNE, 0, 0, 0, 0), 1),
        plain(asm::exit()),
    ];
    let module = module(vec![code], Vec::new());
    for (fuel, enough) in [(297, true), (296, false)] {
        for options in ways(fuel) {
            let (ran, _) = run(&mut machine(&module, &options), &[0; 60]);
            assert_eq!(ran.fault.is_none(), enough, "{fuel}, {:?}", options.compile);
        }
    }
}

#[test]
fn may_goto_ends_a_loop_after_the_kernels_count() {
    // r0 counts the passes; 8 << 20 of them go through, as BPF_MAX_LOOPS says.
    let code = vec![
        plain(asm::mov_imm(0, 0)),
        to(Insn::new(class::JMP | jmp::JCOND, 0, 0, 0, 0), 4),
        plain(asm::add_imm(0, 1)),
        to(asm::goto(), 1),
        plain(asm::exit()),
    ];
    let module = module(vec![code], Vec::new());
    for options in ways(1 << 26) {
        let (ran, _) = run(&mut machine(&module, &options), &[0; 60]);
        assert_eq!((ran.code, ran.fault), (8 << 20, None));
    }
}
