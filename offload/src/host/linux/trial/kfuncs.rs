//! Which kernel functions programs may call: found in the kernel's BTF, then called in a trial.

use std::collections::BTreeMap;

use hoist_bpf::insn::Insn;

use super::{EXIT, Findings, SCHED_CLS, Trial, XDP, no, telling, unknown, yes};
use crate::host::report::Finding;

const BPF_PSEUDO_KFUNC_CALL: u8 = 2;

/// Kernel functions that bear on XDP and TC programs.
pub(in super::super) const KFUNCS: [&str; 19] = [
    "bpf_ct_insert_entry",
    "bpf_ct_release",
    "bpf_dynptr_from_skb",
    "bpf_dynptr_from_xdp",
    "bpf_dynptr_slice",
    "bpf_dynptr_slice_rdwr",
    "bpf_rcu_read_lock",
    "bpf_rdonly_cast",
    "bpf_skb_ct_alloc",
    "bpf_skb_ct_lookup",
    "bpf_xdp_ct_alloc",
    "bpf_xdp_ct_lookup",
    "bpf_xdp_flow_lookup",
    "bpf_xdp_get_xfrm_state",
    "bpf_xdp_metadata_rx_hash",
    "bpf_xdp_metadata_rx_timestamp",
    "bpf_xdp_metadata_rx_vlan_tag",
    "bpf_xdp_pull_data",
    "bpf_skb_get_fou_encap",
];

/// Verifier lines that mean "not for this kernel or program type".
const DENIALS: [&str; 4] = [
    "is not allowed",
    "JIT does not support calling kernel function",
    "is not a kernel function",
    "is not supported",
];

/// Asks for every function of [`KFUNCS`]. `ids` holds those in the kernel's own BTF; the rest may
/// still be in a module's, where `modules` says whether any is loaded.
pub(in super::super) fn kfuncs(
    trial: &Trial<'_>,
    ids: &BTreeMap<String, u32>,
    modules: bool,
) -> Findings {
    KFUNCS
        .iter()
        .map(|name| {
            let finding = match ids.get(*name) {
                Some(id) => call(trial, name, *id),
                None if modules => unknown("not in the kernel's BTF; a module may have it"),
                None => no("not in the kernel's BTF, and no module has any"),
            };
            ((*name).to_owned(), finding)
        })
        .collect()
}

fn call(trial: &Trial<'_>, name: &str, id: u32) -> Finding {
    let kind = if name.contains("_skb") { SCHED_CLS } else { XDP };
    let Ok(id) = i32::try_from(id) else {
        return unknown("its BTF id does not fit an instruction");
    };
    match trial.load(kind, &[Insn::new(0x85, 0, BPF_PSEUDO_KFUNC_CALL, 0, id), EXIT]) {
        Ok(_) => yes("a call loads"),
        Err(error) => match telling(&error) {
            Some(line) if DENIALS.iter().any(|d| line.contains(d)) => no(line),
            Some(line) => yes(line),
            None => trial.unsettled(&error),
        },
    }
}
