//! Random programs that handle pointers as programs do: headers compared with `data_end`, offsets from
//! the frame, spilled registers, values of maps, loops. What is proven about them holds, and all
//! ways of running do the same.

use std::sync::Arc;

use hoist_bpf::module::{FunctionId, InstId, Map, MapId, Module, ProgramId, Target};
use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};
use hoist_bpf::{Insn, passes::asm};
use hoist_fallback::userspace::vm::code::Code;
use hoist_fallback::userspace::vm::proof::{Proof, prove};
use hoist_fallback::userspace::vm::{Machine, Options};

use crate::machine::{Line, module, plain, run, ways};

/// Programs, unless the environment says otherwise.
const PROGRAMS: u64 = 400;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

const SIZES: [u8; 4] = [size::B, size::H, size::W, size::DW];
/// Registers that hold addresses most of the time, and those that hold numbers.
const ADDRESSES: [u8; 4] = [2, 3, 6, 8];
const NUMBERS: [u8; 3] = [4, 5, 9];

fn load(random: &mut Random, dst: u8, base: u8, off: i16) -> Insn {
    let size = random.pick(&SIZES);
    let mode = if size != size::DW && random.below(5) == 0 { mode::MEMSX } else { mode::MEM };
    Insn::new(class::LDX | mode | size, dst, base, off, 0)
}

fn store(random: &mut Random, base: u8, off: i16, src: u8) -> Insn {
    let size = random.pick(&SIZES);
    match random.below(3) {
        0 => Insn::new(class::ST | mode::MEM | size, base, 0, off, random.word() as i32),
        _ => Insn::new(class::STX | mode::MEM | size, base, src, off, 0),
    }
}

/// A few instructions; jumps name a distance from the first of them in their immediate.
fn phrase(random: &mut Random, code: &mut Vec<Line>) {
    let (p, q) = (random.pick(&ADDRESSES), random.pick(&ADDRESSES));
    let (n, m) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let near = 1 + random.below(30) as i16;
    let slot = -8 * (1 + random.below(6) as i16);
    let alu_k = |op: u8, dst: u8, imm: i32| plain(Insn::new(class::ALU64 | op, dst, 0, 0, imm));
    match random.below(18) {
        0 => code.push(plain(asm::mov(p, q))),
        1 => code.push(plain(asm::add_imm(p, random.pick(&[1, 2, 4, 14, 20, -4, -1, 60])))),
        2 => code.push(plain(asm::add(p, n))),
        // p = q + near; if p > data_end goto the end.
        3 | 4 => {
            code.push(plain(asm::mov(p, q)));
            code.push(plain(asm::add_imm(p, i32::from(near))));
            let op = random.pick(&[jmp::JGT, jmp::JGT, jmp::JGE, jmp::JLT, jmp::JLE, jmp::JEQ]);
            let (left, right) = if random.below(4) == 0 { (7, p) } else { (p, 7) };
            code.push(plain(Insn::new(class::JMP | X | op, left, right, 0, 0)));
            // Accesses that this may have made good: from the start on, or back from the end.
            for _ in 0..random.below(4) {
                let at = random.below(near.unsigned_abs().into()) as i16;
                let (base, off) = if random.below(2) == 0 { (q, at) } else { (p, at - near) };
                code.push(plain(match random.below(3) {
                    0 => store(random, base, off, n),
                    _ => load(random, n, base, off),
                }));
            }
        }
        5 => {
            let op = random.pick(&[jmp::JGT, jmp::JGE, jmp::JLT, jmp::JLE]);
            code.push(plain(Insn::new(class::JMP | X | op, 7, p, 0, 0)));
        }
        6 if random.below(3) == 0 => code.push(plain(load(random, n, p, near))),
        6 => code.push(plain(load(random, n, 6, near % 14))),
        7 if random.below(6) == 0 => code.push(plain(load(random, n, p, -near))),
        7 => code.push(plain(asm::mov(p, 6))),
        8 if random.below(3) == 0 => code.push(plain(store(random, p, near, n))),
        8 => code.push(plain(store(random, 6, near % 14, n))),
        9 => code.push(alu_k(
            random.pick(&[alu::AND, alu::MOD]),
            n,
            random.pick(&[3, 7, 15, 63, 255]),
        )),
        10 => {
            let op = random.pick(&[alu::LSH, alu::RSH, alu::MUL, alu::OR, alu::XOR, alu::ADD]);
            code.push(alu_k(op, n, random.pick(&[1, 2, 4, 8])));
        }
        11 if random.below(3) == 0 => {
            if random.below(2) == 0 {
                code.push(plain(asm::mov(n, m)));
            }
            code.push(alu_k(alu::LSH, n, 32));
            code.push(alu_k(random.pick(&[alu::RSH, alu::ARSH]), n, 32));
        }
        11 => {
            let op = random.pick(&[alu::ADD, alu::SUB, alu::MUL, alu::AND, alu::OR]);
            let class = random.pick(&[class::ALU64, class::ALU]);
            code.push(plain(Insn::new(class | X | op, n, m, 0, 0)));
        }
        12 => {
            let op = random.pick(&[jmp::JGT, jmp::JLT, jmp::JEQ, jmp::JNE, jmp::JSGT, jmp::JSLE]);
            let class = random.pick(&[class::JMP, class::JMP32]);
            let imm = random.pick(&[0, 1, 16, 40, 255, -1]);
            code.push(plain(Insn::new(class | op, n, 0, 0, imm)));
        }
        // Spills, fills, and what is written over a part of a spill.
        13 => code.push(plain(asm::store64(10, slot, random.pick(&[p, n, 1])))),
        14 if random.below(2) == 0 => {
            let part = slot + random.below(8) as i16;
            code.push(plain(asm::store64(10, slot, q)));
            code.push(plain(store(random, 10, part, n)));
            code.push(plain(asm::load64(p, 10, slot)));
            code.push(plain(load(random, m, p, near % 14)));
        }
        14 => code.push(plain(asm::load64(random.pick(&[p, n, 1]), 10, slot))),
        // The stack through another register, by numbers.
        15 => {
            code.push(plain(asm::mov(p, 10)));
            code.push(plain(asm::add_imm(p, -48)));
            if random.below(2) == 0 {
                code.push(plain(asm::add(p, n)));
            }
            let through = if random.below(2) == 0 {
                load(random, n, p, near)
            } else {
                store(random, p, near, n)
            };
            code.push(plain(through));
        }
        // A value of a map: looked up, or known.
        16 => {
            code.push(plain(Insn::new(class::STX | mode::MEM | size::W, 10, n, -60, 0)));
            code.push((asm::load_map(1), Target::Map(MapId(random.below(2) as u32))));
            code.push(plain(asm::mov(2, 10)));
            code.push(plain(asm::add_imm(2, -60)));
            let changes = random.pick(&[0, 0, 2, 2, 3]);
            if changes != 0 {
                code.push(plain(asm::mov(3, 10)));
                code.push(plain(asm::add_imm(3, -48)));
                code.push(alu_k(alu::MOV, 4, 0));
                code.push(plain(Insn::new(0x85, 0, 0, 0, changes)));
            }
            code.push(plain(Insn::new(0x85, 0, 0, 0, 1)));
            if random.below(4) > 0 {
                code.push(plain(Insn::new(class::JMP | jmp::JEQ, 0, 0, 0, 0)));
            }
            code.push(plain(asm::mov(p, 0)));
            in_value(random, code, p, n);
        }
        _ => {
            let offset = random.below(12) as u32;
            let value = Insn::new(0x18, p, 2, 0, 0);
            code.push((value, Target::MapValue { map: MapId(0), offset }));
            in_value(random, code, p, n);
        }
    }
    if random.below(40) == 0 {
        // bpf_xdp_adjust_head, then the pointers again, or not.
        code.push(plain(asm::load64(1, 10, -56)));
        code.push(alu_k(alu::MOV, 2, random.pick(&[-4, 4, 14])));
        code.push(plain(Insn::new(0x85, 0, 0, 0, 44)));
        code.push(plain(asm::load64(1, 10, -56)));
        if random.below(2) == 0 {
            code.push(plain(asm::load32(6, 1, 0)));
            code.push(plain(asm::load32(7, 1, 4)));
        }
    }
}

/// Accesses to a value of 12 bytes, most of them within it, at constants or at `n`.
fn in_value(random: &mut Random, code: &mut Vec<Line>, p: u8, n: u8) {
    if random.below(3) == 0 {
        code.push(plain(Insn::new(class::ALU64 | alu::AND, n, 0, 0, 7)));
        code.push(plain(asm::add(p, n)));
    }
    for _ in 0..random.below(3) {
        let off = random.below(8) as i16;
        code.push(plain(match random.below(2) {
            0 => store(random, p, off, n),
            _ => load(random, n, p, off),
        }));
    }
}

/// A function: what comes first, then phrases, then `r9` as its result.
fn function(random: &mut Random, mut code: Vec<Line>, phrases: u64, calls: bool) -> Vec<Line> {
    let first = code.len() as u64;
    for _ in 0..phrases {
        phrase(random, &mut code);
        if calls && random.below(12) == 0 {
            // The context, an address, the end or another number, a number.
            code.push(plain(asm::load64(1, 10, -56)));
            code.push(plain(asm::mov(2, random.pick(&ADDRESSES))));
            code.push(plain(asm::mov(3, random.pick(&[7, 7, 7, 9]))));
            code.push(plain(asm::mov(4, random.pick(&NUMBERS))));
            code.push((asm::call(), Target::Call(FunctionId(1))));
        }
    }
    let end = code.len() as u64;
    code.extend([plain(asm::mov(0, 9)), plain(asm::exit())]);
    for (insn, target) in &mut code[first as usize..] {
        if insn.jump_kind().is_some() {
            // Mostly to the end; else anywhere, backward too.
            let to = if random.below(3) > 0 { end } else { first + random.below(end - first + 1) };
            *target = Target::Jump(InstId(to as u32));
        }
    }
    code
}

fn program(random: &mut Random) -> Module {
    let context = plain(asm::store64(10, -56, 1));
    let copies = [plain(asm::mov(2, 6)), plain(asm::mov(3, 6)), plain(asm::mov(8, 6))];
    let mut main = vec![context, plain(asm::load32(6, 1, 0)), plain(asm::load32(7, 1, 4))];
    main.extend(copies);
    let mut callee = vec![context, plain(asm::mov(6, 2)), plain(asm::mov(7, 3))];
    callee.push(plain(asm::mov(9, 4)));
    callee.extend(copies);
    let phrases = 2 + random.below(25);
    let main = function(random, main, phrases, true);
    let phrases = 1 + random.below(8);
    let callee = function(random, callee, phrases, false);
    // An array and a hash table; the latter starts empty.
    let map = |kind: u32| Map {
        name: format!("map{kind}"),
        kind,
        key_size: 4,
        value_size: 12,
        max_entries: 4,
        ..Map::default()
    };
    module(vec![main, callee], vec![map(2), map(1)])
}

#[test]
fn what_is_proven_holds_and_all_ways_agree() {
    let programs = std::env::var("HOIST_RANDOM_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let (mut proven, mut ended, mut runs) = ([0; 4], 0, 0);
    for seed in 0..programs.unwrap_or(PROGRAMS) {
        let mut random = Random(seed);
        let module = Arc::new(program(&mut random));
        for proof in prove(&module, &Code::decode(&module)).iter().flat_map(|p| &p.ops) {
            match proof {
                Proof::Frame => proven[0] += 1,
                Proof::Stack(_) | Proof::AnyStack => proven[1] += 1,
                Proof::Value(_) => proven[2] += 1,
                Proof::MaybeFrame | Proof::MaybeStack | Proof::MaybeValue(_) => proven[3] += 1,
                _ => {}
            }
        }
        let options = |mut options: Options| {
            options.fuel = 2000;
            Machine::new(&module, ProgramId(0), &options).unwrap()
        };
        let mut machines = ways(2000).map(options);
        for _ in 0..4 {
            let length = [14, 34, 60, 200][random.below(4) as usize];
            let frame: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
            let [interpreted, compiled, paranoid] = machines.each_mut().map(|machine| {
                let (ran, frame) = run(machine, &frame);
                let fault = ran.fault.map(|fault| (fault.kind, fault.function, fault.inst));
                (ran.verdict, ran.code, fault, frame)
            });
            assert_eq!(interpreted, compiled, "seed {seed}, compiled");
            assert_eq!(interpreted, paranoid, "seed {seed}, paranoid");
            runs += 1;
            ended += u32::from(interpreted.2.is_none());
        }
    }
    // The programs are worth their name.
    assert!(proven.iter().all(|n| *n > 100), "{proven:?}");
    assert!(ended * 4 > runs, "{ended} of {runs} runs ended by themselves");
}
