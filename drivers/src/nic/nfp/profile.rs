//! What an Agilio card with the eBPF firmware takes, from the driver of Linux 6.12
//! (`drivers/net/ethernet/netronome/nfp/bpf`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use hoist_bpf::opcode::{X, alu, class, jmp, mode, size};
use hoist_offload::profile::{Citation, Context, Origin, Parameter, Profile, Unit, Verdicts};

/// See the module.
pub static PROFILE: LazyLock<Profile> = LazyLock::new(profile);

const SOURCE: &str = "Linux 6.12, drivers/net/ethernet/netronome/nfp/bpf";

fn profile() -> Profile {
    let about = "Netronome and Corigine Agilio with the eBPF firmware";
    let mut profile = Profile::kernel("nfp", about, SOURCE);
    profile.opcodes = Some(opcodes());
    profile.helpers = Some(helpers());
    profile.context = Context {
        // mem_ldx_xdp: data, data_end.
        xdp_reads: BTreeSet::from([0, 4]),
        // mem_ldx_skb: len, data, data_end.
        classifier_reads: BTreeSet::from([0, 76, 80]),
        // nfp_bpf_check_store: rx_queue_index.
        xdp_writes: BTreeMap::from([(16, "queue_select".to_owned())]),
    };
    profile.verdicts = Verdicts {
        xdp_most: Some(3),
        // nfp_bpf_check_exit: TC_ACT_SHOT, TC_ACT_STOLEN, TC_ACT_QUEUED.
        classifier: Some(BTreeSet::from([2, 4, 5])),
    };
    // STACK_FRAME_ALIGN; nfp_bpf_finalize: REG_WIDTH, and BPF_REG_SIZE * 4.
    profile.frame_bytes = Some(64);
    profile.call_bytes = (4, 32);
    for &(rule, place, texts) in super::rules::RULES {
        // What the kernel says of a rule counts besides what the driver says.
        let mut citation = Citation::new(place, texts);
        if let Some(kernel) = profile.rules.get(&rule) {
            citation.texts.extend(kernel.texts.iter().cloned());
        }
        profile.rules.insert(rule, citation);
    }
    profile.parameters = parameters();
    profile
}

/// `instr_cb` of jit.c.
fn opcodes() -> BTreeSet<u8> {
    let mut codes = BTreeSet::new();
    for class in [class::ALU, class::ALU64] {
        for op in [
            alu::MOV,
            alu::XOR,
            alu::AND,
            alu::OR,
            alu::ADD,
            alu::SUB,
            alu::MUL,
            alu::DIV,
            alu::LSH,
            alu::RSH,
            alu::ARSH,
        ] {
            codes.extend([class | op, class | op | X]);
        }
        codes.insert(class | alu::NEG);
    }
    // To big-endian alone.
    codes.insert(class::ALU | alu::END | X);
    codes.insert(class::LD | mode::IMM | size::DW);
    for size in [size::B, size::H, size::W] {
        codes.extend([class::LD | mode::ABS | size, class::LD | mode::IND | size]);
    }
    for size in [size::B, size::H, size::W, size::DW] {
        codes.extend([class::LDX, class::ST, class::STX].map(|class| class | mode::MEM | size));
    }
    codes.extend([size::W, size::DW].map(|size| class::STX | mode::ATOMIC | size));
    for class in [class::JMP, class::JMP32] {
        for op in [
            jmp::JEQ,
            jmp::JGT,
            jmp::JGE,
            jmp::JSET,
            jmp::JNE,
            jmp::JSGT,
            jmp::JSGE,
            jmp::JLT,
            jmp::JLE,
            jmp::JSLT,
            jmp::JSLE,
        ] {
            codes.extend([class | op, class | op | X]);
        }
    }
    codes.extend([jmp::JA, jmp::CALL, jmp::EXIT].map(|op| class::JMP | op));
    codes
}

/// `nfp_bpf_check_helper_call`: number, and the ability of the firmware that it needs.
fn helpers() -> BTreeMap<u32, Option<String>> {
    let needs = [
        (1, "map_lookup"),
        (2, "map_update"),
        (3, "map_delete"),
        (7, "random"),
        (25, "perf_event_output"),
        (44, "adjust_head"),
        (65, "adjust_tail"),
    ];
    needs.into_iter().map(|(number, name)| (number, Some(name.to_owned()))).collect()
}

/// Name, what it is, what is counted, value, how known, source.
type Row = (&'static str, &'static str, Unit, Option<u64>, Origin, &'static str);

/// The numbers of the firmware. No file of the system tells them: a card is asked by trial.
#[rustfmt::skip]
const PARAMETERS: &[Row] = &[
    ("max_instructions", "instructions of the card, several for one of the program", Unit::Count, None, Origin::Unknown, "NFP_NET_CFG_BPF_MAX_LEN, 16 bits (offload.c: nfp_bpf_translate)"),
    ("stack_bytes", "stack", Unit::Bytes, None, Origin::Unknown, "NFP_NET_CFG_BPF_STACK_SZ, in units of 64 bytes (verifier.c: nfp_bpf_finalize)"),
    ("packet_split_bytes", "first bytes of a frame that the program sees", Unit::Bytes, None, Origin::Unknown, "NFP_NET_CFG_BPF_INL_MTU * 64 - 32 (offload.c: nfp_bpf_offload_check_mtu)"),
    ("max_maps", "maps of all programs on the card", Unit::Count, None, Origin::Unknown, "capability MAPS: max_maps (main.c: nfp_bpf_parse_cap_maps)"),
    ("max_elements", "map entries of all programs on the card", Unit::Count, None, Origin::Unknown, "capability MAPS: max_elems (main.c: nfp_bpf_parse_cap_maps)"),
    ("max_element_bytes", "key and value of a map, each rounded up to 8 bytes", Unit::Bytes, Some(64), Origin::Assumed, "libkefir's notes on hardware offload: 64 bytes per entry"),
    ("max_key_bytes", "key of a map", Unit::Bytes, Some(64), Origin::Assumed, "16 words in a control message of ABI 2 (fw.h: CMSG_MAP_KEY_LW)"),
    ("max_value_bytes", "value of a map", Unit::Bytes, Some(64), Origin::Assumed, "16 words in a control message of ABI 2 (fw.h: CMSG_MAP_VALUE_LW)"),
    ("map_lookup", "bpf_map_lookup_elem", Unit::Bool, None, Origin::Unknown, "capability FUNC (main.c: nfp_bpf_parse_cap_func)"),
    ("map_update", "bpf_map_update_elem", Unit::Bool, None, Origin::Unknown, "capability FUNC (main.c: nfp_bpf_parse_cap_func)"),
    ("map_delete", "bpf_map_delete_elem", Unit::Bool, None, Origin::Unknown, "capability FUNC (main.c: nfp_bpf_parse_cap_func)"),
    ("perf_event_output", "bpf_perf_event_output", Unit::Bool, None, Origin::Unknown, "capability FUNC (main.c: nfp_bpf_parse_cap_func)"),
    ("adjust_head", "bpf_xdp_adjust_head, without metadata to shift", Unit::Bool, None, Origin::Unknown, "capability ADJUST_HEAD (main.c: nfp_bpf_parse_cap_adjust_head)"),
    ("adjust_tail", "bpf_xdp_adjust_tail, to shrink", Unit::Bool, None, Origin::Unknown, "capability ADJUST_TAIL (main.c: nfp_bpf_parse_cap_adjust_tail)"),
    ("random", "bpf_get_prandom_u32", Unit::Bool, None, Origin::Unknown, "capability RANDOM (main.c: nfp_bpf_parse_cap_random)"),
    ("queue_select", "stores to rx_queue_index", Unit::Bool, None, Origin::Unknown, "capability QUEUE_SELECT (main.c: nfp_bpf_parse_cap_qsel)"),
    ("live_reload", "replacing a running program", Unit::Bool, None, Origin::Unknown, "NFP_NET_BPF_CAP_RELO (offload.c: nfp_net_bpf_offload)"),
    ("loops", "jumps backwards", Unit::Bool, Some(0), Origin::Assumed, "the driver neither refuses nor mentions them; nobody has seen them run"),
    ("zero_stores_seen", "a verifier that marks stored zeroes as zero", Unit::Bool, Some(0), Origin::Assumed, "Linux 6.12 (kernel/bpf/verifier.c: check_stack_write_fixed_off); yes before Linux 6.8"),
];

fn parameters() -> BTreeMap<String, Parameter> {
    let row = |&(name, about, unit, value, origin, source): &Row| {
        let (about, source) = (about.to_owned(), source.to_owned());
        (name.to_owned(), Parameter { about, unit, value, origin, source })
    };
    PARAMETERS.iter().map(row).collect()
}
