//! A program's form as a classifier: the context of a socket buffer, and actions for verdicts.
//!
//! A NIC shows a classifier the same frame as an XDP program. So the form is small: two fields of the
//! context are elsewhere, and a new main turns the old main's verdict into an action, one constant for
//! each exit, as cards ask for (`nfp_bpf_check_exit`, drivers/net/ethernet/netronome/nfp/bpf/verifier.c).

use hoist_bpf::analysis::{self, ContextUse};
use hoist_bpf::insn::Insn;
use hoist_bpf::module::{Function, Linkage, Module, ProgramId, Target};
use hoist_bpf::opcode::jmp;
use hoist_bpf::passes::asm;
use hoist_bpf::requirements::{ContextField, Feature};
use hoist_offload::Gap;

use super::form::Form;

/// Offsets into `struct __sk_buff`.
const DATA: i16 = 76;
const DATA_END: i16 = 80;
const XDP_PASS: i32 = 2;
/// `TC_ACT_SHOT`: the frame is dropped.
const TC_ACT_SHOT: i32 = 2;
/// `TC_ACT_UNSPEC`: the frame goes on as if there were no classifier.
const TC_ACT_UNSPEC: i32 = -1;

/// The form as a classifier, or every reason why there is none.
pub(super) fn of(form: Form) -> Result<Form, Vec<Gap>> {
    let Form { module: xdp, program, .. } = &form;
    let mut gaps = Vec::new();
    let needs = analysis::requirements(xdp, *program);
    for (feature, verdict) in [(Feature::Tx, "XDP_TX"), (Feature::Redirect, "XDP_REDIRECT")] {
        if needs.uses(feature) {
            let what = format!("the program may return {verdict}, which a classifier cannot do");
            gaps.push(Gap::new("classifier-verdict", what).remedy("use --engine hw at XDP"));
        }
    }
    let mut module = xdp.clone();
    let places = match analysis::places(xdp, *program) {
        Ok(places) => places,
        Err(error) => {
            gaps.push(Gap::new("not-followed", error.to_string()));
            return Err(gaps);
        }
    };
    for (at, context) in &places.context {
        let function = &mut module.functions[at.function.0 as usize];
        let offset = match context {
            ContextUse::Field(ContextField::Data) => DATA,
            ContextUse::Field(ContextField::DataEnd) => DATA_END,
            _ => {
                let what =
                    "a classifier in a NIC reads data and data_end of the context, nothing else";
                gaps.push(Gap {
                    insn: Some(function.name.clone()),
                    ..Gap::new("classifier-context", what)
                });
                continue;
            }
        };
        if let Some(inst) = function.code.iter_mut().find(|inst| inst.id == at.inst) {
            inst.insn.off = offset;
        }
    }
    if !gaps.is_empty() {
        return Err(gaps);
    }
    enter(&mut module, *program);
    Ok(Form { for_host: Some((form.module, form.program)), module, ..form })
}

/// Makes a new main, which calls the old one, the program's entry.
fn enter(module: &mut Module, program: ProgramId) {
    // Its types speak of XDP's context. Nothing that a NIC takes needs them.
    module.btf = Vec::new();
    for function in &mut module.functions {
        function.linkage = Linkage::Static;
        function.btf_type_id = None;
    }
    let entry = module.program(program);
    let mut main = Function::empty(&entry.name, Linkage::Static);
    let old = Target::Call(entry.function);
    let pass = main.new_inst(asm::mov_imm(0, TC_ACT_UNSPEC), Target::None);
    let mut emit = |insn: Insn, target| {
        let inst = main.new_inst(insn, target);
        main.append([inst]);
    };
    emit(asm::call(), old);
    // The kernel reads 32 bits of a verdict.
    emit(asm::mov32(1, 0), Target::None);
    emit(asm::jump_imm(jmp::JEQ, 1, XDP_PASS), Target::Jump(pass.id));
    emit(asm::mov_imm(0, TC_ACT_SHOT), Target::None);
    emit(asm::exit(), Target::None);
    main.append([pass]);
    let exit = main.new_inst(asm::exit(), Target::None);
    main.append([exit]);
    let main = module.add_function(main);
    module.programs[program.0 as usize].function = main;
}
