//! Random modules: pointers and numbers in registers, then instructions of every kind, most of them
//! sensible, some not instructions at all.

use hoist_bpf::insn::Insn;
use hoist_bpf::module::{
    DataSection, Function, FunctionId, Inst, InstId, Linkage, Map, MapId, Module, Program,
    ProgramHint, Target,
};

use crate::random::Random;

/// Size of the value of each map.
pub(crate) const VALUE: u32 = 64;
/// The map of variables, and the array.
pub(crate) const VARIABLES: MapId = MapId(0);
pub(crate) const ARRAY: MapId = MapId(1);

/// Sizes of memory accesses, as codes.
const SIZES: [u8; 4] = [0x00, 0x08, 0x10, 0x18];
/// Arithmetic but for byte swaps and negation.
const ARITHMETIC: [u8; 12] =
    [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0];
const JUMPS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
const ATOMICS: [i32; 11] = [0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1, 0x77];

/// Map lookup, update and delete, a random number, the CPU, a checksum, moves of the frame's ends, a
/// tail call, a callback, redirects.
const HELPERS: [i32; 14] = [1, 1, 2, 3, 7, 8, 28, 44, 65, 54, 12, 181, 23, 51];

struct Body<'a> {
    random: &'a mut Random,
    functions: u32,
    code: Vec<Inst>,
}

impl Body<'_> {
    fn push(&mut self, insn: Insn, target: Target, wide_imm: Option<i32>) {
        let id = InstId(self.code.len() as u32);
        self.code.push(Inst { id, insn, wide_imm, target, origin: None, line: None });
    }

    fn plain(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.push(Insn::new(code, dst, src, off, imm), Target::None, None);
    }

    fn register(&mut self) -> u8 {
        if self.random.one_in(200) {
            self.random.below(16) as u8
        } else {
            self.random.below(10) as u8
        }
    }

    fn base(&mut self) -> u8 {
        if self.random.one_in(3) { 10 } else { self.register() }
    }

    /// An offset for an access through a register: small, and below the frame pointer negative.
    fn offset(&mut self, base: u8) -> i16 {
        let near = self.random.below(48) as i16;
        match (base, self.random.below(40)) {
            (_, 0) => self.random.next() as i16,
            (10, 1) => near,
            (10, _) => -near - 8,
            _ => near - 8,
        }
    }

    /// Something to work with in most registers.
    fn start(&mut self, main: bool) {
        if main {
            self.plain(0x61, 6, 1, 0, 0);
            self.plain(0x61, 7, 1, 4, 0);
            self.plain(0xbf, 9, 1, 0, 0);
        }
        let map = self.random.pick(&[VARIABLES, ARRAY]);
        let offset = self.random.below(u64::from(VALUE)) as u32;
        let target = Target::MapValue { map: VARIABLES, offset };
        self.push(Insn::new(0x18, 8, 2, 0, 0), target, Some(0));
        self.plain(0xbf, 2, 10, 0, 0);
        let below = self.random.below(64) as i32;
        self.plain(0x07, 2, 0, 0, -below);
        let number = self.random.number();
        self.plain(0xb7, 3, 0, 0, number);
        let (low, high) = (self.random.next() as i32, self.random.next() as i32);
        self.push(Insn::new(0x18, 4, 0, 0, low), Target::None, Some(high));
        self.push(Insn::new(0x18, 5, 1, 0, 0), Target::Map(map), Some(0));
    }

    fn instruction(&mut self, length: u64) {
        let (dst, src) = (self.register(), self.register());
        let imm = self.random.number();
        match self.random.below(100) {
            0..40 => self.arithmetic(dst, src, imm),
            40..56 => {
                let code = 0x61 | self.random.pick(&SIZES);
                let base = self.base();
                let off = self.offset(base);
                let code = if self.random.one_in(4) { code & 0x1f | 0x80 } else { code };
                self.plain(code, dst, base, off, 0);
            }
            56..70 => {
                let class = self.random.pick(&[0x02, 0x03]);
                let base = self.base();
                let off = self.offset(base);
                let (src, imm) = if class == 2 { (0, imm) } else { (src, 0) };
                let size = self.random.pick(&SIZES);
                self.plain(0x60 | class | size, base, src, off, imm);
            }
            70..76 => {
                let base = self.base();
                let off = self.offset(base) & !7;
                let size = self.random.pick(&[0x00, 0x18]);
                let operation = self.random.pick(&ATOMICS);
                self.plain(0xc3 | size, base, src, off, operation);
            }
            76..78 => {
                let base = self.base();
                let off = self.offset(base) & !7;
                let size = self.random.pick(&SIZES);
                if self.random.one_in(2) {
                    self.plain(0xc3 | size, dst, base, off, 0x100);
                } else {
                    self.plain(0xc3 | size, base, src, off, 0x110);
                }
            }
            78..92 => self.jump(dst, src, imm, length),
            92..94 => {
                let callee = FunctionId(self.random.below(u64::from(self.functions)) as u32);
                self.push(Insn::new(0x85, 0, 1, 0, 0), Target::Call(callee), None);
            }
            94 => {
                self.push(Insn::new(0x18, dst, 1, 0, 0), Target::Map(ARRAY), Some(0));
            }
            95 => self.plain(0x95, 0, 0, 0, 0),
            96 => {
                let number = self.random.pick(&HELPERS);
                self.arguments(number);
                self.plain(0x85, 0, 0, 0, number);
                if number == 1 && self.random.one_in(2) {
                    // Null, as a rule, is looked for.
                    let over = Target::Jump(InstId(self.code.len() as u32 + 2));
                    self.push(Insn::new(0x15, 0, 0, 0, 0), over, None);
                    let off = self.random.below(u64::from(VALUE)) as i16;
                    let size = self.random.pick(&SIZES);
                    self.plain(0x61 | size, dst, 0, off, 0);
                }
            }
            97 if self.random.one_in(20) => {
                let code = self.random.next() as u8;
                self.plain(code, dst, src, 0, 0);
            }
            _ => self.plain(0xbf, dst, src, 0, 0),
        }
    }

    /// As a rule, arguments that the helper takes.
    fn arguments(&mut self, number: i32) {
        if self.random.one_in(4) {
            return;
        }
        match number {
            1..=3 | 12 | 51 => {
                let register = if number == 12 { 2 } else { 1 };
                self.push(Insn::new(0x18, register, 1, 0, 0), Target::Map(ARRAY), Some(0));
                if number == 12 {
                    return self.plain(0xbf, 1, 9, 0, 0);
                }
                let key = self.random.below(6) as i32;
                self.plain(0x62, 10, 0, -4, key);
                self.plain(0xbf, 2, 10, 0, 0);
                self.plain(0x07, 2, 0, 0, -4);
                self.plain(0xbf, 3, 10, 0, 0);
                self.plain(0x07, 3, 0, 0, -(VALUE as i32));
                self.plain(0xb7, 4, 0, 0, 0);
            }
            181 => {
                let count = self.random.below(9) as i32;
                self.plain(0xb7, 1, 0, 0, count);
                let callee = FunctionId(self.random.below(u64::from(self.functions)) as u32);
                self.push(Insn::new(0x18, 2, 4, 0, 0), Target::FunctionAddress(callee), Some(0));
                self.plain(0xbf, 3, 10, 0, 0);
                self.plain(0xb7, 4, 0, 0, 0);
            }
            44 | 54 | 65 => {
                self.plain(0xbf, 1, 9, 0, 0);
                let change = self.random.below(64) as i32 - 32;
                self.plain(0xb7, 2, 0, 0, change);
            }
            _ => {}
        }
    }

    fn arithmetic(&mut self, dst: u8, src: u8, imm: i32) {
        let class = self.random.pick(&[0x04, 0x07]);
        if self.random.one_in(8) {
            let width = self.random.pick(&[16, 32, 64]);
            // Byte order: to little, to big, or always.
            let code = self.random.pick(&[0xd4, 0xdc, 0xd7]);
            return self.plain(code, dst, 0, 0, width);
        }
        if self.random.one_in(16) {
            return self.plain(0x80 | class, dst, 0, 0, 0);
        }
        let operation = self.random.pick(&ARITHMETIC);
        let signed = self.random.one_in(3);
        let off = match operation {
            0x30 | 0x90 if signed => 1,
            _ => 0,
        };
        if self.random.one_in(2) {
            let off = match operation {
                0xb0 if signed && class == 0x07 => self.random.pick(&[8, 16, 32]),
                0xb0 if signed => self.random.pick(&[8, 16]),
                _ => off,
            };
            self.plain(operation | 0x08 | class, dst, src, off, 0);
        } else {
            self.plain(operation | class, dst, 0, off, imm);
        }
    }

    fn jump(&mut self, dst: u8, src: u8, imm: i32, length: u64) {
        let here = self.code.len() as u64;
        let to = match self.random.below(8) {
            0 => self.random.below(length),
            _ => here + 1 + self.random.below(8),
        };
        let to = Target::Jump(InstId(to.min(length - 1) as u32));
        if self.random.one_in(12) {
            return self.push(Insn::new(0x05, 0, 0, 0, 0), to, None);
        }
        if self.random.one_in(40) {
            return self.push(Insn::new(0xe5, 0, 0, 0, 0), to, None);
        }
        let class = self.random.pick(&[0x05, 0x06]);
        let operation = self.random.pick(&JUMPS);
        if self.random.one_in(2) {
            self.push(Insn::new(operation | 0x08 | class, dst, src, 0, 0), to, None);
        } else {
            self.push(Insn::new(operation | class, dst, 0, 0, imm), to, None);
        }
    }
}

fn function(random: &mut Random, name: String, functions: u32) -> Function {
    let main = name == "main";
    let mut body = Body { random, functions, code: Vec::new() };
    body.start(main);
    let length = 12 + body.random.below(80);
    while (body.code.len() as u64) < length - 1 {
        body.instruction(length);
    }
    // What an argument list and a test of null may have jumped to.
    body.plain(0xb7, 0, 0, 0, 2);
    body.plain(0x95, 0, 0, 0, 0);
    let next_id = body.code.len() as u32;
    Function {
        name,
        section: "xdp".to_owned(),
        section_offset: 0,
        linkage: Linkage::Static,
        btf_type_id: None,
        code: body.code,
        next_id,
    }
}

fn map(name: &str, entries: u32, section: Option<DataSection>, data: Vec<u8>) -> Map {
    Map {
        name: name.to_owned(),
        kind: 2,
        key_size: 4,
        value_size: VALUE,
        max_entries: entries,
        data,
        section,
        ..Map::default()
    }
}

/// A module with one program, some functions and two maps.
pub(crate) fn module(seed: u64) -> Module {
    let mut random = Random(seed);
    let count = 1 + random.below(3) as u32;
    let names = (0..count).map(|n| if n == 0 { "main".to_owned() } else { format!("f{n}") });
    let functions = names.map(|name| function(&mut random, name, count)).collect();
    let data = (0..VALUE).map(|_| random.next() as u8).collect();
    Module {
        name: format!("random {seed:#x}"),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: "main".to_owned(),
            section: "xdp".to_owned(),
            function: FunctionId(0),
            hint: ProgramHint::Xdp,
            frags: false,
        }],
        functions,
        maps: vec![
            map(".data", 1, Some(DataSection::Data), data),
            map("array", 4, None, Vec::new()),
        ],
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}
