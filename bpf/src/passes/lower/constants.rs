//! Constants: loads from `.rodata` and `.kconfig`, which nobody can change once the program is
//! loaded, become what they load.

use super::edit::{Code, Edits};
use super::report::{Report, Rewrite, site};
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{DataSection, FunctionId, Map, Module};
use crate::opcode::{access_bytes, class, mode};

/// Folds what is known; whether anything was.
pub(super) fn fold(
    module: &mut Module,
    functions: &[FunctionId],
    trace: &Trace,
    report: &mut Report,
) -> bool {
    let mut any = false;
    for &id in functions {
        let mut edits = Edits::default();
        let mut next_id = module.function(id).next_id;
        let function = module.function(id);
        for (at, inst) in function.code.iter().enumerate() {
            let Some((map, offset)) = source(module, id, at, inst.insn, trace) else { continue };
            let Some(value) = value(map, offset, inst.insn) else { continue };
            let mut code = Code::new(&mut next_id, *inst);
            code.constant(inst.insn.dst(), value);
            edits.replace(at, code);
            let bytes = access_bytes(inst.insn.code);
            let message =
                format!("{bytes} bytes at {}+{offset} became the constant {value:#x}", map.name);
            report.code_changed(Rewrite::Constant, site(module, function, inst), message);
        }
        any |= !edits.is_empty();
        let function = &mut module.functions[id.0 as usize];
        function.next_id = next_id;
        edits.apply(function);
    }
    any
}

/// The constant map, and the offset in it, that a load reads.
fn source<'m>(
    module: &'m Module,
    id: FunctionId,
    at: usize,
    insn: Insn,
    trace: &Trace,
) -> Option<(&'m Map, u32)> {
    let plain = matches!(insn.code & 0xe0, mode::MEM | mode::MEMSX);
    if insn.class() != class::LDX || !plain {
        return None;
    }
    let Some(Base::MapValue(map, Some(offset))) = trace.base(id, at) else { return None };
    let map = module.maps.get(map.0 as usize)?;
    let offset = offset.checked_add_signed(i32::from(insn.off))?;
    is_constant(map).then_some((map, offset))
}

/// Whether nobody can change a map's contents once the program is loaded.
pub(super) const fn is_constant(map: &Map) -> bool {
    matches!(map.section, Some(DataSection::Rodata | DataSection::Kconfig))
}

/// What a load finds there.
pub(super) fn value(map: &Map, offset: u32, insn: Insn) -> Option<u64> {
    let bytes = access_bytes(insn.code);
    let data = map.data.get(offset as usize..)?.get(..usize::from(bytes))?;
    let mut word = [0; 8];
    word[..data.len()].copy_from_slice(data);
    let value = u64::from_le_bytes(word);
    if insn.code & 0xe0 == mode::MEMSX {
        let unused = 64 - 8 * u32::from(bytes);
        return Some(((value << unused) as i64 >> unused) as u64);
    }
    Some(value)
}
