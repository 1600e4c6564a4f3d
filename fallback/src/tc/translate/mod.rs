//! The translator: a program for the XDP hook becomes one for TC ingress.
//!
//! A pure function from module to module. It needs neither source nor compiler nor kernel, and
//! gives the same on every machine. The new main linearises the frame, puts the VLAN tag back into
//! it, calls the old main as a subprogram, and turns its verdict into what TC does; helpers that TC
//! lacks become calls of the runtime (`fallback/runtime/`), which is linked into the module.
//!
//! What the kernel knows of a socket buffer beyond its bytes (protocol, packet type, VLAN tag, state
//! of the checksum) is brought in line with the bytes when the program changed them, so that the
//! rest of the stack sees what it would have seen after XDP.

use hoist_bpf::analysis;
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_offload::Gap;
pub use hoist_offload::engine::Merged;
use hoist_offload::plan::Warning;

mod assemble;
pub mod device;
pub mod events;
mod helpers;
mod refuse;
mod rewrite;
mod runtime;
mod survey;
mod whole;

pub use device::DeviceAddress;
pub use events::Event;
pub(super) use runtime::object as runtime_object;
use survey::Survey;

/// What becomes of a program's global functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Globals {
    /// The verifier follows each from its callers, as it does static ones.
    #[default]
    Inline,
    /// The verifier judges each once, by its types. To be tried where it finds the program too
    /// complex (`E2BIG`).
    Keep,
}

/// Where `bpf_skb_vlan_push` leaves the network header of a frame into which it writes a tag.
///
/// `bpf_skb_adjust_room` cuts there, and the stack begins to read there, so the runtime has a form
/// for each kind of kernel. [`tag_push`](super::tag_push) asks the running one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TagPush {
    /// 14 bytes behind the frame's start, as in Linux 6.12 and 6.18.
    #[default]
    MovesNetworkHeader,
    /// At the bytes it was at, now 18 bytes behind the frame's start, as in Linux 6.1.
    LeavesNetworkHeader,
}

/// By what the runtime moves pointers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Offsets {
    /// By whatever is least work.
    #[default]
    Any,
    /// By constants only, at the price of more helper calls: the verifier takes nothing else from
    /// processes without `CAP_PERFMON`.
    Constant,
}

/// How a program is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Count packets and bytes by verdict, in a map laid out as that of
    /// [`hoist_bpf::passes::count`].
    pub count: bool,
    /// What to do with merged frames (`gso_size` is not 0).
    pub merged: Merged,
    /// What becomes of global functions.
    pub globals: Globals,
    /// What kind of kernel the program is for.
    pub tag_push: TagPush,
    /// By what the runtime moves pointers.
    pub offsets: Offsets,
}

/// A module whose program runs at TC ingress (`BPF_PROG_TYPE_SCHED_CLS`, attach type 0).
///
/// All maps keep their [`MapId`]; those of the runtime come after them. A `CPUMAP` is an `ARRAY`
/// with the same key, value and number of entries, in which a slot whose first word is not 0 counts
/// as populated. Kernel functions that were exchanged for their TC twins are
/// [`Pending`](hoist_bpf::module::Resolution::Pending) again: a module with
/// [`Translated::resolve_again`] goes through [`hoist_bpf::resolve::resolve`] once more.
///
/// After a run `cb[4]` of the socket buffer (byte 64 of `struct __sk_buff`, which a test run hands
/// out) holds the XDP verdict, 0 to 4, with unknown codes as 0.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The module.
    pub module: Module,
    /// The program, under its old id.
    pub program: ProgramId,
    /// Packets and bytes by verdict, where [`Options::count`] asked for them.
    pub counters: Option<MapId>,
    /// What happened off the plain path: a per-CPU array of `u64`, one for each [`Event`].
    pub events: MapId,
    /// Where the interface's address is to be written (see [`DeviceAddress`]); `None` for programs
    /// that cannot change a frame's addresses.
    pub device: Option<MapId>,
    /// Whether kernel functions are to be looked up again.
    pub resolve_again: bool,
    /// What differs from native XDP and could not be made the same.
    pub warnings: Vec<Warning>,
}

/// Translates a program of a resolved module.
///
/// # Errors
/// Every reason why it cannot be translated, each with the instruction and the source line where
/// there is one.
pub fn translate(
    module: &Module,
    program: ProgramId,
    options: &Options,
) -> Result<Translated, Vec<Gap>> {
    if module.programs.get(program.0 as usize).is_none() {
        return Err(vec![Gap::new("not-loadable", "the module has no such program")]);
    }
    if let Some(map) = module.maps.iter().find(|m| runtime::owns(&m.name)) {
        return Err(vec![Gap::new(
            "translated-twice",
            format!("the module already has a map named {}; translate the original", map.name),
        )]);
    }
    let places = analysis::places(module, program).map_err(|error| {
        vec![Gap::new(
            "translation-too-large",
            format!("{}: {error}", module.program(program).name),
        )]
    })?;
    let lost = whole::gaps(module, &places);
    if !lost.is_empty() {
        return Err(lost);
    }
    let mut survey = Survey::of(module, program, &places);
    let gaps = std::mem::take(&mut survey.gaps);
    if gaps.is_empty() {
        assemble::assemble(module, program, options, survey).map_err(|gap| vec![gap])
    } else {
        Err(gaps)
    }
}
