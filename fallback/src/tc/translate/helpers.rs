//! What becomes of calls: helpers by number, kernel functions by name.

/// Helpers, by number, that the translator treats specially.
pub(super) mod id {
    pub(in super::super) const TAIL_CALL: u32 = 12;
    pub(in super::super) const REDIRECT: u32 = 23;
    pub(in super::super) const XDP_ADJUST_HEAD: u32 = 44;
    pub(in super::super) const REDIRECT_MAP: u32 = 51;
    pub(in super::super) const XDP_ADJUST_META: u32 = 54;
    pub(in super::super) const XDP_ADJUST_TAIL: u32 = 65;
    pub(in super::super) const FIB_LOOKUP: u32 = 69;
    pub(in super::super) const CHECK_MTU: u32 = 163;
    pub(in super::super) const XDP_GET_BUFF_LEN: u32 = 188;
    pub(in super::super) const XDP_LOAD_BYTES: u32 = 189;
    pub(in super::super) const XDP_STORE_BYTES: u32 = 190;
}

/// `ENOTSUPP`: what `bpf_xdp_adjust_meta` answers where the driver has no metadata.
const ENOTSUPP: i32 = 524;

/// What becomes of a helper call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    /// TC has the same helper.
    Same,
    /// A routine of the runtime takes its place, with the same arguments.
    Routine(&'static str),
    /// A result that is known.
    Result(i32),
    /// `__sk_buff.len` is the result.
    Length,
    /// `bpf_redirect_map`: depends on the map.
    RedirectMap,
}

/// What becomes of a call of this helper. All others of `xdp_func_proto` TC has too
/// (`tc_cls_act_func_proto`).
pub(super) const fn helper(id: u32) -> Helper {
    match id {
        id::REDIRECT => Helper::Routine("hoist_redirect"),
        id::XDP_ADJUST_HEAD => Helper::Routine("hoist_adjust_head"),
        id::XDP_ADJUST_TAIL => Helper::Routine("hoist_adjust_tail"),
        id::FIB_LOOKUP => Helper::Routine("hoist_fib_lookup"),
        id::CHECK_MTU => Helper::Routine("hoist_check_mtu"),
        id::XDP_LOAD_BYTES => Helper::Routine("hoist_load_bytes"),
        id::XDP_STORE_BYTES => Helper::Routine("hoist_store_bytes"),
        id::XDP_ADJUST_META => Helper::Result(-ENOTSUPP),
        id::XDP_GET_BUFF_LEN => Helper::Length,
        id::REDIRECT_MAP => Helper::RedirectMap,
        _ => Helper::Same,
    }
}

/// Whether the helper changes the frame.
pub(super) const fn writes(id: u32) -> bool {
    matches!(id, id::XDP_ADJUST_HEAD | id::XDP_ADJUST_TAIL | id::XDP_STORE_BYTES)
}

/// What becomes of a kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kfunc {
    /// TC may call it too, as far as is known here; the verifier decides.
    Same,
    /// Its twin for socket buffers.
    Twin(&'static str),
    /// Asks the driver about the frame on its receive ring.
    ReceiveMetadata,
    /// For XDP alone.
    XdpOnly,
    /// Hands out the kernel's own structure behind the context, which at TC is another.
    Cast,
}

/// What becomes of calls of the kernel function of this name.
pub(super) fn kfunc(name: &str) -> Kfunc {
    match name {
        "bpf_dynptr_from_xdp" => Kfunc::Twin("bpf_dynptr_from_skb"),
        "bpf_xdp_ct_lookup" => Kfunc::Twin("bpf_skb_ct_lookup"),
        "bpf_xdp_ct_alloc" => Kfunc::Twin("bpf_skb_ct_alloc"),
        "bpf_cast_to_kern_ctx" => Kfunc::Cast,
        _ if name.starts_with("bpf_xdp_metadata_rx_") => Kfunc::ReceiveMetadata,
        _ if name.starts_with("bpf_xdp_") => Kfunc::XdpOnly,
        _ => Kfunc::Same,
    }
}
