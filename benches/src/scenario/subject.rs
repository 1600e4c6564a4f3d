//! What is measured: a program, and what carries it on the interface.

use std::fmt;
use std::path::PathBuf;

use hoist_offload::engine::Job;
use hoist_offload::plan::Wanted;

/// A program under test.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in reports.
    pub name: String,
    /// The program, resolved against the running kernel.
    pub job: Job,
    /// The object as a file, for the control: what iproute2 reads.
    pub object: PathBuf,
}

/// What carries the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// An engine of hoist's.
    Engine(Wanted),
    /// The same without hoist: attached by iproute2.
    Control(Mode),
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(wanted) => wanted.fmt(f),
            Self::Control(mode) => write!(f, "{} without hoist", mode.engine()),
        }
    }
}

/// How iproute2 attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `xdpdrv`.
    Native,
    /// `xdpgeneric`.
    Generic,
}

impl Mode {
    /// iproute2's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "xdpdrv",
            Self::Generic => "xdpgeneric",
        }
    }

    /// The engine that does the same.
    #[must_use]
    pub const fn engine(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}
