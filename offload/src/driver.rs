//! What a NIC vendor knows of one family of devices.

use std::fmt;

use crate::capability::Capabilities;
use crate::device::Device;
use crate::engine::Engine;
use crate::expectation::Expectation;
use crate::host::OffloadReport;
use crate::profile::Profile;

/// Knowledge of one kernel driver.
///
/// Pure: it sees a [`Device`], which is plain data, so that a driver's tests are recordings.
pub trait Driver: Send + Sync + fmt::Debug {
    /// Name of the kernel driver, as `ethtool -i` prints it.
    fn name(&self) -> &'static str;

    /// Whether this driver's knowledge applies to the device.
    fn claims(&self, device: &Device) -> bool {
        device.driver_name() == self.name()
    }

    /// Adds what is known: answers the kernel does not give, and preconditions it does not report.
    /// Called for each engine's capabilities after the engine filled them in. Each entry carries
    /// evidence of kind `DriverTable`.
    fn refine(&self, device: &Device, capabilities: &mut Capabilities);

    /// What the driver's cards take of a program that is to run on the card itself; `None` where
    /// none does. `hoist lint --profile` finds it by its name, engines get it as [`Job::card`]. Where
    /// several drivers have a profile of that name, or for that device, the last one counts.
    ///
    /// [`Job::card`]: crate::Job::card
    fn profile(&self) -> Option<&'static Profile> {
        None
    }

    /// Adds what is known of an offload device to what a probe of it found: answers that no trial
    /// gives, such as whether it executes what it takes. Each entry carries evidence of kind
    /// `DriverTable`.
    fn refine_offload(&self, device: &Device, report: &mut OffloadReport) {
        let _ = (device, report);
    }

    /// Where engines are known to do otherwise on the driver's devices than docs/semantics.md says:
    /// `hoist verify` reports it as known, and fails where it does not show.
    fn expectations(&self) -> &'static [Expectation] {
        &[]
    }

    /// A vendor's own engines.
    fn engines(&self) -> Vec<&'static dyn Engine> {
        Vec::new()
    }
}
