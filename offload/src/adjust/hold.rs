//! A hold on settings for another reason than a program: a benchmark that prepares its devices.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;

use super::{Adjustment, Change, Grip, Needed};
use crate::device::Device;
use crate::error::{Error, Gap};

/// Settings that were changed, and are put back when this is released or dropped; when the process is
/// killed, by the next start of hoist ([`super::repair`]). The calling thread must be in the interface's
/// network namespace when it is taken, and when it goes.
#[derive(Debug)]
pub struct Hold(Grip);

impl Hold {
    /// Makes these changes on a device, in this order. `None` where all of it is so already, and nobody
    /// changed it before.
    ///
    /// # Errors
    /// A setting could not be changed, or not be noted; everything is as before then.
    pub fn take(
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        changes: Vec<Change>,
    ) -> Result<Option<Self>, Gap> {
        let relied = changes
            .iter()
            .map(|change| Adjustment { feature: change.feature.clone(), on: change.set })
            .collect();
        Ok(Grip::take(kernel, device, &Needed { changes, relied }, None)?.map(Self))
    }

    /// What was changed.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        self.0.changes()
    }

    /// Puts everything back that nobody else relies on.
    ///
    /// # Errors
    /// A setting could not be put back; it stays noted.
    pub fn release(self) -> Result<(), Error> {
        self.0.release()
    }
}
