//! A device that exists in arithmetic only. Searches are held against it, because what is true of it
//! is known: how many frames it takes, stores and loses.
//!
//! The noise is that of a virtual machine as it was measured: processors that stand still for moments,
//! a ring of 256 frames that runs over meanwhile, speeds that drift from trial to trial.

use std::time::Duration;

use super::{Bench, Halt};
use crate::random::Random;
use crate::trial::{
    Count, Entry, Fate, Finding, Latency, Ledger, Order, Percentiles, Severity, Stage, Trial,
};

/// What is true of a device, and of the generator before it.
#[derive(Clone, Debug)]
pub struct Device {
    /// Frames per second that the device takes.
    pub capacity: f64,
    /// Frames it stores while more come.
    pub buffer: f64,
    /// Frames per second that the generator can make.
    pub ceiling: f64,
    /// Whether the device works on the generator's processor: then nothing is lost between the two,
    /// and what the device cannot take is never sent.
    pub inline: bool,
    /// Standard deviation of capacity and ceiling from trial to trial, as a part of them.
    pub drift: f64,
    /// Moments at which the processor stands still, per second.
    pub gaps: f64,
    /// How long one lasts on average, in seconds.
    pub gap: f64,
    /// The capacity is multiplied by this in every other trial: a device that flaps.
    pub flap: f64,
    /// Part of the trials that somebody else disturbs, and that are marked so.
    pub disturbed: f64,
}

impl Device {
    /// Takes exactly that many frames per second, and can be offered four times as many.
    #[must_use]
    pub const fn ideal(capacity: f64) -> Self {
        Self {
            capacity,
            buffer: 0.0,
            ceiling: capacity * 4.0,
            inline: false,
            drift: 0.0,
            gaps: 0.0,
            gap: 0.0,
            flap: 1.0,
            disturbed: 0.0,
        }
    }

    /// Generator and device on one processor of a virtual machine: 7 million frames per second.
    #[must_use]
    pub const fn inline() -> Self {
        let gaps = Self { gaps: 1.0, gap: 0.002, ..Self::ideal(7.0e6) };
        Self { inline: true, ceiling: 7.0e6, drift: 0.008, buffer: 256.0, ..gaps }
    }

    /// On two processors, the second of which never rests and belongs to the device alone: gaps are
    /// rare and short.
    #[must_use]
    pub const fn split() -> Self {
        let gaps = Self { gaps: 0.3, gap: 0.000_2, ..Self::ideal(8.0e6) };
        Self { ceiling: 11.0e6, drift: 0.008, buffer: 256.0, ..gaps }
    }

    /// On two processors without any such care: several gaps a second, at every load.
    #[must_use]
    pub const fn careless() -> Self {
        Self { gaps: 8.0, gap: 0.000_6, ..Self::split() }
    }
}

/// A [`Device`] as a bench. Time passes by its own clock, at once.
#[derive(Debug)]
pub struct Simulation {
    device: Device,
    random: Random,
    clock: f64,
    trials: usize,
    /// Seconds of traffic so far, warm-up included.
    pub traffic: f64,
    /// Whether it was made ready and not yet given back.
    pub held: bool,
    /// The trial, counted from 0, at which the user stops or the device fails.
    pub halt: Option<(usize, Stop)>,
}

/// How a simulation ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The user stopped it.
    Asked,
    /// The device is gone.
    Gone,
}

/// The finding of a trial that somebody else disturbed.
const DISTURBED: &str = "simulated-disturbance";

/// What a trial costs beside its traffic, in seconds: starting and stopping the generator.
const OVERHEAD: f64 = 0.03;

impl Simulation {
    /// A device; all that is random about it follows from the seed.
    #[must_use]
    pub const fn new(device: Device, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { device, random, clock: 0.0, trials: 0, traffic: 0.0, held: false, halt: None }
    }

    fn varied(&mut self, rate: f64) -> f64 {
        rate * (1.0 + self.device.drift * self.random.normal()).max(0.1)
    }

    /// When each of the gaps of one trial begins, and how long it lasts, in seconds.
    fn gaps(&mut self, seconds: f64) -> Vec<(f64, f64)> {
        let mut gaps = Vec::new();
        if self.device.gaps <= 0.0 {
            return gaps;
        }
        let mut at = self.random.exponential(1.0 / self.device.gaps);
        while at < seconds {
            let gap = self.random.exponential(self.device.gap);
            gaps.push((at, gap));
            at += gap + self.random.exponential(1.0 / self.device.gaps);
        }
        gaps
    }

    /// Frames intended, generated and received.
    fn traffic(&mut self, order: Order) -> (u64, u64, u64) {
        let flap = if self.trials % 2 == 1 { self.device.flap } else { 1.0 };
        let capacity = self.varied(self.device.capacity) * flap;
        let ceiling = self.varied(self.device.ceiling);
        let gaps = self.gaps(order.seconds);
        if self.device.inline {
            let able = capacity.min(ceiling);
            let Some(load) = order.load else {
                let still: f64 = gaps.iter().map(|(at, gap)| gap.min(order.seconds - at)).sum();
                let sent = (able * (order.seconds - still)).round() as u64;
                return (sent, sent, sent);
            };
            let intended = (load * order.seconds).round();
            let sent = (intended - behind(load, able, &gaps, order.seconds)).round() as u64;
            return (intended as u64, sent, sent);
        }
        let load = order.load.unwrap_or(ceiling);
        let intended = (load * order.seconds).round();
        let sent = (load.min(ceiling) * order.seconds).round().min(intended);
        let rate = sent / order.seconds;
        let buffer = self.device.buffer;
        let late: f64 = gaps.iter().map(|(_, gap)| (rate * gap - buffer).max(0.0)).sum();
        let over = ((rate - capacity) * order.seconds - buffer).max(0.0);
        let received = (sent - late.max(over)).max(0.0).round();
        let intended = if order.load.is_some() { intended } else { sent };
        (intended as u64, sent as u64, received as u64)
    }
}

impl Bench for Simulation {
    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        match self.halt {
            Some((at, Stop::Asked)) if self.trials >= at => return Err(Halt::Stopped),
            Some((at, Stop::Gone)) if self.trials >= at => {
                return Err(Halt::Failed("the device is gone".into()));
            }
            _ => {}
        }
        let (intended, generated, received) = self.traffic(order);
        self.trials += 1;
        self.clock += order.seconds + OVERHEAD;
        self.traffic += order.seconds;
        let disturbed = self.device.disturbed > self.random.unit();
        let findings = disturbed.then(|| Finding {
            code: DISTURBED.to_owned(),
            severity: Severity::Invalid,
            message: "somebody else used the processor".to_owned(),
            advice: None,
        });
        let rate = generated as f64 / order.seconds;
        Ok(Trial {
            order,
            seconds: order.seconds,
            intended,
            generated,
            received,
            ledger: ledger(generated, received),
            latency: order.load.map(|_| self.latency(rate, received)),
            sequence: None,
            cpus: Vec::new(),
            findings: findings.into_iter().collect(),
        })
    }

    fn begin(&mut self) -> Result<(), Halt> {
        self.held = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        self.held = false;
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        self.clock += time.as_secs_f64();
        Ok(())
    }

    fn now(&self) -> Duration {
        Duration::from_secs_f64(self.clock)
    }
}

impl Simulation {
    /// Waits of a queue that is served at a steady rate (M/D/1), with the gaps as its tail.
    fn latency(&self, rate: f64, frames: u64) -> Latency {
        let service = 1e9 / self.device.capacity;
        let used = (rate / self.device.capacity).min(0.99);
        let mean = service * (1.0 + used / (2.0 * (1.0 - used)));
        let at = |times: f64| (mean * times) as u64;
        let gap = (self.device.gap * 1e9) as u64;
        let from_sent = Percentiles {
            frames,
            min: service as u64,
            p50: at(1.0),
            p90: at(1.6),
            p99: at(2.7),
            p99_9: at(4.0) + gap / 8,
            p99_99: at(6.0) + gap / 2,
            max: at(8.0) + gap * 2,
        };
        Latency { from_intended: Some(from_sent), from_sent, lateness: None }
    }
}

/// Frames that a schedule called for and that were not sent when the trial ended: what a gap delays is
/// sent after it, as fast as the generator is able, as long as there is time.
fn behind(load: f64, able: f64, gaps: &[(f64, f64)], end: f64) -> f64 {
    let (mut behind, mut now) = (0.0_f64, 0.0);
    for (at, gap) in gaps {
        behind = ((load - able).mul_add(at - now, behind)).max(0.0);
        let stop = (at + gap).min(end);
        behind += load * (stop - at);
        now = stop;
    }
    (load - able).mul_add(end - now, behind).max(0.0)
}

/// The one place that frames pass.
fn ledger(generated: u64, received: u64) -> Ledger {
    let counter = |name: &str| format!("simulation: {name}");
    let entry = |fate, packets, name| Entry { fate, packets, counter: counter(name) };
    let stage = Stage {
        name: "device".to_owned(),
        came: Count { packets: generated, counter: counter("generated") },
        out: vec![
            entry(Fate::Received, received, "received"),
            entry(Fate::RingDrop, generated - received, "dropped"),
        ],
    };
    Ledger { stages: vec![stage], witnesses: Vec::new() }
}
