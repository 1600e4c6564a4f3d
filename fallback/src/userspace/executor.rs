//! A machine with its books: what it judged, and which faults it met.

use hoist_bpf::module::{FunctionId, InstId};
use hoist_offload::attach::{self, Stats};

use super::maps::Maps;
use super::ports::Action;
use super::vm::{Arrival, Fault, Frame, Machine, Ran};

/// Most kinds of faults that are told apart; those beyond are counted together.
const FAULTS: usize = 100;

/// A machine at work.
#[derive(Debug)]
pub struct Executor {
    machine: Machine,
    stats: Stats,
    faults: Vec<attach::Fault>,
    /// Where each of them is, so that others of its kind are found.
    places: Vec<(FunctionId, InstId)>,
    /// Faults that are not told apart any more.
    more_faults: u64,
    frames: u64,
}

impl Executor {
    /// Begins with empty books.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            stats: Stats::default(),
            faults: Vec::new(),
            places: Vec::new(),
            more_faults: 0,
            frames: 0,
        }
    }

    /// Runs the program on a frame, enters the result, and says what is to become of the frame.
    pub fn judge(&mut self, frame: &mut Frame<'_>, arrival: &Arrival) -> Action {
        let bytes = frame.bytes().len() as u64;
        let ran = self.machine.run(frame, arrival);
        self.enter(&ran, bytes);
        Action::of(&ran)
    }

    /// Enters the result of a run that somebody else made on the machine; `bytes` is what the frame
    /// had on entry.
    pub fn enter(&mut self, ran: &Ran, bytes: u64) {
        self.frames += 1;
        let at = ran.verdict as usize;
        self.stats.packets[at] = self.stats.packets[at].saturating_add(1);
        self.stats.bytes[at] = self.stats.bytes[at].saturating_add(bytes);
        if let Some(fault) = &ran.fault {
            self.enter_fault(fault);
        }
    }

    #[cold]
    fn enter_fault(&mut self, fault: &Fault) {
        let (code, place) = (fault.kind.code(), (fault.function, fault.inst));
        let mut known = self.faults.iter_mut().zip(&self.places);
        if let Some((known, _)) = known.find(|(known, at)| known.code == code && **at == place) {
            known.times = known.times.saturating_add(1);
        } else if self.faults.len() < FAULTS {
            self.places.push(place);
            self.faults.push(attach::Fault {
                code: code.to_owned(),
                message: fault.kind.to_string(),
                function: fault.name.clone(),
                slot: fault.slot,
                line: fault.line.clone(),
                first_packet: self.frames,
                times: 1,
            });
        } else {
            self.more_faults = self.more_faults.saturating_add(1);
        }
    }

    /// Verdicts so far. A fault is counted as aborted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Faults so far, in the order in which they first came about.
    #[must_use]
    pub fn faults(&self) -> Vec<attach::Fault> {
        self.faults.clone()
    }

    /// Every fault, those that are not told apart included.
    #[must_use]
    pub fn fault_count(&self) -> u64 {
        self.faults.iter().fold(self.more_faults, |sum, fault| sum.saturating_add(fault.times))
    }

    /// The machine.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The machine, for what happens between frames.
    pub const fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }
}

impl AsMut<Maps> for Executor {
    fn as_mut(&mut self) -> &mut Maps {
        self.machine.maps_mut()
    }
}
