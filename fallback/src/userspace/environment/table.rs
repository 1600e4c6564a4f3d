//! Which function answers which call.

use super::{Helper, checksum, clock, control, lock, machine, map, packet, random, redirect, text};

/// The function for a helper's number (`enum bpf_func_id`); `None` for those that this machine has
/// not.
#[must_use]
pub const fn helper(number: u32) -> Option<Helper> {
    let helper: Helper = match number {
        1 => map::lookup,
        2 => map::update,
        3 => map::delete,
        5 => clock::monotonic,
        6 => text::trace_printk,
        7 => random::number,
        8 => machine::cpu,
        14 => machine::task,
        23 => redirect::redirect,
        28 => checksum::csum_diff,
        42 => machine::numa_node,
        44 => packet::adjust_head,
        51 => redirect::redirect_map,
        54 => packet::adjust_meta,
        65 => packet::adjust_tail,
        87 => map::push,
        88 => map::pop,
        89 => map::peek,
        93 => lock::spin_lock,
        94 => lock::spin_unlock,
        105 => text::strtol,
        106 => text::strtoul,
        118 => clock::jiffies,
        125 => clock::boot,
        160 => clock::coarse,
        164 => control::for_each_map_elem,
        165 => text::snprintf,
        177 => text::trace_vprintk,
        181 => control::bpf_loop,
        182 => text::strncmp,
        188 => packet::length,
        189 => packet::load_bytes,
        190 => packet::store_bytes,
        195 => map::lookup_percpu,
        208 => clock::tai,
        _ => return None,
    };
    Some(helper)
}

/// The function for a kernel function's name; `None` for those that this machine has not.
#[must_use]
pub fn kfunc(name: &str) -> Option<Helper> {
    let kfunc: Helper = match name {
        "bpf_xdp_pull_data" => packet::pull_data,
        _ => return None,
    };
    Some(kfunc)
}
