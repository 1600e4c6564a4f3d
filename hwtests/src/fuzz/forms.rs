//! The passes that programs are tried with.

use hoist_bpf::module::{Module, ProgramId};

use super::campaign::Refusal;
use super::run::{Form, Hook};

/// The program as it is: what differs then is the fuzzer's own fault.
///
/// # Errors
/// None.
pub fn same(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    Ok(Form { module: module.clone(), program, hook: Hook::Xdp })
}

/// What the TC translator makes of a program.
///
/// # Errors
/// Its reasons not to.
pub fn translated(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    let _ = (module, program);
    Err(Refusal { code: "none".to_owned(), message: String::new() })
}
