//! One program that is measured.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use hoist_bpf::kernel::loader::Loaded;
use hoist_bpf::kernel::{Kernel, KernelError, TestRun, TestRunSpec};

use super::load::{Kind, LoadFailure, Source};
use crate::forms;
use crate::stats;

/// How often a program may run on one frame, and with one set of maps, and still do the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// As often as one likes.
    Many,
    /// So often with one frame.
    UpTo(u32),
    /// So often with one set of maps.
    UpToFull(u32),
    /// Once.
    Once,
}

impl Runs {
    /// Runs per call, calls per sample.
    const fn plan(self) -> (u32, usize) {
        match self {
            Self::Many => (200_000, 1),
            Self::UpTo(runs) => (runs, 10),
            Self::UpToFull(runs) => (runs, 5),
            Self::Once => (1, 4_000),
        }
    }
}

/// What becomes of a frame, as far as a test run tells: it carries nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The stack gets it.
    Pass,
    /// Nobody gets it.
    Drop,
    /// It leaves through an interface.
    Out,
    /// A code without a meaning.
    Unknown(u32),
}

impl Verdict {
    const fn of(kind: Kind, code: u32) -> Self {
        match (kind, code) {
            (Kind::Xdp, 0 | 1) | (Kind::Tc, 2) => Self::Drop,
            (Kind::Xdp, 2) | (Kind::Tc, u32::MAX) => Self::Pass,
            (Kind::Xdp, 3 | 4) | (Kind::Tc, 7) => Self::Out,
            _ => Self::Unknown(code),
        }
    }
}

/// A program with the frame it gets.
#[derive(Debug)]
pub struct Side {
    kernel: Arc<dyn Kernel>,
    source: Source,
    setup: Option<Source>,
    loaded: Chain,
    frame: Vec<u8>,
    runs: Runs,
}

/// What is loaded at the moment.
#[derive(Debug)]
struct Chain {
    measured: Loaded,
    /// Goes on with the measured program.
    setup: Option<Loaded>,
}

impl Chain {
    fn load(
        kernel: &dyn Kernel,
        source: &Source,
        setup: Option<&Source>,
    ) -> Result<Self, SideError> {
        let measured = source.load(kernel)?;
        let setup = setup.map(|setup| setup.load(kernel)).transpose()?;
        // The only map there is.
        for map in setup.iter().flat_map(|setup| setup.maps.values()) {
            let program = measured.program.as_raw_fd().to_ne_bytes();
            kernel.map_update(map.as_fd(), &0_u32.to_ne_bytes(), &program, 0)?;
        }
        Ok(Self { measured, setup })
    }

    fn entry(&self) -> BorrowedFd<'_> {
        self.setup.as_ref().unwrap_or(&self.measured).program.as_fd()
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// There is no program to run.
    #[error(transparent)]
    Load(#[from] LoadFailure),
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] KernelError),
    /// It ran, and did not what is to be measured.
    #[error("{program}: the verdict is {got:?}, not {expected:?}")]
    Verdict {
        /// The program.
        program: String,
        /// What it should have said.
        expected: Verdict,
        /// What it said.
        got: Verdict,
    },
}

impl Side {
    /// Loads a program that gets `frame`, runs it once and checks what it says.
    ///
    /// # Errors
    /// It does not load or run, or says something else than `expected`.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        source: Source,
        frame: Vec<u8>,
        runs: Runs,
        expected: Verdict,
    ) -> Result<Self, SideError> {
        Self::prepared(kernel, source, None, frame, runs, expected)
    }

    /// The same for a program at TC whose frame is to have its VLAN tag where TC has it, in the
    /// buffer's description. `frame` is without. What that costs is in the figures: subtract those
    /// of a program that does nothing, measured likewise.
    ///
    /// # Errors
    /// As [`Side::new`].
    pub fn tagged(
        kernel: Arc<dyn Kernel>,
        source: Source,
        frame: Vec<u8>,
        expected: Verdict,
    ) -> Result<Self, SideError> {
        let form = forms::SETUP_TAGGED;
        let setup = Source::object(form.object, &form.program(), Kind::Tc, &[])?;
        Self::prepared(kernel, source, Some(setup), frame, Runs::Once, expected)
    }

    fn prepared(
        kernel: Arc<dyn Kernel>,
        source: Source,
        setup: Option<Source>,
        frame: Vec<u8>,
        runs: Runs,
        expected: Verdict,
    ) -> Result<Self, SideError> {
        let loaded = Chain::load(&*kernel, &source, setup.as_ref())?;
        let side = Self { kernel, source, setup, loaded, frame, runs };
        let got = Verdict::of(side.source.kind(), side.run(1)?.verdict);
        if got == expected {
            return Ok(side);
        }
        Err(SideError::Verdict { program: side.source.name().to_owned(), expected, got })
    }

    fn reload(&mut self) -> Result<(), SideError> {
        self.loaded = Chain::load(&*self.kernel, &self.source, self.setup.as_ref())?;
        Ok(())
    }

    /// Nanoseconds per frame, once. Of several calls the mean of the middle half is taken, which
    /// interrupts do not reach and which is finer than the whole nanoseconds that the kernel tells.
    /// The program is loaded anew first: the kernel puts machine code at random places, and a loop is
    /// easily a tenth faster at one than at another.
    ///
    /// # Errors
    /// The kernel would not run it (any more).
    pub fn sample(&mut self) -> Result<f64, SideError> {
        let (repeat, calls) = self.runs.plan();
        let mut times = Vec::with_capacity(calls);
        self.reload()?;
        for _ in 0..calls {
            times.push(f64::from(self.timed(repeat)?));
        }
        Ok(stats::middle(&times).unwrap_or(f64::NAN))
    }

    /// What so many runs take, added up.
    ///
    /// # Errors
    /// The kernel would not run it (any more).
    pub fn time(&mut self, runs: u64) -> Result<Duration, SideError> {
        let (most, _) = self.runs.plan();
        let (mut left, mut total) = (runs, 0);
        while left > 0 {
            let repeat = left.min(u64::from(most));
            total += repeat * u64::from(self.timed(repeat as u32)?);
            left -= repeat;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Nanoseconds per run of one call.
    fn timed(&mut self, repeat: u32) -> Result<u32, SideError> {
        if matches!(self.runs, Runs::UpToFull(_)) {
            self.reload()?;
        }
        Ok(self.run(repeat)?.duration_ns)
    }

    /// The frame after one run, as test runs hand it out: a VLAN tag that is in the buffer's
    /// description is not in it.
    ///
    /// # Errors
    /// The kernel would not run it.
    pub fn output(&self) -> Result<Vec<u8>, SideError> {
        Ok(self.run(1)?.data)
    }

    fn run(&self, repeat: u32) -> Result<TestRun, KernelError> {
        let spec = TestRunSpec { data: &self.frame, repeat, ..TestRunSpec::default() };
        self.kernel.test_run(self.loaded.entry(), &spec)
    }
}
