//! The device that is being asked.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{KernelError, MapSpec, ProgramSpec};

use super::super::{BPF_XDP, LOG_ALL, LOG_BYTES, LOG_COMPLAINTS, Trial, XDP};
use super::kmsg::KernelLog;

/// Room for the listing of the longest program of a trial that is refused.
const LISTING_BYTES: usize = 1 << 20;

/// How much the verifier should write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Why it refuses.
    Complaints,
    /// Besides, every instruction it reads.
    Listing,
}

/// A device, and what it takes to ask it.
#[derive(Debug)]
pub(super) struct Card<'a> {
    pub(super) trial: &'a Trial<'a>,
    ifindex: u32,
    driver: String,
    kernel_log: RefCell<Option<KernelLog>>,
    trials: Cell<u32>,
}

impl<'a> Card<'a> {
    /// The device with this index, of this kernel driver.
    pub(super) fn new(trial: &'a Trial<'a>, ifindex: u32, driver: &str) -> Self {
        Self {
            trial,
            ifindex,
            driver: driver.to_lowercase(),
            kernel_log: RefCell::new(KernelLog::listen()),
            trials: Cell::new(0),
        }
    }

    /// How often it was asked.
    pub(super) fn trials(&self) -> u32 {
        self.trials.get()
    }

    /// Loads code for the device.
    pub(super) fn load(&self, kind: u32, code: &[Insn], log: Log) -> Result<OwnedFd, KernelError> {
        let (log_level, log_bytes) = match log {
            Log::Complaints => (LOG_COMPLAINTS, LOG_BYTES),
            Log::Listing => (LOG_ALL, LISTING_BYTES),
        };
        self.trials.set(self.trials.get() + 1);
        self.trial.kernel.load_program(&ProgramSpec {
            name: "hoist_trial".to_owned(),
            kind,
            expected_attach_type: if kind == XDP { BPF_XDP } else { 0 },
            ifindex: self.ifindex,
            license: "GPL".to_owned(),
            log_level,
            log_bytes,
            insns: code,
            ..ProgramSpec::default()
        })
    }

    /// Creates a map on the device.
    pub(super) fn map(&self, spec: MapSpec<'_>) -> Result<OwnedFd, KernelError> {
        self.trials.set(self.trials.get() + 1);
        self.trial.kernel.create_map(&MapSpec {
            name: "hoist_trial".to_owned(),
            ifindex: self.ifindex,
            ..spec
        })
    }

    /// What the driver wrote to the kernel log last.
    pub(super) fn heard(&self) -> Option<String> {
        self.kernel_log.borrow_mut().as_mut()?.last(&self.driver)
    }
}
