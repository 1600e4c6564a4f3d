//! What the meter asks of a generator.

use std::sync::atomic::AtomicBool;

use hoist_hwtests::dut::Failure;

use crate::trial::{Count, Order, Percentiles};

/// How frames come to the sending interface, which decides who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// As XDP frames (`ndo_xdp_xmit`).
    Frames,
    /// As socket buffers (`ndo_start_xmit`): packet sockets, AF_XDP in copy mode.
    Buffers,
}

/// What was sent for one order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Frames handed to the interface.
    pub generated: Count,
    /// Frames that the schedule called for; equal to what was generated without an intended load.
    pub intended: u64,
    /// Frames that did not come as far as the interface's own counters: a full ring of a socket.
    pub refused: Option<Count>,
    /// From the first frame to the last, in seconds.
    pub seconds: f64,
    /// Sent less intended, in nanoseconds.
    pub lateness: Option<Percentiles>,
}

/// Sends frames as ordered. Called in the sending interface's network namespace.
pub trait Traffic: Send {
    /// Sends until the order is done, or until `stop` is set.
    ///
    /// # Errors
    /// Nothing can be sent.
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure>;

    /// How the frames come to the interface.
    fn injection(&self) -> Injection;

    /// Longest frame, in bytes, without FCS.
    fn frame_bytes(&self) -> usize;
}
