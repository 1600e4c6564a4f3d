//! The host as a set of questions. A host only answers; changes go through
//! [`hoist_bpf::kernel::Kernel`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::Error;
use crate::fact::Fact;

pub mod report;

pub use report::HostReport;

/// Where facts come from: the running system, or a recording of one.
pub trait Host: Send + Sync + fmt::Debug {
    /// The interfaces of the current network namespace, by name, in index order.
    ///
    /// # Errors
    /// The host could not be asked.
    fn interfaces(&self) -> Result<Vec<String>, Error>;

    /// A snapshot of one interface.
    ///
    /// # Errors
    /// [`Error::Input`] naming similar interfaces when there is none of that name.
    fn device(&self, name: &str) -> Result<Device, Error>;

    /// What the host can do, independent of any interface. May take milliseconds (trial loads) the
    /// first time; cached afterwards.
    ///
    /// # Errors
    /// The host could not be asked.
    fn report(&self) -> Result<HostReport, Error>;

    /// What is already known of the host without asking it anything costly: no trial loads. Engines
    /// ask this; what it leaves open is unknown to them, and settled by loading.
    ///
    /// # Errors
    /// The host could not be asked.
    fn known(&self) -> Result<Option<HostReport>, Error> {
        self.report().map(Some)
    }

    /// The kernel's own BTF, for CO-RE; raw bytes.
    ///
    /// # Errors
    /// The host could not be asked.
    fn kernel_btf(&self) -> Result<Fact<Vec<u8>>, Error>;
}

/// A host and its interfaces, as written by `hoist probe --record` and read by `--host`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// `hoist.record.v1`.
    pub schema: String,
    /// The host.
    pub host: HostReport,
    /// Its interfaces.
    pub devices: Vec<Device>,
}

impl Recording {
    /// The schema name of the current format.
    pub const SCHEMA: &'static str = "hoist.record.v1";
}
