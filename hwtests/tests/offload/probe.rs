//! What a probe finds out, against what is known of the device: the driver's source, and the knobs.

use std::collections::BTreeMap;

use hoist_hwtests::require;
use hoist_offload::host::{Finding, Limit, LinuxHost, OffloadReport};
use hoist_offload::{Answer, Device, Host};

use super::support::{Nic, kernel, registry};

/// What hoist asks of a device with its knobs as they are; nothing stays in it.
fn probed(nic: &Nic) -> Device {
    let host = LinuxHost::new(kernel()).without_cache();
    let mut device = nic.device();
    device.offload = host.offload(&device).unwrap();
    device.offload_report = host.offload_report(&device).unwrap();
    registry().refine_offload(&mut device);
    nic.empty();
    device
}

fn report(device: &Device) -> &OffloadReport {
    device.offload_report.as_ref().expect("it is an offload device")
}

/// The first two numbers of the kernel's version.
fn version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.trim().parse().unwrap_or_default());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A fact as `xdp/helpers/bpf_csum_diff`, `hash/entries` or `xdp/limits/stack-bytes`.
fn words(device: &Device, fact: &str) -> String {
    let report = report(device);
    let of = |findings: &BTreeMap<String, Finding>, name: &str| {
        let found = findings.get(name).unwrap_or_else(|| panic!("no {fact}"));
        format!("{:?}: {}", found.answer, found.evidence.detail)
    };
    let limit = |limits: &BTreeMap<String, Limit>, name: &str| {
        let limit = limits.get(name).unwrap_or_else(|| panic!("no {fact}"));
        format!("{:?} {:?}: {}", limit.taken, limit.refused, limit.evidence.detail)
    };
    match *fact.split('/').collect::<Vec<_>>() {
        [map, what] => limit(&report.map_limits[map], what),
        [program, "limits", what] => limit(&report.programs[program].limits, what),
        [program, section, name] => {
            let sections = report.programs[program].sections();
            of(sections.iter().find(|(known, _)| *known == section).expect("a section").1, name)
        }
        _ => of(&device.offload, fact),
    }
}

#[track_caller]
fn expect(device: &Device, facts: &[(&str, &str)]) {
    for (fact, expected) in facts {
        let found = words(device, fact);
        assert!(found.starts_with(expected), "{fact}: {found}; expected {expected}");
    }
}

/// `nsim_bpf_map_alloc` has two places for entries and takes any key and value; `nsim_bpf_verify_insn`
/// and `nsim_bpf_translate` take every program. The card's knobs are wide open at first.
#[test]
fn an_open_device_is_found_open() {
    if !require::netdevsim("an_open_device_is_found_open") {
        return;
    }
    let nic = Nic::new(1);
    let device = probed(&nic);
    let linux = version();
    let since = |first| if linux < first { "No: the kernel's verifier: " } else { "Yes" };
    let entries = if require::netdevsim_is_card() {
        "Some(65536) None"
    } else {
        "Some(2) Some(3): 3: ENOMEM"
    };
    expect(
        &device,
        &[
            ("xdp", "Yes"),
            ("sched_cls", "Yes"),
            ("hash", "Yes"),
            ("array", "Yes"),
            ("hash/entries", entries),
            ("array/entries", entries),
            ("hash/key-bytes", "Some(512) None"),
            ("array/key-bytes", "Some(4) None"),
            ("hash/value-bytes", "Some(4096) None"),
            ("xdp/limits/stack-bytes", "Some(512) None"),
            ("sched_cls/limits/instructions", "Some(4096) None"),
            ("xdp/helpers/bpf_csum_diff", "Yes"),
            ("xdp/helpers/bpf_perf_event_output", "Yes"),
            ("xdp/helpers/bpf_get_current_comm", "No: the kernel's verifier: "),
            ("xdp/instructions/may-goto", since((6, 9))),
            ("sched_cls/instructions/sdiv64-reg", since((6, 6))),
            ("sched_cls/instructions/ld-abs16", "Yes"),
            ("xdp/atomics/cmpxchg64", "Yes"),
            ("xdp/atomics/load-acquire64", "No: the kernel's verifier: "),
            ("sched_cls/context/write mark", "Yes"),
            ("xdp/features/write-map-value-imm", "Yes"),
            ("xdp/features/host-map", "No: the kernel's verifier: offload device mismatch"),
        ],
    );
    let report = report(&device);
    assert_eq!(report.executes.answer, Answer::No, "{:?}", report.executes);
    // Whatever is not taken, the kernel itself is too old for.
    for (program, found) in &report.programs {
        for (section, findings) in found.sections() {
            if !["instructions", "context", "verdicts"].contains(&section) {
                continue;
            }
            let told = |f: &Finding| f.evidence.detail.starts_with("the kernel's verifier: ");
            let mut other = findings.iter().filter(|(_, f)| f.answer != Answer::Yes);
            assert!(other.all(|(_, f)| linux < (6, 12) && told(f)), "{program} {section}");
        }
    }
    let most = if linux < (6, 12) { 400 } else { 100 };
    assert!(
        report.facts() > 600 && report.trials < most,
        "{} by {}",
        report.facts(),
        report.trials
    );
}

/// Stages of a load at which the driver itself refuses everything.
#[test]
fn a_driver_that_refuses_all_is_told_from_others_and_where_it_does() {
    if !require::netdevsim("a_driver_that_refuses_all_is_told_from_others_and_where_it_does") {
        return;
    }
    let nic = Nic::new(1);
    let mut cases = vec![
        ("bpf_bind_accept", "xdp", "No: the driver refuses before it reads the code"),
        ("bpf_bind_verifier_accept", "sched_cls", "No: [netdevsim] Hello from netdevsim!"),
        ("ports/0/bpf_map_accept", "hash", "No: the driver refuses (BPF_MAP_CREATE: EOPNOTSUPP)"),
    ];
    if require::netdevsim_is_card() {
        let translation = "No: verified, but the driver cannot translate it";
        cases.push(("card/translate_accept", "xdp", translation));
    }
    for (knob, fact, expected) in cases {
        nic.set(knob, "N");
        let device = probed(&nic);
        nic.set(knob, "Y");
        expect(&device, &[(fact, expected)]);
        let programs = report(&device).programs.len();
        assert_eq!(programs, if fact == "hash" { 2 } else { 0 }, "{knob}");
        if fact == "hash" {
            let lookup = words(&device, "xdp/helpers/bpf_map_lookup_elem");
            assert_eq!(lookup, "Unknown: not tried: the device gives no map", "{knob}");
        } else {
            expect(&device, &[("hash", "Yes")]);
        }
    }
}

/// Every knob of the simulated card is found, by its number or in its words, and nothing else is.
#[test]
fn the_cards_knobs_are_found() {
    if !require::netdevsim_card("the_cards_knobs_are_found") {
        return;
    }
    type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);
    let nic = Nic::new(1);
    let open = probed(&nic);
    let rows: [Row; 13] = [
        (
            "helpers_refused",
            "28",
            "\n",
            &[
                ("xdp/helpers/bpf_csum_diff", "No: [netdevsim] unsupported function id: 28"),
                ("sched_cls/helpers/bpf_csum_diff", "No: [netdevsim] unsupported function id: 28"),
                ("xdp/helpers/bpf_ktime_get_ns", "Yes"),
            ],
        ),
        (
            "opcodes_refused",
            "151,219",
            "\n",
            &[
                ("xdp/instructions/mod64-imm", "No: [netdevsim] instruction 0x97 not supported"),
                ("sched_cls/atomics/add64", "No: [netdevsim] instruction 0xdb not supported"),
                ("xdp/atomics/add32", "Yes"),
                ("xdp/instructions/mod64-reg", "Yes"),
            ],
        ),
        (
            "map_store_accept",
            "N",
            "Y",
            &[
                ("xdp/features/write-map-value", "No: [netdevsim] map writes not supported"),
                ("xdp/features/write-map-value-imm", "No: [netdevsim] map writes not supported"),
                ("xdp/features/read-map-value", "Yes"),
                ("xdp/atomics/add64", "Yes"),
            ],
        ),
        // The card gives out its stack by 64 bytes: 193 to 256 bytes of a program are 256.
        (
            "stack_max",
            "200",
            "4294967295",
            &[(
                "xdp/limits/stack-bytes",
                "Some(192) Some(200): 200: [netdevsim] stack too large: program 256B > FW stack 200B",
            )],
        ),
        (
            "stack_max",
            "256",
            "4294967295",
            &[("sched_cls/limits/stack-bytes", "Some(256) Some(264)")],
        ),
        (
            "insns_max",
            "300",
            "4294967295",
            &[
                ("xdp/limits/instructions", "Some(300) Some(301)"),
                ("sched_cls/helpers/bpf_csum_diff", "Yes"),
                ("xdp/instructions/mod64-imm", "Yes"),
            ],
        ),
        (
            "map_types",
            "1",
            "1-2",
            &[
                ("hash", "Yes"),
                ("array", "No: the driver refuses (BPF_MAP_CREATE: EOPNOTSUPP)"),
                ("xdp/features/read-map-value", "Yes"),
            ],
        ),
        ("map_key_max", "16", "4294967295", &[("hash/key-bytes", "Some(16) Some(20)")]),
        (
            "map_value_max",
            "40",
            "4294967295",
            &[("hash/value-bytes", "Some(40) Some(44)"), ("array/value-bytes", "Some(40)")],
        ),
        // Less than the map has that programs are tried with.
        (
            "map_value_max",
            "28",
            "4294967295",
            &[
                ("array/value-bytes", "Some(28) Some(32)"),
                ("xdp/atomics/add64", "Unknown: not tried: the device gives no map"),
                ("xdp/instructions/mod64-imm", "Yes"),
            ],
        ),
        (
            "map_element_max",
            "72",
            "4294967295",
            &[("hash/value-bytes", "Some(64) Some(68)"), ("hash/key-bytes", "Some(64) Some(68)")],
        ),
        (
            "map_entries_max",
            "100",
            "1000000",
            &[("hash/entries", "Some(100) Some(101)"), ("array/entries", "Some(100) Some(101)")],
        ),
        (
            "maps_max",
            "0",
            "4294967295",
            &[("hash", "Unknown"), ("xdp/instructions/mod64-imm", "Yes")],
        ),
    ];
    for (knob, value, wide, facts) in rows {
        nic.set(&format!("card/{knob}"), value);
        let device = probed(&nic);
        nic.set(&format!("card/{knob}"), wide);
        expect(&device, facts);
    }
    let mut again = probed(&nic);
    // Counted anew, and the kernel may free a map late.
    let trials = |device: &Device| device.offload_report.as_ref().map_or(0, |r| r.trials);
    let count = trials(&open);
    again.offload_report.as_mut().unwrap().trials = count;
    assert_eq!(again.offload_report, open.offload_report, "a knob left something behind");
}
