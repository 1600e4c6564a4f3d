//! The receiving end of a trial: a native XDP program that counts the frames that come back, puts
//! them into order and measures their latency, in the kernel (`benches/programs/receive.bpf.c`).

use hoist_hwtests::dut::{Dut, Failure};
use hoist_hwtests::lab::Port;
use hoist_offload::EngineKind;
use hoist_offload::attach::{Attachment, MapHandle};
use hoist_offload::plan::Choice;

use super::histogram::{BUCKETS, Histogram};
use crate::trial::{Latency, Sequence};

const OBJECT: &[u8] = include_bytes!("../../programs/receive.bpf.o");

const SEQUENCED: u32 = 1;
const TIMED: u32 = 2;

/// `struct tally`, in words: ours, foreign, and two extremes of each histogram.
const TALLY_WORDS: usize = 8;
/// `struct stream`, in words: lock and next number, five counters, sixteen words of window.
const STREAM_WORDS: usize = 22;

/// What the frames of a trial carry at their end ([`crate::stamp`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Tells them from all others.
    pub token: u16,
    /// Whether each stream counts its frames.
    pub sequenced: bool,
    /// Whether they say when they were sent.
    pub timed: bool,
}

/// Frames by whose they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The trial's.
    pub ours: u64,
    /// Others, which went on to the host.
    pub foreign: u64,
}

/// A program that receives, on a port; it goes with this value.
#[derive(Debug)]
pub struct Receiver {
    port: Port,
    attachment: Box<dyn Attachment>,
}

impl Receiver {
    /// Attaches it, by the native engine. The port's NAPI runs from then on, without which a veth
    /// takes nothing that XDP sends it.
    ///
    /// # Errors
    /// The driver takes no XDP programs, or somebody else's is there.
    pub fn attach(port: &Port) -> Result<Self, Failure> {
        let device = Dut::new(port)?;
        let mut job = device.job("receive", OBJECT, Some("xdp_receive"))?;
        job.count_verdicts = false;
        let (_, attachment) = device.run(&job, Choice::only(EngineKind::Native))?;
        Ok(Self { port: port.clone(), attachment })
    }

    /// Where it is.
    #[must_use]
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// Forgets what was received so far, and expects frames with these marks.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn expect(&self, marks: Marks) -> Result<(), Failure> {
        for name in ["histograms", "tally", "streams"] {
            let map = self.map(name)?;
            for (key, value) in map.entries()? {
                if value.iter().any(|byte| *byte != 0) {
                    map.update(&key, &vec![0; value.len()])?;
                }
            }
        }
        let flags =
            if marks.sequenced { SEQUENCED } else { 0 } | if marks.timed { TIMED } else { 0 };
        let mut value = u32::from(marks.token).to_ne_bytes().to_vec();
        value.extend(flags.to_ne_bytes());
        self.map("settings")?.update(&0_u32.to_ne_bytes(), &value)?;
        Ok(())
    }

    /// Frames received so far.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn tally(&self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for words in self.words("tally")?.as_chunks::<TALLY_WORDS>().0 {
            tally.ours += words[0];
            tally.foreign += words[1];
        }
        Ok(tally)
    }

    /// The latency of the frames received so far; `None` when none of them said when it was sent.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn latency(&self) -> Result<Option<Latency>, Failure> {
        let mut histograms = [(); 3].map(|()| Histogram::default());
        for (key, value) in self.map("histograms")?.entries()? {
            let at = key.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes)) as usize;
            let values: u64 = words(&value).iter().sum();
            if let Some(histogram) = histograms.get_mut(at / BUCKETS) {
                histogram.add_many(at % BUCKETS, values);
            }
        }
        for tally in self.words("tally")?.as_chunks::<TALLY_WORDS>().0 {
            let extremes = tally[2..].as_chunks::<2>().0;
            for (histogram, [not_least, most]) in histograms.iter_mut().zip(extremes) {
                if *not_least != 0 {
                    histogram.extend_to(!not_least, *most);
                }
            }
        }
        let [from_intended, from_sent, lateness] = histograms.map(|h| h.percentiles());
        Ok(from_sent.map(|from_sent| Latency { from_intended, from_sent, lateness }))
    }

    /// Loss, order and duplicates of all streams, by their sequence numbers.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn sequence(&self) -> Result<Sequence, Failure> {
        let mut all = Sequence::default();
        for words in self.words("streams")?.as_chunks::<STREAM_WORDS>().0 {
            all.received += words[1];
            all.skipped += words[2];
            all.reordered += words[3];
            all.duplicates += words[4];
            all.stale += words[5];
        }
        Ok(all)
    }

    /// Takes the program off, and says whether that worked.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn detach(self) -> Result<(), Failure> {
        let Self { port, attachment } = self;
        Ok(port.namespace.run(move || attachment.detach())?)
    }

    fn map(&self, name: &str) -> Result<MapHandle, Failure> {
        self.attachment.map(name).ok_or_else(|| format!("the receiver has no map {name}").into())
    }

    /// All values of a map, one after the other, as words.
    fn words(&self, name: &str) -> Result<Vec<u64>, Failure> {
        let entries = self.map(name)?.entries()?;
        Ok(entries.iter().flat_map(|(_, value)| words(value)).collect())
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}
