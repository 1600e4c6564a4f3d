//! Ways to reach memory, and atomic operations on map values.
//!
//! Words of the map's value have one use each, since nfp wants a word read or added to, never both.

use hoist_bpf::insn::Insn;
use hoist_bpf::opcode::{atomic, class, mode, size};

use super::super::ask::Piece;
use super::{Maps, context, copy, map, raw, set, with_value};
use crate::host::linux::trial::{EXIT, Findings, call, unknown};

const BPF_PSEUDO_MAP_VALUE: u8 = 2;
const TAIL_CALL: i32 = 12;
const LOAD64: u8 = class::LDX | mode::MEM | size::DW;
const LOAD32: u8 = class::LDX | mode::MEM | size::W;
const LOAD8: u8 = class::LDX | mode::MEM | size::B;
const STORE64: u8 = class::STX | mode::MEM | size::DW;

/// Offsets in the map's value of what is added to (in words of 4 and 8 bytes), read, and written.
const ADDED32: i16 = 0;
const ADDED64: i16 = 8;
const READ: i16 = 16;
const WRITTEN: i16 = 24;

const ATOMICS: [(&str, i32); 11] = [
    ("add", 0x00),
    ("or", 0x40),
    ("and", 0x50),
    ("xor", 0xa0),
    ("fetch-add", atomic::FETCH),
    ("fetch-or", 0x40 | atomic::FETCH),
    ("fetch-and", 0x50 | atomic::FETCH),
    ("fetch-xor", 0xa0 | atomic::FETCH),
    ("xchg", atomic::XCHG),
    ("cmpxchg", atomic::CMPXCHG),
    // On a register that holds the address; the rest of the row is read by `atomics`.
    ("load-acquire", atomic::LOAD_ACQUIRE),
];

/// Atomic operations; without a map of the device, the findings that say why nothing was tried.
pub(in super::super) fn atomics(maps: &Maps) -> Result<Vec<Piece>, Findings> {
    let widths = [("32", size::W, ADDED32), ("64", size::DW, ADDED64)];
    let rows = ATOMICS.iter().flat_map(|row| widths.map(|width| (row, width)));
    let name = |name: &str, bits: &str| format!("{name}{bits}");
    match raw(&maps.device) {
        Ok(fd) => Ok(rows
            .map(|(&(what, op), (bits, size, at))| {
                let code = class::STX | mode::ATOMIC | size;
                let operation = match op {
                    atomic::LOAD_ACQUIRE => vec![Insn::new(code, 1, 0, READ, op)],
                    // It compares with r0, so the address moves.
                    atomic::CMPXCHG => {
                        vec![copy(2, 0), set(0, 0), set(1, 1), Insn::new(code, 2, 1, at, op)]
                    }
                    _ => vec![set(1, 1), Insn::new(code, 0, 1, at, op)],
                };
                let code = with_value(fd, &operation);
                // Linux knows it since 6.15.
                let alone = op == atomic::LOAD_ACQUIRE;
                Piece { alone, ..Piece::new(name(what, bits), code) }
            })
            .collect()),
        Err(why) => {
            Err(rows.map(|(&(what, _), (bits, ..))| (name(what, bits), untried(why))).collect())
        }
    }
}

/// Map values, packets, the frame, maps of the host; and what could not be tried.
pub(in super::super) fn pieces(kind: u32, maps: &Maps) -> (Vec<Piece>, Findings) {
    let mut pieces = packet(kind);
    let mut open = Findings::new();
    let mut with =
        |names: &[&str], fd: Result<i32, &str>, make: &dyn Fn(i32) -> Vec<Piece>| match fd {
            Ok(fd) => pieces.extend(make(fd)),
            Err(why) => open.extend(names.iter().map(|name| ((*name).to_owned(), untried(why)))),
        };
    with(&VALUES, raw(&maps.device), &values);
    with(&["host-map"], raw(&maps.host), &|fd| vec![Piece::alone("host-map", map(1, fd).to_vec())]);
    with(&["tail-call"], raw(&maps.programs), &|fd| {
        let mut code = vec![copy(1, 6)];
        code.extend(map(2, fd));
        code.extend([set(3, 0), call(TAIL_CALL)]);
        vec![Piece::alone("tail-call", code)]
    });
    (pieces, open)
}

fn untried(why: &str) -> crate::host::report::Finding {
    unknown(format!("not tried: {why}"))
}

const VALUES: [&str; 5] = [
    "read-map-value",
    "write-map-value",
    "write-map-value-imm",
    "map-value-at-variable-offset",
    "global-data",
];

fn values(fd: i32) -> Vec<Piece> {
    let masked = [
        Insn::new(LOAD32, 1, 0, READ, 0),
        Insn::new(0x57, 1, 0, 0, 7),
        Insn::new(0x0f, 0, 1, 0, 0),
        Insn::new(LOAD8, 1, 0, READ, 0),
    ];
    let immediate = Insn::new(class::ST | mode::MEM | size::DW, 0, 0, WRITTEN, 1);
    let write = [set(1, 1), Insn::new(STORE64, 0, 1, WRITTEN, 0)];
    let global = [
        Insn::new(0x18, 1, BPF_PSEUDO_MAP_VALUE, 0, fd),
        Insn::default(),
        Insn::new(LOAD64, 1, 1, READ, 0),
    ];
    vec![
        Piece::new(VALUES[0], with_value(fd, &[Insn::new(LOAD64, 1, 0, READ, 0)])),
        Piece::new(VALUES[1], with_value(fd, &write)),
        Piece::new(VALUES[2], with_value(fd, &[immediate])),
        Piece::new(VALUES[3], with_value(fd, &masked)),
        Piece::alone(VALUES[4], global.to_vec()),
    ]
}

/// A whole program that returns one of several constants, by the packet's first byte.
pub(in super::super) fn choice(kind: u32, values: &[i32]) -> Vec<Insn> {
    let (data, data_end) = context::bounds(kind);
    // Each takes three instructions, and they are ten at most.
    let over = i16::try_from(values.len() * 3 + 1).unwrap_or(i16::MAX);
    let mut code = vec![
        Insn::new(LOAD32, 2, 1, data, 0),
        Insn::new(LOAD32, 3, 1, data_end, 0),
        copy(4, 2),
        Insn::new(0x07, 4, 0, 0, 14),
        // if r4 > r3 goto the end
        Insn::new(0x2d, 4, 3, over, 0),
        Insn::new(LOAD8, 5, 2, 0, 0),
    ];
    for (byte, value) in (0..).zip(values) {
        code.extend([Insn::new(0x55, 5, 0, 2, byte), set(0, *value), EXIT]);
    }
    code.extend([set(0, 2), EXIT]);
    code
}

/// Pieces that hold the packet's first bytes in `r2`.
fn packet(kind: u32) -> Vec<Piece> {
    let within = |name: &str, code: &[Insn]| {
        let (data, data_end) = context::bounds(kind);
        let over = i16::try_from(code.len()).unwrap_or(i16::MAX);
        let mut piece = vec![
            Insn::new(LOAD32, 2, 6, data, 0),
            Insn::new(LOAD32, 3, 6, data_end, 0),
            copy(4, 2),
            Insn::new(0x07, 4, 0, 0, 14),
            // if r4 > r3 goto past the code
            Insn::new(0x2d, 4, 3, over, 0),
        ];
        piece.extend_from_slice(code);
        Piece::new(name, piece)
    };
    // r5 = a byte of the packet, at most 7
    let number = [Insn::new(LOAD8, 5, 2, 0, 0), Insn::new(0x57, 5, 0, 0, 7)];
    let moved = [
        Insn::new(0x0f, 2, 5, 0, 0),
        copy(4, 2),
        Insn::new(0x07, 4, 0, 0, 1),
        Insn::new(0x2d, 4, 3, 1, 0),
        Insn::new(LOAD8, 1, 2, 0, 0),
    ];
    let frame = [
        copy(1, 10),
        Insn::new(0x0f, 1, 5, 0, 0),
        Insn::new(0x07, 1, 0, 0, -16),
        Insn::new(LOAD8, 1, 1, 0, 0),
    ];
    vec![
        within("read-packet", &[Insn::new(LOAD8, 1, 2, 0, 0)]),
        within(
            "write-packet",
            &[set(1, 0), Insn::new(class::STX | mode::MEM | size::B, 2, 1, 0, 0)],
        ),
        within("packet-at-variable-offset", &[&number[..], &moved].concat()),
        within("frame-at-variable-offset", &[&number[..], &frame].concat()),
    ]
}
