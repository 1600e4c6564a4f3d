//! What the XDP hook and the drivers behind it say, and what to do about it.

use hoist_bpf::kernel::KernelError;

use super::{E2BIG, EBUSY, EEXIST, EINVAL, ENOSPC, ENOTCONN, ENOTSUPP, EOPNOTSUPP, ERANGE};
use crate::device::{Device, Slot};

/// What `dev_xdp_attach` (net/core/dev.c), `veth_xdp_set` (drivers/net/veth.c) and other drivers say,
/// by a part of the text that has not changed since Linux 6.1, and the code it stands for. The first
/// match wins, so special texts come before general ones.
const TEXTS: &[(&str, &str)] = &[
    ("Cannot attach when an upper device already has a program", "upper-device-has-program"),
    ("Can't replace active", "slot-held"),
    ("XDP program already attached", "slot-held"),
    ("Active program does not match expected", "replace-mismatch"),
    ("does not support XDP in native mode", NO_SUPPORT),
    ("TC program is already loaded", "nic-busy"),
    ("driver and netdev offload states mismatch", "nic-busy"),
    ("packet access beyond HW packet split boundary", "beyond-split"),
    ("FW does not support live reload", "no-live-replace"),
    ("XDP offload disabled", "offload-disabled"),
    ("stack too large", "driver-refused"),
    ("program too long", "driver-refused"),
    ("FW command error", "driver-refused"),
    ("No native XDP support for the current bonding mode", "bond-mode"),
    ("Slave device does not support XDP", "bond-member-no-native"),
    ("Slave has XDP program loaded", "bond-member-has-program"),
    ("Can't attach device-bound programs in generic mode", "device-bound-generic"),
    ("Program bound to different device", "device-mismatch"),
    ("programs can not be attached to a device", "not-for-interfaces"),
    ("using memory provider", "memory-provider"),
    ("Peer MTU is too large", "peer-mtu-too-large"),
    ("number of rx queues not less than peer tx queues", "queue-mismatch"),
    ("peer is detached", "peer-detached"),
    ("Jumbo frames not supported", "mtu-too-large"),
    ("RX buffer size is too small", "mtu-too-large"),
    ("MTU", "mtu-too-large"),
    ("mtu", "mtu-too-large"),
    ("GRO_HW", "receive-merging-on"),
    ("LRO", "receive-merging-on"),
    (" ring", "not-enough-queues"),
    ("queue", "not-enough-queues"),
    ("TXQ", "not-enough-queues"),
    ("Tx resources", "not-enough-queues"),
];

/// Stands for the code of the slot.
const NO_SUPPORT: &str = "no-native-support";

/// The code of a refused attach, replace or detach, where the kernel's words or number tell.
pub(super) fn code(slot: Slot, error: &KernelError) -> Option<&'static str> {
    let text = error.message.as_deref().unwrap_or_default();
    let other_mode = if slot == Slot::Native { "generic-active" } else { "native-active" };
    let found = TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, code)| *code);
    match found {
        Some(NO_SUPPORT) if slot == Slot::Hw => return Some("no-offload"),
        Some(code) => return Some(code),
        None => {}
    }
    if slot == Slot::Hw {
        return in_the_nic(error);
    }
    Some(match error.errno {
        _ if text.contains("Native and generic XDP can't be active") => other_mode,
        EBUSY => "slot-held",
        EEXIST => other_mode,
        ERANGE => "mtu-too-large",
        ENOTCONN => "peer-detached",
        EOPNOTSUPP | ENOTSUPP if slot == Slot::Native => "no-native-support",
        EINVAL | ENOSPC | E2BIG | EOPNOTSUPP | ENOTSUPP => "attach-refused",
        _ => return None,
    })
}

/// The same of a NIC whose driver said nothing.
fn in_the_nic(error: &KernelError) -> Option<&'static str> {
    Some(match error.errno {
        // A link that is there already has another text.
        EBUSY if error.operation == "BPF_LINK_UPDATE" => "no-live-replace",
        EBUSY => "nic-busy",
        EOPNOTSUPP | ENOTSUPP => "offload-disabled",
        EINVAL | ENOSPC | E2BIG | ERANGE => "attach-refused",
        _ => return None,
    })
}

/// What to do about a refusal that only the attempt showed.
pub(super) fn remedy(code: &str, slot: Slot, device: &Device) -> Option<String> {
    let dev = &device.name;
    let peer = || {
        let peer = device.peer.as_ref()?;
        let name = peer.info.value().map(|i| i.name.as_str())?;
        Some(match &peer.netns {
            None => format!("dev {name}"),
            Some(netns) => format!("dev {name} (in network namespace {netns})"),
        })
    };
    let peer = peer().unwrap_or_else(|| "on the other end of the pair".to_owned());
    let masters = device.upper.iter().chain(&device.master).next();
    Some(match code {
        "slot-held" => format!(
            "`hoist status {dev}` shows who holds it; --replace with that program's id replaces it"
        ),
        "generic-active" => format!("ip link set dev {dev} xdpgeneric off"),
        "native-active" => format!("ip link set dev {dev} xdpdrv off"),
        "replace-mismatch" => format!("look again who is there: hoist status {dev}"),
        "upper-device-has-program" => match masters {
            Some(upper) => format!("attach to {upper}, or: ip link set dev {upper} xdp off"),
            None => format!("detach the program of the device on top of {dev}"),
        },
        "nic-busy" => {
            format!("a NIC runs one program: `hoist status {dev}` shows which; hoist unload {dev}")
        }
        "no-live-replace" => format!("take the old one off first: hoist unload {dev}"),
        "beyond-split" => "look at fewer bytes of each frame, or use --engine native".to_owned(),
        "offload-disabled" | "no-offload" => "use --engine native,generic".to_owned(),
        "no-native-support" if slot == Slot::Native => "use --engine generic".to_owned(),
        "peer-mtu-too-large" => format!("ip link set {peer} mtu 1500, or build for xdp.frags"),
        "mtu-too-large" => format!("ip link set dev {dev} mtu 1500, or build for xdp.frags"),
        "queue-mismatch" => {
            format!(
                "raise the receive queues (ethtool -L {dev} rx N) or lower the peer's transmit queues"
            )
        }
        "not-enough-queues" => {
            format!("fewer channels leave queues for XDP: ethtool -L {dev} combined N")
        }
        "receive-merging-on" => format!("ethtool -K {dev} lro off rx-gro-hw off"),
        "peer-detached" => format!("the peer of {dev} is gone: make the pair again"),
        "bond-mode" => format!(
            "ip link set dev {dev} type bond mode active-backup (or balance-rr, balance-xor, 802.3ad)"
        ),
        "bond-member-no-native" => "use --engine generic, or other bond members".to_owned(),
        "bond-member-has-program" => "detach the programs of the bond's members first".to_owned(),
        "device-bound-generic" => {
            "use --engine native: receive metadata needs the driver".to_owned()
        }
        "device-mismatch" => "load the program again for this interface".to_owned(),
        "not-for-interfaces" => "put it into a devmap or cpumap entry instead".to_owned(),
        "memory-provider" => format!("close the zero-copy sockets that use {dev}'s receive queues"),
        "attach-refused" => {
            "the driver gave no reason here; it may have written one: dmesg | tail".to_owned()
        }
        _ => return None,
    })
}
