//! The hardware engine: XDP programs that the NIC itself runs.
//!
//! It is one engine at two hooks: XDP in the NIC (`XDP_FLAGS_HW_MODE`), and a cls_bpf filter that the
//! NIC runs in the host's stead (`skip_sw`). A NIC runs one program, be it the one or the other. The
//! program and its maps are loaded *for* the device, next to whatever runs on the host: frames that the
//! NIC passes go on to native or generic XDP.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_offload::device::Slot;
use hoist_offload::kernel_program::{self, Parts, Refuser};
use hoist_offload::pins::Kept;
use hoist_offload::{
    Attachment, Capabilities, Device, Engine, EngineKind, Error, Gap, Hook, Host, Job, Prepared,
};

mod capabilities;
mod classifier;
mod conditions;
mod dry_run;
mod form;
mod load;
mod refusal;

/// The NIC at one of its hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardwareEngine {
    hook: Hook,
}

/// XDP in the NIC.
pub static HARDWARE: HardwareEngine = HardwareEngine { hook: Hook::Xdp };

/// A classifier in the NIC, at clsact ingress.
pub static CLASSIFIER: HardwareEngine = HardwareEngine { hook: Hook::Clsact };

impl HardwareEngine {
    const fn slot(self) -> Slot {
        match self.hook {
            Hook::Clsact => Slot::HwClsact,
            _ => Slot::Hw,
        }
    }
}

impl Engine for HardwareEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Hw
    }

    fn hook(&self) -> Hook {
        self.hook
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        capabilities::of(self.slot(), host, device)
    }

    fn examine(&self, device: &Device, job: &Job) -> Vec<Gap> {
        if conditions::offloads(device).holds == hoist_offload::Answer::No {
            return Vec::new();
        }
        form::of(self.hook, job).err().unwrap_or_default()
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let refuser = Refuser::new(self.slot(), device, job.program_name());
        let forms = form::of(self.hook, job).map_err(|gaps| refuser.refused_for(gaps))?;
        let log = refusal::DriverLog::open(&**kernel);
        let (form, loaded) = load::load(&**kernel, self.hook, device, job, forms)
            .map_err(|error| refusal::of(&**kernel, &refuser, (device, job.card), error, log))?;
        let twin = dry_run::twin(&**kernel, &form);
        let parts = Parts {
            slot: self.slot(),
            loaded,
            module: &form.module,
            program: form.program,
            counters: form.counters,
            events: None,
            address: None,
            internal: Vec::new(),
            warnings: form.warnings,
            dry_run: twin.is_some().then_some(dry_run::run as kernel_program::FrameRunner),
            twin,
        };
        kernel_program::prepared(kernel, device, parts)
    }

    fn adopt(
        &self,
        kernel: &Arc<dyn Kernel>,
        kept: &Kept,
        device: &Device,
    ) -> Result<Box<dyn Attachment>, Error> {
        kernel_program::adopt(kernel, kept, device)
    }
}

#[cfg(test)]
mod tests;
