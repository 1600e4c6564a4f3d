//! The native engine: XDP in the driver, before a socket buffer exists.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_offload::xdp::XdpEngine;
use hoist_offload::{Capabilities, Device, Engine, EngineKind, Error, Hook, Host, Job, Prepared};

/// XDP in the driver (`XDP_FLAGS_DRV_MODE`). What a driver asks of its settings is in [`crate::nic`].
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Engine for Native {
    fn kind(&self) -> EngineKind {
        EngineKind::Native
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        XdpEngine::NATIVE.capabilities(host, device)
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        XdpEngine::NATIVE.prepare(kernel, device, job)
    }
}
