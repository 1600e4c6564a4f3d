//! Gets the verifier's log of a program that it takes: the program gets a branch at its start that
//! the verifier refuses, and follows last.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};

use hoist_bpf::Insn;
use hoist_bpf::image::Image;
use hoist_bpf::kernel::loader::{self, LoadSpec, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec};
use hoist_bpf::module::{Inst, Module, ProgramHint, ProgramId, Target};
use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};

const GET_PRANDOM_U32: i32 = 7;
/// Column of the lines of added instructions, by which they are known.
const ADDED: u32 = u32::MAX;

/// Whether the instruction was there before.
pub(crate) fn is_original(inst: &Inst) -> bool {
    inst.origin != Some(ADDED)
}

/// `if (bpf_get_prandom_u32() == 0) *(u8 *)0; ` before everything else. The verifier follows what
/// falls through first, to all its ends.
fn spoilt(module: &Module, id: ProgramId) -> Module {
    let mut module = module.clone();
    let main = &mut module.functions[module.programs[id.0 as usize].function.0 as usize];
    let mov = |dst, src| Insn::new(class::ALU64 | X | alu::MOV, dst, src, 0, 0);
    let wrong = Insn::new(class::LDX | mode::MEM | size::B, 0, 0, 0, 0);
    let bad = main.new_inst(wrong, Target::None);
    let exit = main.new_inst(Insn::new(class::JMP | jmp::EXIT, 0, 0, 0, 0), Target::None);
    let start = [
        (mov(6, 1), Target::None),
        (Insn::new(class::JMP | jmp::CALL, 0, 0, 0, GET_PRANDOM_U32), Target::None),
        (mov(1, 6), Target::None),
        (Insn::new(class::JMP | jmp::JEQ, 0, 0, 0, 0), Target::Jump(bad.id)),
    ];
    let line = main.code.first().and_then(|inst| inst.line);
    let mark = |inst: Inst| Inst { origin: Some(ADDED), line, ..inst };
    let start = start.map(|(insn, target)| mark(main.new_inst(insn, target)));
    main.code.splice(0..0, start);
    main.code.extend([mark(bad), mark(exit)]);
    module
}

/// The image that was refused, its module, and the log.
pub(crate) fn verifier_log(
    kernel: &Linux,
    module: &Module,
    id: ProgramId,
) -> Result<(Image, Module, String), String> {
    let program = module.program(id);
    // `BPF_XDP_DEVMAP`, `BPF_XDP_CPUMAP`, `BPF_XDP`.
    let attach_type = match program.hint {
        ProgramHint::XdpDevmap => 33,
        ProgramHint::XdpCpumap => 35,
        _ => 37,
    };
    let contents = BTreeMap::new();
    let spec = LoadSpec {
        module,
        program: id,
        kind: PROG_TYPE_XDP,
        attach_type,
        binding: None,
        pin_root: None,
        contents: &contents,
    };
    let loaded = loader::load(kernel, &spec).map_err(|e| first_line(&e))?;
    let spoilt = spoilt(module, id);
    let mut image = Image::build(&spoilt, id).map_err(|e| first_line(&e))?;
    for reference in &image.references {
        if let Target::Map(map) | Target::MapValue { map, .. } = reference.to {
            image.insns[reference.insn].imm = loaded.maps[&map].as_raw_fd();
        }
    }
    let btf = if image.btf.is_empty() { None } else { kernel.load_btf(&image.btf).ok() };
    let refused = kernel.load_program(&ProgramSpec {
        name: "spoilt".to_owned(),
        kind: PROG_TYPE_XDP,
        expected_attach_type: attach_type,
        insns: &image.insns,
        license: module.license.clone(),
        flags: if program.frags { 1 << 5 } else { 0 },
        btf: btf.as_ref().map(|btf| btf.as_fd()),
        func_info: if btf.is_some() { &image.func_info } else { &[] },
        line_info: if btf.is_some() { &image.line_info } else { &[] },
        log_level: 2,
        ..ProgramSpec::default()
    });
    let log = refused.expect_err("it dereferences a number").log.unwrap_or_default();
    if !log.contains("R0 invalid mem access 'scalar'") {
        return Err(format!("refused for another reason: {:?}", log.lines().rev().nth(1)));
    }
    Ok((image, spoilt, log))
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
