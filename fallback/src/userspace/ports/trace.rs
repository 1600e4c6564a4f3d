//! A port that tells what becomes of each frame.

use std::fmt;
use std::os::fd::BorrowedFd;

use hoist_offload::error::Error;

use super::{Action, Batch, Outcomes, Port, Program};
use crate::userspace::vm::{Arrival, Frame};

/// One frame's way through the program.
#[derive(Debug)]
pub struct Passage<'a> {
    /// Number of the frame at this port, from 1.
    pub number: u64,
    /// How it came.
    pub arrival: &'a Arrival,
    /// The frame before the program.
    pub before: &'a [u8],
    /// The frame after it.
    pub after: &'a [u8],
    /// What the program wants done.
    pub action: &'a Action,
}

/// Tells `tell` of every frame.
pub struct Trace<P, T> {
    inner: P,
    tell: T,
    number: u64,
    before: Vec<u8>,
}

impl<P: fmt::Debug, T> fmt::Debug for Trace<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<P: Port, T: FnMut(&Passage<'_>) + Send> Trace<P, T> {
    /// Tells `tell` of what goes through `inner`.
    #[must_use]
    pub const fn new(inner: P, tell: T) -> Self {
        Self { inner, tell, number: 0, before: Vec::new() }
    }
}

impl<P: Port, T: FnMut(&Passage<'_>) + Send> Port for Trace<P, T> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        let Self { inner, tell, number, before } = self;
        inner.receive(&mut |frame, arrival| {
            before.clear();
            before.extend_from_slice(frame.bytes());
            *number += 1;
            let action = program(frame, arrival);
            tell(&Passage {
                number: *number,
                arrival,
                before,
                after: frame.bytes(),
                action: &action,
            });
            action
        })
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        self.inner.carry_out(frame, arrival, action)
    }

    fn outcomes(&self) -> Outcomes {
        self.inner.outcomes()
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::userspace::ports::Memory;

    #[test]
    fn each_frame_is_told_of_as_it_came_and_as_it_left() {
        let mut memory = Memory::new();
        for at in 0..3_u8 {
            memory.give(vec![at; 60], Arrival { rx_queue_index: at.into(), ..Arrival::default() });
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&told);
        let mut port = Trace::new(memory, move |passage: &Passage<'_>| {
            notes.lock().unwrap().push((
                passage.number,
                passage.arrival.rx_queue_index,
                passage.before.to_vec(),
                passage.after.to_vec(),
                passage.action.clone(),
            ));
        });
        let batch = port.receive(&mut |frame, _| {
            let data = frame.data as usize;
            frame.buffer[data] = 0xee;
            frame.end -= 1;
            Action::Redirect(9)
        });
        assert_eq!(batch.unwrap(), Batch::Frames(3));
        let expected: Vec<_> = (0..3_u8)
            .map(|at| {
                let mut after = vec![at; 59];
                after[0] = 0xee;
                (u64::from(at) + 1, u32::from(at), vec![at; 60], after, Action::Redirect(9))
            })
            .collect();
        assert_eq!(*told.lock().unwrap(), expected);
    }
}
