//! The generator as the meter knows it.

use std::sync::atomic::AtomicBool;

use hoist_hwtests::dut::Failure;

use super::{Live, Run};
use crate::meter::histogram::Histogram;
use crate::meter::{Injection, Marks, Sent, Traffic};
use crate::profile::Frames;
use crate::stamp::Stamp;
use crate::trial::{Count, Order, Percentiles};

impl Run {
    /// How late frames were: sent less intended, in nanoseconds. `None` without a schedule.
    #[must_use]
    pub fn late(&self) -> Option<Percentiles> {
        let mut histogram = Histogram::default();
        for (bucket, frames) in self.lateness.iter().enumerate().filter(|(_, n)| **n > 0) {
            histogram.add_many(bucket, *frames);
        }
        for core in self.cores.iter().filter(|core| core.generated > 0) {
            histogram.extend_to(core.late.0, core.late.1);
        }
        histogram.percentiles()
    }
}

impl Marks {
    /// Those of a generator's frames.
    #[must_use]
    pub fn of(frames: &Frames, token: u16) -> Self {
        if frames.stamped() {
            return Self { token, sequenced: true, timed: true };
        }
        // Whatever stands at the end of every frame.
        let token = Stamp::of(frames.longest()).unwrap_or_default().token;
        Self { token, ..Self::default() }
    }
}

impl Traffic for Live {
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        let run = self.run(order.load, order.seconds, stop)?;
        Ok(Sent {
            generated: Count {
                packets: run.generated(),
                counter: "map .bss of hoist's generator: cores[].generated".to_owned(),
            },
            intended: run.intended,
            refused: None,
            seconds: run.seconds(),
            lateness: order.load.and_then(|_| run.late()),
        })
    }

    fn injection(&self) -> Injection {
        Injection::Frames
    }

    fn frame_bytes(&self) -> usize {
        self.frames.longest().len()
    }

    fn marks(&self) -> Marks {
        Marks::of(&self.frames, self.options.token)
    }
}
