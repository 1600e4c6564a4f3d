//! Every word of the drivers leads to its gap.

use hoist_drivers::nic::{netdevsim, nfp};
use hoist_offload::profile::Profile;

/// A format string as it is written, with something in place of its conversions.
fn written(format: &str) -> String {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let letter = chars.by_ref().find(|c| c.is_ascii_alphabetic() && !"lhz".contains(*c));
        text.push_str(if letter == Some('s') { "map_lookup" } else { "17" });
    }
    text
}

#[test]
fn every_text_of_the_profiles_is_understood() {
    for profile in [&*nfp::PROFILE, &*netdevsim::PROFILE] {
        for (rule, citation) in &profile.rules {
            for text in &citation.texts {
                let said = written(text);
                let log = format!("3: (85) call unknown#5\n[nfp] {said}\nprocessed 4 insns");
                let dmesg = format!("[  12.3] NFP net bpf: {said}");
                for gaps in [profile.explain(&log, ""), profile.explain("", &dmesg)] {
                    let codes: Vec<&str> = gaps.iter().map(|gap| gap.code.as_str()).collect();
                    assert_eq!(codes, [rule.code()], "{}: {said}", profile.name);
                    assert!(gaps[0].message.contains(&said), "{}", gaps[0].message);
                }
            }
        }
    }
}

/// What cards and the simulator were seen to say, and drivers' words from their source.
#[test]
fn words_that_were_seen() {
    let nfp: &Profile = &nfp::PROFILE;
    let simulator: &Profile = &netdevsim::PROFILE;
    for (profile, said, code) in [
        (nfp, "[nfp] unsupported function id: 23", "card-helper"),
        (nfp, "[nfp] instruction 0x97 not supported", "card-instruction"),
        (nfp, "[nfp] map_update: not supported by FW", "card-firmware"),
        (nfp, "[nfp] event_output: not supported by FW", "card-firmware"),
        (nfp, "[nfp] map_update: unaligned stack pointer 7", "card-helper-argument"),
        (nfp, "[nfp] unsupported ptr type: 12", "card-pointer"),
        (nfp, "[nfp] event_output: unsupported ptr type: 12", "card-helper-argument"),
        (nfp, "[nfp] multiplicand is not within u32 value range", "card-multiply-range"),
        (
            nfp,
            "[nfp] sign extended multiplicand won't be within u32 value range",
            "card-multiply-range",
        ),
        (nfp, "[nfp] stack too large: program 192B > FW stack 128B", "card-stack"),
        (
            nfp,
            "nfp 0000:02:00.0: Translation failed with error -95 (translated: 3)",
            "card-translation",
        ),
        (nfp, "NFP net bpf: map type not supported", "card-map-type"),
        (nfp, "NFP net bpf: map with too many elements: 65536, left: 1024", "card-map-entries"),
        (nfp, "nfp: FW does not support live reload", "card-live-reload"),
        (nfp, "offload device mismatch between prog and map", "card-bound-elsewhere"),
        (nfp, "no direct value access support for this map type", "card-global-data"),
        (nfp, "metadata kfuncs can't be offloaded", "card-kfunc"),
        (
            simulator,
            "netdevsim: netdevsim configured to reject BPF TC offload",
            "card-simulated-refusal",
        ),
        (
            simulator,
            "netdevsim: netdevsim configured to reject unbound programs",
            "card-simulated-refusal",
        ),
        (simulator, "netdevsim: XDP offload disabled in DebugFS.", "card-simulated-refusal"),
        (simulator, "netdevsim: driver XDP disabled in DebugFS", "card-simulated-refusal"),
        (simulator, "netdevsim: offloading program in bad state", "card-simulated-refusal"),
        (simulator, "netdevsim: program bound to a different device", "card-bound-elsewhere"),
        (simulator, "netdevsim: xdpoffload of non-bound program", "card-bound-elsewhere"),
        (simulator, "netdevsim: attempt to load offloaded prog to drv", "card-bound-elsewhere"),
        (simulator, "netdevsim: driver and netdev offload states mismatch", "card-busy"),
        (simulator, "netdevsim: TC program is already loaded", "card-busy"),
        (simulator, "netdevsim: only offload of BPF classifiers supported", "card-filter"),
        (simulator, "netdevsim: only ETH_P_ALL supported as filter protocol", "card-filter"),
        (simulator, "TC offload is disabled on net device", "card-filter"),
        (simulator, "Driver supports only offload of chain 0", "card-filter"),
    ] {
        let codes: Vec<String> = profile.explain(said, "").into_iter().map(|g| g.code).collect();
        assert_eq!(codes, [code], "{said}");
    }
    assert!(simulator.explain("[netdevsim] Hello from netdevsim!", "").is_empty());
}
