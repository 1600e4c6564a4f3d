//! Watching a run, step by step.

use std::ops::ControlFlow;

use hoist_bpf::module::{FunctionId, MapId};

use super::code::Op;
use super::fault::FaultKind;
use super::running::Running;

/// Registers `r0` to `r10`, and room so that a 4-bit number always finds one.
pub type Registers = [u64; 16];

/// One operation of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function.
    pub function: FunctionId,
    /// Index into [`super::code::Function::ops`].
    pub op: u32,
}

/// What a helper or the program did to a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapEffect<'a> {
    /// A key was looked up; the VM address of the value, or `None`.
    Looked {
        /// The key.
        key: &'a [u8],
        /// Where the value is.
        found: Option<u64>,
    },
    /// A value was inserted or replaced, or was not: the negative errno.
    Updated {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// 0 or the negative errno.
        returned: i64,
    },
    /// A key was deleted, or was not.
    Deleted {
        /// The key.
        key: &'a [u8],
        /// 0 or the negative errno.
        returned: i64,
    },
    /// Something was written into a queue, stack, ring buffer or perf array.
    Pushed {
        /// What.
        value: &'a [u8],
        /// 0 or the negative errno.
        returned: i64,
    },
}

/// Hooks of a run. All do nothing unless implemented.
pub trait Observer {
    /// Before an operation; a break ends the run with [`FaultKind::Stopped`].
    fn before(
        &mut self,
        _at: Place,
        _op: &Op,
        _registers: &Registers,
        _run: &Running<'_>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After an operation. `registers` is the state of the function that executed it, except after a
    /// call of a function and after an exit, where it is the state of the function that is entered or
    /// returned to.
    fn after(&mut self, _at: Place, _op: &Op, _registers: &Registers, _run: &Running<'_>) {}

    /// The program read memory; `value` is zero-extended.
    fn read(&mut self, _at: Place, _address: u64, _size: u64, _value: u64) {}

    /// The program wrote memory.
    fn wrote(&mut self, _at: Place, _address: u64, _size: u64, _before: u64, _value: u64) {}

    /// A helper changed or asked a map.
    fn map(&mut self, _map: MapId, _effect: MapEffect<'_>) {}

    /// The run ends by a fault.
    fn fault(&mut self, _at: Place, _kind: &FaultKind) {}
}
