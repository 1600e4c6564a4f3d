//! What programs note of themselves, in a map of their own.

use hoist_bpf::module::MapId;

/// The map in which programs note what they did: flags of this run, then a counter for each flag.
pub const TRACE: MapId = MapId(2);

/// What programs note in [`TRACE`]: each is a bit of the flags and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// The program was entered.
    Run,
    /// A frame was resized, with success.
    Resized,
    /// The packet was written to.
    Wrote,
    /// A map was written to.
    Stored,
    /// A subprogram or callback was entered.
    Called,
    /// Half of the main program's steps lie behind, or it was left by a tail call.
    Half,
    /// A tail call's target was entered.
    Jumped,
    /// A redirect helper was called.
    Redirected,
}

/// How many kinds of [`Mark`] there are.
pub const MARKS: usize = 8;

/// Where in [`TRACE`] the interface is noted that the last redirect helper was given; 0 where that
/// call named none.
pub const TARGET: u32 = 8 + 8 * MARKS as u32;

/// Where in [`TRACE`] the sum of the amounts is kept by which the frame's start was moved up.
pub(super) const MOVED: i16 = TARGET as i16 + 8;

/// Where in [`TRACE`] it is noted that the start was moved up by more than [`ROOM`] bytes.
pub(super) const FAR: i16 = MOVED + 8;

/// Where in [`TRACE`] it is noted that the frame was cut, at either end, after that.
pub const CUT: u32 = FAR as u32 + 8;

/// The headroom of a SCHED_CLS test run is 66 bytes (`bpf_prog_test_run_skb`), of which the runtime
/// needs up to 16 to change a frame's protocol. What is moved by more makes the kernel allocate anew.
pub(super) const ROOM: i32 = 48;

/// Bytes of the trace: all of the above.
pub const TRACE_BYTES: u32 = CUT + 8;
