//! What is attached to an interface, slot by slot, and who holds it.

use std::os::fd::AsFd;
use std::path::Path;

use hoist_bpf::kernel::netlink::filter::{self, Direction};
use hoist_bpf::kernel::tc::SKIP_SW;
use hoist_bpf::kernel::{Filter, Kernel, KernelError, LinkInfo, ObjectKind, ProgramInfo};

use super::dispatcher;
use super::link::Link;
use crate::device::{AttachedProgram, Owner, Slot};
use crate::pins;

const BPF_LINK_TYPE_XDP: u32 = 6;
const BPF_LINK_TYPE_TCX: u32 = 11;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
const EPERM: i32 = 1;
const EINVAL: i32 = 22;

/// Where a bpffs may be seen: as it is usually mounted, as hoist mounts one, and both again in the
/// first process's view, since `ip netns exec` hides what is below `/sys`. Only looked at: a host
/// mounts nothing.
const PIN_ROOTS: [&str; 4] =
    ["/sys/fs/bpf", "/run/hoist/bpffs", "/proc/1/root/sys/fs/bpf", "/proc/1/root/run/hoist/bpffs"];

/// Programs in every slot, and the slots that could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Attached {
    pub(super) programs: Vec<AttachedProgram>,
    pub(super) unknown: Vec<String>,
}

/// Reads every slot of an interface.
pub(super) fn attached(kernel: &dyn Kernel, link: &Link) -> Attached {
    let mut found = Attached::default();
    let mut held = Vec::new();
    for (slot, id) in [
        (Slot::Hw, link.xdp.hw),
        (Slot::Native, link.xdp.native),
        (Slot::Generic, link.xdp.generic),
    ] {
        held.extend(id.map(|id| (slot, id)));
    }
    for (slot, hook, attach_type) in [
        (Slot::TcxIngress, "tcx ingress", BPF_TCX_INGRESS),
        (Slot::TcxEgress, "tcx egress", BPF_TCX_EGRESS),
    ] {
        match kernel.query_tcx(link.ifindex, attach_type) {
            Ok(ids) => held.extend(ids.into_iter().map(|id| (slot, id))),
            // Kernels before 6.6 have no tcx, hence nothing in it.
            Err(error) if error.errno == EINVAL => {}
            Err(error) => found.unknown.push(unread(hook, &error)),
        }
    }
    for (slot, hook, direction) in [
        (Slot::ClsactIngress, "clsact ingress", Direction::Ingress),
        (Slot::ClsactEgress, "clsact egress", Direction::Egress),
    ] {
        match filter::list(link.ifindex, direction) {
            Ok(filters) => {
                let slot = |f: &Filter| match (slot, f.flags & SKIP_SW) {
                    (Slot::ClsactIngress, SKIP_SW) => Slot::HwClsact,
                    _ => slot,
                };
                held.extend(filters.iter().filter_map(|f| Some((slot(f), f.program_id?))));
            }
            Err(refusal) => found.unknown.push(format!("{hook}: {refusal}")),
        }
    }
    if !held.is_empty() {
        let links = bpf_links(kernel);
        found.programs =
            held.into_iter().map(|(slot, id)| describe(kernel, &links, link, slot, id)).collect();
    }
    found
}

fn unread(hook: &str, error: &KernelError) -> String {
    if error.errno == EPERM {
        format!("{hook}: CAP_NET_ADMIN and CAP_BPF would tell")
    } else {
        format!("{hook}: {}", error.cause())
    }
}

/// Every link of the types that attach to interfaces.
fn bpf_links(kernel: &dyn Kernel) -> Result<Vec<LinkInfo>, KernelError> {
    let mut links = Vec::new();
    for id in kernel.ids(ObjectKind::Link)? {
        if let Some(fd) = kernel.open(ObjectKind::Link, id)? {
            let info = kernel.link_info(fd.as_fd())?;
            if matches!(info.kind, BPF_LINK_TYPE_XDP | BPF_LINK_TYPE_TCX) {
                links.push(info);
            }
        }
    }
    Ok(links)
}

fn describe(
    kernel: &dyn Kernel,
    links: &Result<Vec<LinkInfo>, KernelError>,
    link: &Link,
    slot: Slot,
    id: u32,
) -> AttachedProgram {
    let program = program(kernel, id);
    let owner = match kept(kernel, link.ifindex, slot, id) {
        Some(pin) => Owner::Hoist { pin },
        None => owner(links, link.ifindex, slot, id),
    };
    let inside = program.as_ref().and_then(|p| dispatcher::components(kernel, p));
    AttachedProgram {
        slot,
        id,
        name: program.map(|p| p.name),
        owner: if inside.is_some() { Owner::Libxdp } else { owner },
        components: inside.unwrap_or_default(),
    }
}

/// Facts of a program by id; `None` when it may not be read or is gone.
pub(super) fn program(kernel: &dyn Kernel, id: u32) -> Option<ProgramInfo> {
    let fd = kernel.open(ObjectKind::Program, id).ok().flatten()?;
    kernel.program_info(fd.as_fd()).ok()
}

/// The directory of pins by which an earlier hoist told this program to stay.
fn kept(kernel: &dyn Kernel, ifindex: u32, slot: Slot, id: u32) -> Option<String> {
    if matches!(slot, Slot::TcxEgress | Slot::ClsactEgress) {
        return None;
    }
    let namespace = kernel.network_namespace().ok()?;
    PIN_ROOTS.iter().find_map(|root| {
        let directory =
            pins::directory(&Path::new(root).join(pins::ROOT), namespace, ifindex, slot);
        let open = |name| kernel.get_pinned(&directory.join(name)).ok().flatten();
        let held = match open("link") {
            Some(link) => kernel.link_info(link.as_fd()).ok()?.program_id,
            None => kernel.program_info(open("program")?.as_fd()).ok()?.id,
        };
        (held == id).then(|| directory.display().to_string())
    })
}

fn owner(
    links: &Result<Vec<LinkInfo>, KernelError>,
    ifindex: u32,
    slot: Slot,
    program: u32,
) -> Owner {
    let kind = match slot {
        Slot::Hw | Slot::Native | Slot::Generic => BPF_LINK_TYPE_XDP,
        Slot::TcxIngress | Slot::TcxEgress => BPF_LINK_TYPE_TCX,
        Slot::ClsactIngress | Slot::ClsactEgress | Slot::HwClsact => return Owner::Netlink,
    };
    let attach_type = match slot {
        Slot::TcxIngress => BPF_TCX_INGRESS,
        Slot::TcxEgress => BPF_TCX_EGRESS,
        _ => 0,
    };
    match links {
        Ok(links) => links
            .iter()
            .find(|l| {
                (l.kind, l.attach_type, l.program_id, l.ifindex)
                    == (kind, attach_type, program, ifindex)
            })
            .map_or(Owner::Netlink, |l| Owner::Link { id: l.id }),
        Err(error) if error.errno == EPERM => {
            Owner::Unknown { why: "CAP_SYS_ADMIN would tell whether a link holds it".to_owned() }
        }
        Err(error) => Owner::Unknown { why: error.cause() },
    }
}
