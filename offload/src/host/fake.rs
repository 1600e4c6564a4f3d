//! A host that is not there: a recording, or facts made up in code, behind the same questions.

use super::{Host, HostReport, Recording};
use crate::device::Device;
use crate::error::Error;
use crate::fact::Fact;

/// A host that answers from a [`Recording`].
#[derive(Clone, Debug)]
pub struct FakeHost {
    recording: Recording,
    btf: Fact<Vec<u8>>,
    config: Fact<String>,
}

impl FakeHost {
    /// A host with the recorded report and interfaces. It knows neither BTF nor configuration.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let why = "a recording does not hold it";
        Self { recording, btf: Fact::unknown(why), config: Fact::unknown(why) }
    }

    /// A host of the given interfaces, with the sample report of a Linux 6.12.
    #[must_use]
    pub fn with_devices(devices: Vec<Device>) -> Self {
        Self::new(Recording::new(super::sample::report(), devices))
    }

    /// With this kernel BTF.
    #[must_use]
    pub fn btf(mut self, bytes: Vec<u8>) -> Self {
        self.btf = Fact::kernel(bytes, "given");
        self
    }

    /// With this kernel configuration.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Fact::kernel(text.to_owned(), "given");
        self
    }

    /// The facts it answers from.
    #[must_use]
    pub const fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl Host for FakeHost {
    fn interfaces(&self) -> Result<Vec<String>, Error> {
        Ok(self.recording.devices.iter().map(|d| d.name.clone()).collect())
    }

    fn device(&self, name: &str) -> Result<Device, Error> {
        self.recording.devices.iter().find(|d| d.name == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.recording.devices.iter().map(|d| d.name.as_str()).collect();
            super::no_interface(name, &names)
        })
    }

    fn report(&self) -> Result<&HostReport, Error> {
        Ok(&self.recording.host)
    }

    fn kernel_btf(&self) -> Result<Fact<Vec<u8>>, Error> {
        Ok(self.btf.clone())
    }

    fn kernel_config(&self) -> Result<Fact<String>, Error> {
        Ok(self.config.clone())
    }
}
