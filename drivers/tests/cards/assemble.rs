//! Programs of a few instructions, written by hand.

use hoist_bpf::insn::Insn;
use hoist_bpf::module::{
    Function, FunctionId, Inst, InstId, Linkage, Map, MapId, Module, Program, ProgramHint, Target,
};

/// `code`, `dst`, `src`, `off`, `imm`.
pub(crate) const fn i(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(code, dst, src, off, imm)
}

pub(crate) const fn mov(dst: u8, imm: i32) -> Insn {
    i(0xb7, dst, 0, 0, imm)
}

pub(crate) const fn copy(dst: u8, src: u8) -> Insn {
    i(0xbf, dst, src, 0, 0)
}

pub(crate) const fn add(dst: u8, imm: i32) -> Insn {
    i(0x07, dst, 0, 0, imm)
}

pub(crate) const fn call(helper: i32) -> Insn {
    i(0x85, 0, 0, 0, helper)
}

pub(crate) const EXIT: Insn = i(0x95, 0, 0, 0, 0);

/// A wide load of the module's only map.
pub(crate) const fn map(dst: u8) -> Insn {
    i(0x18, dst, 1, 0, 0)
}

/// Looks up key 0: `r0` is the value afterwards.
pub(crate) fn lookup() -> Vec<Insn> {
    let store = i(0x63, 10, 3, -4, 0);
    let found = i(0x55, 0, 0, 2, 0);
    vec![mov(3, 0), store, copy(2, 10), add(2, -4), map(1), call(1), found, mov(0, 2), EXIT]
}

/// An array of one entry of 16 bytes.
pub(crate) fn array() -> Map {
    Map {
        name: "values".to_owned(),
        kind: 2,
        key_size: 4,
        value_size: 16,
        max_entries: 1,
        ..Map::default()
    }
}

/// A module of one program and one map. Jumps count instructions, not slots.
pub(crate) fn module(section: &str, code: &[Insn], map: Map) -> Module {
    let inst = |(at, &insn): (usize, &Insn)| {
        let jump = insn.jump_kind().is_some();
        let target = match insn.is_wide() {
            true => Target::Map(MapId(0)),
            false if jump => Target::Jump(InstId((at as i64 + 1 + i64::from(insn.off)) as u32)),
            false => Target::None,
        };
        Inst {
            id: InstId(at as u32),
            insn,
            wide_imm: insn.is_wide().then_some(0),
            target,
            origin: Some(at as u32),
            line: None,
        }
    };
    let hint = match section.split('/').next_back().unwrap_or_default() {
        "devmap" => ProgramHint::XdpDevmap,
        "xdp" | "xdp.frags" => ProgramHint::Xdp,
        _ => ProgramHint::Other,
    };
    Module {
        name: "by hand".to_owned(),
        license: "GPL".to_owned(),
        programs: vec![Program {
            name: "main".to_owned(),
            section: section.to_owned(),
            function: FunctionId(0),
            hint,
            frags: section == "xdp.frags",
        }],
        functions: vec![Function {
            name: "main".to_owned(),
            section: section.to_owned(),
            section_offset: 0,
            linkage: Linkage::Global,
            btf_type_id: None,
            code: code.iter().enumerate().map(inst).collect(),
            next_id: code.len() as u32,
        }],
        maps: vec![map],
        externs: Vec::new(),
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    }
}
