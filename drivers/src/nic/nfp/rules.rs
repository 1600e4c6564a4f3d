//! Each rule of the driver with its function and its words.

use hoist_offload::profile::Rule;

/// Rule, file and function, format strings.
#[rustfmt::skip]
pub(super) const RULES: &[(Rule, &str, &[&str])] = &[
    (Rule::Opcode, "verifier.c: nfp_verify_insn, jit.c: instr_cb", &["instruction %#02x not supported"]),
    (Rule::Misread, "jit.c: mov_reg64, mov_reg, div_reg64, div_imm64 (insn.off is not read)", &[]),
    (Rule::StoreConstant, "verifier.c: nfp_verify_insn (no check of BPF_ST), jit.c: mem_st", &[]),
    (Rule::Loop, "jit.c: nfp_fixup_branches (no word about loops)", &[]),
    (Rule::Helper, "verifier.c: nfp_bpf_check_helper_call", &["unsupported function id: %d"]),
    (Rule::Kfunc, "verifier.c: nfp_bpf_check_helper_call, kernel/bpf/offload.c: bpf_dev_bound_kfunc_check", &[]),
    (Rule::Firmware, "verifier.c: nfp_bpf_check_helper_call, nfp_bpf_map_call_ok, nfp_bpf_check_store", &[
        "adjust_head not supported by FW",
        "adjust_head: FW requires shifting metadata, not supported by the driver",
        "adjust_tail not supported by FW",
        "bpf_get_prandom_u32(): FW doesn't support random number generation",
        "event_output: not supported by FW",
        "queue selection not supported by FW",
        "%s: not supported by FW",
        "NFP firmware does not support eBPF offload",
    ]),
    (Rule::EventFlags, "verifier.c: nfp_bpf_check_helper_call", &["event_output: must use BPF_F_CURRENT_CPU, var_off: %s"]),
    (Rule::HelperArgument, "verifier.c: nfp_bpf_stack_arg_ok", &[
        "event_output: unsupported ptr type: %d",
        "event_output: ptr type changed: %d %d",
        "%s: unsupported ptr type %d",
        "%s: variable pointer",
        "%s: unaligned stack pointer %lld",
    ]),
    (Rule::ContextRead, "jit.c: mem_ldx_xdp, mem_ldx_skb", &[]),
    (Rule::ContextStore, "verifier.c: nfp_bpf_check_store", &["unsupported store to context field"]),
    (Rule::MultiplyRange, "verifier.c: nfp_bpf_check_alu", &[
        "multiplier is not within u32 value range",
        "sign extended multiplicand won't be within u32 value range",
        "multiplicand is not within u32 value range",
    ]),
    (Rule::DivideRange, "verifier.c: nfp_bpf_check_alu, jit.c: wrp_div_imm", &[
        "dividend is not within u32 value range",
        "divisor is not constant",
        "divisor is not within u32 value range",
        "divide by negative constant is not supported",
    ]),
    (Rule::StackOffset, "verifier.c: nfp_bpf_check_stack_access", &[
        "variable ptr stack access",
        "stack access changed location was:%d is:%d",
    ]),
    (Rule::Pointer, "verifier.c: nfp_bpf_check_ptr", &["unsupported ptr type: %d"]),
    (Rule::PointerChanges, "verifier.c: nfp_bpf_check_ptr", &["ptr type changed for instruction %d -> %d"]),
    (Rule::MapStore, "verifier.c: nfp_bpf_check_ptr", &["map writes not supported"]),
    (Rule::MapOffset, "verifier.c: nfp_bpf_map_mark_used", &["map value offset is variable", "map value access out-of-bounds"]),
    (Rule::MapWord, "verifier.c: nfp_bpf_map_mark_used_one", &["map value use type conflict %s vs %s off: %u"]),
    (Rule::Counter, "verifier.c: nfp_bpf_map_update_value_ok, nfp_bpf_map_mark_used_one", &[
        "atomic counter in map value may already be initialized to non-zero value off: %u",
        "value at offset %d/%d may be non-zero, bpf_map_update_elem() is required to initialize atomic counters to zero to avoid offload endian issues",
    ]),
    (Rule::Atomic, "verifier.c: nfp_bpf_check_atomic", &[
        "atomic op not implemented: %d",
        "atomic add not to a map value pointer: %d",
        "atomic add not of a scalar: %d",
    ]),
    (Rule::Verdict, "jit.c: nfp_outro_xdp", &[]),
    (Rule::ClassifierVerdict, "verifier.c: nfp_bpf_check_exit", &[
        "unsupported exit state: %d, var_off: %s",
        "unsupported exit state: %d, imm: %llx",
    ]),
    (Rule::MapType, "offload.c: nfp_bpf_map_alloc, kernel/bpf/offload.c: bpf_map_offload_map_alloc", &["map type not supported"]),
    (Rule::MapFlags, "offload.c: nfp_bpf_map_alloc", &["map flags are not supported"]),
    (Rule::MapCount, "offload.c: nfp_bpf_map_alloc", &["too many maps for a device"]),
    (Rule::MapEntries, "offload.c: nfp_bpf_map_alloc", &["map with too many elements: %u, left: %u"]),
    (Rule::ElementSize, "offload.c: nfp_bpf_map_alloc", &[
        "map elements too large: %u, FW max element size (key+value): %u",
        "map key size %u, FW max is %u",
        "map value size %u, FW max is %u",
    ]),
    (Rule::Stack, "verifier.c: nfp_bpf_get_stack_usage, nfp_bpf_finalize", &["stack too large: program %dB > FW stack %dB", "nfp: stack too large"]),
    (Rule::Length, "jit.c: nfp_prog_push, offload.c: nfp_net_bpf_load", &["instruction limit reached (%u NFP instructions)", "program too long"]),
    (Rule::PacketSplit, "offload.c: nfp_bpf_offload_check_mtu", &[
        "BPF offload not supported with potential packet access beyond HW packet split boundary",
        "BPF offload active, potential packet access beyond hardware packet boundary",
    ]),
    (Rule::Hardening, "verifier.c: nfp_verify_insn", &["program uses extended registers - jit hardening?"]),
    (Rule::DeadCode, "verifier.c: nfp_bpf_opt_replace_insn", &[
        "branch hard wire at %d changes target %d -> %d",
        "unsupported instruction replacement %hhx -> %hhx",
        "Branch landing on removed instruction!!",
    ]),
    (Rule::Translation, "jit.c: nfp_bpf_jit", &["Translation failed with error %d (translated: %u)"]),
    (Rule::LiveReload, "offload.c: nfp_net_bpf_offload", &["FW does not support live reload"]),
    (Rule::FirmwareFailed, "offload.c: nfp_net_bpf_load, nfp_net_bpf_start", &[
        "FW command error while loading BPF",
        "FW command error while enabling BPF",
    ]),
    (Rule::Filter, "main.c: nfp_bpf_setup_tc_block_cb", &[
        "only offload of BPF classifiers supported",
        "only ETH_P_ALL supported as filter protocol",
        "only direct action with no legacy actions supported",
        "Driver supports only offload of chain 0",
        "TC offload is disabled on net device",
    ]),
];
