//! A port that does to frames what bad wires do: for finding out what a program makes of it.
//!
//! The same seed does the same to the same frames.

use std::os::fd::BorrowedFd;

use hoist_offload::error::Error;

use super::buffer::Buffer;
use super::{Action, Batch, Outcomes, Port, Program};
use crate::userspace::vm::{Arrival, Frame};

/// Shortest frame that a NIC hands on: a whole Ethernet header (`ETH_HLEN`).
const SHORTEST: u32 = 14;
const MILLION: u64 = 1_000_000;

/// How often each fault strikes, in frames of a million, and with which seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The frame never arrives; the port counts it as dropped.
    pub lose: u32,
    /// One bit of it is another.
    pub corrupt: u32,
    /// It is cut somewhere behind its Ethernet header.
    pub truncate: u32,
    /// It arrives again, behind the frames that came together with it.
    pub duplicate: u32,
    /// It arrives behind the frames that come next.
    pub delay: u32,
    /// Where the sequence of random numbers begins.
    pub seed: u64,
}

/// How often each fault struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    /// Frames lost.
    pub lost: u64,
    /// Frames with a bit flipped.
    pub corrupted: u64,
    /// Frames cut.
    pub truncated: u64,
    /// Frames that came twice.
    pub duplicated: u64,
    /// Frames that came late.
    pub delayed: u64,
}

/// Frames that are kept for later.
type Kept = Vec<(Vec<u8>, Arrival)>;

/// Strikes what goes through `inner`.
#[derive(Debug)]
pub struct Faulty<P> {
    inner: P,
    wire: Wire,
    /// To be handed over after this batch, and after the next.
    again: Kept,
    late: Kept,
    buffer: Buffer,
}

/// What happens to single frames.
#[derive(Debug)]
struct Wire {
    faults: Faults,
    state: u64,
    struck: Struck,
}

impl<P: Port> Faulty<P> {
    /// Strikes what goes through `inner`.
    #[must_use]
    pub fn new(inner: P, faults: Faults) -> Self {
        let wire = Wire { faults, state: faults.seed, struck: Struck::default() };
        Self { inner, wire, again: Kept::new(), late: Kept::new(), buffer: Buffer::new() }
    }

    /// How often each fault struck.
    #[must_use]
    pub const fn struck(&self) -> Struck {
        self.wire.struck
    }

    /// Hands over what was kept; how much.
    fn release(&mut self, kept: Kept, program: &mut Program<'_>) -> Result<usize, Error> {
        let frames = kept.len();
        for (bytes, arrival) in kept {
            let Some(mut frame) = self.buffer.load(&bytes) else { continue };
            let action = program(&mut frame, &arrival);
            self.inner.carry_out(&mut frame, &arrival, &action)?;
        }
        Ok(frames)
    }
}

impl Wire {
    /// The next number of the sequence (SplitMix64).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.random() % limit }
    }

    fn strikes(&mut self, chance: u32) -> bool {
        chance > 0 && self.below(MILLION) < u64::from(chance)
    }

    fn spoil(&mut self, frame: &mut Frame<'_>) {
        let length = frame.end - frame.data;
        if self.strikes(self.faults.corrupt) && length > 0 {
            let at = frame.data as usize + self.below(u64::from(length)) as usize;
            frame.buffer[at] ^= 1 << self.below(8);
            self.struck.corrupted += 1;
        }
        if self.strikes(self.faults.truncate) && length > SHORTEST {
            let left = u64::from(SHORTEST) + self.below(u64::from(length - SHORTEST));
            frame.end = frame.data + left as u32;
            self.struck.truncated += 1;
        }
    }
}

impl<P: Port> Port for Faulty<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        let before = std::mem::take(&mut self.late);
        let Self { inner, wire, again, late, .. } = self;
        let batch = inner.receive(&mut |frame, arrival| {
            if wire.strikes(wire.faults.lose) {
                wire.struck.lost += 1;
                return Action::Drop;
            }
            wire.spoil(frame);
            if wire.strikes(wire.faults.delay) {
                wire.struck.delayed += 1;
                late.push((frame.bytes().to_vec(), *arrival));
                return Action::Drop;
            }
            if wire.strikes(wire.faults.duplicate) {
                wire.struck.duplicated += 1;
                again.push((frame.bytes().to_vec(), *arrival));
            }
            program(frame, arrival)
        })?;
        let again = std::mem::take(&mut self.again);
        let more = self.release(again, program)? + self.release(before, program)?;
        Ok(match batch {
            Batch::Frames(frames) => Batch::Frames(frames + more),
            Batch::Idle | Batch::End if more > 0 => Batch::Frames(more),
            nothing => nothing,
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
    use super::*;
    use crate::userspace::ports::Memory;

    const FRAMES: usize = 1000;
    const ALWAYS: u32 = 1_000_000;

    /// What the program sees of numbered frames, in order.
    fn seen(faults: Faults) -> (Vec<Vec<u8>>, Struck, usize) {
        let mut memory = Memory::new();
        for at in 0..FRAMES {
            let mut frame = vec![0; 60];
            frame[14..22].copy_from_slice(&at.to_ne_bytes());
            memory.give(frame, Arrival::default());
        }
        let mut port = Faulty::new(memory, faults);
        let mut seen = Vec::new();
        while port
            .receive(&mut |frame, _| {
                seen.push(frame.bytes().to_vec());
                Action::Pass
            })
            .unwrap()
            != Batch::End
        {}
        let passed = port.inner.take().iter().filter(|done| done.action == Action::Pass).count();
        (seen, port.struck(), passed)
    }

    fn numbers(seen: &[Vec<u8>]) -> Vec<usize> {
        seen.iter().map(|f| usize::from_ne_bytes(f[14..22].try_into().unwrap())).collect()
    }

    #[test]
    fn without_faults_nothing_changes() {
        let (frames, struck, passed) = seen(Faults::default());
        assert_eq!(numbers(&frames), (0..FRAMES).collect::<Vec<_>>());
        assert_eq!((struck, passed), (Struck::default(), FRAMES));
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let (frames, struck, _) = seen(Faults { lose: 250_000, ..Faults::default() });
        assert_eq!(frames.len() + struck.lost as usize, FRAMES);
        assert!((150..350).contains(&struck.lost), "{struck:?}");

        let (frames, struck, _) = seen(Faults { corrupt: ALWAYS, ..Faults::default() });
        let ones = |frame: &Vec<u8>| frame.iter().map(|b| b.count_ones()).sum::<u32>();
        assert_eq!(struck.corrupted, FRAMES as u64);
        let whole = seen(Faults::default()).0;
        assert!(frames.iter().zip(&whole).all(|(a, b)| ones(a).abs_diff(ones(b)) == 1));

        let (frames, struck, _) = seen(Faults { truncate: ALWAYS, ..Faults::default() });
        assert_eq!(struck.truncated, FRAMES as u64);
        assert!(frames.iter().all(|frame| (14..60).contains(&frame.len())));

        let (frames, struck, passed) = seen(Faults { duplicate: ALWAYS, ..Faults::default() });
        assert_eq!(
            (frames.len(), struck.duplicated, passed),
            (2 * FRAMES, FRAMES as u64, 2 * FRAMES)
        );

        let (frames, struck, passed) = seen(Faults { delay: 250_000, ..Faults::default() });
        let mut order = numbers(&frames);
        assert!(!order.is_sorted() && struck.delayed > 0);
        order.sort_unstable();
        assert_eq!((order, passed), ((0..FRAMES).collect::<Vec<_>>(), FRAMES));
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let faults = Faults {
            lose: 100_000,
            corrupt: 100_000,
            truncate: 100_000,
            duplicate: 100_000,
            delay: 100_000,
            seed: 7,
        };
        assert_eq!(seen(faults), seen(faults));
        assert_ne!(seen(faults).0, seen(Faults { seed: 8, ..faults }).0);
    }
}
