//! What the programs that come with hoist need, in full.
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::requirements::{Feature, LimitKind, Need, Requirement, Requirements, Strength};
use hoist_bpf::{analysis, names, parse::Selector, programs};

/// Every requirement of every program, but for how long code and maps are. `?` marks *may*.
const EXPECTED: [(&str, &str); 23] = [
    ("acl", "atomic-add bpf_map_lookup_elem rules=hash stack-bytes=16 v3 ctx.data ctx.data-end"),
    ("bytes", "bpf_xdp_load_bytes bpf_xdp_store_bytes stack-bytes=48 v3"),
    (
        "count_proto",
        "map-value-write bpf_map_lookup_elem protocols=percpu_array stack-bytes=16 v3 ctx.data \
         ctx.data-end",
    ),
    ("devmap_egress", "devmap-program v3 ctx.ingress-ifindex ctx.egress-ifindex"),
    ("drop", "v3"),
    ("frags", "frags global-data atomic-add bpf_xdp_get_buff_len v3 ctx.data ctx.data-end"),
    // Sampling is switched off in .rodata: its bpf_xdp_adjust_tail is not needed.
    ("globals", "global-data atomic-full v3 ctx.data ctx.data-end"),
    (
        "ipip_decap",
        "adjust-head packet-write bpf_xdp_adjust_head stack-bytes=16 v3 ctx.data ctx.data-end",
    ),
    (
        "ipip_encap",
        "adjust-head packet-write global-data bpf_xdp_adjust_head stack-bytes=32 v3 ctx.data \
         ctx.data-end",
    ),
    (
        "loop",
        "callback global-data program-btf bpf_loop stack-bytes=16 call-depth=2 v3 ctx.data \
         ctx.data-end",
    ),
    (
        "lpm_block",
        "bpf_map_lookup_elem blocked=lpm_trie blocked|BPF_F_NO_PREALLOC stack-bytes=16 v3 ctx.data \
         ctx.data-end",
    ),
    ("meta", "metadata global-data bpf_xdp_adjust_meta v3 ctx.data ctx.data-meta"),
    ("pass", "v3"),
    ("redirect", "redirect bpf_map_lookup_elem bpf_redirect target=array stack-bytes=16 v3"),
    ("redirect_devmap", "redirect bpf_redirect_map ports=devmap ctx.rx-queue-index"),
    (
        "ringbuf",
        "global-data atomic-add bpf_ringbuf_reserve bpf_ringbuf_submit events=ringbuf v3 ctx.data \
         ctx.data-end ctx.ingress-ifindex ctx.rx-queue-index",
    ),
    (
        "rx_hash",
        "global-data atomic-add device-bound gpl-only-helper kernel-btf \
         kfunc:bpf_xdp_metadata_rx_hash stack-bytes=16 v3",
    ),
    (
        "subprog",
        "bpf-to-bpf-call global-data atomic-add stack-bytes=16 call-depth=2 v3 ctx.data \
         ctx.data-end",
    ),
    ("swap_tx", "tx packet-write stack-bytes=16 v3 ctx.data ctx.data-end"),
    (
        "tail_call",
        "tail-call map-value-write bpf_map_lookup_elem bpf_tail_call next=prog_array \
         seen=percpu_array stack-bytes=16 v3 ctx.data ctx.data-end",
    ),
    ("tail_shrink", "adjust-tail global-data bpf_xdp_adjust_tail v3 ctx.data ctx.data-end"),
    (
        "vlan_pop",
        "adjust-head packet-write bpf_xdp_adjust_head stack-bytes=16 v3 ctx.data ctx.data-end",
    ),
    (
        "vlan_push",
        "adjust-head packet-write global-data bpf_xdp_adjust_head stack-bytes=16 v3 ctx.data \
         ctx.data-end",
    ),
];

fn kebab(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn word(requirement: &Requirement) -> String {
    let map = requirement.map.as_deref().unwrap_or_default();
    let word = match &requirement.need {
        Need::Feature(feature) => kebab(feature),
        Need::Helper(id) => names::helper(*id),
        Need::Kfunc(name) => format!("kfunc:{name}"),
        Need::MapType(kind) => format!("{map}={}", names::map_type(*kind)),
        Need::MapFlag(flag) => format!("{map}|{}", names::map_flag(*flag)),
        Need::Limit(kind, value) => format!("{}={value}", kebab(kind)),
        Need::Isa(version) => format!("v{version}"),
        Need::ContextField(field) => format!("ctx.{}", kebab(field)),
    };
    if requirement.strength == Strength::May { format!("{word}?") } else { word }
}

fn load(name: &str) -> (Module, ProgramId) {
    let prebuilt = programs::get(name).unwrap();
    let module = Module::parse(name, prebuilt.object).unwrap();
    let program = Some(prebuilt.program());
    let id = module.select(&Selector { program, section: None }).unwrap();
    (module, id)
}

fn needs(name: &str) -> Requirements {
    let (module, id) = load(name);
    analysis::requirements(&module, id)
}

#[test]
fn each_program_needs_what_it_was_written_to_need() {
    let sizes = |kind| !matches!(kind, LimitKind::StackBytes | LimitKind::CallDepth);
    for (name, expected) in EXPECTED {
        let words: Vec<String> = needs(name)
            .items
            .iter()
            .filter(|r| !matches!(r.need, Need::Limit(kind, _) if sizes(kind)))
            .map(word)
            .collect();
        assert_eq!(words.join(" "), expected, "{name}");
    }
    let listed: Vec<_> = programs::LIST.iter().map(|p| p.name).collect();
    assert_eq!(EXPECTED.map(|(name, _)| name).to_vec(), listed);
}

#[test]
fn sizes_are_those_of_the_largest() {
    let acl = needs("acl");
    for (kind, size) in [
        (LimitKind::Instructions, 65),
        (LimitKind::MapEntries, 65_536),
        (LimitKind::KeyBytes, 16),
        (LimitKind::ValueBytes, 16),
        // 65,536 elements of 48 + 16 + 16 bytes, and as many buckets of 16.
        (LimitKind::MapBytes, 65_536 * 96),
    ] {
        assert_eq!(acl.demand(kind), size, "{kind:?}");
    }
    assert_eq!(acl.demand(LimitKind::CallDepth), 0, "a program without calls asks for no depth");
}

#[test]
fn sites_name_the_instruction_and_its_line() {
    let needs = needs("swap_tx");
    let tx = needs.get(&Need::Feature(Feature::Tx)).unwrap();
    assert_eq!(tx.sites[0].to_string(), "xdp_swap_tx+49 (./swap_tx.bpf.c:19)");
    assert_eq!(tx.sites[0].line.as_ref().unwrap().text, "}");
    let writes = needs.get(&Need::Feature(Feature::PacketWrite)).unwrap();
    assert_eq!(writes.sites.len(), 12, "six bytes of either address");
}

#[test]
fn configuration_decides_what_is_needed() {
    let (mut module, id) = load("globals");
    let needs = |module: &Module| analysis::requirements(module, id).uses(Feature::AdjustTail);
    assert!(!needs(&module));
    let rodata = module.maps.iter_mut().find(|m| m.name == ".rodata").unwrap();
    rodata.data[0] = 1;
    assert!(needs(&module));
}
