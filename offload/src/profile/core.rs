//! What the kernel itself asks of every offloaded program and map, whatever the card.

use std::collections::BTreeSet;

use super::{Citation, Maps, Profile, Rule};

/// `BPF_MAP_TYPE_HASH`, `BPF_MAP_TYPE_ARRAY`.
const ON_CARD: [u32; 2] = [1, 2];
/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`: `bpf_map_offload_neutral`.
const ON_HOST: [u32; 1] = [4];

/// Rule, place, texts.
const RULES: &[(Rule, &str, &[&str])] = &[
    (Rule::ProgramType, "kernel/bpf/offload.c: bpf_prog_dev_bound_init", &[]),
    (Rule::Frags, "kernel/bpf/offload.c: bpf_prog_dev_bound_init", &[]),
    (
        Rule::Kfunc,
        "kernel/bpf/offload.c: bpf_dev_bound_kfunc_check",
        &["metadata kfuncs can't be offloaded", "metadata kfuncs require device-bound program"],
    ),
    (Rule::MapType, "kernel/bpf/offload.c: bpf_map_offload_map_alloc", &[]),
    (
        Rule::GlobalData,
        "kernel/bpf/verifier.c: resolve_pseudo_ldimm64",
        &["no direct value access support for this map type"],
    ),
    (
        Rule::BoundElsewhere,
        "kernel/bpf/verifier.c: check_map_prog_compatibility",
        &[
            "offload device mismatch between prog and map",
            "Program bound to different device",
            "Program is bound to a different device",
            "Program is not bound to every device in the block",
        ],
    ),
];

/// A profile with these rules.
pub(super) fn profile(name: &str, about: &str, source: &str) -> Profile {
    let rules =
        RULES.iter().map(|&(rule, place, texts)| (rule, Citation::new(place, texts))).collect();
    Profile {
        schema: Profile::SCHEMA.to_owned(),
        name: name.to_owned(),
        about: about.to_owned(),
        source: source.to_owned(),
        opcodes: None,
        helpers: None,
        context: super::Context::default(),
        maps: Maps { on_card: BTreeSet::from(ON_CARD), on_host: BTreeSet::from(ON_HOST), flags: 0 },
        verdicts: super::Verdicts::default(),
        frame_bytes: None,
        call_bytes: (0, 0),
        rules,
        parameters: std::collections::BTreeMap::new(),
    }
}
