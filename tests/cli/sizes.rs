//! `--max-entries`: maps of another size, whatever runs the program; and codes of `--accept`.

use hoist_hwtests::require;

use crate::harness::{hoist, object};
use crate::live::Bench;

#[test]
fn every_engine_makes_maps_of_the_size_that_was_asked_for() {
    if !require::veth("every_engine_makes_maps_of_the_size_that_was_asked_for") {
        return;
    }
    let bench = Bench::new();
    let acl = object("acl");
    for engine in ["native", "generic", "tcx", "clsact"] {
        for (sizes, entries) in [(&["--max-entries", "rules=7"][..], 7), (&[], 65536)] {
            let load = [&["load", "v0", &acl, "-m", engine][..], sizes].concat();
            bench.hoist(&load).code(0);
            let list = bench.hoist(&["map", "list", "v0", "-j"]).code(0).document();
            let maps = list["maps"].as_array().unwrap();
            let rules = maps.iter().find(|map| map["name"] == "rules").unwrap();
            assert_eq!(rules["max_entries"], entries, "{engine}: {list:#}");
            bench.hoist(&["unload", "v0"]).code(0);
        }
    }
}

#[test]
fn codes_that_nothing_has_are_not_accepted() {
    let acl = object("acl");
    for command in ["plan", "load", "run"] {
        for (code, words) in [
            ("merged-packet", "did you mean 'merged-packets'?"),
            ("lru-bund", "did you mean 'lru-bound'?"),
            ("zzz", "this is no difference that can be accepted"),
        ] {
            let ran = hoist(&[command, "lo", &acl, "--accept", code]).code(2);
            assert!(ran.err.contains(words), "{command} {code}: {}", ran.err);
        }
    }
}

/// hoist's own machine, on a capture without packets: the second entry does not fit.
#[test]
fn the_machine_makes_maps_of_that_size_too() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = |last: u8| {
        let address = format!("192.0.2.{last}");
        serde_json::json!({"key": {"bits": 32, "address": address}, "value": 1})
    };
    let maps =
        serde_json::json!({"maps": [{"name": "blocked", "entries": [blocked(1), blocked(2)]}]});
    let (file, capture) = (folder.path().join("maps.json"), folder.path().join("empty.pcap"));
    std::fs::write(&file, maps.to_string()).unwrap();
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1];
    std::fs::write(&capture, header.map(u32::to_ne_bytes).concat()).unwrap();
    let run = |size: &str| {
        let (capture, file) = (capture.to_str().unwrap(), file.to_str().unwrap());
        let program = object("lpm_block");
        hoist(&["run", capture, &program, "--maps", file, "--max-entries", size])
    };
    run("blocked=2").code(0);
    let full = run("blocked=1");
    assert_ne!(full.code, 0, "{full:?}");
    assert!(full.err.contains("blocked"), "{}", full.err);
}

#[test]
fn sizes_that_cannot_be_are_mistakes() {
    let acl = object("acl");
    for command in ["plan", "load", "run"] {
        for (size, words) in [
            ("ruels=7", "did you mean 'rules'?"),
            ("rules=0", "1 to 4294967295"),
            ("rules=4294967296", "1 to 4294967295"),
            ("rules=many", "expected MAP=N"),
            ("rules", "expected MAP=N"),
        ] {
            let ran = hoist(&[command, "lo", &acl, "--max-entries", size]).code(2);
            assert!(ran.err.contains(words), "{command} {size}: {}", ran.err);
        }
    }
}
