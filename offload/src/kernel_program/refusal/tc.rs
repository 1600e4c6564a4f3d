//! What the tcx and clsact hooks say, and what to do about it.

use hoist_bpf::kernel::{Filter, FilterKey, KernelError};

use super::{EBUSY, EEXIST, EINVAL, EOPNOTSUPP, ERANGE};
use crate::device::{Device, Slot};
use crate::error::Gap;

/// `ETH_P_ALL`.
const EVERY_PROTOCOL: u16 = 3;

/// The code of a refused attach, replace or detach, where the kernel's words or number tell.
pub(super) fn code(slot: Slot, error: &KernelError) -> Option<&'static str> {
    if slot == Slot::HwClsact {
        return in_the_nic(error);
    }
    let tcx = error.operation == "BPF_LINK_CREATE" || error.operation == "BPF_PROG_QUERY";
    Some(match error.errno {
        EINVAL | EOPNOTSUPP if tcx => "no-tcx",
        ERANGE if tcx => "too-many-programs",
        EEXIST => "slot-held",
        _ => return None,
    })
}

/// What core and drivers say to a filter for the NIC (`tc_cls_can_offload_and_chain0`,
/// `cls_bpf_offload_cmd`, `nsim_bpf_setup_tc_block_cb`), and what a number means where they say nothing.
fn in_the_nic(error: &KernelError) -> Option<&'static str> {
    const TEXTS: [(&str, &str); 7] = [
        ("TC offload is disabled", "tc-offload-off"),
        ("bound to a different device", "device-mismatch"),
        ("not bound to every device", "device-mismatch"),
        ("offload states mismatch", "nic-busy"),
        ("already loaded", "nic-busy"),
        ("configured to reject", "offload-disabled"),
        ("supported", "driver-refused"),
    ];
    let text = error.message.as_deref().unwrap_or_default();
    if let Some((_, code)) = TEXTS.iter().find(|(part, _)| text.contains(part)) {
        return Some(code);
    }
    Some(match error.errno {
        EEXIST => "slot-held",
        EBUSY => "nic-busy",
        EOPNOTSUPP => "no-offload",
        _ => return None,
    })
}

/// Whether the verifier found that the frames of a chain of calls have no room together
/// (`check_max_stack_depth_subprog`, kernel/bpf/verifier.c). Programs of 481 to 512 bytes fit as XDP and,
/// with one call more, not at TC where a frame without stack counts as 32 bytes.
pub(super) fn stack_is_short(log: &str) -> bool {
    log.contains("combined stack size of ")
}

/// What to do about a refusal that only the attempt showed.
pub(super) fn remedy(code: &str, device: &Device) -> Option<String> {
    let dev = &device.name;
    Some(match code {
        "no-tcx" => "use --engine clsact, or a kernel since 6.6".to_owned(),
        "tc-stack" => "use no more than 480 bytes of stack in any chain of calls, use --engine \
                       native,generic, or a kernel that counts what is used (6.12 does)"
            .to_owned(),
        "too-many-programs" => {
            format!("take one off: `bpftool net show dev {dev}` lists them")
        }
        "nic-busy" => {
            format!("a NIC runs one program: `hoist status {dev}` shows which; hoist unload {dev}")
        }
        "tc-offload-off" => format!("ethtool -K {dev} hw-tc-offload on"),
        "device-mismatch" => "load the program again for this interface".to_owned(),
        "offload-disabled" | "no-offload" => "use --engine native,generic".to_owned(),
        "slot-held" => format!(
            "`hoist status {dev}` shows who holds it; --replace with that program's id replaces it"
        ),
        "replace-mismatch" => format!("look again who is there: hoist status {dev}"),
        "attach-refused" => {
            format!(
                "`tc qdisc show dev {dev}` and `tc filter show dev {dev} ingress` show what is there"
            )
        }
        _ => return None,
    })
}

/// The filters that keep one from being added under `key`.
pub(super) fn in_the_way(
    device: &Device,
    error: &KernelError,
    key: FilterKey,
    there: &[Filter],
) -> Option<Gap> {
    let dev = &device.name;
    let alike = |f: &&Filter| f.kind == "bpf" && f.protocol == EVERY_PROTOCOL;
    let same: Vec<&Filter> =
        there.iter().filter(|f| f.chain == 0 && f.key.priority == key.priority).collect();
    if let Some(holder) = same.iter().find(|f| f.key == key && error.errno == EEXIST) {
        let runs = match (holder.program_id, &holder.name) {
            (Some(id), Some(name)) => format!("program {id} ({name})"),
            (Some(id), None) => format!("program {id}"),
            _ => format!("a filter of kind {}", holder.kind),
        };
        let remedy = match holder.program_id {
            Some(id) => format!("hoist unload {dev}, or replace it: --replace {id}"),
            None => delete(dev, key.priority),
        };
        let what = format!("the clsact ingress slot of {dev} that is hoist's holds {runs}");
        return Some(Gap::new("slot-held", what).remedy(remedy));
    }
    let other = same.iter().find(|f| !alike(f))?;
    let what = format!(
        "hoist's filter goes first, at priority {}, where {dev} has one of kind {} for protocol \
         {:#06x}: a priority holds one kind and one protocol ({error})",
        key.priority, other.kind, other.protocol
    );
    Some(Gap::new("filter-priority-taken", what).remedy(format!(
        "give it another priority, or use --engine tcx, which runs before all filters; to remove it: {}",
        delete(dev, key.priority)
    )))
}

fn delete(dev: &str, priority: u16) -> String {
    format!("tc filter del dev {dev} ingress prio {priority}")
}
