//! What the meter asks of a generator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hoist_hwtests::dut::Failure;

use super::receiver::Marks;
use crate::generator::Generator;
use crate::stamp::Stamp;
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

    /// What its frames carry at their end.
    fn marks(&self) -> Marks;
}

/// As fast as it can, in calls of a tenth of a second or so; for an intended load, until as many were
/// sent as that comes to.
impl Traffic for Generator {
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        /// Long enough for the two RCU waits of a call not to matter.
        const FIRST: u32 = 1 << 16;
        let intended = order.load.map(|load| (load * order.seconds) as u64);
        let (mut generated, mut call, start) = (0_u64, FIRST, Instant::now());
        while start.elapsed().as_secs_f64() < order.seconds && !stop.load(Ordering::Relaxed) {
            let left = intended.map_or(u64::MAX, |intended| intended.saturating_sub(generated));
            call = call.min(u32::try_from(left).unwrap_or(u32::MAX));
            if call == 0 {
                break;
            }
            let began = Instant::now();
            Generator::send(self, call)?;
            generated += u64::from(call);
            if began.elapsed().as_millis() < 100 {
                call = call.saturating_mul(2);
            }
        }
        Ok(Sent {
            generated: Count {
                packets: generated,
                counter: "BPF_PROG_TEST_RUN: repeat".to_owned(),
            },
            intended: intended.unwrap_or(generated),
            refused: None,
            seconds: start.elapsed().as_secs_f64(),
            lateness: None,
        })
    }

    fn injection(&self) -> Injection {
        Injection::Frames
    }

    fn frame_bytes(&self) -> usize {
        self.frame().len()
    }

    /// Every frame is the same, so its end tells them from others.
    fn marks(&self) -> Marks {
        let token = Stamp::of(self.frame()).unwrap_or_default().token;
        Marks { token, ..Marks::default() }
    }
}
