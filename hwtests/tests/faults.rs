//! Faults planted in translated programs, one at a time: the fuzzer has to find each.

use std::sync::atomic::{AtomicUsize, Ordering};

use hoist_bpf::Insn;
use hoist_bpf::kernel::Linux;
use hoist_bpf::module::{Inst, Module, ProgramId, Target};
use hoist_bpf::opcode::{alu, class};
use hoist_hwtests::fuzz::bench::{Bench, Refusal};
use hoist_hwtests::fuzz::campaign::{self, Settings};
use hoist_hwtests::fuzz::forms;
use hoist_hwtests::fuzz::run::Form;
use hoist_hwtests::require;

/// A fault: where it is put, and what it does to an instruction there, if it applies.
struct Fault {
    name: &'static str,
    /// The start of the names of functions.
    function: &'static str,
    edit: fn(&mut Inst) -> bool,
}

const fn fault(name: &'static str, function: &'static str, edit: fn(&mut Inst) -> bool) -> Fault {
    Fault { name, function, edit }
}

const FAULTS: [Fault; 11] = [
    fault("the interface is that of the socket buffer's origin", "", |inst| {
        load(inst, 40) && put(inst, |insn| insn.off = 36)
    }),
    fault("the start moves up by one byte too many", "hoist_adjust_head", |inst| {
        inst.insn.imm == 216 && put(inst, |insn| insn.imm = 217)
    }),
    fault("the start moves up by one byte too few", "hoist_adjust_head", |inst| {
        inst.insn.imm == 216 && put(inst, |insn| insn.imm = 215)
    }),
    fault("the end stays one byte further out", "hoist_adjust_tail", |inst| {
        inst.insn.imm == 14 && put(inst, |insn| insn.imm = 15)
    }),
    fault("a short rest is not moved", "hoist_adjust_head", |inst| {
        called(inst, "cut_short") && nothing(inst)
    }),
    fault("the protocol is not brought in line", "", |inst| {
        called(inst, "refresh") && nothing(inst)
    }),
    fault("reading beyond the end is another error", "hoist_load_bytes", |inst| {
        inst.insn.imm == -22 && put(inst, |insn| insn.imm = -14)
    }),
    fault("writing has no effect", "hoist_store_bytes", |inst| {
        inst.insn.is_call() && inst.insn.imm == 9 && nothing(inst)
    }),
    fault("flags of a redirect are ignored", "hoist_redirect", |inst| {
        inst.insn.code == 0x55 && inst.insn.imm == 0 && put(inst, |insn| insn.imm = i32::MAX)
    }),
    fault("a map without the entry aborts", "hoist_redirect_devmap", |inst| {
        inst.insn.imm == 3 && put(inst, |insn| insn.imm = 0)
    }),
    fault("a VLAN tag counts for the MTU", "main", |inst| {
        inst.insn.code == (class::ALU | alu::MOV)
            && inst.insn.imm == -4
            && put(inst, |insn| insn.imm = 0)
    }),
];

fn load(inst: &Inst, offset: i16) -> bool {
    inst.insn.code == 0x61 && inst.insn.off == offset
}

fn put(inst: &mut Inst, change: fn(&mut Insn)) -> bool {
    change(&mut inst.insn);
    true
}

/// Whether a function is called; names are in [`CALLED`] since an edit sees one instruction.
fn called(inst: &Inst, name: &str) -> bool {
    matches!(inst.target, Target::Call(id) if CALLED.with_borrow(|names| names[id.0 as usize] == name))
}

thread_local! {
    /// Names of the functions of the module that is being edited.
    static CALLED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Replaces a call by its success.
fn nothing(inst: &mut Inst) -> bool {
    (inst.insn, inst.target) = (Insn::new(class::ALU64 | alu::MOV, 0, 0, 0, 0), Target::None);
    true
}

fn plant(form: &mut Form, fault: &Fault) -> usize {
    let names = form.module.functions.iter().map(|f| f.name.clone()).collect();
    CALLED.set(names);
    let functions = form.module.functions.iter_mut();
    let code = functions.filter(|f| f.name.starts_with(fault.function)).flat_map(|f| &mut f.code);
    code.filter_map(|inst| (fault.edit)(inst).then_some(())).count()
}

#[test]
fn the_fuzzer_finds_faults_in_translated_programs() {
    if !require::veth("the_fuzzer_finds_faults_in_translated_programs") {
        return;
    }
    let kernel = Linux::new().unwrap();
    let mut missed = Vec::new();
    for fault in &FAULTS {
        let planted = AtomicUsize::new(0);
        let pass = |module: &Module, program: ProgramId| -> Result<Form, Refusal> {
            let mut form = forms::translated(module, program)?;
            planted.fetch_add(plant(&mut form, fault), Ordering::Relaxed);
            Ok(form)
        };
        let settings = Settings {
            seed: 9,
            programs: 600,
            runs: 100,
            findings: 1,
            shrink: false,
            ..Settings::default()
        };
        let bench = Bench { kernel: &kernel, passes: &[&pass] };
        let outcome = campaign::run(bench, &settings, &|_| {}).unwrap();
        match outcome.findings.first() {
            Some(finding) => println!("{}: program {}", fault.name, finding.number),
            None => missed.push((fault.name, planted.into_inner())),
        }
    }
    assert!(missed.is_empty(), "not found, with how often each was planted: {missed:#?}");
}
