//! Virtual machines with other kernels: the ends of the supported range, and a simulated NIC.
//!
//! A [`Machine`] names a kernel series and what is in the machine. [`Lab::open`] finds or makes what
//! it boots from: Debian's newest image of that series and, when asked, netdevsim built from
//! Debian's source. [`Lab::run`] boots it under qemu, runs programs of this host in it (test
//! binaries, commands) and returns what each printed and how it ended.
//!
//! ```no_run
//! use std::time::Duration;
//! use hoist_hwtests::vm::{Job, Lab, Machine, Netdevsim};
//!
//! # fn main() -> Result<(), hoist_hwtests::vm::VmError> {
//! let machine = Machine { netdevsim: Some(Netdevsim::Stock), ..Machine::new("6.12") };
//! let lab = Lab::open(machine)?;
//! let job = Job::new("links", "ip").arg("link").limit(Duration::from_secs(10));
//! let run = lab.run(&[job], &[], &[], &mut |_| {})?;
//! print!("{}", run.done[0].stdout);
//! # Ok(())
//! # }
//! ```
//!
//! # What stays
//!
//! qemu dies with the thread that started it, whatever kills that. Nothing runs as root on the host
//! and nothing is installed; kernels and modules stay in a cache ([`Cache`]), logs of the last run
//! in the folder that [`Run::logs`] names.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod apt;
pub mod binaries;
mod cache;
mod cpio;
mod host;
mod image;
mod kernel;
mod netdevsim;
mod port;
mod qemu;
pub mod results;
mod script;

pub use cache::Cache;
pub use kernel::Kernel;
pub use qemu::{Done, Event, Run};

/// Which netdevsim a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Netdevsim {
    /// As Debian's source has it: two entries per map, every program taken.
    Stock,
    /// With hoist's simulated card, `hwtests/vm/netdevsim/card.c`: large maps, and knobs that refuse
    /// what a real card refuses.
    Card,
}

impl Netdevsim {
    /// What results obtained on it prove, and on which build: to stand at each of them.
    #[must_use]
    pub fn evidence(self) -> &'static str {
        match self {
            Self::Stock => "simulated NIC on the real kernel path (stock netdevsim)",
            Self::Card => {
                "simulated NIC on the real kernel path (netdevsim patched with hoist's card)"
            }
        }
    }

    /// Name of the module's file.
    fn file(self) -> &'static str {
        match self {
            Self::Stock => "stock.ko",
            Self::Card => "card.ko",
        }
    }
}

/// A machine to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The first two numbers of the kernel's version, for example `6.12`.
    pub series: String,
    /// The simulated NIC.
    pub netdevsim: Option<Netdevsim>,
    /// Processors. More than one is less reliable under emulation: see decision 0053.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory: u32,
}

impl Machine {
    /// A machine with a kernel of this series, one processor and 2 GiB.
    #[must_use]
    pub fn new(series: &str) -> Self {
        Self { series: series.to_owned(), netdevsim: None, cpus: 1, memory: 2048 }
    }
}

/// A program to run in the machine.
#[derive(Clone, Debug)]
pub struct Job {
    /// What results are named after.
    pub name: String,
    /// A file of this host, put into the machine with the libraries it needs; or the bare name of a
    /// command that the machine has.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables for it.
    pub env: Vec<(String, String)>,
    /// After this time it is killed.
    pub limit: Duration,
}

impl Job {
    /// A job without arguments that may take two minutes.
    #[must_use]
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            limit: Duration::from_secs(120),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VmError {
    /// This host lacks something: the tier cannot run here, which is no failure of hoist.
    #[error("{0}")]
    Missing(String),
    /// Something that is there did not do what it should.
    #[error("{operation} {object}: {cause}")]
    Failed {
        /// What was done, for example `make`.
        operation: String,
        /// What it was done to.
        object: String,
        /// The system's or the tool's words.
        cause: String,
    },
    /// The kernel in the machine reported a fault of its own.
    #[error("the kernel of the machine failed while {during}:\n{text}")]
    Kernel {
        /// `JOB ran`, or `it booted`.
        during: String,
        /// What the kernel printed.
        text: String,
    },
    /// The machine stopped or took too long before all jobs were done.
    #[error("the machine {how} while {during}; the end of its console:\n{console}")]
    Ended {
        /// `ended` or `took longer than 300 s`.
        how: String,
        /// `JOB ran`, or `it booted`.
        during: String,
        /// The last lines of the console.
        console: String,
    },
}

impl VmError {
    fn failed(operation: &str, object: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::Failed {
            operation: operation.to_owned(),
            object: object.to_string(),
            cause: cause.to_string(),
        }
    }

    fn io(operation: &str, object: &Path, error: &io::Error) -> Self {
        Self::failed(operation, object.display(), error)
    }
}

/// Folders of this repository that its tests read: cases, programs, objects, documents.
#[must_use]
pub fn repository() -> Vec<PathBuf> {
    const READ: [&str; 9] = [
        "bpf/prebuilt",
        "bpf/programs",
        "bpf/tests",
        "docs",
        "hwtests/cases",
        "hwtests/prebuilt",
        "hwtests/programs",
        "hwtests/tests",
        "offload/tests",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().unwrap_or(root);
    READ.iter().map(|folder| root.join(folder)).collect()
}

/// Everything that a machine boots from.
#[derive(Debug)]
pub struct Lab {
    machine: Machine,
    kernel: Kernel,
    module: Option<PathBuf>,
    accelerator: qemu::Accelerator,
}

impl Lab {
    /// Finds what the machine boots from, in the cache or else from Debian's archive.
    ///
    /// # Errors
    /// [`VmError::Missing`] when this host cannot have it, else what went wrong.
    pub fn open(machine: Machine) -> Result<Self, VmError> {
        host::requirements(machine.netdevsim.is_some())?;
        let cache = Cache::open()?;
        let kernel = Kernel::newest(&cache, &machine.series)?;
        let module = match machine.netdevsim {
            Some(which) => Some(netdevsim::module(&cache, &kernel, which)?),
            None => None,
        };
        let accelerator = qemu::Accelerator::trial(&cache, &kernel)?;
        Ok(Self { machine, kernel, module, accelerator })
    }

    /// The kernel that boots.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What the machine is, in words for a report.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!(
            "Linux {} ({} {}), {}, {} processor{}",
            self.kernel.release,
            self.kernel.package,
            self.kernel.version,
            self.accelerator,
            self.machine.cpus,
            if self.machine.cpus == 1 { "" } else { "s" }
        );
        if let Some(which) = self.machine.netdevsim {
            text = format!("{text}; evidence: {}", which.evidence());
        }
        text
    }

    /// Boots, runs the jobs one after the other, and switches off. `files` are programs and other
    /// files of this host that are put into the machine's `/t`, and `trees` folders of it that are
    /// there under their own names.
    ///
    /// # Errors
    /// The image cannot be made, the machine ended or took too long before all jobs were done, or
    /// its kernel reported a fault. A job that fails is no error: see [`Done::status`].
    pub fn run(
        &self,
        jobs: &[Job],
        files: &[PathBuf],
        trees: &[PathBuf],
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Run, VmError> {
        let folder = host::run_folder(&self.machine)?;
        let token = format!("@@{:x}-{}", std::process::id(), jobs.len());
        let script = script::jobs(jobs, self.machine.netdevsim, &token);
        let programs: Vec<&Path> = jobs
            .iter()
            .map(|j| j.program.as_path())
            .chain(files.iter().map(PathBuf::as_path))
            .collect();
        let image = image::Image { kernel: &self.kernel, module: self.module.as_deref() };
        let initrd = image.write(&folder, &script, &programs, trees)?;
        let started = qemu::Start { lab: self, initrd: &initrd, folder: &folder };
        started.run(jobs, &token, report)
    }

    /// Boots and gives the terminal to a shell in the machine, with `files` of this host in `/t`.
    ///
    /// # Errors
    /// The image cannot be made or qemu does not start.
    pub fn shell(&self, files: &[PathBuf], trees: &[PathBuf]) -> Result<(), VmError> {
        let folder = host::run_folder(&self.machine)?;
        let programs: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let image = image::Image { kernel: &self.kernel, module: self.module.as_deref() };
        let script = script::shell(self.machine.netdevsim);
        let initrd = image.write(&folder, &script, &programs, trees)?;
        qemu::Start { lab: self, initrd: &initrd, folder: &folder }.shell()
    }
}
