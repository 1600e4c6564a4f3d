//! The kernel threads that poll an interface.

use std::fs;

use hoist_bpf::kernel::netlink::Attributes;
use hoist_bpf::kernel::netlink::generic::{Family, HEADER};

/// `NETDEV_CMD_NAPI_GET` of `linux/netdev.h` (Linux 6.8).
const NAPI_GET: u8 = 11;
const IFINDEX: u16 = 1;
const PID: u16 = 4;

/// Their thread ids; none where nothing polls, or not by threads. The calling thread must be in the
/// interface's network namespace.
pub(super) fn threads(interface: &str, ifindex: u32) -> Vec<u32> {
    let asked = Family::resolve("netdev", 1)
        .ok()
        .flatten()
        .and_then(|mut family| family.dump(NAPI_GET, |request| request.u32(IFINDEX, ifindex)).ok());
    let Some(messages) = asked else { return by_name(interface) };
    let pid = |payload: &[u8]| Attributes::after(payload, HEADER).get(PID)?.u32();
    messages.iter().filter_map(|message| pid(&message.payload)).collect()
}

/// For kernels that do not say: threads are called `napi/<interface>-<number>`.
fn by_name(interface: &str) -> Vec<u32> {
    let start = format!("napi/{interface}-");
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let named = |id: &u32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with(&start))
    };
    ids.filter(named).collect()
}
