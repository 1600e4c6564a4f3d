//! The naive translation: context loads, helper ids and return codes, and nothing else.

use std::collections::BTreeSet;

use hoist_bpf::Insn;
use hoist_bpf::module::{FunctionId, Module, ProgramId, Target};
use hoist_bpf::opcode::jmp;
use hoist_bpf::passes::asm;
use hoist_fallback::tc::translate::{Options as Translation, Translated, translate};
use hoist_hwtests::conformance::case::OneOrMany;
use hoist_hwtests::conformance::suite;
use hoist_hwtests::require;
use hoist_offload::Gap;

use super::results;

/// Rows of docs/semantics.md that it does not hold, at the least.
const ROWS: [&str; 16] = [
    "vlan-tag",
    "adjust-head",
    "adjust-head-limits",
    "tx-bytes",
    "pass-protocol",
    "pass-vlan",
    "pass-packet-type",
    "pass-packet-type-group",
    "pass-later-programs",
    "redirect-ifindex",
    "redirect-devmap",
    "redirect-state",
    "redirect-flags",
    "redirect-miss",
    "redirect-mtu",
    "redirect-broadcast",
];

/// Case files that show them.
const FILES: [&str; 8] = [
    "verdict",
    "vlan_pop",
    "head",
    "rewrite",
    "redirects",
    "redirect_small_mtu",
    "broadcast",
    "onlookers",
];

/// Takes the work out of what the translator makes: the main program calls the old one and gives its
/// code another number, and a helper is the one whose name is most alike.
fn naive(
    module: &Module,
    program: ProgramId,
    options: &Translation,
) -> Result<Translated, Vec<Gap>> {
    let mut translated = translate(module, program, options)?;
    let old = module.program(program).function;
    let new = &mut translated.module;
    let main = new.program(program).function;
    rewrite(new, main, &verdicts(), Some(old));
    for (name, code) in [
        ("hoist_adjust_head", vec![asm::load32(0, 1, 0), asm::sub(0, 2), asm::mov(2, 0)]),
        ("hoist_adjust_tail", vec![asm::load32(0, 1, 0), asm::add(0, 2), asm::mov(2, 0)]),
    ] {
        let helper = [asm::mov_imm(3, 0), asm::helper(38), asm::exit()];
        let code: Vec<Insn> = code.into_iter().chain(helper).collect();
        if let Some(id) = new.function_named(name) {
            rewrite(new, id, &code, None);
        }
    }
    for (name, helper) in
        [("hoist_load_bytes", 26), ("hoist_store_bytes", 9), ("hoist_redirect", 23)]
    {
        if let Some(id) = new.function_named(name) {
            let code = [asm::mov_imm(5, 0), asm::helper(helper), asm::exit()];
            rewrite(new, id, &code, None);
        }
    }
    // Nothing is counted.
    translated.counters = None;
    Ok(translated)
}

/// `XDP_PASS` is `TC_ACT_OK`, `XDP_TX` a redirect to where the frame came from, `XDP_REDIRECT`
/// `TC_ACT_REDIRECT`, and all else `TC_ACT_SHOT`. (What it was is left where test runs look for it.)
fn verdicts() -> Vec<Insn> {
    let skip = |code, over| Insn { off: over, ..asm::jump_imm(jmp::JNE, 0, code) };
    vec![
        asm::mov(6, 1),
        asm::call(),
        asm::store32(6, 64, 0),
        skip(2, 2),
        asm::mov_imm(0, 0),
        asm::exit(),
        skip(3, 4),
        asm::load32(1, 6, 40),
        asm::mov_imm(2, 0),
        asm::helper(23),
        asm::exit(),
        skip(4, 2),
        asm::mov_imm(0, 7),
        asm::exit(),
        skip(7, 1),
        asm::exit(),
        asm::mov_imm(0, 2),
        asm::exit(),
    ]
}

fn rewrite(module: &mut Module, id: FunctionId, code: &[Insn], called: Option<FunctionId>) {
    let function = &mut module.functions[id.0 as usize];
    let line = function.code.first().and_then(|i| i.line);
    let made = code.iter().map(|insn| {
        let target = match called {
            Some(id) if *insn == asm::call() => Target::Call(id),
            _ => Target::None,
        };
        function.new_inst(*insn, target)
    });
    let mut made: Vec<_> = made.collect();
    for at in 0..made.len() {
        if code[at].off > 0 && made[at].target == Target::None && code[at].code & 7 == 5 {
            made[at].target = Target::Jump(made[at + 1 + code[at].off as usize].id);
        }
    }
    made[0].line = line;
    function.code = made;
}

#[test]
fn the_naive_translation_fails() {
    if !require::veth("the_naive_translation_fails") {
        return;
    }
    let mut sources = suite::builtin().unwrap();
    sources.retain(|s| FILES.contains(&s.name.as_str()));
    // Of several frames one: frames that are waited for in vain take their time.
    for case in sources.iter_mut().flat_map(|s| &mut s.file.cases) {
        if let OneOrMany::Many(frames) = &mut case.send {
            let tagged = frames.iter().position(|f| f == "@vlan").unwrap_or(0);
            case.send = OneOrMany::One(frames.swap_remove(tagged));
        }
    }
    let results = results(&sources, &naive);
    let failed = results.iter().filter(|r| !r.outcome.is_explained());
    let rows: BTreeSet<&str> = failed.flat_map(|r| &r.rows).map(String::as_str).collect();
    println!("{} results, rows that fail: {rows:?}", results.len());
    let held: Vec<_> = ROWS.iter().filter(|row| !rows.contains(*row)).collect();
    assert!(held.is_empty(), "the naive translation holds {held:?}");
    let passed: Vec<_> =
        results.iter().filter(|r| r.outcome.is_explained()).map(|r| &r.case).collect();
    assert!(!passed.is_empty(), "it fails where nothing can go wrong, so it is broken");
}
