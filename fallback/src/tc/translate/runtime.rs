//! The runtime as a library to link from: `fallback/runtime/`, compiled.

use std::sync::LazyLock;

use hoist_bpf::module::{MapId, Module};
use hoist_bpf::parse::ParseError;

/// The object file, as the compiler wrote it.
const OBJECT: &[u8] = include_bytes!("../../../prebuilt/runtime.bpf.o");

static LIBRARY: LazyLock<Result<Module, ParseError>> =
    LazyLock::new(|| Module::parse("runtime", OBJECT));

/// What the main program does for a program: numbers of the variants in `runtime/main.h`.
pub(super) mod feature {
    /// Verdicts are counted.
    pub(in super::super) const COUNTS: u32 = 1;
    /// The program may change the frame.
    pub(in super::super) const WRITES: u32 = 2;
    /// The program calls redirect helpers.
    pub(in super::super) const REDIRECTS: u32 = 4;
    /// Frames merged from several are dropped.
    pub(in super::super) const DROPS_MERGED: u32 = 8;
}

/// Functions of the runtime that the translator knows by name.
pub(super) mod name {
    pub(in super::super) const PROGRAM: &str = "hoist_program";
    pub(in super::super) const BROADCAST: &str = "hoist_broadcast";
    pub(in super::super) const BROADCAST_DEVMAP: &str = "hoist_broadcast_devmap";
}

/// The name of the main program with these features.
pub(super) fn main(features: u32) -> String {
    format!("hoist_main_{features}")
}

/// The runtime.
pub(super) fn library() -> Result<&'static Module, &'static ParseError> {
    LIBRARY.as_ref()
}

/// Whether a map of that name is one of the runtime's.
pub(super) fn owns(map: &str) -> bool {
    library().is_ok_and(|library| library.maps.iter().any(|m| m.name == map))
}

/// The map of that name.
pub(super) fn map(library: &Module, name: &str) -> Option<MapId> {
    let at = library.maps.iter().position(|m| m.name == name)?;
    u32::try_from(at).ok().map(MapId)
}
