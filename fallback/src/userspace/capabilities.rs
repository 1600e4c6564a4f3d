//! What hoist's machine can do behind a port, and how that is known.

use hoist_bpf::names;
use hoist_bpf::requirements::{ContextField, Feature, LimitKind, Need};
use hoist_offload::capability::{Answer, Capabilities};
use hoist_offload::fact::Evidence;
use hoist_offload::{Device, EngineKind, Hook};

use super::engine::PROVIDER;
use super::vm::address::MAX_CALL_FRAMES;
use super::{conditions, environment, maps};

/// What the machine does, whatever the port.
const FEATURES: [Feature; 19] = [
    Feature::Tx,
    Feature::Redirect,
    Feature::AdjustHead,
    Feature::AdjustTail,
    Feature::Metadata,
    Feature::Frags,
    Feature::PacketWrite,
    Feature::TailCall,
    Feature::BpfToBpfCall,
    Feature::TailCallInSubprogram,
    Feature::Callback,
    Feature::GlobalData,
    Feature::AtomicAdd,
    Feature::AtomicFull,
    Feature::Loop,
    Feature::MapValueWrite,
    Feature::GplOnlyHelper,
    Feature::KernelBtf,
    Feature::ProgramBtf,
];

/// Kernel functions that XDP programs use; of others the machine itself says whether it has them.
const KFUNCS: [&str; 18] = [
    "bpf_dynptr_adjust",
    "bpf_dynptr_clone",
    "bpf_dynptr_from_xdp",
    "bpf_dynptr_is_null",
    "bpf_dynptr_is_rdonly",
    "bpf_dynptr_size",
    "bpf_dynptr_slice",
    "bpf_dynptr_slice_rdwr",
    "bpf_iter_num_destroy",
    "bpf_iter_num_new",
    "bpf_iter_num_next",
    "bpf_rcu_read_lock",
    "bpf_rcu_read_unlock",
    "bpf_xdp_ct_alloc",
    "bpf_xdp_ct_lookup",
    "bpf_xdp_metadata_rx_hash",
    "bpf_xdp_metadata_rx_timestamp",
    "bpf_xdp_metadata_rx_vlan_tag",
];

/// Newest version of the instruction set.
const NEWEST: u8 = 4;
/// `BPF_F_NO_PREALLOC` to `BPF_F_INNER_MAP`.
const MAP_FLAGS: std::ops::RangeInclusive<u32> = 0..=12;
/// `bpf_tail_call`, which is an operation of the machine's own.
const TAIL_CALL: u32 = 12;

/// The engine's answers and conditions on a device.
pub(super) fn of(hook: Hook, device: &Device) -> Capabilities {
    let mut known = Capabilities::new(EngineKind::User, PROVIDER);
    let built_in = || Evidence::assumed("built into hoist's own machine");
    let mut set = |need, has: bool| {
        known.set(need, if has { Answer::Yes } else { Answer::No }, built_in());
    };
    for feature in FEATURES {
        set(Need::Feature(feature), true);
    }
    for feature in [Feature::DevmapProgram, Feature::CpumapProgram] {
        set(Need::Feature(feature), false);
    }
    // Drivers give receive metadata to programs of their own hook only.
    set(Need::Feature(Feature::DeviceBound), false);
    for version in 1..=NEWEST {
        set(Need::Isa(version), true);
    }
    for field in [
        ContextField::Data,
        ContextField::DataEnd,
        ContextField::DataMeta,
        ContextField::IngressIfindex,
        ContextField::RxQueueIndex,
    ] {
        set(Need::ContextField(field), true);
    }
    set(Need::ContextField(ContextField::EgressIfindex), false);
    for helper in 1..=names::LAST_HELPER {
        let has = helper == TAIL_CALL || environment::helper(helper).is_some();
        set(Need::Helper(helper), has);
    }
    for name in KFUNCS {
        set(Need::Kfunc(name.to_owned()), environment::kfunc(name).is_some());
    }
    for kind in 1..=names::LAST_MAP_TYPE {
        set(Need::MapType(kind), maps::has_kind(kind));
    }
    for bit in MAP_FLAGS {
        set(Need::MapFlag(1 << bit), true);
    }
    set(Need::Limit(LimitKind::CallDepth, MAX_CALL_FRAMES as u64), true);
    known.conditions = conditions::of(hook, device);
    known
}
