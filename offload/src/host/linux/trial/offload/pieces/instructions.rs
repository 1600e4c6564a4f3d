//! Instructions by class.

use hoist_bpf::insn::Insn;
use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};

use super::super::super::SCHED_CLS;
use super::super::ask::Piece;
use super::set;

const ALU: [(&str, u8); 12] = [
    ("add", alu::ADD),
    ("sub", alu::SUB),
    ("mul", alu::MUL),
    ("div", alu::DIV),
    ("or", alu::OR),
    ("and", alu::AND),
    ("lsh", alu::LSH),
    ("rsh", alu::RSH),
    ("mod", alu::MOD),
    ("xor", alu::XOR),
    ("mov", alu::MOV),
    ("arsh", alu::ARSH),
];

const JUMPS: [(&str, u8); 11] = [
    ("jeq", jmp::JEQ),
    ("jgt", jmp::JGT),
    ("jge", jmp::JGE),
    ("jset", jmp::JSET),
    ("jne", jmp::JNE),
    ("jsgt", jmp::JSGT),
    ("jsge", jmp::JSGE),
    ("jlt", jmp::JLT),
    ("jle", jmp::JLE),
    ("jslt", jmp::JSLT),
    ("jsle", jmp::JSLE),
];

const SIZES: [(&str, u8); 4] = [("8", size::B), ("16", size::H), ("32", size::W), ("64", size::DW)];

const TO_BE: u8 = 0x08;

/// Every class of instructions that version 4 of the instruction set knows, but atomics and calls.
pub(in super::super) fn pieces(kind: u32) -> Vec<Piece> {
    let mut pieces = arithmetic();
    pieces.extend(jumps());
    pieces.extend(memory());
    if kind == SCHED_CLS {
        pieces.extend(legacy_loads());
    }
    pieces
}

/// `r1 = 7; r2 = 3; <insn>`.
fn with_numbers(name: String, insn: Insn) -> Piece {
    Piece::new(name, vec![set(1, 7), set(2, 3), insn])
}

fn arithmetic() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (bits, class) in [(64, class::ALU64), (32, class::ALU)] {
        let both = |pieces: &mut Vec<Piece>, name: &str, op: u8, off: i16| {
            let (imm, reg) = (Insn::new(class | op, 1, 0, off, 3), class | op | X);
            pieces.push(with_numbers(format!("{name}{bits}-imm"), imm));
            pieces.push(with_numbers(format!("{name}{bits}-reg"), Insn::new(reg, 1, 2, off, 0)));
        };
        for (name, op) in ALU {
            both(&mut pieces, name, op, 0);
        }
        for (name, op) in [("sdiv", alu::DIV), ("smod", alu::MOD)] {
            both(&mut pieces, name, op, 1);
        }
        let neg = Insn::new(class | alu::NEG, 1, 0, 0, 0);
        pieces.push(with_numbers(format!("neg{bits}"), neg));
        for from in [8, 16, 32].into_iter().filter(|from| *from < bits) {
            let insn = Insn::new(class | alu::MOV | X, 1, 2, from, 0);
            pieces.push(with_numbers(format!("movsx{from}-{bits}"), insn));
        }
    }
    for bits in [16, 32, 64] {
        for (name, code) in [
            ("le", class::ALU | alu::END),
            ("be", class::ALU | alu::END | TO_BE),
            ("bswap", class::ALU64 | alu::END),
        ] {
            pieces.push(with_numbers(format!("{name}{bits}"), Insn::new(code, 1, 0, 0, bits)));
        }
    }
    pieces
}

/// Every jump goes to the next instruction, so that no path is dead.
fn jumps() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (suffix, class) in [("", class::JMP), ("32", class::JMP32)] {
        for (name, op) in JUMPS {
            let imm = Insn::new(class | op, 1, 0, 0, 3);
            pieces.push(with_numbers(format!("{name}{suffix}-imm"), imm));
            let reg = Insn::new(class | op | X, 1, 2, 0, 0);
            pieces.push(with_numbers(format!("{name}{suffix}-reg"), reg));
        }
    }
    pieces.extend([
        Piece::new("ja", vec![Insn::new(class::JMP | jmp::JA, 0, 0, 0, 0)]),
        Piece::new("gotol", vec![Insn::new(class::JMP32 | jmp::JA, 0, 0, 0, 0)]),
        // Over an instruction: the verifier refuses one that goes nowhere. Linux knows it since 6.9.
        Piece::alone("may-goto", vec![Insn::new(class::JMP | jmp::JCOND, 0, 0, 1, 0), set(1, 0)]),
        Piece::new(
            "bounded-loop",
            vec![
                set(1, 0),
                Insn::new(class::ALU64 | alu::ADD, 1, 0, 0, 1),
                Insn::new(class::JMP | jmp::JLT, 1, 0, -2, 8),
            ],
        ),
    ]);
    pieces
}

/// On the frame, which every device must take somehow.
fn memory() -> Vec<Piece> {
    let mut pieces = vec![Piece::new(
        "ld-imm64",
        vec![Insn::new(class::LD | mode::IMM | size::DW, 1, 0, 0, 1), Insn::new(0, 0, 0, 0, 1)],
    )];
    for (bits, size) in SIZES {
        let load = |mode| Insn::new(class::LDX | mode | size, 1, 10, -8, 0);
        let store_imm = Insn::new(class::ST | mode::MEM | size, 10, 0, -8, 0);
        let store = Insn::new(class::STX | mode::MEM | size, 10, 1, -8, 0);
        pieces.push(Piece::new(format!("ldx{bits}"), vec![load(mode::MEM)]));
        pieces.push(Piece::new(format!("st{bits}"), vec![store_imm]));
        pieces.push(Piece::new(format!("stx{bits}"), vec![set(1, 0), store]));
        if size != size::DW {
            pieces.push(Piece::new(format!("ldxsx{bits}"), vec![load(mode::MEMSX)]));
        }
    }
    pieces
}

/// The packet loads of classic BPF, which take the context from `r6`.
fn legacy_loads() -> Vec<Piece> {
    SIZES[..3]
        .iter()
        .flat_map(|(bits, size)| {
            let (abs, ind) = (class::LD | mode::ABS | size, class::LD | mode::IND | size);
            [
                Piece::new(format!("ld-abs{bits}"), vec![Insn::new(abs, 0, 0, 0, 0)]),
                Piece::new(format!("ld-ind{bits}"), vec![set(1, 0), Insn::new(ind, 0, 1, 0, 0)]),
            ]
        })
        .collect()
}
