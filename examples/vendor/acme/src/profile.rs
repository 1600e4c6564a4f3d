//! What ACME's cards take of a program, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use hoist_offload::profile::{
    Citation, Context, Maps, Origin, Parameter, Profile, Rule, Unit, Verdicts,
};

/// `BPF_MAP_TYPE_HASH`, `..._ARRAY`, `..._PERCPU_HASH`, `..._PERCPU_ARRAY`.
const MAP_TYPES: [u32; 4] = [1, 2, 5, 6];

/// `bpf_map_lookup_elem`, `..._update_elem`, `..._delete_elem`, `bpf_ktime_get_ns`,
/// `bpf_get_smp_processor_id`, `bpf_xdp_adjust_head`.
const HELPERS: [u32; 6] = [1, 2, 3, 5, 8, 44];

/// Each rule with its function in the driver, and what the driver writes when it is broken.
const RULES: [(Rule, &str, &[&str]); 5] = [
    (Rule::Frags, "acme/xdp.c: acme_xdp_setup", &["acme: one buffer per frame"]),
    (Rule::Helper, "acme/verify.c: acme_check_call", &["acme: no helper %d"]),
    (Rule::MapType, "acme/map.c: acme_map_alloc", &["acme: no maps of type %d"]),
    (Rule::MapEntries, "acme/map.c: acme_map_alloc", &["acme: %d entries are too many"]),
    (Rule::Length, "acme/verify.c: acme_prepare", &["acme: %d instructions are too many"]),
];

/// See the module.
pub static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile {
    schema: Profile::SCHEMA.to_owned(),
    name: "acme".to_owned(),
    about: "ACME cards with firmware 4".to_owned(),
    source: "acme driver 4.20".to_owned(),
    opcodes: None,
    helpers: Some(HELPERS.into_iter().map(|helper| (helper, None)).collect()),
    context: Context::default(),
    maps: Maps { on_card: BTreeSet::from(MAP_TYPES), on_host: BTreeSet::new(), flags: 0 },
    verdicts: Verdicts::default(),
    frame_bytes: None,
    call_bytes: (0, 0),
    rules: RULES.into_iter().map(|(rule, at, says)| (rule, Citation::new(at, says))).collect(),
    parameters: BTreeMap::from([
        number("max_instructions", "instructions of a program", 4096),
        number("max_map_entries", "entries of all maps of a program", 65_536),
    ]),
});

fn number(name: &str, about: &str, value: u64) -> (String, Parameter) {
    let parameter = Parameter {
        about: about.to_owned(),
        unit: Unit::Count,
        value: Some(value),
        origin: Origin::Known,
        source: "ACME programmer's manual, 3.2".to_owned(),
    };
    (name.to_owned(), parameter)
}
