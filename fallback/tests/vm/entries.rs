//! Programs of devmap and cpumap entries: they run on what is redirected, as the kernel runs them.

use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::module::{FunctionId, Map, MapId, Program, ProgramHint, ProgramId, Target};
use hoist_bpf::opcode::{class, mode, size};
use hoist_bpf::passes::asm;
use hoist_fallback::userspace::executor::Executor;
use hoist_fallback::userspace::ports::{Action, Copied};
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine};

use crate::machine::{Line, module, plain, to, ways};

const DEVMAP: u32 = 14;
const CPUMAP: u32 = 16;
const REDIRECT_MAP: i32 = 51;
const BROADCAST: i32 = 1 << 3;

const ABORTED: i32 = 0;
const DROP: i32 = 1;
const PASS: i32 = 2;
const TX: i32 = 3;
/// Neither is a verdict of an entry's program: it redirects through the devmap, or has a loop.
const THROUGH_DEVMAP: i32 = -1;
const ENDLESS: i32 = -2;

/// What the frame came by.
const INGRESS: u32 = 3;

/// Marks the first byte of the frame and returns a verdict, if the context is what it should be.
fn entry(verdict: i32, egress: i32) -> Vec<Line> {
    let field = |dst, off| plain(asm::load32(dst, 1, off));
    let skip = |dst, value| Insn::new(0x55, dst, 0, 0, value);
    let mark = Insn::new(class::ST | mode::MEM | size::B, 3, 0, 0, 0xee);
    let mut code = vec![
        plain(asm::mov_imm(0, ABORTED)),
        field(2, 12),
        to(skip(2, INGRESS as i32), 9),
        field(2, 16),
        to(skip(2, 0), 9),
        field(2, 20),
        to(skip(2, egress), 9),
        field(3, 0),
        plain(mark),
    ];
    match verdict {
        THROUGH_DEVMAP => code.extend(through(0, 0)),
        ENDLESS => code.push(to(Insn::new(0x05, 0, 0, 0, 0), 9)),
        verdict => code.push(plain(asm::mov_imm(0, verdict))),
    }
    if verdict != THROUGH_DEVMAP {
        code.push(plain(asm::exit()));
    }
    // Whoever jumps to 9 returns what was there: jumps of the table lead behind the verdict.
    let end = code.len() as u32 - 1;
    for (_, target) in &mut code {
        if let (Target::Jump(at), true) = (target, verdict != ENDLESS) {
            at.0 = end;
        }
    }
    code
}

/// `return bpf_redirect_map(&map, 0, flags)`.
fn through(map: u32, flags: i32) -> Vec<Line> {
    vec![
        (asm::load_map(1), Target::Map(MapId(map))),
        plain(asm::mov_imm(2, 0)),
        plain(asm::mov_imm(3, flags)),
        plain(asm::helper(REDIRECT_MAP)),
        plain(asm::exit()),
    ]
}

/// What becomes of a frame: map, flags, entries (key, interface or queue, verdict of the program),
/// the action, and what is counted.
type Case = (u32, i32, Vec<(u32, u32, Option<i32>)>, Action, &'static [(&'static str, u64)]);

fn copies(of: &[(u32, u8)]) -> Action {
    let copy = |(ifindex, first): &(u32, u8)| {
        let mut frame = vec![1; 60];
        frame[0] = *first;
        Copied { ifindex: *ifindex, frame: frame.into() }
    };
    Action::Copies(of.iter().map(copy).collect())
}

fn cases() -> Vec<Case> {
    let drop =
        |kind, verdict, counted| (kind, 0, vec![(0, 7, Some(verdict))], Action::Drop, counted);
    let dropped: &[_] = &[("entry_drop", 1)];
    vec![
        (DEVMAP, 0, vec![(0, 7, None)], Action::Redirect(7), &[]),
        (DEVMAP, 0, vec![(0, 7, Some(PASS))], Action::Redirect(7), &[]),
        drop(DEVMAP, DROP, dropped),
        drop(DEVMAP, TX, dropped),
        drop(DEVMAP, ABORTED, dropped),
        drop(DEVMAP, ENDLESS, dropped),
        // A redirect by the program of a devmap's entry is no way out (`dev_map_bpf_prog_run`).
        drop(DEVMAP, 4, dropped),
        (
            DEVMAP,
            BROADCAST,
            vec![(0, 7, None), (1, 8, None)],
            Action::Broadcast([7, 8].into()),
            &[],
        ),
        (
            DEVMAP,
            BROADCAST,
            vec![(0, 7, Some(PASS)), (1, 8, None), (2, 9, Some(DROP))],
            copies(&[(7, 0xee), (8, 1)]),
            dropped,
        ),
        (CPUMAP, 0, vec![(0, 64, None)], Action::Pass, &[]),
        (CPUMAP, 0, vec![(0, 64, Some(PASS))], Action::Pass, &[]),
        drop(CPUMAP, DROP, dropped),
        drop(CPUMAP, TX, dropped),
        (CPUMAP, 0, vec![(0, 64, Some(THROUGH_DEVMAP))], Action::Redirect(5), &[]),
        (CPUMAP, 0, vec![], Action::Drop, &[]),
    ]
}

#[test]
fn programs_of_entries_run_on_what_is_redirected() {
    for (case, (kind, flags, entries, action, counted)) in cases().into_iter().enumerate() {
        let map = |kind, name: &str| Map {
            name: name.to_owned(),
            kind,
            key_size: 4,
            value_size: 8,
            max_entries: 4,
            ..Map::default()
        };
        // Map 0 is what programs of CPU maps redirect by; map 1 is the case's.
        let mut functions = vec![through(1, flags)];
        let mut programs = Vec::new();
        for (_, target, verdict) in &entries {
            let Some(verdict) = verdict else { continue };
            let (egress, hint) = match kind {
                DEVMAP => (*target as i32, ProgramHint::XdpDevmap),
                _ => (0, ProgramHint::XdpCpumap),
            };
            programs.push(Program {
                name: format!("entry{}", programs.len()),
                section: String::new(),
                function: FunctionId(functions.len() as u32),
                hint,
                frags: false,
            });
            functions.push(entry(*verdict, egress));
        }
        let mut module = module(functions, vec![map(DEVMAP, "out"), map(kind, "case")]);
        module.programs.extend(programs);
        let mut next = 2_u32;
        let mut value = |target: u32, has_program: bool| {
            let program = if has_program { next } else { 0 };
            next += u32::from(has_program);
            [target, program].map(u32::to_ne_bytes).concat()
        };
        let bytes = entries.iter().map(|(key, target, verdict)| {
            (key.to_ne_bytes().to_vec(), value(*target, verdict.is_some()))
        });
        let out = vec![(vec![0; 4], [5_u32, 0].map(u32::to_ne_bytes).concat())];
        let contents = [(MapId(0), out), (MapId(1), bytes.collect())].into();
        for mut options in ways(1 << 16) {
            options.contents = std::clone::Clone::clone(&contents);
            let module = Arc::new(module.clone());
            let mut executor =
                Executor::new(Machine::new(&module, ProgramId(0), &options).unwrap());
            let mut buffer = vec![1; 1024];
            let mut frame = Frame::new(&mut buffer, 60);
            let arrival =
                Arrival { ingress_ifindex: INGRESS, rx_queue_index: 2, ..Arrival::default() };
            let came = executor.judge(&mut frame, &arrival);
            assert_eq!(came, action, "case {case}");
            let marked = matches!(entries.as_slice(), [(_, _, Some(PASS | THROUGH_DEVMAP))]);
            let first = frame.bytes()[0];
            if !matches!(action, Action::Drop) {
                assert_eq!(first == 0xee, marked, "case {case}: {first:#x}");
            }
            assert_eq!(executor.events(), counted.iter().copied().collect(), "case {case}");
        }
    }
}

/// A code that is no verdict, and a redirect to nowhere: dropped like others, but counted by name.
#[test]
fn what_verdicts_do_not_show_is_counted() {
    let cases: [(i32, &[(&str, u64)]); 4] =
        [(ABORTED, &[]), (PASS, &[]), (7, &[("invalid_code", 1)]), (4, &[("redirect_miss", 1)])];
    for (code, counted) in cases {
        let code = vec![plain(asm::mov_imm(0, code)), plain(asm::exit())];
        let module = Arc::new(module(vec![code], Vec::new()));
        for options in ways(1 << 16) {
            let mut executor =
                Executor::new(Machine::new(&module, ProgramId(0), &options).unwrap());
            let mut buffer = vec![1; 1024];
            executor.judge(&mut Frame::new(&mut buffer, 60), &Arrival::default());
            assert_eq!(executor.events(), counted.iter().copied().collect());
        }
    }
}
