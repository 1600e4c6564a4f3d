//! Preconditions of the ports on a device.

use hoist_offload::capability::{Answer, Condition, Severity};
use hoist_offload::device::Slot;
use hoist_offload::fact::Evidence;
use hoist_offload::kernel_program::conditions::{describe, ethernet, way_off};
use hoist_offload::{Device, Hook};

/// Every condition of a port on a device.
pub(super) fn of(hook: Hook, device: &Device) -> Vec<Condition> {
    let mut conditions = vec![ethernet(device)];
    match hook {
        Hook::AfXdp => conditions.extend([free(device), allowed()]),
        _ => conditions.extend(earlier(device)),
    }
    conditions
}

const XDP: [Slot; 3] = [Slot::Hw, Slot::Native, Slot::Generic];

/// The program that redirects to the sockets takes the XDP hook.
fn free(device: &Device) -> Condition {
    let evidence = Evidence::kernel("IFLA_XDP");
    let there = XDP.iter().find_map(|&slot| device.slot(slot).next());
    match there {
        None => {
            let what = format!("no program is at the XDP hook of {}", device.name);
            Condition::new("slot-held", Answer::Yes, what, evidence)
        }
        Some(there) => {
            let what = format!(
                "frames come to AF_XDP sockets by a program at the XDP hook, and that of {} holds {}",
                device.name,
                describe(there)
            );
            Condition::new("slot-held", Answer::No, what, evidence).remedy(way_off(there, device))
        }
    }
}

/// Not known before it was tried, so that a packet socket is tried after it.
fn allowed() -> Condition {
    let what = "attaching will tell whether the kernel gives AF_XDP sockets here";
    let evidence = Evidence::assumed("xsk_bind (net/xdp/xsk.c)");
    Condition::new("af-xdp-refused", Answer::Unknown, what, evidence)
}

/// Programs that get frames before the packet socket does, and may keep them.
fn earlier(device: &Device) -> Vec<Condition> {
    let there = XDP.iter().flat_map(|&slot| device.slot(slot));
    there
        .map(|program| {
            let what = format!(
                "frames come through the {} slot of {} first, which holds {}: what that drops, sends \
                 back or redirects does not come to the packet socket",
                program.slot.name(),
                device.name,
                describe(program)
            );
            let evidence = Evidence::kernel("__netif_receive_skb_core (net/core/dev.c)");
            Condition::new("runs-after", Answer::No, what, evidence).severity(Severity::Warns)
        })
        .collect()
}
