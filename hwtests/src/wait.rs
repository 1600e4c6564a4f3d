//! Waiting, never for ever.

use std::io;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Long enough for anything a healthy kernel does here, short enough for a test to fail in time.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Long enough for a packet to arrive that should not.
pub const SILENCE: Duration = Duration::from_millis(150);

/// Asks again and again until the answer is yes or `limit` is over; whether it was.
pub fn until(limit: Duration, mut question: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if question() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a descriptor can be read; `false` when `limit` is over first.
pub(crate) fn readable(descriptor: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut descriptors = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
