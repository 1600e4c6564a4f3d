//! Ctrl-C and SIGTERM, without a thread: the handler writes to a socket that is waited on.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Signals that ask for a clean end. From here on they no longer end the process by themselves.
#[derive(Debug)]
pub(super) struct Signals {
    heard: UnixStream,
}

impl Signals {
    /// Starts listening.
    ///
    /// # Errors
    /// The handlers could not be installed.
    pub(super) fn catch() -> io::Result<Self> {
        let (heard, said) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            pipe::register(signal, said.try_clone()?)?;
        }
        Ok(Self { heard })
    }

    /// What becomes readable when a signal came, for those who wait for something else, too.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }

    /// Waits at most that long; `true` when a signal came.
    ///
    /// # Errors
    /// The socket could not be read.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<bool> {
        self.heard.set_read_timeout(Some(at_most))?;
        match (&self.heard).read_exact(&mut [0]) {
            Ok(()) => Ok(true),
            Err(e) => match e.kind() {
                // The read is interrupted by the very signal whose handler wrote the byte.
                io::ErrorKind::Interrupted => self.pending(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(false),
                _ => Err(e),
            },
        }
    }

    /// Whether a signal came already.
    ///
    /// # Errors
    /// The socket could not be read.
    pub(super) fn pending(&self) -> io::Result<bool> {
        self.heard.set_read_timeout(Some(Duration::from_micros(1)))?;
        match (&self.heard).read_exact(&mut [0]) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_the_wait() {
        let signals = Signals::catch().unwrap();
        assert!(!signals.wait(Duration::from_millis(1)).unwrap());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        let start = std::time::Instant::now();
        assert!(signals.wait(Duration::from_secs(10)).unwrap());
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
