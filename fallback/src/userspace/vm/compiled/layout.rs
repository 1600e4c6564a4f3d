//! Where machine code finds the state of a run.

use std::mem::offset_of;

use cranelift_codegen::ir::{AliasRegion, AliasRegionData, Function};

use super::super::frame::Arrival;
use super::super::memory::Stack;
use super::super::running::Running;

type Run = Running<'static>;

/// `u64`: an address of the frame in this process, less its VM address.
pub(super) const FRAME_DELTA: i32 = offset_of!(Run, native.frame_delta) as i32;
/// Null unless a fault was recorded.
pub(super) const RAISED: i32 = offset_of!(Run, native.raised) as i32;
/// `u32`: position of `data` in the buffer.
pub(super) const FRAME_DATA: i32 = offset_of!(Run, frame.data) as i32;
/// `u32`: position of `data_meta`.
pub(super) const FRAME_META: i32 = offset_of!(Run, frame.meta) as i32;
/// `u32`: position of `data_end`.
pub(super) const FRAME_END: i32 = offset_of!(Run, frame.end) as i32;
/// `u64`: instructions left.
pub(super) const FUEL: i32 = offset_of!(Run, fuel) as i32;
/// `&Arrival`.
pub(super) const ARRIVAL: i32 = offset_of!(Run, arrival) as i32;
/// `&mut Stack`.
pub(super) const STACK: i32 = offset_of!(Run, stack) as i32;

/// `u64` of the stack: see there.
pub(super) const STACK_FLOOR: i32 = offset_of!(Stack, floor) as i32;
/// `u64` of the stack: see there.
pub(super) const STACK_CLEAN: i32 = offset_of!(Stack, clean) as i32;
/// `u64` of the stack: see there.
pub(super) const STACK_LIMIT: i32 = offset_of!(Stack, limit) as i32;

/// `u32` of the arrival.
pub(super) const INGRESS_IFINDEX: i32 = offset_of!(Arrival, ingress_ifindex) as i32;
/// `u32` of the arrival.
pub(super) const RX_QUEUE_INDEX: i32 = offset_of!(Arrival, rx_queue_index) as i32;
/// `u32` of the arrival.
pub(super) const EGRESS_IFINDEX: i32 = offset_of!(Arrival, egress_ifindex) as i32;

/// Memories that never overlap, so that a store to one leaves what is known of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regions {
    /// The state of the run and of its stack's bounds.
    pub(super) run: AliasRegion,
    /// The frame's buffer.
    pub(super) frame: AliasRegion,
    /// The stack's bytes.
    pub(super) stack: AliasRegion,
    /// The values of all maps.
    pub(super) values: AliasRegion,
}

impl Regions {
    pub(super) fn declare(function: &mut Function) -> Self {
        let mut region = |user_id, description: &'static str| {
            let data = AliasRegionData { user_id, description: description.into() };
            function.dfg.alias_regions.insert(data)
        };
        Self {
            run: region(0, "run"),
            frame: region(1, "frame"),
            stack: region(2, "stack"),
            values: region(3, "map values"),
        }
    }
}
