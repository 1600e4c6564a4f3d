//! The maps of a machine.

use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_offload::Gap;

use super::vm::fault::{Access, FaultKind};

/// All maps of a machine.
#[derive(Debug, Default)]
pub struct Maps {}

impl Maps {
    /// Creates the maps of a module, empty but for their initial contents.
    ///
    /// # Errors
    /// The maps that this machine has not.
    pub fn new(_module: &Module) -> Result<Self, Vec<Gap>> {
        Ok(Self {})
    }

    /// A place in a map's value memory, for reading.
    ///
    /// # Errors
    /// There is no such place.
    pub fn value(&self, map: MapId, offset: u64, len: u64) -> Result<&[u8], FaultKind> {
        let address = super::vm::address::map_value(map, offset);
        Err(FaultKind::WildAddress(Access { address, size: len, write: false }))
    }

    /// A place in a map's value memory, for writing.
    ///
    /// # Errors
    /// There is no such place, or it is not for writing.
    pub fn value_mut(&mut self, map: MapId, offset: u64, len: u64) -> Result<&mut [u8], FaultKind> {
        let address = super::vm::address::map_value(map, offset);
        Err(FaultKind::WildAddress(Access { address, size: len, write: true }))
    }

    /// The program in a slot of a prog array.
    #[must_use]
    pub fn program(&self, _map: MapId, _slot: u32) -> Option<ProgramId> {
        None
    }

    /// The run has ended: values deleted in it go.
    pub fn end_run(&mut self) {}
}
