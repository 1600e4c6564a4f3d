//! The little that passes write into BTF: functions.
//!
//! The verifier wants a `BTF_KIND_FUNC` for the entry and every subprogram or for none of them
//! (`check_btf_func`). A new main therefore needs one when the object has BTF, and all functions
//! need one when the old main, now a subprogram, makes tail calls ("tail_call is not allowed in
//! subprogs without BTF").

use crate::btf::{Btf, Kind};
use crate::module::Module;

/// `sizeof(struct btf_header)`.
const HEADER: usize = 24;
/// Makes the function type `old` static and adds a static twin of it with the same name and
/// prototype; gives the new id. `None` when `old` is no function of a readable BTF section.
pub(super) fn add_twin(bytes: &mut Vec<u8>, old: u32) -> Option<u32> {
    let mut btf = Btf::parse(bytes).ok()?;
    let function = btf.type_by_id(old).filter(|t| t.kind() == Kind::Func)?;
    let (name, proto) = (function.name().to_owned(), function.size_or_type());
    btf.make_function_static(old);
    let twin = btf.append_function(&name, proto);
    *bytes = btf.into_bytes();
    Some(twin)
}

/// Gives a module without BTF the least that the verifier takes: an integer, one prototype and one
/// static function type for each function.
pub(super) fn invent(module: &mut Module) {
    let mut strings = b"\0int\0".to_vec();
    // 1: int, 2: int(void)
    let mut types: Vec<u32> = vec![1, (Kind::Int as u32) << 24, 4, 0x0100_0020];
    types.extend([0, (Kind::FuncProto as u32) << 24, 1]);
    for (index, function) in module.functions.iter_mut().enumerate() {
        types.extend([strings.len() as u32, (Kind::Func as u32) << 24, 2]);
        // The kernel takes C identifiers only.
        strings.extend(format!("f{index}").as_bytes());
        strings.push(0);
        function.btf_type_id = Some(index as u32 + 3);
    }
    let type_len = 4 * types.len() as u32;
    let mut btf = Vec::with_capacity(HEADER + type_len as usize + strings.len());
    btf.extend(0xeb9f_u16.to_ne_bytes());
    btf.extend([1, 0]);
    for field in [HEADER as u32, 0, type_len, type_len, strings.len() as u32] {
        btf.extend(field.to_ne_bytes());
    }
    btf.extend(types.into_iter().flat_map(u32::to_ne_bytes));
    btf.extend(strings);
    module.btf = btf;
    // Strings of lines would lie in the section that is missing.
    for line in &mut module.lines {
        line.strings = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{Function, Linkage};

    #[test]
    fn an_invented_section_reads_back_and_takes_a_twin() {
        let mut module = crate::passes::tests::module(vec![
            Function::empty("main", Linkage::Global),
            Function::empty("other", Linkage::Static),
        ]);
        invent(&mut module);
        let btf = Btf::parse(&module.btf).unwrap();
        for function in &module.functions {
            let t = btf.type_by_id(function.btf_type_id.unwrap()).unwrap();
            assert_eq!((t.kind(), t.linkage()), (Kind::Func, Some(0)));
        }
        let id = add_twin(&mut module.btf, 3).unwrap();
        let btf = Btf::parse(&module.btf).unwrap();
        let twin = btf.type_by_id(id).unwrap();
        assert_eq!((twin.kind(), twin.name(), twin.size_or_type()), (Kind::Func, "f0", 2));
        assert_eq!(add_twin(&mut module.btf, 1), None, "an integer is no function");
    }
}
