//! Trials of traffic that somebody else sends, from another machine.
//!
//! Nothing is agreed with the sender: a trial begins with the first frame and ends when none came for a
//! while, so that every counter has come to rest when it is read, and the account is exact. Where frames
//! do not end in time, the rate is that of the time until then, and the account is left out, for counters
//! that go on growing while they are read do not agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_hwtests::dut::Failure;

use super::counters::Reading;
use super::dut::Dut;
use super::snapshot::Snapshot;
use crate::search::{Bench, Halt};
use crate::trial::{Finding, Ledger, Order, Severity, Trial};

/// How long nothing must come for a trial to be over.
const QUIET: Duration = Duration::from_millis(500);
/// Between two looks.
const NAP: Duration = Duration::from_millis(2);

/// A device under test that somebody else sends to.
#[derive(Debug)]
pub struct Remote {
    dut: Dut,
    stop: Arc<AtomicBool>,
    /// How long the first frame is waited for.
    patience: Duration,
    /// Frames that the sender says it sends.
    expected: Option<u64>,
}

impl Remote {
    /// Waits a minute for frames.
    #[must_use]
    pub const fn new(dut: Dut, stop: Arc<AtomicBool>) -> Self {
        Self { dut, stop, patience: Duration::from_secs(60), expected: None }
    }

    /// Waits that long for the first frame of each trial.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The sender says that it sends so many: those that did not come are lost.
    #[must_use]
    pub const fn expecting(mut self, frames: Option<u64>) -> Self {
        self.expected = frames;
        self
    }

    /// The device under test, to be detached.
    #[must_use]
    pub fn into_dut(self) -> Dut {
        self.dut
    }

    fn arrived(&self) -> Result<u64, Failure> {
        Ok(Reading::of(&self.dut.port)?.statistic("rx_packets").packets)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for the first frame.
    fn first(&self, before: u64) -> Result<Instant, Halt> {
        let start = Instant::now();
        while self.arrived().map_err(Halt::Failed)? == before {
            if self.stopped() {
                return Err(Halt::Stopped);
            }
            if start.elapsed() > self.patience {
                let words = format!(
                    "{}: nothing came within {:.0} s",
                    self.dut.port.name,
                    self.patience.as_secs_f64()
                );
                return Err(Halt::Failed(words.into()));
            }
            thread::sleep(NAP);
        }
        Ok(Instant::now())
    }

    fn run(&self, order: Order) -> Result<Trial, Halt> {
        let failed = Halt::Failed;
        let before = Snapshot::take(None, &self.dut, None).map_err(failed)?;
        let idle = self.arrived().map_err(failed)?;
        let began = self.first(idle)?;
        let (mut last, mut count) = (began, idle);
        let goes_on = loop {
            thread::sleep(NAP);
            let now = self.arrived().map_err(failed)?;
            if now != count {
                (last, count) = (Instant::now(), now);
            } else if last.elapsed() >= QUIET {
                break false;
            }
            if began.elapsed().as_secs_f64() >= order.seconds || self.stopped() {
                break last.elapsed() < QUIET;
            }
        };
        let after = Snapshot::take(None, &self.dut, None).map_err(failed)?;
        let account = after.since(&before, None, &self.dut);
        let seconds = if goes_on { began.elapsed() } else { last - began };
        let mut findings = Vec::new();
        if goes_on {
            findings.push(Finding {
                code: "sender-goes-on".to_owned(),
                severity: Severity::Warning,
                message:
                    "frames still came when the time was over: the rate is that of the time until \
                          then, and where each went is left out"
                        .to_owned(),
                advice: Some("let the sender end before --seconds does".to_owned()),
            });
        }
        let received = account.received;
        let sent = self.expected.unwrap_or(received);
        Ok(Trial {
            order,
            seconds: seconds.as_secs_f64(),
            intended: sent,
            generated: sent,
            received,
            ledger: if goes_on { Ledger::default() } else { account.ledger },
            latency: None,
            sequence: None,
            cpus: Vec::new(),
            findings,
        })
    }
}

impl Bench for Remote {
    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        if self.stopped() {
            return Err(Halt::Stopped);
        }
        self.run(order)
    }
}
