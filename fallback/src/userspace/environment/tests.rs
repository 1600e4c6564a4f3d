//! What a kernel's test run cannot show: arguments that a verifier refuses, what is missing, what a
//! receive descriptor says. `hwtests/tests/helpers` compares the rest with the kernel.

use std::sync::Arc;

use hoist_bpf::insn::Insn;
use hoist_bpf::module::{
    Extern, ExternId, ExternKind, Function, FunctionId, Inst, InstId, Linkage, Map, MapId, Module,
    Program, ProgramHint, ProgramId, Resolution, Target,
};
use hoist_offload::Verdict;

use super::{Destination, Device};
use crate::userspace::vm::{Arrival, Frame, Machine, Metadata, Options, Ran};

const ARRAY: MapId = MapId(0);
const RINGBUF: MapId = MapId(1);
const DEVMAP: MapId = MapId(2);
const LPM_TRIE: MapId = MapId(3);

/// One instruction or two, before they have ids.
#[derive(Clone, Copy)]
enum Step {
    /// `rN = number`.
    Set(u8, i32),
    /// `rN = context`, which is kept in r6.
    Context(u8),
    /// `rN = r10 + offset`.
    Stack(u8, i32),
    /// `rN = map`.
    Map(u8, MapId),
    /// `rN = &value of the first entry of the array`.
    Value(u8),
    /// `rN = r0`.
    Result(u8),
    /// A helper.
    Call(i32),
    /// The kernel function.
    Kfunc,
}

use Step::{Call, Context, Kfunc, Result as Of, Set, Stack, Value};

fn wide(register: u8, source: u8, target: Target) -> (Insn, Option<i32>, Target) {
    (Insn::new(0x18, register, source, 0, 0), Some(0), target)
}

impl Step {
    fn insns(self) -> Vec<(Insn, Option<i32>, Target)> {
        let plain = |code, dst, src, imm| (Insn::new(code, dst, src, 0, imm), None, Target::None);
        match self {
            Self::Set(to, number) => vec![plain(0xb7, to, 0, number)],
            Self::Context(to) => vec![plain(0xbf, to, 6, 0)],
            Self::Stack(to, offset) => vec![plain(0xbf, to, 10, 0), plain(0x07, to, 0, offset)],
            Self::Map(to, map) => vec![wide(to, 1, Target::Map(map))],
            Self::Value(to) => vec![wide(to, 2, Target::MapValue { map: ARRAY, offset: 0 })],
            Self::Result(to) => vec![plain(0xbf, to, 0, 0)],
            Self::Call(number) => vec![plain(0x85, 0, 0, number)],
            Self::Kfunc => {
                vec![(Insn::new(0x85, 0, 2, 0, 0), None, Target::Extern(ExternId(0)))]
            }
        }
    }
}

/// A program of these steps that returns what the last of them did; `kfunc` is what `Kfunc` calls.
fn module(steps: &[Step], kfunc: &str) -> Arc<Module> {
    let keep = (Insn::new(0xbf, 6, 1, 0, 0), None, Target::None);
    let exit = (Insn::new(0x95, 0, 0, 0, 0), None, Target::None);
    let insns = std::iter::once(keep).chain(steps.iter().flat_map(|s| s.insns())).chain([exit]);
    let code: Vec<Inst> = insns
        .enumerate()
        .map(|(at, (insn, wide_imm, target))| Inst {
            id: InstId(at as u32),
            insn,
            wide_imm,
            target,
            origin: None,
            line: None,
        })
        .collect();
    let function = Function {
        name: "xdp_test".into(),
        section: "xdp".into(),
        section_offset: 0,
        linkage: Linkage::Global,
        btf_type_id: None,
        next_id: code.len() as u32,
        code,
    };
    let program = Program {
        name: "xdp_test".into(),
        section: "xdp".into(),
        function: FunctionId(0),
        hint: ProgramHint::Xdp,
        frags: false,
    };
    let map = |name: &str, kind, (key_size, value_size, max_entries), flags| {
        let name = name.to_owned();
        Map { name, kind, key_size, value_size, max_entries, flags, ..Map::default() }
    };
    let external = Extern {
        name: kfunc.into(),
        kind: ExternKind::Kfunc,
        weak: false,
        btf_type_id: None,
        resolution: Resolution::Pending,
    };
    Arc::new(Module {
        name: "test".into(),
        license: "GPL".into(),
        programs: vec![program],
        functions: vec![function],
        maps: vec![
            map("array", 2, (4, 16, 1), 0),
            map("ringbuf", 27, (0, 0, 4096), 0),
            map("devmap", 14, (4, 4, 2), 0),
            map("trie", 11, (8, 4, 2), 1),
        ],
        externs: vec![external],
        btf: Vec::new(),
        core_relocations: Vec::new(),
        lines: Vec::new(),
    })
}

fn run(steps: &[Step], kfunc: &str, arrival: &Arrival) -> (Ran, Machine) {
    let options = Options::default();
    let mut machine = Machine::new(&module(steps, kfunc), ProgramId(0), &options).unwrap();
    let mut buffer = vec![0; 1024];
    let mut frame = Frame::new(&mut buffer, 60);
    let ran = machine.run(&mut frame, arrival);
    (ran, machine)
}

/// The code of the fault that steps end in.
fn fault(steps: &[Step]) -> String {
    let (ran, _) = run(steps, "bpf_rcu_read_lock", &Arrival::default());
    assert_eq!(ran.verdict, Verdict::Aborted);
    ran.fault.map_or_else(|| format!("returned {:#x}", ran.code), |f| f.kind.code().to_owned())
}

#[test]
fn what_a_verifier_refuses_ends_in_a_named_fault() {
    use Step::Map;
    let cases: &[(&str, &[Step], &str)] = &[
        ("no context", &[Set(1, 0), Set(2, 4), Call(44)], "bad-helper-argument"),
        ("a number for a map", &[Set(1, 7), Stack(2, -8), Call(1)], "bad-helper-argument"),
        ("a null key", &[Map(1, ARRAY), Set(2, 0), Call(1)], "wild-address"),
        ("a key above the stack", &[Map(1, ARRAY), Stack(2, 0), Call(1)], "out-of-bounds"),
        ("the context as key", &[Map(1, ARRAY), Context(2), Call(1)], "context-access"),
        (
            "a ring buffer to look in",
            &[Map(1, RINGBUF), Stack(2, -8), Call(1)],
            "bad-helper-argument",
        ),
        ("a trie to pop from", &[Map(1, LPM_TRIE), Stack(2, -8), Call(88)], "bad-helper-argument"),
        (
            "an array to redirect by",
            &[Map(1, ARRAY), Set(2, 0), Set(3, 0), Call(51)],
            "bad-helper-argument",
        ),
        (
            "bytes to nowhere",
            &[Context(1), Set(2, 0), Set(3, 64), Set(4, 8), Call(189)],
            "wild-address",
        ),
        (
            "bytes beyond the stack",
            &[Context(1), Set(2, 0), Stack(3, -8), Set(4, 9), Call(189)],
            "out-of-bounds",
        ),
        (
            "no bytes",
            &[Context(1), Set(2, 0), Stack(3, -8), Set(4, 0), Call(189)],
            "bad-helper-argument",
        ),
        (
            "a size below zero",
            &[Context(1), Set(2, 0), Stack(3, -8), Set(4, -1), Call(189)],
            "out-of-bounds",
        ),
        (
            "a number for a function",
            &[Set(1, 1), Set(2, 1), Set(3, 0), Set(4, 0), Call(181)],
            "bad-helper-argument",
        ),
        (
            "a function that is none of ours",
            &[Set(1, 1), Map(2, ARRAY), Set(4, 0), Call(181)],
            "bad-helper-argument",
        ),
        (
            "a trie to walk",
            &[Map(1, LPM_TRIE), Set(2, 0), Set(4, 0), Call(164)],
            "bad-helper-argument",
        ),
        ("a lock where there is none", &[Value(1), Call(93)], "bad-helper-argument"),
        (
            "a result off its alignment",
            &[Stack(1, -8), Set(2, 4), Set(3, 0), Stack(4, -15), Call(105)],
            "bad-helper-argument",
        ),
        (
            "an MTU off its alignment",
            &[Context(1), Set(2, 0), Stack(3, -7), Set(4, 0), Set(5, 0), Call(163)],
            "bad-helper-argument",
        ),
        (
            "a record that is not given back",
            &[Map(1, RINGBUF), Set(2, 8), Set(3, 0), Call(131)],
            "reference-misuse",
        ),
        ("a record that is none", &[Value(1), Set(2, 0), Call(132)], "reference-misuse"),
        (
            "a record and then none",
            &[
                Map(1, RINGBUF),
                Set(2, 8),
                Set(3, 0),
                Call(131),
                Of(1),
                Call(132),
                Stack(1, -8),
                Call(132),
            ],
            "reference-misuse",
        ),
        (
            "a frame of perf events for a ring buffer",
            &[Context(1), Map(2, RINGBUF), Set(3, 0), Stack(4, -8), Set(5, 8), Call(25)],
            "bad-helper-argument",
        ),
        (
            "a route in too little memory",
            &[Context(1), Stack(2, -32), Set(3, 64), Set(4, 0), Call(69)],
            "out-of-bounds",
        ),
        ("memory to read into", &[Set(1, 0), Set(2, 8), Stack(3, -8), Call(113)], "wild-address"),
        (
            "a dynptr nowhere",
            &[Stack(1, -8), Set(2, 8), Set(3, 0), Set(4, 16), Call(197)],
            "wild-address",
        ),
        (
            "nothing to report",
            &[Map(1, RINGBUF), Set(2, 0), Set(3, 8), Set(4, 0), Call(130)],
            "wild-address",
        ),
    ];
    for (what, steps, expected) in cases {
        assert_eq!(fault(steps), *expected, "{what}");
    }
}

#[test]
fn forged_dynptrs_reach_nothing() {
    // An all-zero dynptr is null: an error, and no fault.
    let read = [Stack(1, -32), Set(2, 8), Stack(3, -16), Set(4, 0), Set(5, 0), Call(201)];
    let (ran, _) = run(&read, "bpf_rcu_read_lock", &Arrival::default());
    assert_eq!((ran.code, ran.fault), ((-22_i64).cast_unsigned(), None));
    // Submitting what was never reserved is a fault, whatever the bytes say.
    let submit = [
        &[Stack(1, -8), Set(2, 8), Set(3, 0), Stack(4, -32), Call(197)][..],
        &[Stack(1, -32), Set(2, 0), Call(199)],
    ];
    assert_eq!(fault(&submit.concat()), "reference-misuse");
}

#[test]
fn what_is_missing_is_a_gap_with_a_name() {
    for (steps, kfunc, code, words) in [
        (&[Context(1), Call(84)][..], "bpf_rcu_read_lock", "missing-helper", "bpf_sk_lookup_tcp"),
        (&[Set(1, 0), Call(169)], "bpf_rcu_read_lock", "missing-helper", "timers"),
        (&[Kfunc], "bpf_xdp_ct_lookup", "missing-kfunc", "bpf_xdp_ct_lookup"),
    ] {
        let made = Machine::new(&module(steps, kfunc), ProgramId(0), &Options::default());
        let gaps = made.expect_err("a gap");
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].code, code);
        assert!(gaps[0].message.contains(words), "{}", gaps[0].message);
        assert!(gaps[0].insn.is_some());
    }
}

#[test]
fn metadata_is_the_ports() {
    let known = Metadata {
        timestamp: Some(7),
        hash: Some((0xabcd, 9)),
        vlan: Some((0x8100_u16.to_be(), 5)),
    };
    let steps = [Context(1), Stack(2, -8), Stack(3, -16), Kfunc];
    for name in ["timestamp", "hash", "vlan_tag", "hash___renamed"] {
        let name = format!("bpf_xdp_metadata_rx_{name}");
        for (metadata, expected) in [(known, 0), (Metadata::default(), 0xffff_ffa1)] {
            let arrival = Arrival { metadata, ..Arrival::default() };
            let (ran, _) = run(&steps, &name, &arrival);
            assert_eq!((ran.code, ran.fault), (expected, None), "{name}");
        }
    }
}

#[test]
fn redirects_lead_where_the_last_call_said() {
    let redirect = [Set(1, 7), Set(2, 0), Call(23)];
    let by_map = |key| [Step::Map(1, DEVMAP), Set(2, key), Set(3, 2), Call(51)];
    let all = [Step::Map(1, DEVMAP), Set(2, 0), Set(3, 8), Call(51)];
    let by_hand = [Set(0, 4)];
    let device = Device { map: DEVMAP, ifindex: 9, program: None };
    for (steps, expected) in [
        (redirect.to_vec(), Some(Destination::Interface(7))),
        (by_map(1).to_vec(), Some(Destination::Device(device))),
        (all.to_vec(), Some(Destination::Broadcast(vec![device]))),
        // No entry: the verdict of the flags, which is none.
        (by_map(0).to_vec(), None),
        // No entry, and redirected all the same: to where an earlier call said.
        ([&redirect[..], &by_map(0), &by_hand].concat(), Some(Destination::Interface(7))),
        ([&by_map(0)[..], &by_hand].concat(), None),
        (by_hand.to_vec(), None),
    ] {
        let module = module(&steps, "bpf_rcu_read_lock");
        let mut machine = Machine::new(&module, ProgramId(0), &Options::default()).unwrap();
        if machine.maps().ids().any(|map| map == DEVMAP) {
            let (key, value) = (1_u32.to_ne_bytes(), 9_u32.to_ne_bytes());
            machine.maps_mut().user().update(DEVMAP, &key, &value, 0).unwrap();
        }
        let mut buffer = vec![0; 1024];
        let ran = machine.run(&mut Frame::new(&mut buffer, 60), &Arrival::default());
        assert_eq!((ran.redirect, ran.fault), (expected, None));
    }
}
