//! The frames of a capture file, sent again: with the distances in which they were recorded, or at a
//! rate; once or again and again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_fallback::userspace::ports::{Action, Batch, Capture, Port as _, capture};
use hoist_hwtests::dut::Failure;
use rustix::io::Errno;

use super::schedule::{self, Schedule};
use super::sockets::{Kind, Socket, now, pin};
use crate::meter::histogram::Histogram;
use crate::meter::{Injection, Marks, Sent, Traffic};
use crate::trial::{Count, Order};

/// How long after the end of an order frames that are late may still be sent, in nanoseconds.
const GRACE: u64 = 100_000;
/// Frames that are given to the kernel at once where nothing is waited for.
const BATCH: usize = 64;

/// When frames are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timing {
    /// As the order says: at its load, or as fast as it goes.
    Ordered,
    /// As they were recorded, so many times faster; the order's load is not looked at.
    Recorded(f64),
}

/// A generator that replays a capture on one processor.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    kind: Kind,
    interface: String,
    ifindex: u32,
    cpu: u32,
    timing: Timing,
    loops: Option<u64>,
    longest: usize,
}

/// Where a replay is.
struct Progress<'r> {
    socket: Socket,
    timing: Timing,
    schedule: Option<Schedule>,
    duration: u64,
    stop: &'r AtomicBool,
    start: u64,
    /// Time of the first frame of this loop as it was recorded, and when it is due.
    recorded: Option<(u64, u64)>,
    due: u64,
    generated: u64,
    intended: u64,
    unfit: u64,
    late: Histogram,
    waiting: usize,
    over: bool,
    failed: Option<Errno>,
}

impl Replay {
    /// Reads the capture once, to see that it is one, and sends its frames out of an interface.
    ///
    /// # Errors
    /// The file cannot be read, is no capture of Ethernet frames, or holds none.
    pub fn open(
        path: &Path,
        kind: Kind,
        (interface, ifindex): (&str, u32),
        cpu: u32,
    ) -> Result<Self, Failure> {
        let (mut frames, mut longest) = (0_u64, 0);
        each(path, |bytes, _| {
            frames += 1;
            longest = longest.max(bytes.len());
            true
        })?;
        if frames == 0 {
            return Err(format!("{} holds no frames to replay", path.display()).into());
        }
        Ok(Self {
            path: path.to_owned(),
            kind,
            interface: interface.to_owned(),
            ifindex,
            cpu,
            timing: Timing::Ordered,
            loops: None,
            longest,
        })
    }

    /// When frames are sent.
    ///
    /// # Errors
    /// No replay is so many times faster.
    pub fn timed(mut self, timing: Timing) -> Result<Self, Failure> {
        if let Timing::Recorded(speed) = timing
            && !(speed > 0.0 && speed.is_finite())
        {
            return Err(format!("a capture cannot be replayed {speed} times as fast").into());
        }
        self.timing = timing;
        Ok(self)
    }

    /// How often the capture is sent at most; without it, until the order's time is over.
    #[must_use]
    pub const fn loops(mut self, loops: u64) -> Self {
        self.loops = Some(loops);
        self
    }
}

impl Progress<'_> {
    /// Sends one frame when it is due; whether there is to be another.
    fn frame(&mut self, bytes: &[u8], time: Option<u64>) -> bool {
        let due = self.due_of(time);
        let mut since = now() - self.start;
        if due.unwrap_or(since) >= self.duration {
            return false;
        }
        self.intended += 1;
        self.over |= since > self.duration + GRACE;
        // What was due by the end was intended, and only counted from here on.
        if self.over {
            return due.is_some();
        }
        while due.is_some_and(|due| due > since) {
            if self.waiting > 0 && !self.flush() {
                return false;
            }
            if self.stop.load(Ordering::Relaxed) {
                self.intended -= 1;
                return false;
            }
            std::hint::spin_loop();
            since = now() - self.start;
        }
        if !self.put(bytes) {
            return false;
        }
        if let Some(due) = due {
            self.late.add(since - due);
            self.late.extend_to(since - due, since - due);
        }
        self.generated += 1;
        self.waiting += 1;
        (self.waiting < BATCH || self.flush()) && !self.stop.load(Ordering::Relaxed)
    }

    /// When a frame is due after the start; `None` for at once.
    fn due_of(&mut self, time: Option<u64>) -> Option<u64> {
        self.due = match (self.timing, self.schedule) {
            (Timing::Ordered, schedule) => return schedule.map(|s| s.due(self.intended)),
            (Timing::Recorded(speed), _) => {
                let time = time.unwrap_or(0);
                let (first, base) = *self.recorded.get_or_insert((time, self.due));
                // Captures of several interfaces need not be in order.
                base + (time.saturating_sub(first) as f64 / speed) as u64
            }
        };
        Some(self.due)
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        loop {
            let mut fits = true;
            let put = self.socket.put(|room| match room.get_mut(..bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    bytes.len()
                }
                None => {
                    fits = false;
                    0
                }
            });
            if put {
                self.unfit += u64::from(!fits);
                return true;
            }
            if !self.flush() || self.stop.load(Ordering::Relaxed) {
                return false;
            }
        }
    }

    fn flush(&mut self) -> bool {
        self.waiting = 0;
        self.failed = self.socket.flush().err();
        self.failed.is_none()
    }
}

impl Traffic for Replay {
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        let this = &*self;
        std::thread::scope(|scope| {
            // A thread of its own, since it is kept on a processor.
            let replay = scope.spawn(move || this.replay(order, stop));
            replay.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn injection(&self) -> Injection {
        Injection::Buffers
    }

    fn frame_bytes(&self) -> usize {
        self.longest
    }

    /// None: nobody knows what a capture's frames have in common.
    fn marks(&self) -> Marks {
        Marks::default()
    }
}

impl Replay {
    fn replay(&self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        pin(self.cpu)?;
        let schedule =
            order.load.map(|load| Schedule::new(load, order.seconds, 1, (0, 1))).transpose()?;
        let mut progress = Progress {
            socket: Socket::open(self.kind, &self.interface, self.ifindex, 0)?,
            timing: self.timing,
            schedule,
            duration: schedule::duration(order.seconds)?,
            stop,
            start: now(),
            recorded: None,
            due: 0,
            generated: 0,
            intended: 0,
            unfit: 0,
            late: Histogram::default(),
            waiting: 0,
            over: false,
            failed: None,
        };
        let mut loops = 0;
        while self.loops.is_none_or(|most| loops < most) {
            progress.recorded = None;
            let more = each(&self.path, |bytes, time| progress.frame(bytes, time))?;
            loops += 1;
            if !more {
                break;
            }
        }
        if let Some(errno) = progress.failed {
            return Err(format!("sending out of {}: {errno}", self.interface).into());
        }
        let seconds = (now() - progress.start) as f64 / 1e9;
        let refused = progress.socket.drain()?;
        let timed = schedule.is_some() || matches!(self.timing, Timing::Recorded(_));
        Ok(Sent {
            generated: Count {
                packets: progress.generated,
                counter: "frames of the capture put into the ring".to_owned(),
            },
            intended: if timed { progress.intended } else { progress.generated },
            refused: Some(Count {
                packets: refused + progress.unfit,
                counter: "frames that the ring has no room for, or the kernel refused".to_owned(),
            }),
            seconds,
            lateness: timed.then(|| progress.late.percentiles()).flatten(),
        })
    }
}

/// Hands over the frames of a capture, whole ones, with their times, until told that it is enough;
/// whether it came to the end.
fn each(path: &Path, mut work: impl FnMut(&[u8], Option<u64>) -> bool) -> Result<bool, Failure> {
    let options = capture::Options { cut_short: false, ..capture::Options::default() };
    let mut file = Capture::open(path, None, options)?;
    let mut enough = false;
    loop {
        let batch = file.receive(&mut |frame, arrival| {
            enough = enough || !work(frame.bytes(), arrival.time_ns);
            Action::Drop
        })?;
        if enough || batch == Batch::End {
            return Ok(!enough);
        }
    }
}
