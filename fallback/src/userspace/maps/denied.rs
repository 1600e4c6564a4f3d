//! What a program may not do to a map: the verifier would have refused to load it.

use std::fmt;

use hoist_bpf::module::MapId;

use crate::userspace::vm::address::map_value;
use crate::userspace::vm::fault::{Access, FaultKind, Region};

/// An access or call that ends the run. The VM makes its fault of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such map.
    NoMap(MapId),
    /// The bytes are not within one value.
    OutOfBounds {
        /// The map.
        map: MapId,
        /// Offset in the map's value memory of the value that the access begins in, or would.
        low: u64,
        /// The offset behind that value.
        high: u64,
    },
    /// The program may not write there (`BPF_F_RDONLY_PROG`, a frozen map, a key, an entry that only
    /// user space writes).
    ReadOnly(MapId),
    /// The program may not read there (`BPF_F_WRONLY_PROG`).
    WriteOnly(MapId),
    /// The value was deleted, or the record was submitted or discarded.
    UseAfterDelete(MapId),
    /// The helper does not go with this kind of map (`check_map_func_compatibility`).
    WrongKind(MapId),
}

impl Denied {
    /// The fault that an access to memory ends in.
    #[cold]
    #[must_use]
    pub const fn fault(self, access: Access) -> FaultKind {
        match self {
            Self::NoMap(_) | Self::WrongKind(_) => FaultKind::WildAddress(access),
            Self::OutOfBounds { map, low, high } => FaultKind::OutOfBounds {
                access,
                region: Region::Map(map),
                low: map_value(map, low),
                high: map_value(map, high),
            },
            Self::ReadOnly(map) => FaultKind::ReadOnly { access, region: Region::Map(map) },
            Self::WriteOnly(map) => FaultKind::WriteOnly { access, region: Region::Map(map) },
            Self::UseAfterDelete(map) => {
                FaultKind::UseAfterDelete { access, region: Region::Map(map) }
            }
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMap(_) => "no such map",
            Self::OutOfBounds { .. } => "not within one value",
            Self::ReadOnly(_) => "the map is read only for programs",
            Self::WriteOnly(_) => "the map is write only for programs",
            Self::UseAfterDelete(_) => "the value was deleted",
            Self::WrongKind(_) => "not for this kind of map",
        })
    }
}

/// Why an operation of a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The helper returns this to the program.
    Errno(super::Errno),
    /// The run ends.
    Denied(Denied),
}

impl From<super::Errno> for Failure {
    fn from(errno: super::Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}
