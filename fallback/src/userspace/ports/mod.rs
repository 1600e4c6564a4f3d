//! Ports: where the frames of the userspace engine come from and where its verdicts take them.
//!
//! A [`Port`] lends each frame, in place, to the program and does at once what the program wants done
//! with it. Nothing is copied on the way: a frame lies in the ring that it was received in until its
//! verdict is carried out. Wrappers ([`trace`], [`faults`], [`record`]) are ports around a port.
//!
//! | port | frames | `DROP` | `PASS` | `TX` | `REDIRECT` |
//! |---|---|---|---|---|---|
//! | [`memory`] | given | gone | kept in a list | kept in a list | kept in a list |
//! | [`capture`] | of a file | gone | written | written | written |
//! | [`af_xdp`], native | as the driver has them | gone | re-injected behind the XDP hook | sent | sent |
//! | [`af_xdp`], generic | as the core has them | gone | refused | sent | sent |
//! | [`af_packet`] | as a tap has them | gone, with the host's copy | refused | sent | sent |
//! | [`tap`] | what is sent through a TAP interface | gone | into another | back into it | sent |

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use hoist_offload::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::environment::Destination;
use super::vm::{Arrival, Frame, Ran};
use hoist_offload::engine::Verdict;

pub mod af_packet;
pub mod af_xdp;
mod buffer;
pub mod capture;
pub mod faults;
pub mod memory;
mod outcomes;
mod outlets;
pub mod record;
mod sys;
pub mod tap;
pub mod trace;

pub use af_packet::AfPacket;
pub use af_xdp::AfXdp;
pub(super) use buffer::Buffer;
pub use buffer::{LONGEST, PAGE_FRAME};
pub use capture::Capture;
pub use faults::Faulty;
pub use memory::Memory;
pub use outcomes::{Outcome, Outcomes};
pub use record::Record;
pub use tap::Tap;
pub use trace::Trace;

/// Frames that a port hands over at most before it returns: long enough that waking up, locking and
/// flushing cost each frame little, short enough that whoever waits for the machine waits microseconds.
pub const BATCH: usize = 64;

/// What runs for each frame, and says what is to become of it.
pub type Program<'p> = dyn FnMut(&mut Frame<'_>, &Arrival) -> Action + 'p;

/// What is to become of a frame. The frame's bytes are those between its data and its end at the
/// time the program returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `XDP_DROP`, `XDP_ABORTED`, and redirects that lead nowhere.
    Drop,
    /// `XDP_PASS`: the host receives it as if it arrived so.
    Pass,
    /// `XDP_TX`: back out of the port that it came in by.
    Transmit,
    /// `XDP_REDIRECT` to the interface of this index.
    Redirect(u32),
    /// `XDP_REDIRECT` to several interfaces (`BPF_F_BROADCAST`): each gets a copy.
    Broadcast(Box<[u32]>),
    /// The same where each copy is another: programs of the devmap's entries ran on them.
    Copies(Box<[Copied]>),
}

/// A copy of a frame for one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The interface's index.
    pub ifindex: u32,
    /// The copy, from the destination address on.
    pub frame: Box<[u8]>,
}

impl Action {
    /// What a run of the program wants, where no entry that it redirects by has a program of its own:
    /// `Executor::act` runs those first.
    #[must_use]
    pub fn of(ran: &Ran) -> Self {
        match (ran.verdict, &ran.redirect) {
            (Verdict::Pass, _) => Self::Pass,
            (Verdict::Tx, _) => Self::Transmit,
            (Verdict::Redirect, Some(Destination::Interface(ifindex))) => Self::Redirect(*ifindex),
            (Verdict::Redirect, Some(Destination::Device(device))) => {
                Self::Redirect(device.ifindex)
            }
            (Verdict::Redirect, Some(Destination::Broadcast(devices))) => {
                Self::Broadcast(devices.iter().map(|device| device.ifindex).collect())
            }
            // The stack is the host's, whatever CPU was wanted.
            (Verdict::Redirect, Some(Destination::Cpu { .. })) => Self::Pass,
            // Nobody's AF_XDP socket is behind a port.
            (Verdict::Redirect, Some(Destination::Socket { .. }) | None)
            | (Verdict::Drop | Verdict::Aborted, _) => Self::Drop,
        }
    }
}

/// What one turn at a port brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// So many frames, never 0.
    Frames(usize),
    /// None right now: [`wait`] until there are.
    Idle,
    /// None ever again.
    End,
}

/// A source of frames that carries out verdicts.
///
/// One thread uses a port; several queues are several ports.
pub trait Port: Send + fmt::Debug {
    /// The name printed in messages: an interface with its queue, or a file.
    fn name(&self) -> &str;

    /// What becomes readable when frames are there; `None` where that need not be waited for.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Hands over at most [`BATCH`] frames that are there already, one after another, and carries out
    /// what the program answers. What was queued for sending is on its way when this returns. Never
    /// waits for frames.
    ///
    /// # Errors
    /// The port can go on no more: its interface is gone, its file is broken. What becomes of single
    /// frames is no error but counted ([`Port::outcomes`]).
    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error>;

    /// Carries out an action on a frame that this port did not hand over, such as a copy that a wrapper
    /// made of one.
    ///
    /// # Errors
    /// As [`Port::receive`].
    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error>;

    /// What became of the frames so far.
    fn outcomes(&self) -> Outcomes;

    /// Ends well: waits for what is still on its way out and writes what is still in memory. Dropping a
    /// port does what it can of this, and cannot say what failed.
    ///
    /// # Errors
    /// What was lost.
    fn finish(&mut self) -> Result<(), Error>;
}

impl Port for Box<dyn Port> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (**self).descriptor()
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        (**self).receive(program)
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        (**self).carry_out(frame, arrival, action)
    }

    fn outcomes(&self) -> Outcomes {
        (**self).outcomes()
    }

    fn finish(&mut self) -> Result<(), Error> {
        (**self).finish()
    }
}

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Frames may be there.
    Frames,
    /// The stop descriptor became readable or was closed at its other end.
    Stop,
    /// The time is up.
    Timeout,
}

/// Sleeps until a port has frames, `stop` becomes readable, or the time is up. A port without a
/// descriptor always has frames.
///
/// # Errors
/// poll(2) failed; a signal is no failure.
pub fn wait(port: &dyn Port, stop: BorrowedFd<'_>, limit: Option<Duration>) -> Result<Wake, Error> {
    let failed = |source: io::Error| Error::Host {
        operation: "poll",
        object: port.name().to_owned(),
        source,
    };
    let limit = match (port.descriptor(), limit) {
        (None, _) => Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
        (Some(_), Some(limit)) => Some(
            Timespec::try_from(limit).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?,
        ),
        (Some(_), None) => None,
    };
    let mut both = [
        PollFd::from_borrowed_fd(stop, PollFlags::IN),
        PollFd::from_borrowed_fd(port.descriptor().unwrap_or(stop), PollFlags::IN),
    ];
    match poll(&mut both, limit.as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok(Wake::Timeout),
        Err(errno) => return Err(failed(errno.into())),
        Ok(_) => {}
    }
    let ready = |at: usize| !both[at].revents().is_empty();
    Ok(match (ready(0), port.descriptor().is_none() || ready(1)) {
        (true, _) => Wake::Stop,
        (false, true) => Wake::Frames,
        (false, false) => Wake::Timeout,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A port of which frames are there when its descriptor is readable.
    #[derive(Debug)]
    struct Bell(Option<UnixStream>);

    impl Port for Bell {
        fn name(&self) -> &str {
            "bell"
        }

        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.0.as_ref().map(|socket| socket.as_fd())
        }

        fn receive(&mut self, _: &mut Program<'_>) -> Result<Batch, Error> {
            Ok(Batch::Idle)
        }

        fn carry_out(&mut self, _: &mut Frame<'_>, _: &Arrival, _: &Action) -> Result<(), Error> {
            Ok(())
        }

        fn outcomes(&self) -> Outcomes {
            Outcomes::default()
        }

        fn finish(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn whoever_waits_is_woken_by_frames_by_a_stop_and_by_time() {
        let (port, mut ringer) = UnixStream::pair().unwrap();
        let (stop, stopper) = UnixStream::pair().unwrap();
        let (bell, file) = (Bell(Some(port)), Bell(None));
        let short = Some(Duration::from_millis(5));
        let woken = |port: &Bell, limit| wait(port, stop.as_fd(), limit).unwrap();
        assert_eq!(woken(&bell, short), Wake::Timeout);
        assert_eq!(woken(&file, None), Wake::Frames);
        ringer.write_all(b"!").unwrap();
        assert_eq!(woken(&bell, None), Wake::Frames);
        drop(stopper);
        assert_eq!(woken(&bell, None), Wake::Stop);
        assert_eq!(woken(&file, None), Wake::Stop);
    }
}
