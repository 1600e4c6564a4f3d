//! Capture files, pcap and pcapng: a file stands where an interface would.
//!
//! Needs no privilege and no kernel. What a program passes, sends back or redirects goes to a second
//! file, pcapng with nanoseconds, in which each way out is an interface of its own (`pass`, `tx`,
//! `redirect:7`), so that every analyser can tell them apart.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use hoist_offload::error::Error;

use super::buffer::{Buffer, PAGE_FRAME};
use super::{Action, BATCH, Batch, Copied, Outcome, Outcomes, Port, Program};
use crate::userspace::vm::{Arrival, Frame};

mod patient;
mod read;
mod write;

pub use patient::Patient;
pub use write::{Lane, Writer};

use read::Source;

/// How a capture is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// `ingress_ifindex` of the file's first interface; those after it count on.
    pub ifindex: u32,
    /// Hand over frames of which the capture holds only the beginning (its snapshot length). They are
    /// counted either way.
    pub cut_short: bool,
}

impl Default for Options {
    /// The first interface is 1, as in `BPF_PROG_TEST_RUN`; frames cut short are handed over.
    fn default() -> Self {
        Self { ifindex: 1, cut_short: true }
    }
}

/// A capture file as a port.
#[derive(Debug)]
pub struct Capture {
    source: Source,
    options: Options,
    output: Option<Writer>,
    buffer: Buffer,
    outcomes: Outcomes,
}

impl Capture {
    /// Opens a capture file. Frames that leave are written to `output`.
    ///
    /// # Errors
    /// The file cannot be read, or is no capture, or not one of Ethernet frames.
    pub fn open(path: &Path, output: Option<Writer>, options: Options) -> Result<Self, Error> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|source| Error::Host {
            operation: "open",
            object: name.clone(),
            source,
        })?;
        Self::new(name, Box::new(file), output, options)
    }

    /// Reads a capture from anywhere, a pipe for example.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn new(
        name: String,
        from: Box<dyn Read + Send>,
        output: Option<Writer>,
        options: Options,
    ) -> Result<Self, Error> {
        Ok(Self {
            source: Source::new(name, from)?,
            options,
            output,
            buffer: Buffer::new(),
            outcomes: Outcomes::default(),
        })
    }

    /// Frames that leave from now on are written there: once everything else is known to be in order,
    /// so that no mistake empties a file.
    pub fn write_to(&mut self, output: Writer) {
        self.output = Some(output);
    }
}

/// Writes a frame to wherever an action takes it.
fn carry_out(
    output: &mut Option<Writer>,
    outcomes: &mut Outcomes,
    frame: &Frame<'_>,
    arrival: &Arrival,
    action: &Action,
) -> Result<(), Error> {
    outcomes.count_action(action);
    let Some(output) = output else { return Ok(()) };
    let mut write = |lane| output.write(lane, arrival.time_ns, frame.bytes());
    match action {
        Action::Drop => Ok(()),
        Action::Pass => write(Lane::Pass),
        Action::Transmit => write(Lane::Transmit),
        Action::Redirect(ifindex) => write(Lane::Redirect(*ifindex)),
        Action::Broadcast(targets) => {
            targets.iter().try_for_each(|ifindex| write(Lane::Redirect(*ifindex)))
        }
        Action::Copies(copies) => copies.iter().try_for_each(|Copied { ifindex, frame }| {
            output.write(Lane::Redirect(*ifindex), arrival.time_ns, frame)
        }),
    }
}

impl Port for Capture {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        let Self { source, options, output, buffer, outcomes } = self;
        for frames in 0..BATCH {
            let turn = source.next(|captured| {
                if captured.bytes.len() < captured.wire_bytes as usize {
                    outcomes.count(Outcome::CutShort);
                    if !options.cut_short {
                        return Ok(());
                    }
                }
                let Some(mut frame) = buffer.load(captured.bytes) else {
                    outcomes.count(Outcome::Unfit);
                    return Ok(());
                };
                if captured.bytes.len() > PAGE_FRAME {
                    outcomes.count(Outcome::OverPage);
                }
                let arrival = Arrival {
                    ingress_ifindex: options.ifindex.saturating_add(captured.interface),
                    time_ns: Some(captured.time_ns),
                    ..Arrival::default()
                };
                outcomes.count(Outcome::Received);
                let action = program(&mut frame, &arrival);
                carry_out(output, outcomes, &frame, &arrival, &action)
            })?;
            match turn {
                Some(done) => done?,
                None if frames == 0 => return Ok(Batch::End),
                None => return Ok(Batch::Frames(frames)),
            }
        }
        Ok(Batch::Frames(BATCH))
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        carry_out(&mut self.output, &mut self.outcomes, frame, arrival, action)
    }

    fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.output.as_mut().map_or(Ok(()), Writer::finish)
    }
}

#[cfg(test)]
mod tests;
