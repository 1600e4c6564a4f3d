//! Programs that an earlier `hoist load` left running, found by their pins.

use std::path::PathBuf;
use std::sync::Arc;

use hoist_offload::attach::Attachment;
use hoist_offload::bpf::kernel::Kernel;
use hoist_offload::device::{Device, Owner};
use hoist_offload::pins::{self, Kept, State};
use hoist_offload::{Error, Registry};

/// Says of each attached program that hoist left running that hoist holds it. Where the pins cannot
/// be read, whoever holds the links stays their owner.
///
/// Programs are told by their ids, which are the machine's: an interface that was moved since brought
/// its program along from another namespace, under another index perhaps.
pub(super) fn mark(devices: &mut [Device], kernel: &dyn Kernel) {
    // Finding the pins may mount a bpffs: not where nothing is attached anyway.
    if devices.iter().all(|d| d.attached.is_empty()) {
        return;
    }
    let Ok(all) =
        kernel.bpffs(pins::ROOT).map_err(Error::from).and_then(|root| pins::list(kernel, &root))
    else {
        return;
    };
    for kept in all {
        let Ok(State::Running { program_id, .. }) = kept.state(kernel) else { continue };
        let mut programs = devices.iter_mut().flat_map(|d| &mut d.attached);
        if let Some(program) = programs.find(|program| program.id == program_id) {
            program.owner = Owner::Hoist { pin: kept.path.display().to_string() };
        }
    }
}

/// Takes charge of a kept program again.
///
/// # Errors
/// Its pins could not be opened.
pub(super) fn adopt(
    registry: &Registry,
    kernel: &Arc<dyn Kernel>,
    device: &Device,
    pin: &str,
) -> Result<Box<dyn Attachment>, Error> {
    let kept = Kept::at(PathBuf::from(pin)).ok_or_else(|| Error::Input {
        what: format!("{pin} is no directory of hoist's pins"),
        hint: Some("'hoist status' lists what is attached".to_owned()),
    })?;
    registry.adopt(kernel, &kept, device)
}
