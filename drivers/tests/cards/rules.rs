//! Each rule of nfp, broken and kept.

use hoist_bpf::insn::Insn;
use hoist_bpf::module::{Map, ProgramId};
use hoist_drivers::nic::{netdevsim, nfp};
use hoist_offload::profile::{Parameters, Profile, Rule};

use crate::assemble::{EXIT, add, array, call, copy, i, lookup, map, module, mov};

/// Parameters that are given.
type Said<'a> = &'a [(&'a str, u64)];
/// Codes that are expected.
type Codes<'a> = &'a [&'a str];

/// The codes of the gaps, each once.
fn codes(
    profile: &Profile,
    section: &str,
    code: &[Insn],
    map: Map,
    said: &[(&str, u64)],
) -> Vec<String> {
    let parameters =
        said.iter().fold(Parameters::new(), |known, (name, value)| known.with(name, *value));
    let gaps = profile.check(&module(section, code, map), ProgramId(0), &parameters);
    for gap in &gaps {
        assert!(gap.remedy.is_some() && gap.evidence.is_some(), "{gap:?}");
    }
    let mut codes: Vec<String> = gaps.into_iter().map(|gap| gap.code).collect();
    codes.dedup();
    codes
}

/// Instructions and the end: pass.
fn ends(parts: &[&[Insn]]) -> Vec<Insn> {
    let mut code = parts.concat();
    code.extend([mov(0, 2), EXIT]);
    code
}

/// With a value of the map in `r0` first.
fn found(parts: &[Insn]) -> Vec<Insn> {
    ends(&[&lookup(), parts])
}

#[test]
fn instructions() {
    let load = |dst, src, off| i(0x79, dst, src, off, 0);
    let add64 = |off| i(0xdb, 0, 1, off, 0);
    let cases: Vec<(&str, Vec<Insn>, Said<'_>, Codes<'_>)> = vec![
        ("pass", ends(&[]), &[], &[]),
        ("redirect", vec![mov(0, 4), EXIT], &[], &["card-verdict"]),
        ("modulo", ends(&[&[mov(1, 9), i(0x97, 1, 0, 0, 3)]]), &[], &["card-instruction"]),
        (
            "to little-endian",
            ends(&[&[mov(1, 9), i(0xd4, 1, 0, 0, 16)]]),
            &[],
            &["card-instruction"],
        ),
        ("to big-endian", ends(&[&[mov(1, 9), i(0xdc, 1, 0, 0, 16)]]), &[], &[]),
        (
            "never reached",
            vec![mov(0, 2), i(0x05, 0, 0, 1, 0), i(0x97, 0, 0, 0, 3), EXIT],
            &[],
            &[],
        ),
        (
            "sign-extending move",
            ends(&[&[mov(2, 9), i(0xbf, 1, 2, 8, 0)]]),
            &[],
            &["card-misreads-instruction"],
        ),
        (
            "signed division",
            ends(&[&[mov(1, 9), i(0x37, 1, 0, 1, 3)]]),
            &[],
            &["card-misreads-instruction"],
        ),
        (
            "address cast",
            ends(&[&[mov(2, 9), i(0xbf, 1, 2, 1, 1)]]),
            &[],
            &["card-misreads-instruction"],
        ),
        ("stored constant", ends(&[&[i(0x62, 10, 0, -4, 0)]]), &[], &["card-store-constant"]),
        ("clock", ends(&[&[call(5)]]), &[], &["card-helper"]),
        ("adjust_head", ends(&[&[mov(2, 4), call(44)]]), &[], &[]),
        (
            "adjust_head, not there",
            ends(&[&[mov(2, 4), call(44)]]),
            &[("adjust_head", 0)],
            &["card-firmware"],
        ),
        ("ifindex", ends(&[&[i(0x61, 2, 1, 12, 0)]]), &[], &["card-context-field"]),
        ("data, two bytes", ends(&[&[i(0x69, 2, 1, 0, 0)]]), &[], &["card-context-field"]),
        ("queue", ends(&[&[mov(2, 1), i(0x63, 1, 2, 16, 0)]]), &[], &[]),
        (
            "queue, not there",
            ends(&[&[mov(2, 1), i(0x63, 1, 2, 16, 0)]]),
            &[("queue_select", 0)],
            &["card-firmware"],
        ),
        (
            "stored to the context",
            ends(&[&[mov(2, 1), i(0x63, 1, 2, 0, 0)]]),
            &[],
            &["card-context-store"],
        ),
        (
            "metadata",
            ends(&[&[i(0x61, 2, 1, 8, 0), i(0x71, 3, 2, 0, 0)]]),
            &[],
            &["card-context-field", "card-pointer"],
        ),
        (
            "times 64 bits",
            found(&[load(1, 0, 0), i(0x27, 1, 0, 0, 3)]),
            &[],
            &["card-multiply-range"],
        ),
        ("times 32 bits", found(&[i(0x61, 1, 0, 0, 0), i(0x27, 1, 0, 0, 3)]), &[], &[]),
        (
            "times, compared",
            found(&[load(1, 0, 0), i(0x25, 1, 0, 1, 99), i(0x27, 1, 0, 0, 3)]),
            &[],
            &[],
        ),
        (
            "a copy compared",
            found(&[load(1, 0, 0), copy(2, 1), i(0x25, 2, 0, 1, 99), i(0x27, 1, 0, 0, 3)]),
            &[],
            &[],
        ),
        (
            "times a negative",
            ends(&[&[mov(1, 9), i(0x27, 1, 0, 0, -3)]]),
            &[],
            &["card-multiply-range"],
        ),
        ("times a negative, 32 bits", ends(&[&[mov(1, 9), i(0x24, 1, 0, 0, -3)]]), &[], &[]),
        (
            "by what is loaded",
            found(&[i(0x61, 1, 0, 0, 0), mov(2, 9), i(0x3f, 2, 1, 0, 0)]),
            &[],
            &["card-divide-range"],
        ),
        ("by a constant", found(&[i(0x61, 1, 0, 0, 0), mov(2, 9), i(0x3f, 1, 2, 0, 0)]), &[], &[]),
        (
            "by zero",
            found(&[i(0x61, 1, 0, 0, 0), mov(2, 0), i(0x3f, 1, 2, 0, 0)]),
            &[],
            &["card-divide-range"],
        ),
        (
            "64 bits by a constant",
            found(&[load(1, 0, 0), i(0x37, 1, 0, 0, 3)]),
            &[],
            &["card-divide-range"],
        ),
        (
            "stack at a loaded offset",
            found(&[
                i(0x61, 1, 0, 0, 0),
                i(0x57, 1, 0, 0, 4),
                copy(2, 10),
                i(0x0f, 2, 1, 0, 0),
                load(3, 2, -16),
            ]),
            &[],
            &["card-stack-offset"],
        ),
        (
            "packet or stack",
            found(&[
                copy(2, 10),
                i(0x61, 3, 0, 0, 0),
                i(0x15, 3, 0, 1, 0),
                copy(2, 0),
                load(4, 2, -8),
            ]),
            &[],
            &["card-pointer-changes"],
        ),
        ("stored to a value", found(&[mov(1, 1), i(0x7b, 0, 1, 0, 0)]), &[], &["card-map-store"]),
        (
            "value at a loaded offset",
            found(&[
                i(0x61, 1, 0, 0, 0),
                i(0x57, 1, 0, 0, 4),
                i(0x0f, 0, 1, 0, 0),
                i(0x61, 2, 0, 0, 0),
            ]),
            &[],
            &["card-map-offset"],
        ),
        (
            "added and read",
            found(&[mov(1, 1), add64(0), i(0x61, 2, 0, 4, 0)]),
            &[],
            &["card-map-word"],
        ),
        ("added, another word read", found(&[mov(1, 1), add64(0), i(0x61, 2, 0, 8, 0)]), &[], &[]),
        ("added with its result", found(&[mov(1, 1), i(0xdb, 0, 1, 0, 1)]), &[], &["card-atomic"]),
        (
            "added on the stack",
            ends(&[&[mov(1, 1), i(0x7b, 10, 1, -8, 0), i(0xdb, 10, 1, -8, 0)]]),
            &[],
            &["card-atomic"],
        ),
        ("key in a value", found(&[copy(2, 0), map(1), call(1)]), &[], &["card-helper-argument"]),
        (
            "key unaligned",
            ends(&[&[mov(3, 0), i(0x7b, 10, 3, -8, 0), copy(2, 10), add(2, -7), map(1), call(1)]]),
            &[],
            &["card-helper-argument"],
        ),
        (
            "event to CPU 0",
            ends(&[&[map(2), mov(3, 0), copy(4, 10), add(4, -8), mov(5, 8), call(25)]]),
            &[],
            &["card-event-flags"],
        ),
        (
            "event",
            ends(&[&[map(2), i(0xb4, 3, 0, 0, -1), copy(4, 10), add(4, -8), mov(5, 8), call(25)]]),
            &[],
            &[],
        ),
        (
            "stack of 65 bytes",
            ends(&[&[mov(1, 0), i(0x7b, 10, 1, -72, 0)]]),
            &[("stack_bytes", 64)],
            &["card-stack"],
        ),
        (
            "stack of 64 bytes",
            ends(&[&[mov(1, 0), i(0x7b, 10, 1, -64, 0)]]),
            &[("stack_bytes", 64)],
            &[],
        ),
        ("too long", ends(&[&[mov(1, 0)]]), &[("max_instructions", 2)], &["card-program-length"]),
        (
            "far into the frame",
            ends(&[&[i(0x61, 2, 1, 0, 0), load(3, 2, 100)]]),
            &[("packet_split_bytes", 96)],
            &["card-packet-split"],
        ),
        (
            "far, and shown",
            ends(&[&[i(0x61, 2, 1, 0, 0), load(3, 2, 100)]]),
            &[("packet_split_bytes", 107)],
            &[],
        ),
        ("loop", ends(&[&[mov(1, 9), add(1, -1), i(0x55, 1, 0, -2, 0)]]), &[], &["card-loop"]),
        (
            "loop, said to run",
            ends(&[&[mov(1, 9), add(1, -1), i(0x55, 1, 0, -2, 0)]]),
            &[("loops", 1)],
            &[],
        ),
    ];
    for (name, code, said, expected) in cases {
        assert_eq!(codes(&nfp::PROFILE, "xdp", &code, array(), said), expected, "{name}");
    }
}

/// An entry is created, then counted in.
#[test]
fn counters_begin_at_zero() {
    let created = |value: i32| {
        let mut code = vec![
            mov(3, 0),
            i(0x63, 10, 3, -4, 0),
            mov(3, value),
            i(0x7b, 10, 3, -24, 0),
            i(0x7b, 10, 3, -16, 0),
            copy(2, 10),
            add(2, -4),
            copy(3, 10),
            add(3, -24),
            mov(4, 0),
            map(1),
            call(2),
        ];
        code.extend(found(&[mov(1, 1), i(0xdb, 0, 1, 0, 0)]));
        code
    };
    for (value, seen, expected) in
        [(0, 0, &["card-counter-not-zero"][..]), (0, 1, &[]), (7, 1, &["card-counter-not-zero"])]
    {
        let said = [("zero_stores_seen", seen)];
        let found = codes(&nfp::PROFILE, "xdp", &created(value), array(), &said);
        assert_eq!(found, expected, "{value} {seen}");
    }
}

#[test]
fn maps_and_sections() {
    let with = |change: fn(&mut Map)| {
        let mut map = array();
        change(&mut map);
        map
    };
    let cases: [(&str, Map, Said<'_>, Codes<'_>, Codes<'_>); 9] = [
        ("array", array(), &[], &[], &[]),
        ("hash", with(|m| m.kind = 1), &[], &[], &[]),
        ("LRU", with(|m| m.kind = 9), &[], &["card-map-type"], &["card-map-type"]),
        ("flags", with(|m| m.flags = 1), &[], &["card-map-flags"], &["card-map-flags"]),
        ("node", with(|m| m.numa_node = Some(0)), &[], &["card-map-flags"], &["card-map-flags"]),
        ("three entries", with(|m| m.max_entries = 3), &[], &[], &["card-map-entries"]),
        (
            "too many",
            with(|m| m.max_entries = 9),
            &[("max_elements", 8)],
            &["card-map-entries"],
            &["card-map-entries"],
        ),
        ("none", array(), &[("max_maps", 0)], &["card-map-count"], &[]),
        ("large", with(|m| m.value_size = 64), &[], &["card-element-size"], &[]),
    ];
    for (name, map, said, on_nfp, on_netdevsim) in cases {
        let code = found(&[]);
        assert_eq!(codes(&nfp::PROFILE, "xdp", &code, map.clone(), said), on_nfp, "{name}");
        assert_eq!(codes(&netdevsim::PROFILE, "xdp", &code, map, &[]), on_netdevsim, "{name}");
    }
    let returns = |verdict| vec![mov(0, verdict), EXIT];
    let computed = vec![i(0x61, 0, 1, 0, 0), EXIT];
    for (section, code, expected) in [
        ("xdp.frags", returns(2), &["card-frags"][..]),
        ("xdp/devmap", returns(2), &["card-program-type"]),
        ("kprobe/x", returns(2), &["card-program-type"]),
        ("tc", returns(2), &[]),
        ("tc", returns(-1), &[]),
        ("tc", returns(0), &["card-classifier-verdict"]),
        ("classifier/x", computed, &["card-classifier-verdict"]),
    ] {
        assert_eq!(codes(&nfp::PROFILE, section, &code, array(), &[]), expected, "{section}");
    }
}

/// netdevsim takes what the verifier takes.
#[test]
fn the_simulator_takes_what_a_card_does_not() {
    let code = ends(&[&[mov(1, 9), i(0x97, 1, 0, 0, 3), i(0x37, 1, 0, 1, 3), call(5)]]);
    assert!(codes(&netdevsim::PROFILE, "xdp", &code, array(), &[]).is_empty());
}

#[test]
fn profiles_are_written_and_read() {
    for profile in [&*nfp::PROFILE, &*netdevsim::PROFILE] {
        let text = serde_json::to_string(profile).unwrap();
        assert_eq!(&Profile::from_json(&text).unwrap(), profile);
        let (wrong, other) =
            (text.replace("profile.v1", "profile.v9"), text.replace("card-frags", "frags"));
        assert!(Profile::from_json(&wrong).is_err() && Profile::from_json(&other).is_err());
    }
    let cited = nfp::PROFILE.rules.iter().filter(|(rule, _)| **rule != Rule::Simulated);
    assert!(cited.clone().all(|(_, citation)| citation.source.contains(".c: ")));
}
