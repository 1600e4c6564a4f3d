//! What the numbers in a program's registers mean.
//!
//! Registers never hold addresses of this process. A *VM address* is a tag in bits 63..48, which
//! names the kind of memory, and an offset in bits 47..0. The frame buffer alone has tag 0 and starts
//! at [`FRAME`], so that the 32-bit fields `data`, `data_end` and `data_meta` of `struct xdp_md` are
//! true VM addresses; 0 and small integers lie in no memory.

use hoist_bpf::module::{FunctionId, MapId};

/// First address of the frame buffer: byte `n` of [`super::Frame::buffer`] is at `FRAME + n`.
pub const FRAME: u64 = 0x1000_0000;
/// Bits of the offset within a tagged memory.
pub const OFFSET_BITS: u32 = 48;
/// Tag of the stack.
pub const STACK_TAG: u64 = 1;
/// Tag of the context, `struct xdp_md`.
pub const CONTEXT_TAG: u64 = 2;
/// Tag of maps as such, which are handles and cannot be read: `r1` of `bpf_map_lookup_elem`.
pub const MAP_HANDLE_TAG: u64 = 3;
/// Tag of functions, which are handles too: the callback of `bpf_loop`.
pub const FUNCTION_TAG: u64 = 4;
/// Tag of the first map's values; map `m` has tag `VALUE_TAG + m`.
pub const VALUE_TAG: u64 = 0x10;
/// Most maps a machine can have.
pub const MAX_MAPS: u32 = 0xf000;

/// Bytes of one function's stack (`MAX_BPF_STACK` of the kernel).
pub const STACK_FRAME: u64 = 512;
/// Most functions of one program that are active at once (`MAX_CALL_FRAMES` of the kernel). A program
/// that took the place of another by a tail call counts anew (`check_max_stack_depth`).
pub const MAX_CALL_FRAMES: usize = 8;
/// Most functions that are active at once: each program of a chain of tail calls may have been called
/// from the last function of the one before, whose place it takes.
pub const MAX_ACTIVE: usize =
    MAX_CALL_FRAMES + super::MAX_TAIL_CALLS as usize * (MAX_CALL_FRAMES - 1);
/// Bytes of stack that one program may take.
pub const PROGRAM_STACK: u64 = STACK_FRAME * MAX_CALL_FRAMES as u64;
/// Bytes of the whole stack.
pub const STACK_BYTES: u64 = STACK_FRAME * MAX_ACTIVE as u64;
/// First address of the stack.
pub const STACK: u64 = STACK_TAG << OFFSET_BITS;
/// `r10` of the entry function; a callee's is [`STACK_FRAME`] lower than its caller's.
pub const STACK_TOP: u64 = STACK + STACK_BYTES;
/// Address of the context: `r1` on entry.
pub const CONTEXT: u64 = CONTEXT_TAG << OFFSET_BITS;

/// The tag of an address.
#[must_use]
pub const fn tag(address: u64) -> u64 {
    address >> OFFSET_BITS
}

/// The offset of an address within its memory (for the frame: the address itself).
#[must_use]
pub const fn offset(address: u64) -> u64 {
    address & ((1 << OFFSET_BITS) - 1)
}

/// The handle of a map.
#[must_use]
pub const fn map_handle(map: MapId) -> u64 {
    (MAP_HANDLE_TAG << OFFSET_BITS) | map.0 as u64
}

/// The map a handle names; `None` for anything that is no handle of a map.
#[must_use]
pub const fn handled_map(address: u64) -> Option<MapId> {
    if tag(address) == MAP_HANDLE_TAG && offset(address) <= u32::MAX as u64 {
        Some(MapId(offset(address) as u32))
    } else {
        None
    }
}

/// The handle of a function.
#[must_use]
pub const fn function_address(function: FunctionId) -> u64 {
    (FUNCTION_TAG << OFFSET_BITS) | function.0 as u64
}

/// The function a handle names; `None` for anything that is no handle of a function.
#[must_use]
pub const fn addressed_function(address: u64) -> Option<FunctionId> {
    if tag(address) == FUNCTION_TAG && offset(address) <= u32::MAX as u64 {
        Some(FunctionId(offset(address) as u32))
    } else {
        None
    }
}

/// The address of a byte of a map's value memory. How offsets and entries relate is the map's.
#[must_use]
pub const fn map_value(map: MapId, offset: u64) -> u64 {
    ((VALUE_TAG + map.0 as u64) << OFFSET_BITS) | offset
}

/// The map in whose value memory an address lies, and the offset; the map need not exist.
#[must_use]
pub const fn valued_map(address: u64) -> Option<(MapId, u64)> {
    let tag = tag(address);
    if tag >= VALUE_TAG && tag < VALUE_TAG + MAX_MAPS as u64 {
        Some((MapId((tag - VALUE_TAG) as u32), offset(address)))
    } else {
        None
    }
}
