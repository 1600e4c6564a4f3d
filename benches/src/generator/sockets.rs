//! Frames sent by sockets of this process: AF_XDP and packet sockets. Slower than [`Live`](super::Live)
//! by far, and for kernels and drivers where that cannot be, and for replaying what is no profile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hoist_bpf::kernel::KernelError;
use hoist_fallback::userspace::ports::{af_packet, af_xdp};
use hoist_hwtests::dut::Failure;
use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::live::Options;
use super::schedule::{self, Schedule};
use crate::meter::histogram::Histogram;
use crate::meter::{Injection, Marks, Sent, Traffic};
use crate::profile::Frames;
use crate::stamp::Stamp;
use crate::trial::{Count, Order};

/// Frames that are given to the kernel at once where there is no schedule.
const BATCH: usize = 64;
/// How long after the end of the schedule frames that are late may still be sent, in nanoseconds.
const GRACE: u64 = 100_000;
/// How long frames in a ring are waited for at the end, in nanoseconds.
const PATIENCE: u64 = 200_000_000;

/// Which sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// AF_XDP in copy mode, a queue for each processor.
    AfXdp,
    /// A packet socket with a transmit ring (`PACKET_TX_RING`), past the queueing discipline.
    AfPacket,
}

/// A socket that sends.
#[derive(Debug)]
pub(super) enum Socket {
    AfXdp(Box<af_xdp::Sender>),
    AfPacket(af_packet::Sender),
}

impl Socket {
    pub(super) fn open(
        kind: Kind,
        interface: &str,
        ifindex: u32,
        queue: u32,
    ) -> Result<Self, KernelError> {
        Ok(match kind {
            Kind::AfXdp => Self::AfXdp(Box::new(af_xdp::Sender::open(interface, ifindex, queue)?)),
            Kind::AfPacket => Self::AfPacket(af_packet::Sender::open(interface, ifindex)?),
        })
    }

    /// Puts a frame; `false` when there is no room.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        match self {
            Self::AfXdp(sender) => sender.put(write),
            Self::AfPacket(sender) => sender.put(write),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        match self {
            Self::AfXdp(sender) => sender.flush(),
            Self::AfPacket(sender) => sender.flush(),
        }
    }

    /// Waits until everything was sent; how much was not, because it was not understood or in time.
    pub(super) fn drain(&mut self) -> Result<u64, Errno> {
        let end = now() + PATIENCE;
        loop {
            self.flush()?;
            let (unsent, invalid) = match self {
                Self::AfXdp(sender) => (sender.unsent(), sender.invalid()),
                Self::AfPacket(sender) => (sender.unsent(), sender.invalid()),
            };
            if unsent == 0 || now() > end {
                return Ok(u64::from(unsent) + invalid);
            }
            thread::yield_now();
        }
    }
}

/// A generator of sockets, one for each processor.
#[derive(Debug)]
pub struct Sockets {
    kind: Kind,
    interface: String,
    ifindex: u32,
    frames: Frames,
    options: Options,
}

/// What one processor did.
#[derive(Debug, Default)]
struct Share {
    generated: u64,
    intended: u64,
    refused: u64,
    first: u64,
    last: u64,
    late: Histogram,
}

impl Sockets {
    /// Sends the frames out of an interface.
    #[must_use]
    pub fn new(
        kind: Kind,
        interface: &str,
        ifindex: u32,
        frames: Frames,
        options: Options,
    ) -> Self {
        Self { kind, interface: interface.to_owned(), ifindex, frames, options }
    }

    fn share(&self, stream: usize, order: &Order, stop: &AtomicBool) -> Result<Share, Failure> {
        let cpu = self.options.cpus.get(stream).copied().unwrap_or(0);
        pin(cpu)?;
        let queue = u32::try_from(stream)?;
        let streams = u32::try_from(self.options.cpus.len())?;
        let mut socket = Socket::open(self.kind, &self.interface, self.ifindex, queue)?;
        let burst = self.frames.profile().burst;
        let schedule = order
            .load
            .map(|load| Schedule::new(load, order.seconds, burst, (queue, streams)))
            .transpose()?;
        let duration = schedule::duration(order.seconds)?;
        let limit = self.options.limit.unwrap_or(u64::MAX);
        let mut share = Share { first: now(), ..Share::default() };
        let mut waiting = 0;
        let stopped = loop {
            let time = now();
            let since = time - share.first;
            let number = share.generated;
            let due = schedule.map(|schedule| schedule.due(number));
            if stop.load(Ordering::Relaxed) {
                break true;
            }
            if number == limit
                || due.map_or(since, |due| due) >= duration
                || since > duration + GRACE
            {
                break false;
            }
            if due.is_some_and(|due| due > since) {
                if waiting > 0 {
                    socket.flush()?;
                    waiting = 0;
                }
                std::hint::spin_loop();
                continue;
            }
            let intended = due.map_or(time, |due| share.first + due);
            let stamp = Stamp {
                token: self.options.token,
                stream: self.options.stream.wrapping_add(stream as u8),
                sequence: number as u32,
                intended,
                sent: time,
            };
            if socket.put(|room| self.frames.write(number, &stamp, room)) {
                if schedule.is_some() {
                    share.late.add(time - intended);
                    share.late.extend_to(time - intended, time - intended);
                }
                share.generated += 1;
                waiting += 1;
            } else {
                waiting = BATCH;
            }
            if waiting >= BATCH {
                socket.flush()?;
                waiting = 0;
            }
        };
        share.last = now();
        share.refused = socket.drain()?;
        let until = if stopped { share.last - share.first } else { u64::MAX };
        share.intended = schedule.map_or(share.generated, |schedule| {
            schedule.intended(until).max(share.generated).min(limit)
        });
        Ok(share)
    }
}

impl Traffic for Sockets {
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        let this = &*self;
        let shares: Vec<Share> = thread::scope(|scope| {
            let threads: Vec<_> = (0..this.options.cpus.len())
                .map(|stream| scope.spawn(move || this.share(stream, order, stop)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<_, _>>()
        })?;
        let sum = |of: fn(&Share) -> u64| shares.iter().map(of).sum::<u64>();
        let first = shares.iter().map(|s| s.first).min().unwrap_or(0);
        let last = shares.iter().map(|s| s.last).max().unwrap_or(0);
        let mut late = Histogram::default();
        shares.iter().for_each(|share| late.join(&share.late));
        let (counter, refused) = match this.kind {
            Kind::AfXdp => ("frames put into the AF_XDP rings", "XDP_STATISTICS: tx_invalid_descs"),
            Kind::AfPacket => {
                ("frames put into the packet rings", "tp_status: TP_STATUS_WRONG_FORMAT")
            }
        };
        Ok(Sent {
            generated: Count { packets: sum(|s| s.generated), counter: counter.to_owned() },
            intended: sum(|s| s.intended),
            refused: Some(Count { packets: sum(|s| s.refused), counter: refused.to_owned() }),
            seconds: last.saturating_sub(first) as f64 / 1e9,
            lateness: order.load.and_then(|_| late.percentiles()),
        })
    }

    fn injection(&self) -> Injection {
        Injection::Buffers
    }

    fn frame_bytes(&self) -> usize {
        self.frames.longest().len()
    }

    fn marks(&self) -> Marks {
        Marks::of(&self.frames, self.options.token)
    }
}

/// Keeps the calling thread on a processor.
pub(super) fn pin(cpu: u32) -> Result<(), Failure> {
    let mut cpus = CpuSet::new();
    if cpu as usize >= CpuSet::MAX_CPU {
        return Err(format!("there is no CPU {cpu}").into());
    }
    cpus.set(cpu as usize);
    sched_setaffinity(None, &cpus).map_err(|e| format!("cannot generate on CPU {cpu}: {e}"))?;
    Ok(())
}

/// Nanoseconds of `CLOCK_MONOTONIC`, as the programs' `bpf_ktime_get_ns` counts them.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // It counts from when the machine was started.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
