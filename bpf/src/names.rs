//! Names of numbers: helpers, map types, map flags and program types as `linux/bpf.h` spells them.
//!
//! The tables are those of Linux 6.18. A number beyond them is printed as such, so that a newer
//! object still gets a sensible message.

/// `enum bpf_func_id`, by number, without the `BPF_FUNC_` that the header puts in front.
#[rustfmt::skip]
const HELPERS: [&str; 212] = [
    "unspec", "map_lookup_elem", "map_update_elem", "map_delete_elem", "probe_read",
    "ktime_get_ns", "trace_printk", "get_prandom_u32", "get_smp_processor_id", "skb_store_bytes",
    "l3_csum_replace", "l4_csum_replace", "tail_call", "clone_redirect", "get_current_pid_tgid",
    "get_current_uid_gid", "get_current_comm", "get_cgroup_classid", "skb_vlan_push",
    "skb_vlan_pop", "skb_get_tunnel_key", "skb_set_tunnel_key", "perf_event_read", "redirect",
    "get_route_realm", "perf_event_output", "skb_load_bytes", "get_stackid", "csum_diff",
    "skb_get_tunnel_opt", "skb_set_tunnel_opt", "skb_change_proto", "skb_change_type",
    "skb_under_cgroup", "get_hash_recalc", "get_current_task", "probe_write_user",
    "current_task_under_cgroup", "skb_change_tail", "skb_pull_data", "csum_update",
    "set_hash_invalid", "get_numa_node_id", "skb_change_head", "xdp_adjust_head",
    "probe_read_str", "get_socket_cookie", "get_socket_uid", "set_hash", "setsockopt",
    "skb_adjust_room", "redirect_map", "sk_redirect_map", "sock_map_update", "xdp_adjust_meta",
    "perf_event_read_value", "perf_prog_read_value", "getsockopt", "override_return",
    "sock_ops_cb_flags_set", "msg_redirect_map", "msg_apply_bytes", "msg_cork_bytes",
    "msg_pull_data", "bind", "xdp_adjust_tail", "skb_get_xfrm_state", "get_stack",
    "skb_load_bytes_relative", "fib_lookup", "sock_hash_update", "msg_redirect_hash",
    "sk_redirect_hash", "lwt_push_encap", "lwt_seg6_store_bytes", "lwt_seg6_adjust_srh",
    "lwt_seg6_action", "rc_repeat", "rc_keydown", "skb_cgroup_id", "get_current_cgroup_id",
    "get_local_storage", "sk_select_reuseport", "skb_ancestor_cgroup_id", "sk_lookup_tcp",
    "sk_lookup_udp", "sk_release", "map_push_elem", "map_pop_elem", "map_peek_elem",
    "msg_push_data", "msg_pop_data", "rc_pointer_rel", "spin_lock", "spin_unlock", "sk_fullsock",
    "tcp_sock", "skb_ecn_set_ce", "get_listener_sock", "skc_lookup_tcp", "tcp_check_syncookie",
    "sysctl_get_name", "sysctl_get_current_value", "sysctl_get_new_value", "sysctl_set_new_value",
    "strtol", "strtoul", "sk_storage_get", "sk_storage_delete", "send_signal",
    "tcp_gen_syncookie", "skb_output", "probe_read_user", "probe_read_kernel",
    "probe_read_user_str", "probe_read_kernel_str", "tcp_send_ack", "send_signal_thread",
    "jiffies64", "read_branch_records", "get_ns_current_pid_tgid", "xdp_output",
    "get_netns_cookie", "get_current_ancestor_cgroup_id", "sk_assign", "ktime_get_boot_ns",
    "seq_printf", "seq_write", "sk_cgroup_id", "sk_ancestor_cgroup_id", "ringbuf_output",
    "ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "ringbuf_query", "csum_level",
    "skc_to_tcp6_sock", "skc_to_tcp_sock", "skc_to_tcp_timewait_sock", "skc_to_tcp_request_sock",
    "skc_to_udp6_sock", "get_task_stack", "load_hdr_opt", "store_hdr_opt", "reserve_hdr_opt",
    "inode_storage_get", "inode_storage_delete", "d_path", "copy_from_user", "snprintf_btf",
    "seq_printf_btf", "skb_cgroup_classid", "redirect_neigh", "per_cpu_ptr", "this_cpu_ptr",
    "redirect_peer", "task_storage_get", "task_storage_delete", "get_current_task_btf",
    "bprm_opts_set", "ktime_get_coarse_ns", "ima_inode_hash", "sock_from_file", "check_mtu",
    "for_each_map_elem", "snprintf", "sys_bpf", "btf_find_by_name_kind", "sys_close",
    "timer_init", "timer_set_callback", "timer_start", "timer_cancel", "get_func_ip",
    "get_attach_cookie", "task_pt_regs", "get_branch_snapshot", "trace_vprintk",
    "skc_to_unix_sock", "kallsyms_lookup_name", "find_vma", "loop", "strncmp", "get_func_arg",
    "get_func_ret", "get_func_arg_cnt", "get_retval", "set_retval", "xdp_get_buff_len",
    "xdp_load_bytes", "xdp_store_bytes", "copy_from_user_task", "skb_set_tstamp", "ima_file_hash",
    "kptr_xchg", "map_lookup_percpu_elem", "skc_to_mptcp_sock", "dynptr_from_mem",
    "ringbuf_reserve_dynptr", "ringbuf_submit_dynptr", "ringbuf_discard_dynptr", "dynptr_read",
    "dynptr_write", "dynptr_data", "tcp_raw_gen_syncookie_ipv4", "tcp_raw_gen_syncookie_ipv6",
    "tcp_raw_check_syncookie_ipv4", "tcp_raw_check_syncookie_ipv6", "ktime_get_tai_ns",
    "user_ringbuf_drain", "cgrp_storage_get", "cgrp_storage_delete",
];

/// `enum bpf_map_type`, by number, in bpftool's spelling.
#[rustfmt::skip]
const MAP_TYPES: [&str; 34] = [
    "unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array",
    "stack_trace", "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps",
    "hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage",
    "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage", "devmap_hash",
    "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter", "user_ringbuf",
    "cgrp_storage", "arena",
];

/// `enum bpf_prog_type`, by number, in bpftool's spelling.
#[rustfmt::skip]
const PROGRAM_TYPES: [&str; 33] = [
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp",
    "perf_event", "cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops",
    "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local",
    "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable",
    "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
];

/// Flags of `BPF_MAP_CREATE`, by bit.
#[rustfmt::skip]
const MAP_FLAGS: [&str; 19] = [
    "BPF_F_NO_PREALLOC",
    "BPF_F_NO_COMMON_LRU",
    "BPF_F_NUMA_NODE",
    "BPF_F_RDONLY",
    "BPF_F_WRONLY",
    "BPF_F_STACK_BUILD_ID",
    "BPF_F_ZERO_SEED",
    "BPF_F_RDONLY_PROG",
    "BPF_F_WRONLY_PROG",
    "BPF_F_CLONE",
    "BPF_F_MMAPABLE",
    "BPF_F_PRESERVE_ELEMS",
    "BPF_F_INNER_MAP",
    "BPF_F_LINK",
    "BPF_F_PATH_FD",
    "BPF_F_VTYPE_BTF_OBJ_FD",
    "BPF_F_TOKEN_FD",
    "BPF_F_SEGV_ON_FAULT",
    "BPF_F_NO_USER_CONV",
];

/// Helpers whose prototype says `gpl_only`.
#[rustfmt::skip]
const GPL_ONLY: [u32; 38] = [
    4, 6, 22, 25, 27, 35, 36, 45, 55, 56, 58, 67, 69, 100, 110, 111, 112, 113, 114, 115, 119, 121,
    158, 163, 165, 169, 170, 171, 172, 173, 175, 176, 177, 191, 204, 205, 206, 207,
];

/// A helper's name, `bpf_map_lookup_elem` for 1; `helper 4711` for a number that is not known.
#[must_use]
pub fn helper(id: u32) -> String {
    match known(&HELPERS, id) {
        Some(name) => format!("bpf_{name}"),
        None => format!("helper {id}"),
    }
}

/// A helper's number, by its name with or without `bpf_` in front, or by the number itself.
#[must_use]
pub fn helper_id(name: &str) -> Option<u32> {
    find(&HELPERS, name.strip_prefix("bpf_").unwrap_or(name)).or_else(|| number(name, "helper "))
}

/// The highest helper number that has a name here.
pub const LAST_HELPER: u32 = HELPERS.len() as u32 - 1;

/// Whether the kernel lets only programs with a GPL-compatible licence call the helper.
#[must_use]
pub fn helper_is_gpl_only(id: u32) -> bool {
    GPL_ONLY.binary_search(&id).is_ok()
}

/// Whether the kernel counts a licence string as GPL-compatible (`license_is_gpl_compatible`).
#[must_use]
pub fn license_is_gpl_compatible(license: &str) -> bool {
    matches!(
        license,
        "GPL"
            | "GPL v2"
            | "GPL and additional rights"
            | "Dual BSD/GPL"
            | "Dual MIT/GPL"
            | "Dual MPL/GPL"
    )
}

/// A map type's name, `hash` for 1, as bpftool prints it; `map type 99` when it is not known.
#[must_use]
pub fn map_type(kind: u32) -> String {
    match known(&MAP_TYPES, kind) {
        Some(name) => name.to_owned(),
        None => format!("map type {kind}"),
    }
}

/// A map type's number, by bpftool's name, by the header's (`BPF_MAP_TYPE_HASH`) or by the number.
#[must_use]
pub fn map_type_id(name: &str) -> Option<u32> {
    by_any_name(&MAP_TYPES, name, "BPF_MAP_TYPE_", "map type ")
}

/// The highest map type that has a name here.
pub const LAST_MAP_TYPE: u32 = MAP_TYPES.len() as u32 - 1;

/// A program type's name, `xdp` for 6, as bpftool prints it; `program type 99` when not known.
#[must_use]
pub fn program_type(kind: u32) -> String {
    match known(&PROGRAM_TYPES, kind) {
        Some(name) => name.to_owned(),
        None => format!("program type {kind}"),
    }
}

/// A program type's number, by bpftool's name, by the header's (`BPF_PROG_TYPE_XDP`) or by number.
#[must_use]
pub fn program_type_id(name: &str) -> Option<u32> {
    by_any_name(&PROGRAM_TYPES, name, "BPF_PROG_TYPE_", "program type ")
}

/// The highest program type that has a name here.
pub const LAST_PROGRAM_TYPE: u32 = PROGRAM_TYPES.len() as u32 - 1;

/// The name of one map creation flag, `BPF_F_NO_PREALLOC` for 1; `map flag 0x80000000` when it is
/// not known or not a single bit.
#[must_use]
pub fn map_flag(flag: u32) -> String {
    match MAP_FLAGS.get(flag.trailing_zeros() as usize) {
        Some(name) if flag.is_power_of_two() => (*name).to_owned(),
        _ => format!("map flag {flag:#x}"),
    }
}

/// The names of map creation flags, by rising bit.
#[must_use]
pub fn map_flags(flags: u32) -> Vec<String> {
    (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| flags & bit != 0).map(map_flag).collect()
}

/// The bit of a map creation flag, by its name.
#[must_use]
pub fn map_flag_bit(name: &str) -> Option<u32> {
    MAP_FLAGS.iter().position(|n| *n == name).map(|bit| 1 << bit)
}

/// The entry of a table; entry 0 of each is the header's "unspecified", which is no name.
fn known(table: &'static [&'static str], id: u32) -> Option<&'static str> {
    if id == 0 { None } else { table.get(id as usize).copied() }
}

fn find(table: &[&str], name: &str) -> Option<u32> {
    table.iter().skip(1).position(|n| *n == name).map(|i| i as u32 + 1)
}

fn number(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix).unwrap_or(name).parse().ok()
}

fn by_any_name(table: &[&str], name: &str, header: &str, unknown: &str) -> Option<u32> {
    let plain = match name.strip_prefix(header) {
        Some(rest) => rest.to_ascii_lowercase(),
        None => name.to_owned(),
    };
    find(table, &plain).or_else(|| number(name, unknown))
}

/// Whether a map type keeps one value for each CPU: `percpu_hash`, `percpu_array`,
/// `lru_percpu_hash`, `percpu_cgroup_storage`.
#[must_use]
pub const fn is_per_cpu(kind: u32) -> bool {
    matches!(kind, 5 | 6 | 10 | 21)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_numbers_have_their_names() {
        for (id, name) in [
            (1, "bpf_map_lookup_elem"),
            (12, "bpf_tail_call"),
            (44, "bpf_xdp_adjust_head"),
            (51, "bpf_redirect_map"),
            (69, "bpf_fib_lookup"),
            (181, "bpf_loop"),
            (190, "bpf_xdp_store_bytes"),
            (211, "bpf_cgrp_storage_delete"),
            (0, "helper 0"),
            (212, "helper 212"),
        ] {
            assert_eq!(helper(id), name);
        }
        assert_eq!(helper_id("redirect"), Some(23));
        assert_eq!(helper_id("bpf_nonesuch"), None);
        assert_eq!((map_type(27), map_type(14)), ("ringbuf".into(), "devmap".into()));
        assert_eq!(map_type_id("BPF_MAP_TYPE_LPM_TRIE"), Some(11));
        assert_eq!((program_type(6), program_type_id("xdp")), ("xdp".into(), Some(6)));
        assert_eq!(
            (map_flag(0x80), map_flag(3)),
            ("BPF_F_RDONLY_PROG".into(), "map flag 0x3".into())
        );
        assert_eq!(map_flag_bit("BPF_F_MMAPABLE"), Some(1 << 10));
    }

    #[test]
    fn every_name_leads_back_to_its_number() {
        for id in 0..LAST_HELPER + 5 {
            assert_eq!(helper_id(&helper(id)), Some(id));
        }
        for id in 0..LAST_MAP_TYPE + 5 {
            assert_eq!(map_type_id(&map_type(id)), Some(id));
        }
        for id in 0..LAST_PROGRAM_TYPE + 5 {
            assert_eq!(program_type_id(&program_type(id)), Some(id));
        }
        for bit in 0..MAP_FLAGS.len() {
            assert_eq!(map_flag_bit(&map_flag(1 << bit)), Some(1 << bit));
        }
    }

    #[test]
    fn gpl_only_helpers_are_sorted_for_the_search() {
        assert!(GPL_ONLY.is_sorted());
        assert!(helper_is_gpl_only(69) && helper_is_gpl_only(6) && !helper_is_gpl_only(1));
        assert!(license_is_gpl_compatible("Dual MIT/GPL") && !license_is_gpl_compatible("MIT"));
    }
}
