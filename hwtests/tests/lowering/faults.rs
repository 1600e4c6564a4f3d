//! Faults planted in what the rewrites of whole functions write, one at a time: the fuzzer has to find
//! each. A rewrite that nobody would miss if it were wrong is not tested.

use std::sync::atomic::{AtomicUsize, Ordering};

use hoist_bpf::Insn;
use hoist_bpf::kernel::Linux;
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::opcode::{alu, class, jmp, mode, size};
use hoist_bpf::passes::asm;
use hoist_bpf::passes::lower::{Atomics, Rewrite, Target};
use hoist_hwtests::fuzz::bench::{Bench, Refusal};
use hoist_hwtests::fuzz::campaign::{self, Settings};
use hoist_hwtests::fuzz::generate::Limits;
use hoist_hwtests::fuzz::lowered::lowered_for;
use hoist_hwtests::fuzz::run::Form;
use hoist_hwtests::require;

/// A fault: what it does to an instruction that lowering wrote, if it applies.
struct Fault {
    name: &'static str,
    rewrite: Rewrite,
    edit: fn(Insn) -> Option<Insn>,
}

const fn fault(name: &'static str, rewrite: Rewrite, edit: fn(Insn) -> Option<Insn>) -> Fault {
    Fault { name, rewrite, edit }
}

const FAULTS: [Fault; 11] = [
    fault("what the caller keeps is not brought back", Rewrite::Inline, |insn| {
        let restores = insn.class() == class::LDX && insn.src() == 10 && insn.dst() >= 7;
        restores.then(|| asm::mov_imm(insn.dst(), 0))
    }),
    fault("stores go to another frame than loads", Rewrite::Inline, |insn| {
        let stores = insn.class() == class::STX && insn.dst() == 10 && insn.src() < 6;
        stores.then_some(Insn { off: insn.off - 8, ..insn })
    }),
    fault("a pointer to the callee's frame is one to the caller's", Rewrite::Inline, |insn| {
        let below = insn.code == class::ALU64 | alu::ADD && insn.imm < -64;
        below.then_some(Insn { imm: 0, ..insn })
    }),
    fault("a comparison is off by one", Rewrite::Table, |insn| {
        (insn.code == class::JMP | jmp::JSGE).then_some(Insn { imm: insn.imm + 1, ..insn })
    }),
    fault("a constant is another one", Rewrite::Table, |insn| {
        let constant = insn.code == class::ALU64 | alu::MOV;
        constant.then_some(Insn { imm: insn.imm ^ 1, ..insn })
    }),
    fault("nothing is written back", Rewrite::MapUpdate, |insn| {
        (insn == asm::helper(2)).then(|| asm::mov_imm(0, 0))
    }),
    fault("the rest of the value is lost", Rewrite::MapUpdate, |insn| {
        let reads = insn.class() == class::LDX && insn.src() != 10 && insn.dst() != 0;
        reads.then(|| asm::mov_imm(insn.dst(), 0))
    }),
    fault("the key is not kept", Rewrite::MapUpdate, |insn| {
        let reads = insn.class() == class::LDX && insn.src() == 2 && insn.dst() == 0;
        reads.then(|| asm::mov_imm(0, 0))
    }),
    fault("a register is not brought back", Rewrite::MapUpdate, |insn| {
        let restores = insn.code == class::LDX | mode::MEM | size::DW;
        let number = restores && insn.src() == 10 && insn.dst() < 6;
        number.then(|| asm::mov_imm(insn.dst(), 0))
    }),
    fault("bits are set instead of added", Rewrite::Counter, |insn| {
        let adds = insn.class() == class::STX && insn.code & 0xe0 == mode::ATOMIC && insn.imm == 0;
        adds.then_some(Insn { imm: i32::from(alu::OR), ..insn })
    }),
    fault("a way without a store counts", Rewrite::Counter, |insn| {
        let zero = insn.code == class::ALU64 | alu::MOV && insn.imm == 0;
        zero.then_some(Insn { imm: 1, ..insn })
    }),
];

/// A card that lacks what the rewrite is for, and nothing else.
fn target(rewrite: Rewrite) -> Target {
    let mut target = Target::host();
    match rewrite {
        Rewrite::Inline => target.calls = false,
        Rewrite::Table => (target.global_data, target.value_pointers) = (false, false),
        _ => {
            (target.map_stores, target.atomics) = (false, Atomics::Add);
            target.accept.insert("map-store-race".to_owned());
        }
    }
    target
}

#[test]
fn faults_in_rewrites_are_found() {
    if !require::veth("faults_in_rewrites_are_found") || !require::kernel(6, 6) {
        return;
    }
    let kernel = Linux::new().unwrap();
    for Fault { name, rewrite, edit } in FAULTS {
        let planted = AtomicUsize::new(0);
        let pass = |module: &Module, program: ProgramId| -> Result<Form, Refusal> {
            let mut form = lowered_for(target(rewrite), module, program)?;
            if !form.rewrites.contains(&rewrite) {
                return Ok(form);
            }
            for (function, before) in form.module.functions.iter_mut().zip(&module.functions) {
                let written = function.code.iter_mut().filter(|i| i.id.0 >= before.next_id);
                for inst in written {
                    if let Some(insn) = edit(inst.insn) {
                        inst.insn = insn;
                        inst.wide_imm = None;
                        planted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Ok(form)
        };
        let limits = Limits { cards: true, ..Limits::default() };
        let settings = Settings {
            seed: 9,
            programs: 400,
            runs: 100,
            findings: 1,
            shrink: false,
            limits,
            ..Settings::default()
        };
        let outcome =
            campaign::run(Bench { kernel: &kernel, passes: &[&pass] }, &settings, &|_| {}).unwrap();
        let planted = planted.load(Ordering::Relaxed);
        assert!(planted > 0, "{name}: nowhere planted");
        let finding = outcome.findings.first();
        let finding =
            finding.unwrap_or_else(|| panic!("{name}: not found, planted {planted} times"));
        println!("{name}: program {}, {}", finding.number, finding.difference.kind());
    }
}
