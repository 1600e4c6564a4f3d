//! Programs that an earlier `hoist load` left running, found by their pins.

use std::sync::Arc;

use hoist_offload::attach::Attachment;
use hoist_offload::bpf::kernel::Kernel;
use hoist_offload::device::{Device, Owner};
use hoist_offload::pins::{self, Kept, State};
use hoist_offload::{Error, xdp};

/// Says of each attached program that hoist left running that hoist holds it, and returns these.
/// Where the pins cannot be read, whoever holds the links stays their owner.
pub(super) fn mark(devices: &mut [Device], kernel: &dyn Kernel) -> Vec<Kept> {
    // Finding the pins may mount a bpffs: not where nothing is attached anyway.
    if devices.iter().all(|d| d.attached.is_empty()) {
        return Vec::new();
    }
    let Ok(running) =
        kernel.bpffs(pins::ROOT).map_err(Error::from).and_then(|root| pins::running(kernel, &root))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (kept, state) in running {
        let State::Running { program_id, .. } = state else { continue };
        let device = devices.iter_mut().find(|d| d.ifindex == kept.ifindex);
        let program =
            device.and_then(|d| d.attached.iter_mut().find(|program| program.id == program_id));
        if let Some(program) = program {
            program.owner = Owner::Hoist { pin: kept.path.display().to_string() };
            found.push(kept);
        }
    }
    found
}

/// Takes charge of a kept program again.
///
/// # Errors
/// Its pins could not be opened.
pub(super) fn adopt(
    kernel: &Arc<dyn Kernel>,
    kept: &[Kept],
    device: &Device,
    pin: &str,
) -> Result<Option<Box<dyn Attachment>>, Error> {
    let kept = kept.iter().find(|k| k.path.as_os_str() == pin);
    kept.map(|kept| xdp::adopt(kernel, kept, device)).transpose()
}
