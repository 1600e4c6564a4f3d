//! One trial: what was asked for, and everything that was observed. Plain data, so that a search can
//! run over a simulated device, and a report be made again from a file.
//!
//! A trial sends at one load for one time (RFC 2544 section 23). Whether it may be believed is judged
//! by what was observed beside the result ([`Finding`]), never by the result.

use hoist_offload::Verdict;
use serde::{Deserialize, Serialize};

/// What a trial is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Intended load in frames per second, of all generators together; `None` is as fast as they can.
    pub load: Option<f64>,
    /// How long traffic is sent, in seconds, without warm-up and settling.
    pub seconds: f64,
}

/// What a trial observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was asked for.
    pub order: Order,
    /// Time over which traffic was really sent, in seconds: first to last frame, by the generator's clock.
    pub seconds: f64,
    /// Frames the schedule called for. Equal to what was generated where there is no intended load.
    pub intended: u64,
    /// Frames generated. Those intended but not generated count as lost (RFC 9971).
    pub generated: u64,
    /// Frames that came to where the result is counted: at the program under test, or, for what it
    /// sends on, back at the tester.
    pub received: u64,
    /// Where every frame went.
    pub ledger: Ledger,
    /// Latency, where frames come back and carry stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Order of arrival, where frames come back and carry sequence numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// What the processors did meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<Cpu>,
    /// What speaks against the trial, or should be known with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Trial {
    /// Frames per second that were received.
    #[must_use]
    pub fn pps(&self) -> f64 {
        if self.seconds > 0.0 { self.received as f64 / self.seconds } else { 0.0 }
    }

    /// Frames per second that were generated.
    #[must_use]
    pub fn offered(&self) -> f64 {
        if self.seconds > 0.0 { self.generated as f64 / self.seconds } else { 0.0 }
    }

    /// Part of the intended frames that was not received, 0 to 1 (RFC 1242 section 3.6; unsent frames
    /// are lost frames, RFC 9971).
    #[must_use]
    pub fn loss_ratio(&self) -> f64 {
        if self.intended == 0 {
            return 0.0;
        }
        self.intended.saturating_sub(self.received) as f64 / self.intended as f64
    }

    /// Whether the trial may be used: its ledger balances and nothing found makes it invalid.
    #[must_use]
    pub fn valid(&self) -> bool {
        self.ledger.balanced() && self.findings.iter().all(|f| f.severity != Severity::Invalid)
    }
}

/// Conservation of packets: a chain of places, at each of which what came in went out in some way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The places, in the order in which frames pass them.
    pub stages: Vec<Stage>,
    /// Counters of others that must say the same as an entry of a stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

impl Ledger {
    /// Whether every stage balances and every witness agrees.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.stages.iter().all(|s| s.residual() == 0)
            && self.witnesses.iter().all(|w| w.packets == w.expected)
    }

    /// Packets of one fate at all stages.
    #[must_use]
    pub fn of(&self, fate: Fate) -> u64 {
        let entries = self.stages.iter().flat_map(|s| &s.out);
        entries.filter(|e| e.fate == fate).map(|e| e.packets).sum()
    }
}

/// One place that packets pass: transmission, the ring, the program under test, the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// In words, for example `transmit of v1`.
    pub name: String,
    /// What came in, by which counter.
    pub came: Count,
    /// Every way in which it went on or ended.
    pub out: Vec<Entry>,
}

impl Stage {
    /// What came in less what is accounted for: positive when packets vanished, negative when there
    /// are more than came. Zero, or the trial failed.
    #[must_use]
    pub fn residual(&self) -> i128 {
        let out: i128 = self.out.iter().map(|e| i128::from(e.packets)).sum();
        i128::from(self.came.packets) - out
    }
}

/// A number of packets, and who counted them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Packets within the trial.
    pub packets: u64,
    /// The counter by the name under which anyone can read it, for example
    /// `ethtool -S v1: tx_queue_0_xdp_xmit` or `map hoist_verdicts`.
    pub counter: String,
}

/// One way in which packets left a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What became of them.
    pub fate: Fate,
    /// How many.
    pub packets: u64,
    /// As in [`Count::counter`].
    pub counter: String,
}

/// What can become of a packet at one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It went on to the next stage.
    Onward,
    /// The driver refused to transmit it (`ndo_xdp_xmit`, a full send ring, `ENOBUFS`).
    Refused,
    /// No room in the receiver's ring.
    RingDrop,
    /// The program under test said `XDP_ABORTED`, or a code that is none.
    Aborted,
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`.
    Pass,
    /// `XDP_TX`.
    Tx,
    /// `XDP_REDIRECT`.
    Redirect,
    /// `XDP_TX` or `XDP_REDIRECT` that the kernel could not carry out.
    NotForwarded,
    /// No room in a socket's ring or buffer.
    SocketDrop,
    /// Received where the trial ends.
    Received,
    /// Received where the trial ends, and not of the trial.
    Foreign,
}

impl From<Verdict> for Fate {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Aborted => Self::Aborted,
            Verdict::Drop => Self::Drop,
            Verdict::Pass => Self::Pass,
            Verdict::Tx => Self::Tx,
            Verdict::Redirect => Self::Redirect,
        }
    }
}

/// A second counter, kept by somebody else than the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// As in [`Count::counter`].
    pub counter: String,
    /// What it says.
    pub packets: u64,
    /// The entry it confirms, by that entry's counter.
    pub confirms: String,
    /// What that says.
    pub expected: u64,
}

/// Time from one place to another, in nanoseconds, over all frames of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From the time at which the schedule wanted the frame sent: what a user would wait. Without an
    /// intended load there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_intended: Option<Percentiles>,
    /// From the time at which it was sent: hides the waits of a generator that falls behind
    /// (coordinated omission), so it is given beside the other only.
    pub from_sent: Percentiles,
    /// How late the generator was: sent less intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<Percentiles>,
}

/// Percentiles of a histogram, in nanoseconds: upper bounds of buckets that are at most 1/16 wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Frames in the histogram.
    pub frames: u64,
    /// Smallest.
    pub min: u64,
    /// 50th.
    pub p50: u64,
    /// 90th.
    pub p90: u64,
    /// 99th.
    pub p99: u64,
    /// 99.9th.
    pub p99_9: u64,
    /// 99.99th.
    pub p99_99: u64,
    /// Largest.
    pub max: u64,
}

/// Loss, order and duplicates of the frames received, by their sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Frames with a sequence number.
    pub received: u64,
    /// Numbers passed over by a later one. Those that came after all are reordered; the others were
    /// lost on the way.
    pub skipped: u64,
    /// Came after a frame that was sent later (RFC 4737 section 3.3).
    pub reordered: u64,
    /// Came twice (RFC 5560).
    pub duplicates: u64,
    /// A thousand frames late or more: reordered or duplicates, which nobody remembers.
    pub stale: u64,
}

/// What one processor did during a trial (`/proc/stat`), in parts of its time, 0 to 1. Sampled by the
/// kernel's tick: indicative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its number.
    pub cpu: u32,
    /// What the trial used it for, for example `generator`, `napi/v0-0`; empty when for nothing.
    pub role: String,
    /// Not idle.
    pub busy: f64,
    /// Taken by the hypervisor.
    pub steal: f64,
    /// Used by processes that are not the trial's.
    pub foreign: f64,
}

/// Something observed that a reader of the result must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable, kebab-case, with a section in docs/refusals.md.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was observed, with its numbers.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The number stands for something else than it seems to.
    Warning,
    /// The trial is not to be used; it is counted and, where that can help, repeated.
    Invalid,
}
