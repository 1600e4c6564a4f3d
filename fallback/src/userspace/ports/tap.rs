//! TAP devices: hoist is the wire.
//!
//! What a host sends through a TAP interface arrives at the port, and `XDP_TX` hands it back to that
//! host. With a second TAP interface for the host behind the program, passed frames come in there, and
//! what is sent there goes out of the first: a program between two interfaces, without any hook.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use hoist_offload::error::Error;

use super::buffer::{Buffer, LONGEST};
use super::outlets::Outlets;
use super::{Action, BATCH, Batch, Copied, Outcome, Outcomes, Port, Program, sys};
use crate::userspace::vm::{Arrival, Frame};

/// Two TAP interfaces, or one, with the program between.
#[derive(Debug)]
pub struct Tap {
    name: String,
    ifindex: u32,
    wire: File,
    host: Option<File>,
    scratch: Box<[u8]>,
    buffer: Buffer,
    outlets: Outlets,
    outcomes: Outcomes,
}

impl Tap {
    /// Makes, or takes, the TAP interface `wire` of the thread's network namespace, and `host` for what
    /// the program passes. Interfaces that this makes go with it. `ifindex` is what the program sees as
    /// `ingress_ifindex`.
    ///
    /// # Errors
    /// The system's refusal: `EPERM` without `CAP_NET_ADMIN` for an interface that was not made for
    /// this user, `EBUSY` when somebody else holds it.
    pub fn open(wire: &str, host: Option<&str>, ifindex: u32) -> Result<Self, Error> {
        Ok(Self {
            name: wire.to_owned(),
            ifindex,
            wire: device(wire)?,
            host: host.map(device).transpose()?,
            scratch: vec![0; LONGEST].into_boxed_slice(),
            buffer: Buffer::new(),
            outlets: Outlets::default(),
            outcomes: Outcomes::default(),
        })
    }

    /// Sets what the program sees as `ingress_ifindex`: an interface that was just made has an index only
    /// now.
    pub const fn set_ifindex(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
    }

    /// Lets what the host behind the program sends go out, unseen by the program.
    fn forward(&mut self) -> Result<(), Error> {
        let Some(host) = &mut self.host else { return Ok(()) };
        for _ in 0..BATCH {
            let Some(length) = next(host, &mut self.scratch, &self.name)? else { break };
            // A wire that is down or full loses frames, as wires do.
            let _ = self.wire.write(&self.scratch[..length]);
        }
        Ok(())
    }
}

fn device(name: &str) -> Result<File, Error> {
    let failed = |operation, source| Error::Host { operation, object: name.to_owned(), source };
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map_err(|error| failed("open /dev/net/tun for", error))?;
    sys::make_tap(file.as_fd(), name).map_err(|error| failed("TUNSETIFF", error))?;
    Ok(file)
}

/// Reads a frame that is there; its length.
fn next(device: &mut File, into: &mut [u8], name: &str) -> Result<Option<usize>, Error> {
    match device.read(into) {
        Ok(length) => Ok(Some(length)),
        // EIO: the interface is down, so nothing is sent through it.
        Err(error)
            if error.kind() == io::ErrorKind::WouldBlock
                || error.raw_os_error() == Some(libc::EIO) =>
        {
            Ok(None)
        }
        Err(source) => Err(Error::Host { operation: "read", object: name.to_owned(), source }),
    }
}

/// Writes a frame, and counts what became of it.
fn give(device: Option<&mut File>, frame: &[u8], given: Outcome, outcomes: &mut Outcomes) {
    let written = device.is_some_and(|device| device.write(frame).is_ok());
    let lost = if given == Outcome::Passed { Outcome::PassFailed } else { Outcome::SendFailed };
    outcomes.count(if written { given } else { lost });
}

impl Port for Tap {
    fn name(&self) -> &str {
        &self.name
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wire.as_fd())
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        self.forward()?;
        let arrival = Arrival { ingress_ifindex: self.ifindex, ..Arrival::default() };
        for frames in 0..BATCH {
            let Some(length) = next(&mut self.wire, &mut self.scratch, &self.name)? else {
                return Ok(if frames == 0 { Batch::Idle } else { Batch::Frames(frames) });
            };
            let Self { wire, host, scratch, buffer, outlets, outcomes, .. } = self;
            let Some(mut frame) = buffer.load(&scratch[..length]) else {
                outcomes.count(Outcome::Unfit);
                continue;
            };
            outcomes.count(Outcome::Received);
            let action = program(&mut frame, &arrival);
            carry_out(wire, host, outlets, outcomes, &frame, &action);
        }
        Ok(Batch::Frames(BATCH))
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        _arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        let Self { wire, host, outlets, outcomes, .. } = self;
        carry_out(wire, host, outlets, outcomes, frame, action);
        Ok(())
    }

    fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn carry_out(
    wire: &mut File,
    host: &mut Option<File>,
    outlets: &mut Outlets,
    outcomes: &mut Outcomes,
    frame: &Frame<'_>,
    action: &Action,
) {
    let bytes = frame.bytes();
    match action {
        Action::Drop => outcomes.count(Outcome::Dropped),
        Action::Pass => give(host.as_mut(), bytes, Outcome::Passed, outcomes),
        Action::Transmit => give(Some(wire), bytes, Outcome::Transmitted, outcomes),
        Action::Redirect(target) => outlets.send(*target, bytes, Outcome::Redirected, outcomes),
        Action::Broadcast(targets) => {
            for target in targets {
                outlets.send(*target, bytes, Outcome::Redirected, outcomes);
            }
        }
        Action::Copies(copies) => {
            for Copied { ifindex, frame } in copies {
                outlets.send(*ifindex, frame, Outcome::Redirected, outcomes);
            }
        }
    }
}
