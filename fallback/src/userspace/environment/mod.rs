//! What a program finds around it: helpers, kernel functions, time, routes.

use hoist_bpf::module::Module;
use hoist_offload::Gap;

use super::vm::Running;
use super::vm::fault::FaultKind;

/// A helper or kernel function: `r1` to `r5` in, `r0` out. A negative errno is a result; an error is
/// what the verifier would have refused.
pub type Helper = fn(&mut Running<'_>, [u64; 5]) -> Result<u64, FaultKind>;

/// How the environment is set up.
#[derive(Clone, Debug, Default)]
pub struct Settings {}

/// The environment of one machine.
#[derive(Debug, Default)]
pub struct Environment {}

impl Environment {
    /// The environment for a module.
    ///
    /// # Errors
    /// The helpers and kernel functions that this machine has not.
    pub fn new(_module: &Module, _settings: &Settings) -> Result<Self, Vec<Gap>> {
        Ok(Self {})
    }

    /// A run starts.
    pub fn begin_run(&mut self) {}

    /// Where the frame goes that the program redirected, if a helper said so in this run.
    pub fn take_redirect(&mut self) -> Option<Destination> {
        None
    }
}

/// The function for a helper's number.
#[must_use]
pub const fn helper(_number: u32) -> Option<Helper> {
    None
}

/// The function for a kernel function's name.
#[must_use]
pub const fn kfunc(_name: &str) -> Option<Helper> {
    None
}

/// Where a redirected frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Out of an interface.
    Interface(u32),
}
