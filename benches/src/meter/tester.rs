//! Trials on real ports.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;

use super::cpu;
use super::dut::Dut;
use super::findings::{self, Facts, Limits};
use super::machine;
use super::receiver::Receiver;
use super::snapshot::{Account, Snapshot};
use super::traffic::{Sent, Traffic};
use crate::search::{Bench, Halt};
use crate::trial::{Latency, Order, Trial};

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
    receiver: Option<Receiver>,
    roles: BTreeMap<u32, String>,
    limits: Limits,
    floor: Option<f64>,
    stop: Arc<AtomicBool>,
}

impl fmt::Debug for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tester")
            .field("sender", &self.sender)
            .field("dut", &self.dut)
            .field("receiver", &self.receiver)
            .finish_non_exhaustive()
    }
}

impl Tester {
    /// `traffic` leaves by `sender` for `dut`, and what the program there judged is the result.
    #[must_use]
    pub fn new(sender: &Port, traffic: Box<dyn Traffic>, dut: Dut) -> Self {
        Self {
            sender: sender.clone(),
            traffic,
            dut,
            receiver: None,
            roles: BTreeMap::new(),
            limits: Limits::default(),
            floor: None,
            stop: Arc::default(),
        }
    }

    /// What the program sends on comes to this receiver, and what arrives there is the result.
    #[must_use]
    pub fn receiving(mut self, receiver: Receiver) -> Self {
        self.receiver = Some(receiver);
        self
    }

    /// Says what a processor is used for, for example `generator` or `napi/v0-0`. Where some are
    /// said, the others do not count when it is asked whether the machine is busy.
    #[must_use]
    pub fn role(mut self, cpu: u32, role: &str) -> Self {
        self.roles.insert(cpu, role.to_owned());
        self
    }

    /// From when on it matters what else the machine does.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Frames per second that the generator makes when nobody takes them
    /// ([`super::floors::generator`]).
    #[must_use]
    pub const fn floor(mut self, pps: f64) -> Self {
        self.floor = Some(pps);
        self
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

    /// The generator and the device under test, to be used again or detached. A receiver goes.
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
        Snapshot::take(Some(&self.sender), &self.dut, self.receiver.as_ref())
    }

    /// The account once it balances, or once nothing changes any more.
    fn settle(&self, before: &Snapshot, sent: &Sent) -> Result<Account, Failure> {
        let injection = self.traffic.injection();
        let account =
            || Ok::<_, Failure>(self.snapshot()?.since(before, Some((sent, injection)), &self.dut));
        let start = Instant::now();
        let mut last = account()?;
        let mut changed = Instant::now();
        while !last.ledger.balanced() && changed.elapsed() < QUIET && start.elapsed() < PATIENCE {
            thread::sleep(NAP);
            let now = account()?;
            if now.ledger != last.ledger {
                (last, changed) = (now, Instant::now());
            }
        }
        Ok(last)
    }

    /// The generator's own word on its lateness goes before that of the frames that came back.
    fn latency(&self, order: Order, sent: &Sent) -> Result<Option<Latency>, Failure> {
        let Some(receiver) = &self.receiver else { return Ok(None) };
        let latency = receiver.latency()?;
        Ok(latency.map(|latency| match order.load {
            Some(_) => Latency { lateness: sent.lateness.or(latency.lateness), ..latency },
            // Nothing was intended.
            None => Latency { from_intended: None, lateness: None, ..latency },
        }))
    }

    fn run(&mut self, order: Order) -> Result<Trial, Failure> {
        let marks = self.traffic.marks();
        if let Some(receiver) = &self.receiver {
            receiver.expect(marks)?;
        }
        let before = self.snapshot()?;
        let cpus = cpu::Sample::take()?;
        let Self { sender, traffic, stop, .. } = self;
        let stop = Arc::clone(stop);
        let sent = sender.namespace.run(|| traffic.send(&order, &stop))?;
        let cpus = cpu::Sample::take()?.since(&cpus, &self.roles);
        let account = self.settle(&before, &sent)?;
        let sequence = match &self.receiver {
            Some(receiver) if marks.sequenced => Some(receiver.sequence()?),
            _ => None,
        };
        let mut trial = Trial {
            order,
            seconds: sent.seconds,
            intended: sent.intended,
            generated: sent.generated.packets,
            received: account.received,
            latency: self.latency(order, &sent)?,
            sequence,
            cpus,
            ledger: account.ledger,
            findings: Vec::new(),
        };
        let facts = Facts {
            frame_bytes: self.traffic.frame_bytes(),
            interfaces: &account.interfaces,
            back: account.back,
            floor: self.floor,
            bpf_stats: machine::bpf_stats(),
        };
        trial.findings = findings::of(&trial, &facts, &self.limits);
        Ok(trial)
    }
}

impl Bench for Tester {
    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        super::permitted().map_err(|error| Halt::Failed(error.into()))?;
        let trial = self.run(order).map_err(Halt::Failed)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        Ok(trial)
    }
}
