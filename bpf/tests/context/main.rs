//! The verifier is the yardstick of the analysis: what it says of each register when it follows an
//! object is what [`hoist_bpf::analysis::places`] says without a kernel. A load of the context that
//! is missed would read a wrong value after a translation, silently.

#[path = "../libbpf/corpus.rs"]
mod corpus;
mod log;
#[path = "../libbpf/running.rs"]
mod running;
mod spoil;

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::analysis::{self, At, ContextUse, Kinds, Places};
use hoist_bpf::image::Image;
use hoist_bpf::kernel::Linux;
use hoist_bpf::module::{Inst, Module, ProgramHint, ProgramId};
use hoist_bpf::opcode::{class, mode};
use running::Running;

/// What was compared, over all programs.
#[derive(Debug, Default)]
struct Total {
    programs: usize,
    /// Instructions that the verifier followed; each must be reached.
    followed: usize,
    /// Loads whose base the verifier names, and those of them that read the context.
    loads: usize,
    context: usize,
    /// Loads whose base does not appear in the log.
    unseen: usize,
    /// Arguments of calls whose kind the verifier names.
    arguments: usize,
    mismatches: Vec<String>,
}

#[test]
fn places_are_those_that_the_verifier_sees() {
    if !running::privileged("places_are_those_that_the_verifier_sees") {
        return;
    }
    let (running, kernel) = (Running::read(), Linux::new().expect("a kernel"));
    let mut total = Total::default();
    for object in corpus::all() {
        let Ok(module) = Module::parse(&object.label, &object.bytes) else { continue };
        let module = running.fit(&module);
        for (index, program) in module.programs.iter().enumerate() {
            if program.hint == ProgramHint::Other {
                continue;
            }
            let what = format!("{}, {}", object.label, program.name);
            match spoil::verifier_log(&kernel, &module, ProgramId(index as u32)) {
                Ok((image, spoilt, log)) => {
                    let places = analysis::places(&module, ProgramId(index as u32));
                    let places = places.unwrap_or_else(|e| panic!("{what}: {e}"));
                    compare(&what, &spoilt, &image, &places, &log::read(&log), &mut total);
                }
                Err(reason) => println!("not compared: {what}: {reason}"),
            }
        }
    }
    let Total { programs, followed, loads, context, unseen, arguments, .. } = &total;
    println!(
        "{programs} programs: {followed} instructions followed, {loads} loads compared ({context} \
         of the context; {unseen} not in the log), {arguments} arguments compared"
    );
    assert!(total.mismatches.is_empty(), "{}", total.mismatches.join("\n"));
    assert!(*programs >= 60 && *loads >= 1000 && *context >= 200, "too little: {total:?}");
    assert!(unseen * 10 < *loads && *arguments >= 500, "too little was seen: {total:?}");
}

/// Which instruction each slot of an image starts.
fn slots<'m>(module: &'m Module, image: &Image) -> BTreeMap<usize, (At, usize, &'m Inst)> {
    let mut slots = BTreeMap::new();
    for &(function, start) in &image.functions {
        let mut slot = start;
        for (position, inst) in module.function(function).code.iter().enumerate() {
            slots.insert(slot, (At { function, inst: inst.id }, position, inst));
            slot += inst.slots();
        }
    }
    slots
}

fn compare(
    what: &str,
    spoilt: &Module,
    image: &Image,
    places: &Places,
    log: &BTreeMap<usize, log::Seen>,
    total: &mut Total,
) {
    total.programs += 1;
    for (slot, (at, position, inst)) in slots(spoilt, image) {
        let (Some(seen), true) = (log.get(&slot), spoil::is_original(inst)) else { continue };
        let mut mismatch = |why: String| {
            total.mismatches.push(format!("{what}: {at:?}, slot {slot}: {why}"));
        };
        total.followed += 1;
        let first = spoilt.function(at.function).code.iter().position(spoil::is_original);
        if !places.reached(at.function, position - first.unwrap_or(0)) {
            mismatch("followed by the verifier and not reached".to_owned());
        }
        let insn = inst.insn;
        if insn.class() == class::LDX && matches!(insn.code & 0xe0, mode::MEM | mode::MEMSX) {
            let bases = &seen.registers[usize::from(insn.src())];
            let found = places.context.get(&at);
            let field = matches!(found, Some(ContextUse::Field(_)));
            match (bases.contains("ctx"), bases.is_empty()) {
                (_, true) => total.unseen += 1,
                (context, _) => {
                    total.loads += 1;
                    total.context += usize::from(context);
                    if context != field || !context && found.is_some() {
                        mismatch(format!("base {bases:?}, found {found:?}"));
                    }
                }
            }
        }
        if let Some(call) = places.calls.get(&at) {
            for (register, arg) in (1..).zip(&call.args) {
                for kind in seen.registers[register].iter().filter_map(|name| kind(name)) {
                    total.arguments += 1;
                    if !arg.kinds.contains(kind) {
                        mismatch(format!("r{register} is {kind:?}, found {arg:?}"));
                    }
                }
            }
        }
    }
}

/// The verifier's names of kinds; memory that is none of the program's own is not told apart.
fn kind(name: &str) -> Option<Kinds> {
    Some(match name {
        "ctx" => Kinds::CONTEXT,
        "scalar" => Kinds::SCALAR,
        "pkt" => Kinds::PACKET,
        "pkt_end" => Kinds::PACKET_END,
        "pkt_meta" => Kinds::METADATA,
        "fp" => Kinds::STACK,
        "map_ptr" => Kinds::MAP,
        "map_value" | "map_value_or_null" => Kinds::MAP_VALUE,
        "func" => Kinds::FUNCTION,
        _ => return None,
    })
}

#[test]
fn logs_are_read() {
    let text = "\
func#0 @0
0: R1=ctx() R10=fp0
; int f(struct xdp_md *ctx) @ f.c:1
0: (bf) r6 = r1                       ; R1=ctx() R6=ctx()
1: (61) r1 = *(u32 *)(r6 +4)          ; R1=pkt_end() R6=ctx()
2: (61) r6 = *(u32 *)(r6 +0)          ; R6=pkt(r=0)
3: (85) call pc+2
caller:
 R6=pkt(r=0) R10=fp0
callee:
 frame1: R1=pkt_end() R10=fp0
6: frame1: R1=pkt_end() R10=fp0
6: (b7) r0 = 7                        ; frame1: R0=7
mark_precise: frame0: parent state regs=r4 stack=:  R0=fp-8 R1=P4
7: (95) exit
returning from callee:
 frame1: R0=7 R1=pkt_end() R10=fp0
to caller at 4:
 R0=7 R6=pkt(r=0) R10=fp0

from 7 to 4: R0=7 R6=pkt(r=0) R10=fp0
4: (71) r2 = *(u8 *)(r6 +0)
R6 invalid mem access
from 1 to 4: R0=scalar(umax=7) R6_w=map_value_or_null(id=1) R10=fp0
4: (71) r2 = *(u8 *)(r6 +0)
";
    let seen = log::read(text);
    let at = |slot: usize, register: usize| {
        seen[&slot].registers[register].iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(at(0, 1), ["ctx"]);
    assert_eq!(at(2, 6), ["ctx"], "what was there before the load");
    assert_eq!(at(6, 1), ["pkt_end"]);
    assert_eq!(at(4, 6), ["map_value_or_null", "pkt"]);
    assert_eq!(at(4, 0), ["scalar"]);
    assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), [0, 1, 2, 3, 4, 6, 7].into());
}
