//! Trials on real ports.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;
use hoist_offload::attach::Stats;

use super::counters::Reading;
use super::dut::Dut;
use super::ledger::{self, Terms};
use super::traffic::{Sent, Traffic};
use crate::search::{Bench, Halt};
use crate::trial::{Ledger, Order, Trial};

/// How long stragglers are waited for at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nothing may change before nothing more is expected.
const QUIET: Duration = Duration::from_millis(100);
/// Between two looks.
const NAP: Duration = Duration::from_millis(5);

/// A generator on a port, and a device under test at the other end of the wire.
pub struct Tester {
    sender: Port,
    traffic: Box<dyn Traffic>,
    dut: Dut,
    stop: Arc<AtomicBool>,
}

impl fmt::Debug for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tester")
            .field("sender", &self.sender)
            .field("dut", &self.dut)
            .finish_non_exhaustive()
    }
}

/// Every counter at one time.
struct Snapshot {
    sender: Reading,
    dut: Reading,
    egress: Option<Reading>,
    verdicts: Option<Stats>,
    events: std::collections::BTreeMap<&'static str, u64>,
}

impl Tester {
    /// `traffic` leaves by `sender` for `dut`.
    #[must_use]
    pub fn new(sender: &Port, traffic: Box<dyn Traffic>, dut: Dut) -> Self {
        Self { sender: sender.clone(), traffic, dut, stop: Arc::default() }
    }

    /// Setting `stop` ends a trial, and no other begins.
    #[must_use]
    pub fn stop_on(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// The device under test.
    #[must_use]
    pub const fn dut(&self) -> &Dut {
        &self.dut
    }

    /// The generator and the device under test, to be used again or detached.
    #[must_use]
    pub fn into_parts(self) -> (Box<dyn Traffic>, Dut) {
        (self.traffic, self.dut)
    }

    /// Sends for some time at full speed and forgets it: caches, page pools and frequency settle.
    ///
    /// # Errors
    /// Those of [`Bench::trial`].
    pub fn warm_up(&mut self, seconds: f64) -> Result<(), Halt> {
        self.trial(Order { load: None, seconds }).map(drop)
    }

    fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(Snapshot {
            sender: Reading::of(&self.sender)?,
            dut: Reading::of(&self.dut.port)?,
            egress: self.dut.egress.as_ref().map(Reading::of).transpose()?,
            verdicts: self.dut.verdicts()?,
            events: self.dut.events()?,
        })
    }

    /// The ledger of what happened since `before`.
    fn ledger(&self, before: &Snapshot, sent: &Sent) -> Result<(Ledger, u64), Failure> {
        let now = self.snapshot()?;
        let (sender, dut) = (now.sender.since(&before.sender), now.dut.since(&before.dut));
        let egress = now.egress.as_ref().zip(before.egress.as_ref());
        let egress = egress.map(|(now, then)| now.since(then));
        let verdicts = now.verdicts.map(|stats| less(&stats, before.verdicts.as_ref()));
        let mut events = now.events;
        for (name, value) in &mut events {
            *value = value.saturating_sub(before.events.get(name).copied().unwrap_or(0));
        }
        let terms = Terms {
            sent: Some((sent, self.traffic.injection())),
            sender: Some(&sender),
            dut: &dut,
            path: self.dut.path,
            verdicts,
            events: &events,
            private: self.dut.private,
            egress: egress.as_ref(),
            back: None,
        };
        let ledger = ledger::of(&terms);
        let received = verdicts.map_or_else(
            || ledger.stages.last().map_or(0, |stage| stage.came.packets),
            |stats| stats.total(),
        );
        Ok((ledger, received))
    }

    /// The ledger once it balances, or once nothing changes any more.
    fn settle(&self, before: &Snapshot, sent: &Sent) -> Result<(Ledger, u64), Failure> {
        let start = Instant::now();
        let mut last = self.ledger(before, sent)?;
        let mut changed = Instant::now();
        while !last.0.balanced() && changed.elapsed() < QUIET && start.elapsed() < PATIENCE {
            thread::sleep(NAP);
            let now = self.ledger(before, sent)?;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
        }
        Ok(last)
    }

    fn run(&mut self, order: Order) -> Result<Trial, Failure> {
        let before = self.snapshot()?;
        let Self { sender, traffic, stop, .. } = self;
        let stop = Arc::clone(stop);
        let sent = sender.namespace.run(|| traffic.send(&order, &stop))?;
        let (ledger, received) = self.settle(&before, &sent)?;
        Ok(Trial {
            order,
            seconds: sent.seconds,
            intended: sent.intended,
            generated: sent.generated.packets,
            received,
            ledger,
            latency: None,
            cpus: Vec::new(),
            findings: Vec::new(),
        })
    }
}

/// What was added.
fn less(now: &Stats, then: Option<&Stats>) -> Stats {
    let mut more = *now;
    let Some(then) = then else { return more };
    for (value, before) in more.packets.iter_mut().zip(then.packets) {
        *value = value.saturating_sub(before);
    }
    for (value, before) in more.bytes.iter_mut().zip(then.bytes) {
        *value = value.saturating_sub(before);
    }
    more
}

impl Bench for Tester {
    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        let trial = self.run(order).map_err(Halt::Failed)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        Ok(trial)
    }
}
