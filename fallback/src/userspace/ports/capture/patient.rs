//! Reading from what may stay silent: standard input, pipes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A file whose reader goes on waiting only as long as it wants to: reading ends, as at the end of the
/// file, when `stop` becomes readable or the time is up.
#[derive(Debug)]
pub struct Patient {
    file: File,
    stop: OwnedFd,
    until: Option<Instant>,
    ended: Arc<AtomicBool>,
}

impl Patient {
    /// Reads `file` until `stop` becomes readable, or until then.
    #[must_use]
    pub fn new(file: File, stop: OwnedFd, until: Option<Instant>) -> Self {
        Self { file, stop, until, ended: Arc::default() }
    }

    /// Whether it was not the file that ended: asks this reader, wherever it went.
    #[must_use]
    pub fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let limit = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let limit = limit.map(|left| Timespec::try_from(left.max(Duration::from_millis(1))));
        let limit = limit.transpose().map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut both = [
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN),
        ];
        let ready = loop {
            match poll(&mut both, limit.as_ref()) {
                // The very signal that makes `stop` readable.
                Err(rustix::io::Errno::INTR) => {}
                answer => break answer?,
            }
        };
        if ready == 0 || !both[0].revents().is_empty() {
            self.ended.store(true, Ordering::Relaxed);
            return Ok(0);
        }
        self.file.read(into)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What is there is read; then reading ends by the time, by a stop, or by the end itself.
    #[test]
    fn silence_does_not_keep_a_reader() {
        let (time, stopped, end) = ("time", "stop", "end");
        for by in [time, stopped, end] {
            let (reader, mut writer) = io::pipe().unwrap();
            let (stop, mut stopper) = UnixStream::pair().unwrap();
            let until = (by == time).then(|| Instant::now() + Duration::from_millis(50));
            let mut patient = Patient::new(OwnedFd::from(reader).into(), stop.into(), until);
            let ended = patient.ended();
            writer.write_all(b"frame").unwrap();
            let mut bytes = [0; 8];
            assert_eq!(patient.read(&mut bytes).unwrap(), 5, "{by}");
            if by == stopped {
                stopper.write_all(b"!").unwrap();
            }
            let held = (by != end).then_some(writer);
            assert_eq!(patient.read(&mut bytes).unwrap(), 0, "{by}");
            assert_eq!(ended.load(Ordering::Relaxed), by != end, "{by}");
            drop(held);
        }
    }
}
