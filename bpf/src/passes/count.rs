//! Counts packets and bytes by verdict, for any program.
//!
//! Bytes are those of the whole frame as it arrives, before the program changes it. A tail-called
//! program returns to the new main, so its verdict is counted too.

use super::{PassError, asm, wrap};
use crate::analysis::{self, STACK_LIMIT};
use crate::insn::Insn;
use crate::module::{Function, Linkage, Map, MapId, Module, ProgramId, Target};
use crate::opcode::jmp;
use crate::requirements::{Feature, LimitKind};

/// Name of the map that holds the counters.
pub const MAP_NAME: &str = "hoist_verdicts";

/// Entries of the map: one for each of `XDP_ABORTED` 0 to `XDP_REDIRECT` 4.
pub const VERDICTS: u32 = 5;

/// Bytes per value: packets and bytes, `u64` each in host byte order.
pub const VALUE_BYTES: u32 = 16;

/// Stack of the new main, rounded as the verifier rounds it.
const STACK_BYTES: u64 = 16;

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_PERCPU_ARRAY: u32 = 6;
const MAP_LOOKUP_ELEM: i32 = 1;
const XDP_GET_BUFF_LEN: i32 = 188;

/// Offsets into `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;

/// How the length of a frame is found. Of programs that declare frags it is always asked, since their
/// `data` and `data_end` bound the first part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// `data_end - data`. The verifier takes a difference of pointers only from a process that has
    /// `CAP_PERFMON`.
    Difference,
    /// `bpf_xdp_get_buff_len` (Linux 5.18), which costs about 3 ns a packet more.
    Helper,
}

/// Where the counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// Apart for each CPU, so that plain loads and stores will do.
    PerCpu,
    /// Together, by atomic additions: for NICs, which have no maps per CPU.
    Shared,
}

/// A module whose program counts.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The module, with one more function and one more map.
    pub module: Module,
    /// The program, under its old id.
    pub program: ProgramId,
    /// The counters: an array named [`MAP_NAME`].
    pub counters: MapId,
}

/// Adds counters to a program, in the cheapest way: see [`apply_with`].
///
/// # Errors
/// Those of [`apply_with`].
pub fn apply(module: &Module, program: ProgramId) -> Result<Counted, PassError> {
    apply_with(module, program, Length::Difference)
}

/// Adds counters to a program.
///
/// # Errors
/// `counting-stack` when the program leaves no room for the counter's key on the stack,
/// `counting-twice` when the module already has a map of that name, `program-btf-missing` and
/// `program-btf-unusable` when the verifier would refuse tail calls from a subprogram.
pub fn apply_with(
    module: &Module,
    program: ProgramId,
    length: Length,
) -> Result<Counted, PassError> {
    apply_in(module, program, length, Counters::PerCpu)
}

/// Adds counters of a kind to a program.
///
/// # Errors
/// Those of [`apply_with`].
pub fn apply_in(
    module: &Module,
    program: ProgramId,
    length: Length,
    kept: Counters,
) -> Result<Counted, PassError> {
    let needs = analysis::requirements(module, program);
    let name = &module.program(program).name;
    if module.maps.iter().any(|m| m.name == MAP_NAME) {
        return Err(PassError {
            code: "counting-twice",
            message: format!(
                "{name}: the module already has a map named {MAP_NAME}; load it without counting"
            ),
        });
    }
    let stack = needs.demand(LimitKind::StackBytes);
    if stack + STACK_BYTES > STACK_LIMIT {
        return Err(PassError {
            code: "counting-stack",
            message: format!(
                "{name}: uses {stack} of {STACK_LIMIT} bytes of stack and counting needs \
                 {STACK_BYTES}; load it without counting"
            ),
        });
    }
    let mut module = module.clone();
    module.maps.push(match kept {
        Counters::PerCpu => counters(),
        Counters::Shared => Map { kind: BPF_MAP_TYPE_ARRAY, ..counters() },
    });
    let map = MapId(module.maps.len() as u32 - 1);
    let tail_calls = needs.uses(Feature::TailCall);
    let body = counting_main(&module, program, (map, kept), length, tail_calls);
    wrap::enter_through(&mut module, program, body, tail_calls)?;
    Ok(Counted { module, program, counters: map })
}

pub(crate) fn counters() -> Map {
    Map {
        name: MAP_NAME.to_owned(),
        kind: BPF_MAP_TYPE_PERCPU_ARRAY,
        key_size: 4,
        value_size: VALUE_BYTES,
        max_entries: VERDICTS,
        ..Map::default()
    }
}

/// The new main. r6 holds the context, then the verdict; r7 the length.
fn counting_main(
    module: &Module,
    program: ProgramId,
    (counters, kept): (MapId, Counters),
    length: Length,
    tail_calls: bool,
) -> Function {
    let mut f = Function::empty(&module.program(program).name, Linkage::Static);
    let known = f.new_inst(asm::store32(10, -4, 1), Target::None);
    let out = f.new_inst(asm::mov(0, 6), Target::None);
    let old_main = Target::Call(module.program(program).function);
    emit(&mut f, [(asm::mov(6, 1), Target::None)]);
    if module.program(program).frags || length == Length::Helper {
        let length = [asm::helper(XDP_GET_BUFF_LEN), asm::mov(7, 0), asm::mov(1, 6)];
        emit(&mut f, length.map(|insn| (insn, Target::None)));
    } else {
        let length = [asm::load32(7, 1, DATA_END), asm::load32(0, 1, DATA), asm::sub(7, 0)];
        emit(&mut f, length.map(|insn| (insn, Target::None)));
    }
    emit(&mut f, [(asm::call(), old_main)]);
    if tail_calls {
        emit(&mut f, asm::forget(0).map(|insn| (insn, Target::None)));
    }
    emit(
        &mut f,
        [
            (asm::mov(6, 0), Target::None),
            // The kernel reads 32 bits of the verdict and treats what it does not know as aborted.
            (asm::mov32(1, 0), Target::None),
            (asm::jump_imm(jmp::JLT, 1, VERDICTS as i32), Target::Jump(known.id)),
            (asm::mov_imm(1, 0), Target::None),
        ],
    );
    f.append([known]);
    emit(
        &mut f,
        [
            (asm::mov(2, 10), Target::None),
            (asm::add_imm(2, -4), Target::None),
            (asm::load_map(1), Target::Map(counters)),
            (asm::helper(MAP_LOOKUP_ELEM), Target::None),
            (asm::jump_imm(jmp::JEQ, 0, 0), Target::Jump(out.id)),
        ],
    );
    let additions: &[Insn] = match kept {
        Counters::PerCpu => &[
            asm::load64(1, 0, 0),
            asm::add_imm(1, 1),
            asm::store64(0, 0, 1),
            asm::load64(1, 0, 8),
            asm::add(1, 7),
            asm::store64(0, 8, 1),
        ],
        Counters::Shared => {
            &[asm::mov_imm(1, 1), asm::atomic_add64(0, 0, 1), asm::atomic_add64(0, 8, 7)]
        }
    };
    for &insn in additions {
        emit(&mut f, [(insn, Target::None)]);
    }
    f.append([out]);
    emit(&mut f, [(asm::exit(), Target::None)]);
    f
}

fn emit<const N: usize>(f: &mut Function, code: [(Insn, Target); N]) {
    for (insn, target) in code {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::tests::module;

    fn program(code: &[Insn]) -> Module {
        let mut f = Function::empty("f", Linkage::Global);
        for &insn in code {
            let inst = f.new_inst(insn, Target::None);
            f.append([inst]);
        }
        module(vec![f])
    }

    #[test]
    fn what_cannot_be_counted_says_why() {
        let deep = program(&[asm::store64(10, -504, 1), asm::mov_imm(0, 2), asm::exit()]);
        let error = apply(&deep, ProgramId(0)).unwrap_err();
        assert_eq!(error.code, "counting-stack");
        assert!(error.message.contains("512 of 512 bytes"), "{error}");
        let fits = program(&[asm::store64(10, -496, 1), asm::mov_imm(0, 2), asm::exit()]);
        let counted = apply(&fits, ProgramId(0)).unwrap();
        let again = apply(&counted.module, counted.program).unwrap_err();
        assert_eq!(again.code, "counting-twice");
    }

    #[test]
    fn the_verdict_of_a_tail_call_is_not_taken_for_known() {
        let forgets = |code: &[Insn]| {
            let counted = apply(&program(code), ProgramId(0)).unwrap().module;
            let main = &counted.function(counted.programs[0].function).code;
            let call = main.iter().position(|i| matches!(i.target, Target::Call(_))).unwrap();
            main[call + 1].insn == asm::forget(0)[0] && main[call + 2].insn == asm::forget(0)[1]
        };
        let tail = [asm::load_map(2), asm::helper(12), asm::mov_imm(0, 2), asm::exit()];
        assert!(forgets(&tail));
        assert!(!forgets(&[asm::mov_imm(0, 2), asm::exit()]), "costs nothing elsewhere");
    }

    #[test]
    fn a_tail_call_target_stays_what_it_was() {
        let mut own = program(&[asm::mov_imm(0, 2), asm::exit()]);
        let value = Target::FunctionAddress(crate::module::FunctionId(0));
        let slot = crate::module::InitialSlot { slot: 0, value };
        own.maps.push(Map { kind: 3, initial: vec![slot], ..counters() });
        own.maps[0].name = "next".to_owned();
        let counted = apply(&own, ProgramId(0)).unwrap();
        let entered: Vec<u32> = counted.module.programs.iter().map(|p| p.function.0).collect();
        assert_eq!(entered, [1, 0], "the new main is entered, the old one still is a program");
    }
}
