//! Tap interfaces: the test itself is the wire.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use super::{LabError, Namespace, Port};
use crate::wait;

/// The device node that makes taps.
const NODE: &str = "/dev/net/tun";

/// A tap interface. It goes away when this is dropped.
#[derive(Debug)]
pub struct Tap {
    /// The interface.
    pub port: Port,
    wire: File,
}

impl Tap {
    /// Makes a tap and sets it up.
    ///
    /// # Errors
    /// The kernel has no tap driver, or refused.
    pub fn create(namespace: &Namespace, name: &str) -> Result<Self, LabError> {
        Self::make(namespace, name, true)
    }

    /// Makes a tun, whose packets have no Ethernet header, and sets it up.
    ///
    /// # Errors
    /// The kernel has no tun driver, or refused.
    pub fn without_ethernet(namespace: &Namespace, name: &str) -> Result<Self, LabError> {
        Self::make(namespace, name, false)
    }

    fn make(namespace: &Namespace, name: &str, ethernet: bool) -> Result<Self, LabError> {
        let wire = namespace.run(|| -> io::Result<File> {
            let flags = libc::O_NONBLOCK;
            let wire = OpenOptions::new().read(true).write(true).custom_flags(flags).open(NODE)?;
            crate::sys::make_tap(wire.as_fd(), name, ethernet)?;
            Ok(wire)
        });
        let wire = wire.map_err(|e| LabError::io("TUNSETIFF", name, &e))?;
        let port = Port::find(namespace, name)?;
        port.set_up(true)?;
        port.wait_running()?;
        Ok(Self { port, wire })
    }

    /// Puts a frame on the wire: the interface receives it.
    ///
    /// # Errors
    /// The interface is down, or the frame too short.
    pub fn send(&self, frame: &[u8]) -> Result<(), LabError> {
        let written = (&self.wire).write(frame);
        written.map(drop).map_err(|e| LabError::io("write", &self.port.name, &e))
    }

    /// The next frame that the interface sent; `None` when there is none within `limit`.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn receive(&self, limit: Duration) -> Result<Option<Vec<u8>>, LabError> {
        let failed = |e: io::Error| LabError::io("read", &self.port.name, &e);
        if !wait::readable(self.wire.as_fd(), limit).map_err(failed)? {
            return Ok(None);
        }
        let mut frame = vec![0; 1 << 16];
        let length = (&self.wire).read(&mut frame).map_err(failed)?;
        frame.truncate(length);
        Ok(Some(frame))
    }
}
