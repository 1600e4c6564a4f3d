//! libbpf's own feature probes, for tests to compare with.

use libbpf_rs::{MapType, ProgramType};

/// Whether libbpf finds a program type (`enum bpf_prog_type`); `None` when it cannot tell.
#[must_use]
pub fn program_type(kind: u32) -> Option<bool> {
    ProgramType::from(kind).is_supported().ok()
}

/// Whether libbpf finds a map type (`enum bpf_map_type`); `None` when it cannot tell.
#[must_use]
pub fn map_type(kind: u32) -> Option<bool> {
    MapType::from(kind).is_supported().ok()
}

/// Whether libbpf finds that programs of a type may call a helper; `None` when it cannot tell.
#[must_use]
pub fn helper(program_type: u32, helper: u32) -> Option<bool> {
    ProgramType::from(program_type).is_helper_supported(helper).ok()
}
