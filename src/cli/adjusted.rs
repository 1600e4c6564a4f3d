//! Settings of devices that were changed for programs, in words.

use hoist_offload::adjust::{self, Change};
use hoist_offload::attach::Attachment;
use hoist_offload::bpf::kernel::Kernel;
use hoist_offload::privilege;

use super::context::{Context, LOAD};

/// Puts back what a hoist that was killed left changed, where the right to do so is there, and says
/// so. It stands in the way of nothing: what fails is a warning.
pub(super) fn repair(cx: &mut Context<'_>, kernel: &dyn Kernel) {
    if !privilege::missing(&LOAD).is_empty() {
        return;
    }
    match adjust::repair(kernel) {
        Ok(repaired) => {
            for one in repaired {
                cx.shell.say(format_args!(
                    "note: {}: {} put back; a program that is gone had needed it otherwise",
                    one.interface,
                    names(&one.changes)
                ));
            }
        }
        Err(error) => {
            cx.shell
                .warn(format_args!("settings that a killed hoist left were not put back: {error}"));
        }
    }
}

/// Says what somebody else changed under a program, and what becomes of it when the program goes.
pub(super) fn before_detach(cx: &mut Context<'_>, attachment: &dyn Attachment) {
    for warning in attachment.warnings() {
        cx.shell.warn(format_args!("{}; it is left so", warning.message));
    }
}

/// What is changed on an interface, where that may be read.
pub(super) fn of(kernel: &dyn Kernel, ifindex: u32) -> Vec<Change> {
    adjust::of(kernel, ifindex).unwrap_or_default()
}

/// `rx-gro and rx-lro`.
fn names(changes: &[Change]) -> String {
    let names: Vec<&str> = changes.iter().map(|change| change.feature.as_str()).collect();
    names.join(" and ")
}
