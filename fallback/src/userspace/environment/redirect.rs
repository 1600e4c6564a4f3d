//! Where frames are sent: `bpf_redirect`, `bpf_redirect_map`, and what `xdp_do_redirect` makes of
//! them when the program returns `XDP_REDIRECT`.

use hoist_bpf::module::{MapId, ProgramId};

use super::argument::{map, refused};
use crate::userspace::maps::Redirect as Entry;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

const XDP_ABORTED: u64 = 0;
const XDP_REDIRECT: u64 = 4;
/// The lower bits of the flags are the verdict where there is no entry.
const ACTION: u64 = 3;
const BPF_F_BROADCAST: u64 = 1 << 3;
const BPF_F_EXCLUDE_INGRESS: u64 = 1 << 4;

const DEVMAP: u32 = 14;
const DEVMAP_HASH: u32 = 25;

const HELPER: &str = "redirect_map";

/// Where a redirected frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Out of an interface, by its index. Whether there is such an interface, and whether it takes a
    /// frame of that length, shows when it is sent.
    Interface(u32),
    /// Out of an interface that a devmap names.
    Device(Device),
    /// A copy out of every interface of a devmap, perhaps but the one it came in by.
    Broadcast(Vec<Device>),
    /// To the stack on a CPU that a cpumap names.
    Cpu {
        /// The map.
        map: MapId,
        /// The CPU.
        cpu: u32,
        /// The program that the entry wants run there first.
        program: Option<ProgramId>,
    },
    /// To an AF_XDP socket that an xskmap names.
    Socket {
        /// The map.
        map: MapId,
        /// The entry.
        key: u32,
    },
}

/// An entry of a devmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The map.
    pub map: MapId,
    /// The interface.
    pub ifindex: u32,
    /// The program that the entry wants run on the frame first.
    pub program: Option<ProgramId>,
}

/// What the helpers have said so far (`struct bpf_redirect_info`). Unlike the kernel's, which lives as
/// long as a poll of the receive queue, it starts empty for every frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Redirect {
    /// `tgt_index`: outlives a later look-up that finds nothing.
    index: u32,
    target: Target,
}

#[derive(Clone, Debug, Default)]
enum Target {
    /// No helper was called: the frame is dropped (`EBADRQC`).
    #[default]
    None,
    /// The interface of [`Redirect::index`].
    Interface,
    /// An entry of a map, as it was when the helper found it.
    Entry(Destination),
}

impl Redirect {
    /// `xdp_do_redirect`. `None` where the kernel drops the frame with an error.
    pub(super) fn destination(self) -> Option<Destination> {
        match self.target {
            Target::None => None,
            // No interface has the index 0 (`EINVAL`).
            Target::Interface => (self.index != 0).then_some(Destination::Interface(self.index)),
            Target::Entry(Destination::Broadcast(devices)) if devices.is_empty() => None,
            Target::Entry(destination) => Some(destination),
        }
    }
}

/// `bpf_xdp_redirect`.
pub(super) fn redirect(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[1] != 0 {
        return Ok(XDP_ABORTED);
    }
    run.environment.redirect = Redirect { index: r[0] as u32, target: Target::Interface };
    Ok(XDP_REDIRECT)
}

/// `__bpf_xdp_redirect_map`.
pub(super) fn redirect_map(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let map = map(run, HELPER, 1, r[0])?;
    let (key, flags) = (r[1] as u32, r[2]);
    let mask = match run.module.map(map).kind {
        DEVMAP | DEVMAP_HASH => BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS,
        _ => 0,
    };
    if flags & !(ACTION | mask) != 0 {
        return Ok(XDP_ABORTED);
    }
    let entry = if flags & BPF_F_BROADCAST != 0 {
        let incoming = run.arrival.ingress_ifindex;
        let excluded = Some(incoming).filter(|_| flags & BPF_F_EXCLUDE_INGRESS != 0);
        Some(broadcast(run, map, excluded)?)
    } else {
        let found = run.maps.redirect(map, key).map_err(|denied| refused(HELPER, denied))?;
        found.map(|found| destination(map, key, found))
    };
    let state = &mut run.environment.redirect;
    match entry {
        Some(entry) => {
            *state = Redirect { index: key, target: Target::Entry(entry) };
            Ok(XDP_REDIRECT)
        }
        None => {
            // What an earlier call has found is forgotten, but not the index it was called with.
            state.target = Target::Interface;
            Ok(flags & ACTION)
        }
    }
}

const fn destination(map: MapId, key: u32, entry: Entry) -> Destination {
    match entry {
        Entry::Device { ifindex, program } => Destination::Device(Device { map, ifindex, program }),
        Entry::Cpu { cpu, program, .. } => Destination::Cpu { map, cpu, program },
        Entry::Socket(_) => Destination::Socket { map, key },
    }
}

/// `dev_map_enqueue_multi`: every entry but, if so wanted, those of the interface the frame came in
/// by.
fn broadcast(
    run: &mut Running<'_>,
    map: MapId,
    excluded: Option<u32>,
) -> Result<Destination, FaultKind> {
    let entries = run.maps.broadcast(map).map_err(|denied| refused(HELPER, denied))?;
    let devices = entries.into_iter().filter_map(|entry| match entry {
        Entry::Device { ifindex, program } => Some(Device { map, ifindex, program }),
        Entry::Cpu { .. } | Entry::Socket(_) => None,
    });
    Ok(Destination::Broadcast(devices.filter(|d| Some(d.ifindex) != excluded).collect()))
}
