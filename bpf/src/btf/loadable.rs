//! What the kernel must not see in a BTF object: extern declarations of kernel symbols.

use super::{Btf, BtfError, Kind};

/// Offsets of fields within `struct btf_type` and what follows it.
const NAME: usize = 0;
const INFO: usize = 4;
const SIZE: usize = 8;
const TAIL: usize = 12;
/// Bytes of one variable that stands for a kernel symbol.
const PLACEHOLDER: u32 = 4;

/// Makes a module's BTF fit for `BPF_BTF_LOAD`: as in libbpf, the kernel symbols in `.ksyms`
/// become 4-byte variables, since the kernel takes neither functions nor externs there.
///
/// # Errors
/// What is damaged.
pub(crate) fn loadable(bytes: &[u8]) -> Result<Vec<u8>, BtfError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut btf = Btf::parse(bytes)?;
    let Some(ksyms) = btf.find(".ksyms", Kind::Datasec) else { return Ok(btf.into_bytes()) };
    let Some(int) = btf.types().find(|t| t.int().is_some_and(|i| i.bits == 32)) else {
        return Ok(btf.into_bytes());
    };
    let (int, at) = (int.id(), ksyms.section_offset());
    let symbols: Vec<_> = ksyms.variables().map(|v| v.type_id).collect();
    let any_function =
        symbols.iter().any(|id| btf.type_by_id(*id).is_some_and(|t| t.kind() == Kind::Func));
    let placeholder = any_function.then(|| btf.append_variable("dummy_ksym", int));
    for (i, id) in symbols.iter().enumerate() {
        let entry = at + TAIL + 12 * i;
        let Some(t) = btf.type_by_id(*id) else { continue };
        let symbol = t.section_offset();
        if t.kind() == Kind::Func {
            let proto = t.size_or_type();
            if let Some((placeholder, name)) = placeholder {
                name_parameters(&mut btf, proto, name);
                btf.set_word(entry, placeholder);
            }
            // Global linkage.
            btf.set_word(symbol + INFO, (Kind::Func as u32) << 24 | 1);
        } else if t.kind() == Kind::Var {
            btf.set_word(symbol + SIZE, int);
            btf.set_word(symbol + TAIL, 1);
        }
        btf.set_word(entry + 4, i as u32 * PLACEHOLDER);
        btf.set_word(entry + 8, PLACEHOLDER);
    }
    btf.set_word(at + SIZE, symbols.len() as u32 * PLACEHOLDER);
    Ok(btf.into_bytes())
}

/// The kernel wants every parameter of a global function to have a name.
fn name_parameters(btf: &mut Btf, proto: u32, name: u32) {
    let Some(t) = btf.type_by_id(proto).filter(|t| t.kind() == Kind::FuncProto) else { return };
    let unnamed: Vec<_> = t
        .params()
        .enumerate()
        .filter(|(_, p)| p.type_id != 0 && p.name.is_empty())
        .map(|(i, _)| t.section_offset() + TAIL + 8 * i + NAME)
        .collect();
    for at in unnamed {
        btf.set_word(at, name);
    }
}
