//! The kernel's simulated NIC. It takes native programs of up to an MTU of 4000; before Linux 6.15 it never
//! runs them.

use std::sync::LazyLock;

use hoist_offload::When;
use hoist_offload::device::XdpFeatures as X;
use hoist_offload::profile::{Citation, Origin, Parameter, Profile, Rule as ProfileRule, Unit};

use crate::rules::{Nic, Offloading, Rule};
use crate::table::Reports;

/// See the module.
pub static DRIVER: Offloading = Offloading { nic: NIC, profile: || &PROFILE };

const NIC: Nic = Nic {
    name: "netdevsim",
    aliases: &[],
    since: "4.16",
    source: "drivers/net/netdevsim/bpf.c: nsim_xdp_set_prog",
    reports: Reports::always(&[X::HW_OFFLOAD]),
    rules: &[
        Rule::Mtu(4000, When::Always),
        Rule::NeverExecutes(
            "nsim_bpf_verify_insn and nsim_bpf_translate keep nothing of the program",
        ),
        Rule::Note(
            "simulated",
            "netdevsim is no NIC: kernels before 6.15 attach native programs to it and never run them",
            When::Always,
        ),
        Rule::OffloadNote(
            "simulated",
            "netdevsim is no NIC: it keeps programs and maps and never runs the programs",
        ),
    ],
};

/// What it takes when it stands in for a card: every program that the verifier takes, and maps of two
/// entries. That it takes a program says nothing about a card.
pub static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let source = "Linux 6.12, drivers/net/netdevsim/bpf.c";
    let mut profile =
        Profile::kernel("netdevsim", "the kernel's simulated NIC, which runs nothing", source);
    for &(rule, place, texts) in RULES {
        profile.rules.insert(rule, Citation::new(place, texts));
    }
    profile.parameters.insert(
        "max_map_entries".to_owned(),
        Parameter {
            about: "entries of a map".to_owned(),
            unit: Unit::Count,
            value: Some(2),
            origin: Origin::Assumed,
            source: "the module as it is in the kernel: NSIM_BPF_MAX_KEYS".to_owned(),
        },
    );
    profile
});

/// Rule, function, words.
const RULES: &[(ProfileRule, &str, &[&str])] = &[
    (ProfileRule::MapEntries, "nsim_bpf_map_alloc", &[]),
    (ProfileRule::MapFlags, "nsim_bpf_map_alloc", &[]),
    (
        ProfileRule::Busy,
        "nsim_bpf_setup_tc_block_cb, nsim_setup_prog_checks",
        &["driver and netdev offload states mismatch", "TC program is already loaded"],
    ),
    (
        ProfileRule::BoundElsewhere,
        "nsim_setup_prog_hw_checks",
        &[
            "program bound to a different device",
            "xdpoffload of non-bound program",
            "attempt to load offloaded prog to drv",
            "offload device mismatch between prog and map",
            "Program bound to different device",
            "Program is bound to a different device",
            "Program is not bound to every device in the block",
        ],
    ),
    (
        ProfileRule::Filter,
        "nsim_bpf_setup_tc_block_cb",
        &[
            "only offload of BPF classifiers supported",
            "only ETH_P_ALL supported as filter protocol",
            "Driver supports only offload of chain 0",
            "TC offload is disabled on net device",
        ],
    ),
    (
        ProfileRule::Simulated,
        "nsim_bpf_setup_tc_block_cb, nsim_setup_prog_hw_checks (knobs under debugfs)",
        &[
            "netdevsim configured to reject BPF TC offload",
            "netdevsim configured to reject unbound programs",
            "driver XDP disabled in DebugFS",
            "XDP offload disabled in DebugFS",
            "offloading program in bad state",
        ],
    ),
];
