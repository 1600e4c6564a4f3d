//! The questions, as pieces of code.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use hoist_bpf::insn::Insn;

pub(super) mod context;
pub(super) mod helpers;
pub(super) mod instructions;
pub(super) mod memory;
pub(super) mod signatures;

/// Where the frame's zeros are, from `r10`.
pub(super) const KEY: i32 = -8;
pub(super) const VALUE: i32 = -72;
pub(super) const NUMBER: i32 = -80;
pub(super) const DYNPTR: i32 = -96;

const BPF_PSEUDO_MAP_FD: u8 = 1;
const MAP_LOOKUP_ELEM: i32 = 1;

/// The maps that pieces work with.
#[derive(Debug)]
pub(super) struct Maps {
    /// A map of the device: keys of 4, values of 32 bytes.
    pub(super) device: Result<OwnedFd, String>,
    /// A perf event array of the host's, the only host map a program for a device may use.
    pub(super) perf: Result<OwnedFd, String>,
    /// An array of the host's.
    pub(super) host: Result<OwnedFd, String>,
    /// A program array of the host's.
    pub(super) programs: Result<OwnedFd, String>,
}

pub(super) fn raw(map: &Result<OwnedFd, String>) -> Result<RawFd, &str> {
    map.as_ref().map(AsRawFd::as_raw_fd).map_err(String::as_str)
}

/// `dst = value`.
pub(super) const fn set(dst: u8, value: i32) -> Insn {
    Insn::new(0xb7, dst, 0, 0, value)
}

/// `dst = src`.
pub(super) const fn copy(dst: u8, src: u8) -> Insn {
    Insn::new(0xbf, dst, src, 0, 0)
}

/// `dst = r10 + offset`.
pub(super) const fn frame(dst: u8, offset: i32) -> [Insn; 2] {
    [copy(dst, 10), Insn::new(0x07, dst, 0, 0, offset)]
}

/// `dst = map`.
pub(super) fn map(dst: u8, fd: RawFd) -> [Insn; 2] {
    [Insn::new(0x18, dst, BPF_PSEUDO_MAP_FD, 0, fd), Insn::default()]
}

/// Runs `code` with the address of a map's first value in `r0`, unless there is none.
pub(super) fn with_value(fd: RawFd, code: &[Insn]) -> Vec<Insn> {
    let mut piece = map(1, fd).to_vec();
    piece.extend(frame(2, KEY));
    piece.push(super::super::call(MAP_LOOKUP_ELEM));
    piece.extend(unless_null(code));
    piece
}

/// Runs `code` if `r0` is not 0.
pub(super) fn unless_null(code: &[Insn]) -> Vec<Insn> {
    // Pieces are a few dozen instructions.
    let over = i16::try_from(code.len()).unwrap_or(i16::MAX);
    let mut piece = vec![Insn::new(0x15, 0, 0, over, 0)];
    piece.extend_from_slice(code);
    piece
}
