//! The least BTF that the verifier wants of a program with callbacks: a function type each.

use hoist_bpf::module::Module;

/// `BTF_KIND_INT`, `BTF_KIND_FUNC` and `BTF_KIND_FUNC_PROTO` of `linux/btf.h`.
const INT: u32 = 1;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
/// `sizeof(struct btf_header)`.
const HEADER: u32 = 24;
/// The first function's type id, after the integer and the prototype.
const FIRST: u32 = 3;

/// Gives a module without BTF a static function type `int f<index>(void)` for each function.
pub(super) fn add(module: &mut Module) {
    let mut strings = b"\0int\0".to_vec();
    let mut types = vec![1, INT << 24, 4, 0x0100_0020, 0, FUNC_PROTO << 24, 1];
    for (id, function) in (FIRST..).zip(&mut module.functions) {
        types.extend([strings.len() as u32, FUNC << 24, 2]);
        strings.extend(format!("f{}\0", id - FIRST).as_bytes());
        function.btf_type_id = Some(id);
    }
    let bytes = 4 * types.len() as u32;
    let mut btf: Vec<u8> = 0xeb9f_u16.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    let header = [HEADER, 0, bytes, bytes, strings.len() as u32];
    btf.extend(header.into_iter().chain(types).flat_map(u32::to_ne_bytes));
    btf.extend(strings);
    module.btf = btf;
}
