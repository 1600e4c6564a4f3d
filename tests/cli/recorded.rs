//! Planning and probing on hosts that are recordings.

use hoist::offload::capability::Answer;
use hoist::offload::device::{AttachedProgram, Component, Owner, Slot};
use hoist::offload::host::{Recording, sample};

use crate::harness::{Recorded, hoist, object, screen};

#[test]
fn probe_shows_each_sample_interface() {
    let host = Recorded::new();
    for name in ["veth0", "mlx0", "ice0", "ens3", "eno1"] {
        screen(&format!("probe-{name}"), &host.hoist(&["probe", name]).code(0).out);
        let document = host.hoist(&["probe", name, "-j"]).code(0).document();
        assert_eq!(document["devices"][0]["device"]["name"], name);
        assert!(document.get("host").is_none(), "the host was not asked for");
    }
    let whole = host.hoist(&["probe", "-o", "json"]).code(0).document();
    assert_eq!(whole["devices"].as_array().unwrap().len(), 6);
    assert!(whole["host"]["xdp_helpers"].is_object());
    let text = host.hoist(&["probe", "--full", "-v"]).code(0).out;
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    assert!(text.contains("xdp helpers"));
}

/// Recorded in the virtual machine with the simulated card (docs/guide/kernels.md), its knobs set to refuse
/// a helper, an opcode and stores to map values, with small limits.
#[test]
fn a_probe_of_an_offload_device_is_as_recorded() {
    let path = "tests/hosts/netdevsim-card.json";
    let probe =
        |more: &[&str]| hoist(&[&["--host", path, "probe", "nsim0"], more].concat()).code(0);
    screen("probe-nsim0", &probe(&[]).out);
    screen("probe-nsim0-refused", &probe(&["-v"]).out);
    screen("probe-nsim0-full", &probe(&["--full"]).out);
    screen("probe-nsim0-offload", &probe(&["--offload"]).out);
    let document = probe(&["-j"]).document();
    let recorded = std::fs::read_to_string(crate::harness::root().join(path)).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    let report = &document["devices"][0]["device"]["offload_report"];
    assert_eq!(*report, recorded["devices"][0]["offload_report"]);
    let alone = probe(&["--offload", "-j"]).document();
    assert_eq!(alone["devices"][0]["device"]["offload_report"], *report);
    let engines = alone["devices"][0]["engines"].as_array().unwrap();
    assert!(!engines.is_empty() && engines.iter().all(|e| e["engine"] == "hw"), "{engines:?}");
    for (pointer, expected) in [
        ("/programs/xdp/helpers/bpf_csum_diff/answer", "no"),
        ("/programs/sched_cls/instructions/mod64-imm/answer", "no"),
        ("/programs/xdp/limits/instructions/taken", "300"),
        ("/map_limits/hash/key-bytes/taken", "16"),
        ("/executes/answer", "no"),
    ] {
        let found = report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}: {report:#}"));
        assert_eq!(found.to_string().trim_matches('"'), expected, "{pointer}");
    }
}

#[test]
fn a_recording_of_a_recording_is_the_same() {
    let host = Recorded::new();
    let copy = tempfile::NamedTempFile::new().unwrap();
    host.hoist(&["probe", "--record", copy.path().to_str().unwrap()]).code(0);
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(host.path()), read(copy.path().to_str().unwrap()));
    let text = read(host.path());
    crate::harness::valid(&serde_json::from_str(&text).unwrap());
}

#[test]
fn ladders_are_as_recorded() {
    let host = Recorded::new();
    for (name, interface, program, code) in [
        ("plan-drop-veth0", "veth0", "drop", 0),
        ("plan-drop-eno1", "eno1", "drop", 0),
        ("plan-swap_tx-veth0", "veth0", "swap_tx", 0),
        ("plan-rx_hash-eno1", "eno1", "rx_hash", 1),
        ("plan-frags-mlx0", "mlx0", "frags", 0),
    ] {
        let ran = host.hoist(&["plan", interface, &object(program)]);
        screen(name, &ran.code(code).out);
        let document = host.hoist(&["plan", interface, &object(program), "-j"]).document();
        assert_eq!(document["certainty"], "expected");
        assert_eq!(document["engine"].is_null(), code == 1, "{document:#}");
    }
}

#[test]
fn a_single_engine_means_that_one_or_a_refusal() {
    let host = Recorded::new();
    let drop = object("drop");
    let plan = |engine: &str, code| {
        host.hoist(&["plan", "eno1", &drop, "-m", engine, "-j"]).code(code).document()
    };
    assert_eq!(plan("generic", 0)["engine"], "generic");
    assert_eq!(plan("skb,drv", 0)["engine"], "generic", "the user's order counts");
    let refused = plan("drv", 1);
    assert_eq!(refused["engine"], serde_json::Value::Null);
    assert_eq!(refused["refusals"][0]["engine"], "native");
    let partly = plan("hw,generic", 0);
    assert_eq!(partly["refusals"][0]["gaps"][0]["code"], "no-offload", "{partly:#}");
}

#[test]
fn a_breaking_difference_is_passed_over_accepted_or_forced() {
    let host = Recorded::new();
    let swap = object("swap_tx");
    let plan = |more: &[&str]| {
        let args = [&["plan", "veth0", swap.as_str(), "-j"], more].concat();
        host.hoist(&args).code(0).document()
    };
    let careful = plan(&[]);
    assert_eq!(careful["engine"], "generic", "{careful:#}");
    let codes: Vec<&str> = careful["refusals"][1]["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| gap["code"].as_str().unwrap())
        .collect();
    let mut accept = vec!["--accept".to_owned()];
    accept.push(codes.join(","));
    let accept: Vec<&str> = accept.iter().map(String::as_str).collect();
    for more in [accept.as_slice(), &["-m", "native"]] {
        let plan = plan(more);
        assert_eq!(plan["engine"], "native", "{more:?}");
        assert!(!plan["warnings"].as_array().unwrap().is_empty(), "{more:?}");
    }
}

#[test]
fn a_held_slot_says_who_holds_it() {
    let [mut near, far] = sample::veth_pair("veth0", "veth1");
    near.attached.push(AttachedProgram {
        slot: Slot::Native,
        id: 41,
        name: Some("xdp_dispatcher".to_owned()),
        owner: Owner::Libxdp,
        components: vec![Component { id: 42, name: Some("filter".to_owned()), priority: Some(10) }],
    });
    let host = Recorded::of(Recording::new(Recorded::report(), vec![near, far]));
    screen("status-dispatcher", &host.hoist(&["status"]).code(0).out);
    let status = host.hoist(&["status", "-j"]).code(0).document();
    assert_eq!(status["attachments"][0]["components"][0]["id"], 42);
    let xdp = ["plan", "veth0", &object("drop"), "-m", "native,generic"];
    let plan = host.hoist(&xdp).code(1);
    assert!(plan.out.contains("41"), "{}", plan.out);
    let behind = host.hoist(&["plan", "veth0", &object("drop")]).code(0).out;
    for words in ["slot-held", "native-active", "tc        chosen", "warning runs-after"] {
        assert!(behind.contains(words), "{behind}");
    }
    let replaced = host.hoist(&["plan", "veth0", &object("drop"), "--replace", "41"]).code(0);
    assert!(replaced.out.contains("native    chosen"), "{}", replaced.out);
}

#[test]
fn an_unprivileged_host_shows_what_would_tell() {
    let mut report = Recorded::report();
    report.bpf_syscall.answer = Answer::No;
    let host = Recorded::of(Recording::new(report, sample::veth_pair("veth0", "veth1").into()));
    let text = host.hoist(&["probe"]).code(0).out;
    assert!(text.contains("bpf()        not permitted"), "{text}");
}
