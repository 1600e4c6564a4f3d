//! What helpers take: the names of their parameters, as `linux/bpf.h` documents them.

/// Helpers by number.
#[rustfmt::skip]
const HELPERS: [(u32, &[&str]); 61] = [
    (1, &["map", "key"]),
    (2, &["map", "key", "value", "flags"]),
    (3, &["map", "key"]),
    (5, &[]),
    (6, &["fmt", "fmt_size", "arg1", "arg2", "arg3"]),
    (7, &[]),
    (8, &[]),
    (12, &["ctx", "prog_array_map", "index"]),
    (23, &["ifindex", "flags"]),
    (25, &["ctx", "map", "flags", "data", "size"]),
    (28, &["from", "from_size", "to", "to_size", "seed"]),
    (42, &[]),
    (44, &["xdp_md", "delta"]),
    (51, &["map", "key", "flags"]),
    (54, &["xdp_md", "delta"]),
    (65, &["xdp_md", "delta"]),
    (69, &["ctx", "params", "plen", "flags"]),
    (84, &["ctx", "tuple", "tuple_size", "netns", "flags"]),
    (85, &["ctx", "tuple", "tuple_size", "netns", "flags"]),
    (86, &["sock"]),
    (87, &["map", "value", "flags"]),
    (88, &["map", "value"]),
    (89, &["map", "value"]),
    (93, &["lock"]),
    (94, &["lock"]),
    (99, &["ctx", "tuple", "tuple_size", "netns", "flags"]),
    (105, &["buf", "buf_len", "flags", "res"]),
    (106, &["buf", "buf_len", "flags", "res"]),
    (110, &["sk", "iph", "iph_len", "th", "th_len"]),
    (118, &[]),
    (125, &[]),
    (130, &["ringbuf", "data", "size", "flags"]),
    (131, &["ringbuf", "size", "flags"]),
    (132, &["data", "flags"]),
    (133, &["data", "flags"]),
    (134, &["ringbuf", "flags"]),
    (160, &[]),
    (163, &["ctx", "ifindex", "mtu_len", "len_diff", "flags"]),
    (164, &["map", "callback_fn", "callback_ctx", "flags"]),
    (165, &["str", "str_size", "fmt", "data", "data_len"]),
    (169, &["timer", "map", "flags"]),
    (170, &["timer", "callback_fn"]),
    (171, &["timer", "nsecs", "flags"]),
    (172, &["timer"]),
    (177, &["fmt", "fmt_size", "data", "data_len"]),
    (181, &["nr_loops", "callback_fn", "callback_ctx", "flags"]),
    (182, &["s1", "s1_sz", "s2"]),
    (188, &["xdp_md"]),
    (189, &["xdp_md", "offset", "buf", "len"]),
    (190, &["xdp_md", "offset", "buf", "len"]),
    (195, &["map", "key", "cpu"]),
    (197, &["data", "size", "flags", "ptr"]),
    (198, &["ringbuf", "size", "flags", "ptr"]),
    (199, &["ptr", "flags"]),
    (200, &["ptr", "flags"]),
    (201, &["dst", "len", "src", "offset", "flags"]),
    (202, &["dst", "offset", "src", "len", "flags"]),
    (203, &["ptr", "offset", "len"]),
    (204, &["iph", "th", "th_len"]),
    (206, &["iph", "th"]),
    (208, &[]),
];

/// The names of a helper's parameters; `None` for one that is not known here.
pub(super) fn parameters(helper: u32) -> Option<&'static [&'static str]> {
    let at = HELPERS.binary_search_by_key(&helper, |(id, _)| *id).ok()?;
    HELPERS.get(at).map(|(_, parameters)| *parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoist_bpf::names;

    #[test]
    fn helpers_are_found_and_exist() {
        assert!(HELPERS.is_sorted_by_key(|(id, _)| *id));
        assert_eq!(parameters(44), Some(&["xdp_md", "delta"][..]));
        assert_eq!((parameters(5), parameters(4711)), (Some(&[][..]), None));
        for (id, parameters) in HELPERS {
            assert!(names::helper(id).starts_with("bpf_") && parameters.len() <= 5, "{id}");
        }
    }
}
