//! The passes that programs are tried with.

use hoist_bpf::module::{Module, ProgramId};

use hoist_fallback::tc::translate::{Offsets, Options, Translated, translate};

use super::bench::Refusal;
use super::run::{Form, Hook};
use crate::dut;

/// The program as it is: what differs then is the fuzzer's own fault.
///
/// # Errors
/// None.
pub fn same(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    Ok(Form::native(module.clone(), program))
}

/// The program on the userspace engine's machine, interpreted.
///
/// # Errors
/// None.
pub fn interpreted(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    Ok(Form { hook: Hook::Interpreter, ..Form::native(module.clone(), program) })
}

/// The program on the userspace engine's machine, as machine code.
///
/// # Errors
/// None.
pub fn compiled(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    Ok(Form { hook: Hook::Compiled, ..Form::native(module.clone(), program) })
}

/// The same with every check, where a proof that turns out wrong is a fault.
///
/// # Errors
/// None.
pub fn paranoid(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    Ok(Form { hook: Hook::Paranoid, ..Form::native(module.clone(), program) })
}

/// What the TC translator makes of a program, with and without counters in turn.
///
/// # Errors
/// Its reasons not to.
pub fn translated(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    translated_with(module, program, dut::tc_options())
}

/// What processes without `CAP_PERFMON` get.
///
/// # Errors
/// The translator's reasons not to.
pub fn translated_by_constants(module: &Module, program: ProgramId) -> Result<Form, Refusal> {
    translated_with(module, program, Options { offsets: Offsets::Constant, ..dut::tc_options() })
}

fn translated_with(module: &Module, program: ProgramId, options: Options) -> Result<Form, Refusal> {
    // Shrinking leaves functions in place, so a program keeps its choice.
    let options = Options { count: module.functions.len() % 2 == 1, ..options };
    match translate(module, program, &options) {
        Ok(translated) => Ok(of(translated)),
        Err(gaps) => {
            let mut codes: Vec<&str> = gaps.iter().map(|gap| gap.code.as_str()).collect();
            codes.sort_unstable();
            codes.dedup();
            let messages: Vec<&str> = gaps.iter().map(|gap| gap.message.as_str()).collect();
            Err(Refusal { code: codes.join(" "), message: messages.join("; ") })
        }
    }
}

/// A translated module, perhaps changed since, as a form to compare with.
#[must_use]
pub fn of(translated: Translated) -> Form {
    let Translated { module, program, counters, events, .. } = translated;
    let native = Form::native(module, program);
    Form { hook: Hook::Tc, counters, events: Some(events), ..native }
}
