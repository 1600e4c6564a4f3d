//! Frames in memory: for tests, and for whoever brings frames of their own.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use hoist_offload::error::Error;

use super::buffer::Buffer;
use super::{Action, BATCH, Batch, Outcome, Outcomes, Port, Program};
use crate::userspace::vm::{Arrival, Frame};

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What the program wanted.
    pub action: Action,
    /// The frame afterwards, without its metadata.
    pub frame: Vec<u8>,
    /// The metadata that it left in front of it.
    pub metadata: Vec<u8>,
    /// How it came.
    pub arrival: Arrival,
}

/// A port that is given frames and keeps what becomes of them, in order.
#[derive(Debug)]
pub struct Memory {
    waiting: VecDeque<(Vec<u8>, Arrival)>,
    done: Vec<Done>,
    buffer: Buffer,
    outcomes: Outcomes,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A port without frames: at its end until some are given.
    #[must_use]
    pub fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            done: Vec::new(),
            buffer: Buffer::new(),
            outcomes: Outcomes::default(),
        }
    }

    /// Gives a frame, starting at its destination address.
    pub fn give(&mut self, frame: impl Into<Vec<u8>>, arrival: Arrival) {
        self.waiting.push_back((frame.into(), arrival));
    }

    /// What became of frames since this was last asked.
    pub fn take(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.done)
    }
}

/// Counts and keeps what was done.
fn keep(
    done: &mut Vec<Done>,
    outcomes: &mut Outcomes,
    frame: &Frame<'_>,
    arrival: &Arrival,
    action: Action,
) {
    outcomes.count_action(&action);
    let metadata = frame.buffer.get(frame.meta as usize..frame.data as usize);
    done.push(Done {
        action,
        frame: frame.bytes().to_vec(),
        metadata: metadata.unwrap_or_default().to_vec(),
        arrival: *arrival,
    });
}

impl Port for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        let mut frames = 0;
        while frames < BATCH {
            let Some((bytes, arrival)) = self.waiting.pop_front() else { break };
            frames += 1;
            let Some(mut frame) = self.buffer.load(&bytes) else {
                self.outcomes.count(Outcome::Unfit);
                continue;
            };
            self.outcomes.count(Outcome::Received);
            let action = program(&mut frame, &arrival);
            keep(&mut self.done, &mut self.outcomes, &frame, &arrival, action);
        }
        Ok(if frames == 0 { Batch::End } else { Batch::Frames(frames) })
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        keep(&mut self.done, &mut self.outcomes, frame, arrival, action.clone());
        Ok(())
    }

    fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_order_and_their_ends_are_kept() {
        let actions = [
            Action::Drop,
            Action::Pass,
            Action::Transmit,
            Action::Redirect(7),
            Action::Broadcast([2, 3].into()),
        ];
        let mut port = Memory::new();
        assert_eq!(port.receive(&mut |_, _| Action::Drop).unwrap(), Batch::End);
        for (at, _) in actions.iter().enumerate() {
            let arrival = Arrival { rx_queue_index: at as u32, ..Arrival::default() };
            port.give(vec![at as u8; 60], arrival);
        }
        let batch = port.receive(&mut |frame, arrival| {
            let at = arrival.rx_queue_index;
            assert_eq!(frame.bytes(), [at as u8; 60]);
            frame.data -= at;
            frame.meta = frame.data - 4;
            actions[at as usize].clone()
        });
        assert_eq!(batch.unwrap(), Batch::Frames(5));
        let done = port.take();
        for (at, done) in done.iter().enumerate() {
            assert_eq!(done.action, actions[at]);
            assert_eq!((done.frame.len(), done.metadata.len()), (60 + at, 4));
        }
        let outcomes = port.outcomes();
        for (outcome, frames) in [
            (Outcome::Received, 5),
            (Outcome::Dropped, 1),
            (Outcome::Passed, 1),
            (Outcome::Transmitted, 1),
            (Outcome::Redirected, 3),
        ] {
            assert_eq!(outcomes.of(outcome), frames, "{outcome:?}");
        }
    }

    #[test]
    fn long_lists_come_in_batches() {
        let mut port = Memory::new();
        for _ in 0..BATCH + 1 {
            port.give(vec![0; 60], Arrival::default());
        }
        let mut program = |_: &mut Frame<'_>, _: &Arrival| Action::Drop;
        assert_eq!(port.receive(&mut program).unwrap(), Batch::Frames(BATCH));
        assert_eq!(port.receive(&mut program).unwrap(), Batch::Frames(1));
        assert_eq!(port.receive(&mut program).unwrap(), Batch::End);
    }
}
