//! Code made by hand: what compilers seldom write, and what nobody should.

use std::time::{Duration, Instant};

use super::{may_pass, requirements};
use crate::insn::Insn;
use crate::module::{
    Extern, ExternId, ExternKind, Function, FunctionId, InitialSlot, InstId, Linkage, Map, MapId,
    Module, Program, ProgramHint, ProgramId, Resolution, Target,
};
use crate::opcode::{X, alu, class, jmp, mode, pseudo, size};
use crate::requirements::{
    ContextField, Feature, LimitKind, Need, Requirements,
    Strength::{May, Must},
};

pub(super) const EXIT: (Insn, Target) =
    (Insn::new(class::JMP | jmp::EXIT, 0, 0, 0, 0), Target::None);

pub(super) fn mov(dst: u8, imm: i32) -> (Insn, Target) {
    (Insn::new(class::ALU64 | alu::MOV, dst, 0, 0, imm), Target::None)
}

pub(super) fn copy(dst: u8, src: u8) -> (Insn, Target) {
    (Insn::new(class::ALU64 | X | alu::MOV, dst, src, 0, 0), Target::None)
}

pub(super) fn load(bytes: u8, dst: u8, src: u8, off: i16) -> (Insn, Target) {
    (Insn::new(class::LDX | mode::MEM | bytes, dst, src, off, 0), Target::None)
}

pub(super) fn store(bytes: u8, dst: u8, off: i16, src: u8) -> (Insn, Target) {
    (Insn::new(class::STX | mode::MEM | bytes, dst, src, off, 0), Target::None)
}

/// A jump to the instruction with that index.
pub(super) fn jump(op: u8, dst: u8, imm: i32, to: u32) -> (Insn, Target) {
    (Insn::new(class::JMP | op, dst, 0, 0, imm), Target::Jump(InstId(to)))
}

pub(super) fn helper(id: i32) -> (Insn, Target) {
    (Insn::new(class::JMP | jmp::CALL, 0, pseudo::HELPER_CALL, 0, id), Target::None)
}

pub(super) fn call(function: u32) -> (Insn, Target) {
    let insn = Insn::new(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, -1);
    (insn, Target::Call(FunctionId(function)))
}

pub(super) fn wide(dst: u8, target: Target) -> (Insn, Target) {
    (Insn::new(class::LD | mode::IMM | size::DW, dst, 0, 0, 0), target)
}

fn function(code: &[(Insn, Target)]) -> Function {
    let mut f = Function::empty("f", Linkage::Static);
    for &(insn, target) in code {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
    f
}

pub(super) fn module(functions: &[&[(Insn, Target)]]) -> Module {
    crate::passes::tests::module(functions.iter().map(|code| function(code)).collect())
}

pub(super) fn map(kind: u32) -> Map {
    Map { kind, ..crate::passes::count::counters() }
}

fn needs(module: &Module) -> Requirements {
    requirements(module, ProgramId(0))
}

/// Strength of a feature, `None` when it is not claimed.
fn strength(needs: &Requirements, feature: Feature) -> Option<crate::requirements::Strength> {
    needs.get(&Need::Feature(feature)).map(|r| r.strength)
}

#[test]
fn verdicts_are_certain_only_when_they_are_constants() {
    let computed = load(size::W, 0, 1, 12);
    for (name, code, tx, redirect) in [
        ("tx", vec![mov(0, 3), EXIT], Some(Must), None),
        ("pass", vec![mov(0, 2), EXIT], None, None),
        ("computed", vec![computed, EXIT], Some(May), Some(May)),
        ("either", vec![computed, jump(jmp::JGT, 0, 4, 3), mov(0, 3), EXIT], Some(Must), Some(May)),
        ("compared", vec![computed, jump(jmp::JEQ, 0, 4, 3), mov(0, 1), EXIT], None, Some(Must)),
        ("bpf_redirect", vec![mov(1, 7), mov(2, 0), helper(23), EXIT], None, Some(Must)),
        (
            "bpf_redirect_map with XDP_TX for misses",
            vec![mov(2, 0), mov(3, 3), helper(51), EXIT],
            Some(Must),
            Some(Must),
        ),
        (
            "bpf_redirect and pass",
            vec![mov(1, 7), mov(2, 0), helper(23), mov(0, 2), EXIT],
            None,
            None,
        ),
    ] {
        let needs = needs(&module(&[&code]));
        assert_eq!(strength(&needs, Feature::Tx), tx, "{name}: tx");
        assert_eq!(strength(&needs, Feature::Redirect), redirect, "{name}: redirect");
    }
}

#[test]
fn code_behind_a_decided_branch_needs_nothing_but_its_encoding() {
    let v4 = (Insn::new(class::ALU64 | alu::END, 1, 0, 0, 16), Target::None);
    let needs = needs(&module(&[
        &[mov(6, 1), jump(jmp::JEQ, 6, 1, 6), helper(69), helper(12), v4, call(1), mov(0, 2), EXIT],
        &[helper(44), mov(0, 0), EXIT],
    ]));
    for feature in [Feature::GplOnlyHelper, Feature::TailCall, Feature::AdjustHead] {
        assert_eq!(strength(&needs, feature), None, "{feature:?}");
    }
    // The kernel decodes dead instructions and links dead calls.
    assert_eq!(needs.get(&Need::Isa(4)).map(|r| r.strength), Some(Must));
    assert_eq!(strength(&needs, Feature::BpfToBpfCall), Some(Must));
    assert_eq!(needs.demand(LimitKind::Instructions), 11);
}

#[test]
fn the_context_is_recognised_wherever_it_goes() {
    let field = |offset: i16, code: &[(Insn, Target)], callee: &[(Insn, Target)]| {
        let needs = needs(&module(&[code, callee]));
        let fields = [ContextField::IngressIfindex, ContextField::RxQueueIndex];
        let at = usize::from(offset == 16);
        assert!(needs.get(&Need::ContextField(fields[at])).is_some(), "{code:?}");
        assert!(needs.get(&Need::ContextField(fields[1 - at])).is_none(), "{code:?}");
    };
    let read = [load(size::W, 0, 1, 16), EXIT];
    field(16, &[copy(6, 1), copy(1, 6), call(1), EXIT], &read);
    // In a structure on the caller's stack, behind a pointer.
    field(
        16,
        &[
            store(size::DW, 10, -8, 1),
            copy(1, 10),
            (Insn::new(class::ALU64, 1, 0, 0, -16), Target::None),
            call(1),
            EXIT,
        ],
        &[load(size::DW, 2, 1, 8), load(size::W, 0, 2, 16), EXIT],
    );
    // As a callback's argument.
    field(
        12,
        &[
            copy(3, 1),
            mov(1, 4),
            wide(2, Target::FunctionAddress(FunctionId(1))),
            mov(4, 0),
            helper(181),
            mov(0, 2),
            EXIT,
        ],
        &[load(size::W, 0, 2, 12), mov(0, 0), EXIT],
    );
    // Not in what only looks like it: offset 16 of a map's value.
    let mut other = module(&[&[
        wide(1, Target::Map(MapId(0))),
        copy(2, 10),
        helper(1),
        load(size::W, 0, 0, 16),
        EXIT,
    ]]);
    other.maps.push(map(2));
    assert!(needs(&other).get(&Need::ContextField(ContextField::RxQueueIndex)).is_none());
}

#[test]
fn stores_are_told_apart_by_what_they_write_to() {
    let after_lookup = |tail: (Insn, Target)| {
        let mut m = module(&[&[
            load(size::W, 6, 1, 0),
            wide(1, Target::Map(MapId(0))),
            copy(2, 10),
            helper(1),
            tail,
            mov(0, 1),
            EXIT,
        ]]);
        m.maps.push(map(2));
        needs(&m)
    };
    let xadd = (Insn::new(class::STX | mode::ATOMIC | size::DW, 0, 6, 0, 0), Target::None);
    for (tail, packet, value, atomic) in [
        (store(size::B, 6, 0, 2), true, false, false),
        (store(size::B, 0, 0, 2), false, true, false),
        (store(size::B, 10, -1, 2), false, false, false),
        (xadd, false, false, true),
    ] {
        let needs = after_lookup(tail);
        assert_eq!(needs.uses(Feature::PacketWrite), packet, "{tail:?}");
        assert_eq!(needs.uses(Feature::MapValueWrite), value, "{tail:?}");
        assert_eq!(needs.uses(Feature::AtomicAdd), atomic, "{tail:?}");
    }
}

#[test]
fn only_jumps_that_close_a_loop_are_loops() {
    let loops = [
        mov(6, 0),
        (Insn::new(class::ALU64, 6, 0, 0, 1), Target::None),
        jump(jmp::JLT, 6, 10, 1),
        mov(0, 2),
        EXIT,
    ];
    assert_eq!(strength(&needs(&module(&[&loops])), Feature::Loop), Some(Must));
    // Backwards in the layout, not in the flow.
    let layout = [jump(jmp::JA, 0, 0, 3), mov(0, 2), EXIT, jump(jmp::JA, 0, 0, 1)];
    assert_eq!(strength(&needs(&module(&[&layout])), Feature::Loop), None);
}

#[test]
fn stack_and_calls_add_up_along_the_deepest_chain() {
    let leaf = [store(size::DW, 10, -40, 1), mov(0, 0), EXIT];
    let middle = [store(size::B, 10, -1, 1), call(2), EXIT];
    let main = [store(size::DW, 10, -104, 1), call(2), call(1), EXIT];
    let needs = needs(&module(&[&main, &middle, &leaf]));
    assert_eq!(needs.demand(LimitKind::CallDepth), 3);
    // Rounded to 16 each: 112 + 16 + 48.
    assert_eq!(needs.demand(LimitKind::StackBytes), 176);
}

#[test]
fn a_program_may_pass_unless_no_path_of_it_does() {
    let may = |m: &Module| may_pass(m, ProgramId(0));
    assert!(!may(&module(&[&[mov(0, 1), EXIT]])));
    assert!(may(&module(&[&[mov(0, 2), EXIT]])));
    // A number that is not known.
    assert!(may(&module(&[&[helper(7), EXIT]])));
    // What a function returns, not the function itself.
    assert!(!may(&module(&[&[call(1), mov(0, 1), EXIT], &[mov(0, 2), EXIT]])));
    let main = [wide(2, Target::Map(MapId(0))), mov(3, 0), helper(12), mov(0, 1), EXIT];
    let mut m = module(&[&main, &[mov(0, 2), EXIT]]);
    m.maps.push(map(3));
    assert!(!may(&m), "there is no other program");
    m.programs.push(Program { function: FunctionId(1), ..m.programs[0].clone() });
    assert!(may(&m), "the map may be given the other program");
}

#[test]
fn tail_calls_bring_their_targets_along() {
    let main = [wide(2, Target::Map(MapId(0))), mov(3, 0), helper(12), mov(0, 2), EXIT];
    let mut m = module(&[&main, &[mov(0, 3), EXIT]]);
    assert!(!needs(&m).uses(Feature::Tx));
    let value = Target::FunctionAddress(FunctionId(1));
    m.maps.push(Map { initial: vec![InitialSlot { slot: 0, value }], ..map(3) });
    let found = needs(&m);
    assert_eq!(strength(&found, Feature::Tx), Some(Must));
    assert_eq!(strength(&found, Feature::TailCallInSubprogram), None);

    let mut m = module(&[&[call(1), EXIT], &main]);
    m.maps.push(map(3));
    let found = needs(&m);
    assert_eq!(strength(&found, Feature::TailCallInSubprogram), Some(Must));
    assert_eq!(strength(&found, Feature::ProgramBtf), Some(Must));
}

#[test]
fn weak_kernel_functions_are_needed_by_nobody() {
    let insn = Insn::new(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, -1);
    let mut m = module(&[&[(insn, Target::Extern(ExternId(0))), mov(0, 2), EXIT]]);
    let name = "bpf_xdp_metadata_rx_timestamp".to_owned();
    m.externs.push(Extern {
        name: name.clone(),
        kind: ExternKind::Kfunc,
        weak: false,
        btf_type_id: None,
        resolution: Resolution::Pending,
    });
    for (weak, resolution, expected) in [
        (false, Resolution::Pending, Some(Must)),
        (true, Resolution::KernelBtf(7), Some(May)),
        (true, Resolution::Absent, None),
    ] {
        (m.externs[0].weak, m.externs[0].resolution) = (weak, resolution);
        let found = needs(&m);
        for feature in [Feature::DeviceBound, Feature::KernelBtf, Feature::GplOnlyHelper] {
            assert_eq!(strength(&found, feature), expected, "{feature:?} weak {weak}");
        }
        let kfunc = found.get(&Need::Kfunc(name.clone())).map(|r| r.strength);
        assert_eq!(kfunc, expected);
    }
}

#[test]
fn hints_and_declarations_count() {
    let mut m = module(&[&[mov(0, 2), EXIT]]);
    m.programs[0] = Program { hint: ProgramHint::XdpCpumap, frags: true, ..m.programs[0].clone() };
    m.maps.push(map(14));
    let found = needs(&m);
    assert_eq!(strength(&found, Feature::CpumapProgram), Some(Must));
    assert_eq!(strength(&found, Feature::Frags), Some(Must));
    let unused = found.get(&Need::MapType(14)).map(|r| r.strength);
    assert_eq!(unused, Some(May), "no code refers to the map");
}

#[test]
fn hostile_code_is_survived_quickly() {
    let million = 1_000_000_u32;
    let branches: Vec<_> =
        (0..million).map(|i| jump(jmp::JSGT, 1, 5, i.wrapping_mul(7919) % million)).collect();
    let straight: Vec<_> =
        (0..million).map(|i| store(size::DW, 10, -8 * (i % 64) as i16, 1)).collect();
    let recursive = vec![call(0); 2000];
    let fan: Vec<_> = std::iter::repeat_n(call(1), 5000).chain([EXIT]).collect();
    let chain: Vec<Vec<_>> =
        (1..5000).map(|i| vec![call(i), call(i), EXIT]).chain([vec![EXIT]]).collect();
    let nowhere = [
        jump(jmp::JEQ, 1, 0, u32::MAX),
        (Insn::new(class::JMP | jmp::CALL, 0, 1, 0, 0), Target::Call(FunctionId(99))),
        (Insn::new(class::JMP | jmp::CALL, 0, 2, 0, 0), Target::Extern(ExternId(99))),
        wide(1, Target::Map(MapId(99))),
        helper(1),
        wide(2, Target::FunctionAddress(FunctionId(99))),
        helper(181),
        (Insn { code: 0xff, regs: 0xff, off: -1, imm: -1 }, Target::None),
        store(size::DW, 10, i16::MIN, 15),
        load(size::DW, 15, 14, i16::MAX),
    ];
    for (name, m) in [
        ("branches", module(&[&branches])),
        ("straight", module(&[&straight])),
        ("recursive", module(&[&recursive])),
        ("fan", module(&[&fan, &branches[..100_000]])),
        ("chain", module(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>())),
        ("nowhere", module(&[&nowhere])),
        ("empty", module(&[&[]])),
    ] {
        let start = Instant::now();
        let found = needs(&m);
        assert!(start.elapsed() < Duration::from_secs(10), "{name}: {:?}", start.elapsed());
        assert!(found.items.len() < 10, "{name}");
    }
    assert_eq!(requirements(&module(&[&[EXIT]]), ProgramId(9)), Requirements::default());
}

#[test]
fn code_that_could_not_be_followed_makes_no_firm_claims() {
    // A callee that writes to its caller's stack is followed at every call.
    let mut code: Vec<_> = (0..4000).flat_map(|_| [copy(1, 10), call(1)]).collect();
    code.extend([mov(0, 3), helper(69), EXIT]);
    let writes = (0..4000).map(|i| store(size::DW, 1, -8 - 8 * (i % 60), 1));
    let inner: Vec<_> = writes.chain([EXIT]).collect();
    let found = needs(&module(&[&code, &inner]));
    assert_eq!(strength(&found, Feature::GplOnlyHelper), Some(May));
    assert_eq!(strength(&found, Feature::Tx), Some(May));
    assert_eq!(strength(&found, Feature::BpfToBpfCall), Some(Must));
}
