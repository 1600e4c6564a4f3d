//! The host as a set of questions. A host only answers; changes go through
//! [`hoist_bpf::kernel::Kernel`].

use std::collections::BTreeMap;
use std::fmt;

use crate::device::Device;
use crate::error::Error;
use crate::fact::Fact;

pub mod fake;
#[cfg(feature = "linux")]
pub mod linux;
pub mod offload;
pub mod record;
pub mod report;
pub mod sample;

pub use fake::FakeHost;
#[cfg(feature = "linux")]
pub use linux::LinuxHost;
pub use offload::{Limit, OffloadReport, ProgramReport};
pub use record::Recording;
pub use report::{Finding, HostReport};

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

    /// Snapshots of all interfaces, in index order; cheaper than asking for one after the other.
    ///
    /// # Errors
    /// The host could not be asked.
    fn devices(&self) -> Result<Vec<Device>, Error> {
        self.interfaces()?.iter().map(|name| self.device(name)).collect()
    }

    /// What one interface takes when programs and maps are loaded for it, by trial loads that are
    /// dropped at once. See [`Device::offload`].
    ///
    /// # Errors
    /// The host could not be asked.
    fn offload(&self, device: &Device) -> Result<BTreeMap<String, Finding>, Error> {
        Ok(device.offload.clone())
    }

    /// Everything an offload device takes, by some hundred questions in a few dozen trial loads; nothing
    /// for other devices, as [`Host::offload`] tells them. See [`Device::offload_report`].
    ///
    /// # Errors
    /// The host could not be asked.
    fn offload_report(&self, device: &Device) -> Result<Option<OffloadReport>, Error> {
        Ok(device.offload_report.clone())
    }

    /// What the host can do, independent of any interface. May take milliseconds (trial loads) the
    /// first time; cached afterwards.
    ///
    /// # Errors
    /// The host could not be asked.
    fn report(&self) -> Result<&HostReport, Error>;

    /// What was known of the host when this was first called, without asking it anything costly: no
    /// trial loads. Engines ask this; what it leaves open is unknown to them, and settled by loading.
    ///
    /// # Errors
    /// The host could not be asked.
    fn known(&self) -> Result<Option<&HostReport>, Error> {
        self.report().map(Some)
    }

    /// The kernel's own BTF, for CO-RE; raw bytes.
    ///
    /// # Errors
    /// The host could not be asked.
    fn kernel_btf(&self) -> Result<Fact<Vec<u8>>, Error>;

    /// The kernel's configuration as its build wrote it (`CONFIG_HZ=250` lines), for programs that
    /// ask for values of it.
    ///
    /// # Errors
    /// The host could not be asked.
    fn kernel_config(&self) -> Result<Fact<String>, Error>;
}

/// Similarity (0 to 1, Jaro-Winkler) from which a name is suggested for a mistyped one.
const SUGGEST_FROM: f64 = 0.8;

/// The error for an interface that is not there, naming those that may be meant.
fn no_interface(name: &str, existing: &[&str]) -> Error {
    let similar = existing
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(score, _)| *score >= SUGGEST_FROM)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match similar {
        Some((_, other)) => format!("did you mean {other}?"),
        None if existing.is_empty() => "this network namespace has no interfaces".to_owned(),
        None => format!("the interfaces of this network namespace are {}", existing.join(", ")),
    };
    Error::Input { what: format!("there is no interface '{name}'"), hint: Some(hint) }
}
