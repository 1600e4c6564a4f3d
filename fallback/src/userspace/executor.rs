//! A machine with its books: what it judged, and which faults it met.

use std::collections::BTreeMap;

use hoist_bpf::module::{FunctionId, InstId, ProgramId};
use hoist_offload::Verdict;
use hoist_offload::attach::{self, Stats};

use super::entries;
use super::environment::Destination;
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
    unusual: [u64; Unusual::ALL.len()],
}

/// What a program did that its verdict does not show, and that the kernel tells by a tracepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusual {
    /// It returned no verdict: taken as aborted (`bpf_warn_invalid_xdp_action`, `xdp:xdp_exception`).
    InvalidCode,
    /// It redirected a frame to nowhere (`xdp:xdp_redirect_err`).
    RedirectMiss,
    /// The program of a devmap's or cpumap's entry dropped the frame (`xdp:xdp_devmap_xmit`,
    /// `xdp:xdp_cpumap_kthread`).
    EntryDrop,
}

impl Unusual {
    const ALL: [Self; 3] = [Self::InvalidCode, Self::RedirectMiss, Self::EntryDrop];

    /// Its name among events; the engines in the kernel use the same where they can tell.
    const fn name(self) -> &'static str {
        match self {
            Self::InvalidCode => "invalid_code",
            Self::RedirectMiss => "redirect_miss",
            Self::EntryDrop => "entry_drop",
        }
    }
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
            unusual: [0; Unusual::ALL.len()],
        }
    }

    /// Runs the program on a frame, enters the result, and says what is to become of the frame.
    pub fn judge(&mut self, frame: &mut Frame<'_>, arrival: &Arrival) -> Action {
        let bytes = frame.bytes().len() as u64;
        let ran = self.machine.run(frame, arrival);
        self.enter(&ran, bytes);
        self.act(&ran, frame, arrival)
    }

    /// What is to become of the frame of a run that was entered: entries of maps that it was redirected
    /// by may have programs of their own, which run now.
    pub fn act(&mut self, ran: &Ran, frame: &mut Frame<'_>, arrival: &Arrival) -> Action {
        match &ran.redirect {
            Some(destination) if entries::concern(destination) => {
                entries::follow(self, destination, frame, arrival)
            }
            _ => Action::of(ran),
        }
    }

    /// Runs the program of an entry. Its verdict is not counted, its faults are.
    pub(super) fn run_entry(
        &mut self,
        program: ProgramId,
        frame: &mut Frame<'_>,
        arrival: &Arrival,
    ) -> Ran {
        let ran = self.machine.run_program(program, frame, arrival);
        if let Some(fault) = &ran.fault {
            self.enter_fault(fault);
        }
        ran
    }

    /// The program of an entry dropped a frame.
    pub(super) const fn entry_drops(&mut self) -> Action {
        self.count(Unusual::EntryDrop);
        Action::Drop
    }

    const fn count(&mut self, unusual: Unusual) {
        let count = &mut self.unusual[unusual as usize];
        *count = count.saturating_add(1);
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
        match ran.verdict {
            Verdict::Aborted if ran.code as u32 != 0 => self.count(Unusual::InvalidCode),
            Verdict::Redirect
                if matches!(ran.redirect, None | Some(Destination::Socket { .. })) =>
            {
                self.count(Unusual::RedirectMiss);
            }
            _ => {}
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
                message: fault.words.clone(),
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

    /// What happened off the plain path, by name, without what did not happen.
    #[must_use]
    pub fn events(&self) -> BTreeMap<&'static str, u64> {
        let counted = Unusual::ALL.map(|unusual| (unusual.name(), self.unusual[unusual as usize]));
        counted.into_iter().filter(|(_, times)| *times > 0).collect()
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
