//! A port that writes down, as a capture, what comes in and what leaves.

use std::os::fd::BorrowedFd;

use hoist_offload::error::Error;

use super::capture::{Lane, Writer};
use super::{Action, Batch, Copied, Outcomes, Port, Program};
use crate::userspace::vm::{Arrival, Frame};

/// Writes each frame twice: as it came (`received`) and as it left, by the way that it took; dropped
/// frames too (`drop`).
#[derive(Debug)]
pub struct Record<P> {
    inner: P,
    writer: Writer,
}

impl<P: Port> Record<P> {
    /// Records what goes through `inner`.
    #[must_use]
    pub const fn new(inner: P, writer: Writer) -> Self {
        Self { inner, writer }
    }
}

fn leave(
    writer: &mut Writer,
    frame: &Frame<'_>,
    arrival: &Arrival,
    action: &Action,
) -> Result<(), Error> {
    let mut write = |lane| writer.write(lane, arrival.time_ns, frame.bytes());
    match action {
        Action::Drop => write(Lane::Drop),
        Action::Pass => write(Lane::Pass),
        Action::Transmit => write(Lane::Transmit),
        Action::Redirect(target) => write(Lane::Redirect(*target)),
        Action::Broadcast(targets) => {
            targets.iter().try_for_each(|target| write(Lane::Redirect(*target)))
        }
        Action::Copies(copies) => copies.iter().try_for_each(|Copied { ifindex, frame }| {
            writer.write(Lane::Redirect(*ifindex), arrival.time_ns, frame)
        }),
    }
}

/// As [`Port::receive`], with everything written down.
pub(crate) fn receive(
    port: &mut (impl Port + ?Sized),
    writer: &mut Writer,
    program: &mut Program<'_>,
) -> Result<Batch, Error> {
    let mut failed = Ok(());
    let batch = port.receive(&mut |frame, arrival| {
        let came = writer.write(Lane::Received, arrival.time_ns, frame.bytes());
        let action = program(frame, arrival);
        let left = came.and_then(|()| leave(writer, frame, arrival, &action));
        if failed.is_ok() {
            failed = left;
        }
        action
    })?;
    failed.map(|()| batch)
}

impl<P: Port> Port for Record<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        receive(&mut self.inner, &mut self.writer, program)
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        leave(&mut self.writer, frame, arrival, action)?;
        self.inner.carry_out(frame, arrival, action)
    }

    fn outcomes(&self) -> Outcomes {
        self.inner.outcomes()
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.writer.finish()?;
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::userspace::ports::{Capture, Memory, Outcome, capture};

    #[test]
    fn what_comes_and_goes_is_in_the_capture() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.pcapng");
        let mut memory = Memory::new();
        let actions =
            [Action::Drop, Action::Pass, Action::Transmit, Action::Broadcast([4, 5].into())];
        for at in 0..4 {
            let arrival = Arrival { time_ns: Some(at), ..Arrival::default() };
            memory.give(vec![at as u8; 60], arrival);
        }
        let mut port = Record::new(memory, Writer::create(&path).unwrap());
        let batch = port.receive(&mut |frame, arrival| {
            frame.end += 1;
            actions[arrival.time_ns.unwrap() as usize].clone()
        });
        assert_eq!(batch.unwrap(), Batch::Frames(4));
        port.finish().unwrap();

        // Interfaces in the order in which they were first used: received, drop, pass, tx, two redirects.
        let mut seen = Vec::new();
        let mut recorded = Capture::open(&path, None, capture::Options::default()).unwrap();
        recorded
            .receive(&mut |frame, arrival| {
                let length = frame.bytes().len();
                seen.push((arrival.ingress_ifindex, arrival.time_ns.unwrap(), length));
                Action::Drop
            })
            .unwrap();
        let expected = [
            (1, 0, 60),
            (2, 0, 61),
            (1, 1, 60),
            (3, 1, 61),
            (1, 2, 60),
            (4, 2, 61),
            (1, 3, 60),
            (5, 3, 61),
            (6, 3, 61),
        ];
        assert_eq!(seen, expected);
        assert_eq!(port.outcomes().of(Outcome::Redirected), 2);
    }
}
