//! Modules that no compiler writes. What a file can hold the parser bounds; here it is gone beyond.

use hoist_bpf::Insn;
use hoist_bpf::module::{
    Function, FunctionId, InstId, Linkage, Map, MapId, Module, Program, ProgramHint, Target,
};
use hoist_bpf::opcode::{class, jmp, mode, size};
use hoist_bpf::passes::asm;

type Code = Vec<(Insn, Target)>;

/// As many instructions as the kernel takes (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MILLION: u32 = 1_000_000;

fn exit() -> (Insn, Target) {
    (asm::exit(), Target::None)
}

fn plain(insn: Insn) -> (Insn, Target) {
    (insn, Target::None)
}

fn to(insn: Insn, at: u32) -> (Insn, Target) {
    (insn, Target::Jump(InstId(at)))
}

fn call(function: u32) -> (Insn, Target) {
    (asm::call(), Target::Call(FunctionId(function)))
}

fn map(kind: u32) -> Map {
    let name = format!("map_{kind}");
    Map { name, kind, key_size: 4, value_size: 4, max_entries: 4, ..Map::default() }
}

fn module(functions: Vec<Code>) -> Module {
    let functions: Vec<Function> = functions
        .into_iter()
        .enumerate()
        .map(|(number, code)| {
            let mut f = Function::empty(&format!("f{number}"), Linkage::Static);
            for (insn, target) in code {
                let inst = f.new_inst(insn, target);
                f.append([inst]);
            }
            f
        })
        .collect();
    Module {
        name: "made by hand".to_owned(),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: "f0".to_owned(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions,
        maps: (0..64).map(|_| map(14)).collect(),
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}

fn repeated(times: u32, one: impl Fn(u32) -> (Insn, Target)) -> Code {
    (0..times).map(one).chain([exit()]).collect()
}

/// One of 60 maps in r6, then redirects through it over and over.
fn redirects(times: u32) -> Code {
    let mut code = vec![plain(asm::load32(7, 1, 16))];
    let redirect = 1 + 60 * 3;
    for number in 0..60 {
        let next = 1 + 3 * (number + 1);
        code.push(to(asm::jump_imm(jmp::JNE, 7, number as i32), next));
        code.push((asm::load_map(6), Target::Map(MapId(number))));
        code.push(to(asm::goto(), redirect));
    }
    for _ in 0..times {
        code.extend([
            plain(asm::mov(1, 6)),
            plain(asm::mov_imm(2, 0)),
            plain(asm::mov_imm(3, 0)),
            plain(asm::helper(51)),
        ]);
    }
    code.push(exit());
    code
}

/// A name, the module, and the code of the refusal that is expected.
pub(crate) type Case = (&'static str, Module, Option<&'static str>);

/// Each with the code it is refused with, or none where it is translated.
pub(crate) fn all() -> Vec<Case> {
    let store = Insn::new(class::STX | mode::MEM | size::W, 1, 2, 16, 0);
    let branch = |i: u32| to(asm::jump_imm(jmp::JSGT, 1, 5), i.wrapping_mul(7919) % MILLION);
    let wide = vec![
        to(asm::jump_imm(jmp::JEQ, 1, 0), 7),
        (asm::load_map(2), Target::Map(MapId(0))),
        exit(),
    ];
    let dead = vec![exit(), plain(asm::load32(0, 1, 16)), plain(asm::helper(44)), exit()];
    let chain = |length: u32| (1..length).map(|i| vec![call(i), call(i), exit()]);
    let nonsense = repeated(1000, |i| {
        let bytes = i.wrapping_mul(2_654_435_761);
        let regs = (bytes >> 8) as u8;
        (Insn { code: bytes as u8, regs, off: bytes as i16, imm: bytes as i32 }, Target::None)
    });
    let large = Some("translation-too-large");
    vec![
        ("a jump to no instruction", module(vec![wide]), None),
        ("unreachable code", module(vec![dead]), None),
        ("recursion", module(vec![vec![call(0), exit()]]), Some("over-limit")),
        (
            "mutual recursion",
            module(vec![vec![call(1), exit()], vec![call(0), exit()]]),
            Some("over-limit"),
        ),
        (
            "5,000 functions deep",
            module(chain(5000).chain([vec![exit()]]).collect()),
            Some("over-limit"),
        ),
        ("5,000 calls", module(vec![repeated(5000, |_| call(1)), vec![exit()]]), None),
        ("a function that falls off its end", module(vec![vec![plain(asm::mov_imm(0, 2))]]), None),
        ("no code", module(vec![vec![]]), None),
        ("nonsense", module(vec![nonsense]), None),
        (
            "a million moves",
            module(vec![repeated(MILLION - 2000, |_| plain(asm::mov_imm(0, 2)))]),
            None,
        ),
        ("a million branches", module(vec![repeated(MILLION, branch)]), large),
        (
            "a million loads of the context",
            module(vec![repeated(MILLION, |_| plain(asm::load32(0, 1, 16)))]),
            large,
        ),
        (
            "a million stores to the context",
            module(vec![repeated(MILLION, |_| plain(store))]),
            large,
        ),
        (
            "60,000 stores to the context",
            module(vec![repeated(60_000, |_| plain(store))]),
            Some("context-misused"),
        ),
        (
            "a million calls of helpers",
            module(vec![repeated(MILLION, |_| plain(asm::helper(7)))]),
            large,
        ),
        ("redirects through 60 maps", module(vec![redirects(60_000)]), large),
        ("a few redirects through 60 maps", module(vec![redirects(60)]), None),
    ]
}
