//! Which function answers which call.

use super::{
    Helper, checksum, clock, control, dynptr, events, fib, iterators, lock, machine, map, metadata,
    packet, probe, random, redirect, text,
};

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
        25 => events::perf_event_output,
        28 => checksum::csum_diff,
        42 => machine::numa_node,
        44 => packet::adjust_head,
        51 => redirect::redirect_map,
        54 => packet::adjust_meta,
        65 => packet::adjust_tail,
        69 => fib::fib_lookup,
        87 => map::push,
        88 => map::pop,
        89 => map::peek,
        93 => lock::spin_lock,
        94 => lock::spin_unlock,
        105 => text::strtol,
        106 => text::strtoul,
        112 => probe::read_user,
        113 => probe::read_kernel,
        114 => probe::read_user,
        115 => probe::read_kernel_str,
        118 => clock::jiffies,
        125 => clock::boot,
        130 => events::ringbuf_output,
        131 => events::ringbuf_reserve,
        132 => events::ringbuf_submit,
        133 => events::ringbuf_discard,
        134 => events::ringbuf_query,
        160 => clock::coarse,
        163 => fib::check_mtu,
        164 => control::for_each_map_elem,
        165 => text::snprintf,
        177 => text::trace_vprintk,
        181 => control::bpf_loop,
        182 => text::strncmp,
        188 => packet::length,
        189 => packet::load_bytes,
        190 => packet::store_bytes,
        195 => map::lookup_percpu,
        197 => dynptr::from_mem,
        198 => events::ringbuf_reserve_dynptr,
        199 => events::ringbuf_submit_dynptr,
        200 => events::ringbuf_discard_dynptr,
        201 => dynptr::read,
        202 => dynptr::write,
        203 => dynptr::data,
        208 => clock::tai,
        _ => return None,
    };
    Some(helper)
}

/// The function for a kernel function's name; `None` for those that this machine has not.
#[must_use]
pub fn kfunc(name: &str) -> Option<Helper> {
    let kfunc: Helper = match essence(name) {
        "bpf_dynptr_adjust" => dynptr::adjust,
        "bpf_dynptr_clone" => dynptr::clone,
        "bpf_dynptr_copy" => dynptr::copy,
        "bpf_dynptr_from_xdp" => dynptr::from_xdp,
        "bpf_dynptr_is_null" => dynptr::is_null,
        "bpf_dynptr_is_rdonly" => dynptr::is_rdonly,
        "bpf_dynptr_memset" => dynptr::memset,
        "bpf_dynptr_size" => dynptr::size,
        "bpf_dynptr_slice" => dynptr::slice,
        "bpf_dynptr_slice_rdwr" => dynptr::slice_rdwr,
        "bpf_iter_bits_destroy" => iterators::bits_destroy,
        "bpf_iter_bits_new" => iterators::bits_new,
        "bpf_iter_bits_next" => iterators::bits_next,
        "bpf_iter_num_destroy" => iterators::num_destroy,
        "bpf_iter_num_new" => iterators::num_new,
        "bpf_iter_num_next" => iterators::num_next,
        "bpf_preempt_disable" | "bpf_preempt_enable" => machine::nothing,
        "bpf_rcu_read_lock" | "bpf_rcu_read_unlock" => machine::nothing,
        "bpf_xdp_metadata_rx_hash" => metadata::hash,
        "bpf_xdp_metadata_rx_timestamp" => metadata::timestamp,
        "bpf_xdp_metadata_rx_vlan_tag" => metadata::vlan,
        "bpf_xdp_pull_data" => packet::pull_data,
        _ => return None,
    };
    Some(kfunc)
}

/// A name without what libbpf lets a declaration add to it (`bpf_xdp_metadata_rx_hash___old`).
fn essence(name: &str) -> &str {
    name.split_once("___").map_or(name, |(essence, _)| essence)
}
