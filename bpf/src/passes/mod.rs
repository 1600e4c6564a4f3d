//! Passes: functions from [`Module`](crate::Module) to [`Module`](crate::Module).
//!
//! A pass never rewrites the exits of the code it is given. It adds a *new main that calls the old
//! main as a subprogram*: the context survives in a callee-saved register, no register is short, no
//! stack slot has to be found, and every path comes back to one place. Because the old main is no
//! longer an entry, its BTF says `static` afterwards, so that the verifier follows it from the new
//! main instead of judging it on its own.
//!
//! A pass that cannot apply says so with a [`PassError`]; the program itself is none the worse.

pub mod asm;
pub mod count;
mod edit;
mod func_btf;
pub mod link;
pub mod lower;
mod wrap;

/// Why a pass cannot apply to a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PassError {
    /// Stable kebab-case code, documented in docs/refusals.md.
    pub code: &'static str,
    /// One sentence that names the program and the limit, and ends with the next step.
    pub message: String,
}

#[cfg(test)]
pub(crate) mod tests;
