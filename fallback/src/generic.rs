//! The generic engine: XDP in the core, on the socket buffer.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_offload::xdp::XdpEngine;
use hoist_offload::{Capabilities, Device, Engine, EngineKind, Error, Hook, Host, Job, Prepared};

/// XDP in the core (`XDP_FLAGS_SKB_MODE`): every Ethernet device has it, whatever its driver.
#[derive(Clone, Copy, Debug)]
pub struct Generic;

impl Engine for Generic {
    fn kind(&self) -> EngineKind {
        EngineKind::Generic
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        XdpEngine::GENERIC.capabilities(host, device)
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        XdpEngine::GENERIC.prepare(kernel, device, job)
    }
}
