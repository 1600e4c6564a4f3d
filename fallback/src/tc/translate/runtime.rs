//! The runtime as a library to link from: `fallback/runtime/`, compiled.

use std::sync::LazyLock;

use hoist_bpf::module::{MapId, Module};
use hoist_bpf::parse::ParseError;

use super::{Offsets, TagPush};

/// The object file, as the compiler wrote it.
const OBJECT: &[u8] = include_bytes!("../../../prebuilt/runtime.bpf.o");
/// The same for [`TagPush::LeavesNetworkHeader`].
const OBJECT_FOR_OLDER: &[u8] = include_bytes!("../../../prebuilt/runtime_older.bpf.o");
/// The same for [`Offsets::Constant`] and either kind of kernel.
const OBJECT_CONSTANT: &[u8] = include_bytes!("../../../prebuilt/runtime_constant.bpf.o");

static LIBRARY: LazyLock<Result<Module, ParseError>> =
    LazyLock::new(|| Module::parse("runtime", OBJECT));
static LIBRARY_FOR_OLDER: LazyLock<Result<Module, ParseError>> =
    LazyLock::new(|| Module::parse("runtime", OBJECT_FOR_OLDER));
static LIBRARY_CONSTANT: LazyLock<Result<Module, ParseError>> =
    LazyLock::new(|| Module::parse("runtime", OBJECT_CONSTANT));

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
    pub(in super::super) const REDIRECT_DEVMAP: &str = "hoist_redirect_devmap";
    pub(in super::super) const REDIRECT_CPUMAP: &str = "hoist_redirect_cpumap";
    pub(in super::super) const BROADCAST: &str = "hoist_broadcast";
    pub(in super::super) const BROADCAST_DEVMAP: &str = "hoist_broadcast_devmap";
}

/// The name of the main program with these features.
pub(super) fn main(features: u32) -> String {
    format!("hoist_main_{features}")
}

/// The object file for kernels of a kind.
pub(in super::super) const fn object(tag_push: TagPush) -> &'static [u8] {
    match tag_push {
        TagPush::MovesNetworkHeader => OBJECT,
        TagPush::LeavesNetworkHeader => OBJECT_FOR_OLDER,
    }
}

/// The runtime for kernels and processes of a kind.
pub(super) fn library(
    tag_push: TagPush,
    offsets: Offsets,
) -> Result<&'static Module, &'static ParseError> {
    match (offsets, tag_push) {
        (Offsets::Constant, _) => LIBRARY_CONSTANT.as_ref(),
        (Offsets::Any, TagPush::MovesNetworkHeader) => LIBRARY.as_ref(),
        (Offsets::Any, TagPush::LeavesNetworkHeader) => LIBRARY_FOR_OLDER.as_ref(),
    }
}

/// Whether a map of that name is one of the runtime's.
pub(super) fn owns(map: &str) -> bool {
    library(TagPush::default(), Offsets::default())
        .is_ok_and(|library| library.maps.iter().any(|m| m.name == map))
}

/// The map of that name.
pub(super) fn map(library: &Module, name: &str) -> Option<MapId> {
    let at = library.maps.iter().position(|m| m.name == name)?;
    u32::try_from(at).ok().map(MapId)
}
