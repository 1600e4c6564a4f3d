//! Maps of live programs, typed by their BTF.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hoist_hwtests::require;

use crate::harness::{Ran, command, object};
use crate::live::Bench;

#[test]
fn maps_are_read_and_written_by_their_types() {
    if !require::veth("maps_are_read_and_written_by_their_types") {
        return;
    }
    let bench = Bench::new();
    bench.hoist(&["load", "v0", &object("lpm_block"), "--count", "--no-count"]).code(0);
    let list = bench.hoist(&["map", "list", "v0", "-j"]).code(0).document();
    let map = &list["maps"][0];
    assert_eq!((&map["name"], &map["typed"]), (&"blocked".into(), &true.into()), "{list:#}");
    let id = map["id"].as_u64().unwrap().to_string();
    let key = r#"{"bits": 24, "address": "198.51.100.0"}"#;
    let absent = bench.hoist(&["map", "get", "v0/blocked", key]).code(1);
    assert!(absent.err.contains("has no key"), "{}", absent.err);
    let set = bench.hoist(&["map", "set", "v0/blocked", key, "1", "-j"]).code(0).document();
    assert_eq!((&set["key"]["bits"], &set["value"]), (&24.into(), &1.into()), "{set:#}");
    assert_eq!(bench.hoist(&["map", "get", "id", &id, key]).code(0).out, "1\n");
    let dump = bench.hoist(&["map", "dump", "v0/blocked"]).code(0);
    assert_eq!(dump.document(), bench.hoist(&["map", "dump", "id", &id, "-j"]).code(0).document());
    bench.hoist(&["unload", "v0"]).code(0);

    // What was dumped is there before the first packet.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &dump.out).unwrap();
    let path = file.path().to_str().unwrap();
    bench.hoist(&["load", "v0", &object("lpm_block"), "--maps", path, "--count"]).code(0);
    assert_eq!(bench.hoist(&["map", "get", "v0/blocked", key]).code(0).out, "1\n");
    bench.send([198, 51, 100, 9], 4);
    std::thread::sleep(Duration::from_millis(200));
    let status = bench.hoist(&["status", "-j"]).code(0).document();
    assert_eq!(status["attachments"][0]["packets"]["drop"], 4, "{status:#}");
    bench.hoist(&["map", "delete", "v0/blocked", key]).code(0);
    bench.hoist(&["map", "delete", "v0/blocked", key]).code(1);
    bench.hoist(&["unload", "v0"]).code(0);
}

#[test]
fn what_the_kernel_refuses_of_maps_is_said_as_a_mistake_of_the_input() {
    if !require::veth("what_the_kernel_refuses_of_maps_is_said_as_a_mistake_of_the_input") {
        return;
    }
    let bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    let entries = directory.path().join("entries.json");
    std::fs::write(
        &entries,
        r#"{"maps":[{"name":"protocols","entries":[{"key":256,"value":{"packets":1}}]}]}"#,
    )
    .unwrap();
    let entries = entries.to_str().unwrap();
    let pins = directory.path().to_str().unwrap();
    let shared = "bpf/tests/objects/iproute2.bpf.o";
    let cases: [(&[&str], &str, &str); 2] = [
        (
            &[&object("count_proto"), "--maps", entries],
            "map protocols has no room for an entry: BPF_MAP_UPDATE_ELEM",
            "max_entries",
        ),
        (
            &[shared, "-n", "entry", "--pin-root", pins],
            "cannot be pinned: BPF_OBJ_PIN",
            "mount -t bpf",
        ),
    ];
    for (args, words, next) in cases {
        let ran = bench.hoist(&[&["load", "v0"], args].concat()).code(2);
        assert!(ran.err.contains(words) && ran.err.contains(next), "{args:?}: {}", ran.err);
    }
    assert!(bench.hoist(&["status"]).code(0).out.contains("nothing is attached"));
}

#[test]
fn values_that_do_not_fit_are_refused_with_the_type() {
    if !require::veth("values_that_do_not_fit_are_refused_with_the_type") {
        return;
    }
    let bench = Bench::new();
    bench.hoist(&["load", "v0", &object("lpm_block")]).code(0);
    let cases: [(&[&str], &str); 10] = [
        (&["get", "v0/blocked", "{\"bits\": \"x\"}"], "key:"),
        (&["set", "v0/blocked", "{\"bits\": 8, \"address\": \"10.0.0.0\"}", "x"], "value:"),
        (&["get", "v0/bloked", "1"], "next: did you mean 'blocked'?"),
        (&["get", "v0/blocked"], "a key is missing after the map"),
        (&["get", "v0/blocked", "1", "2"], "expected a key after the map, not '1 2'"),
        (&["dump", "v0"], "'v0' is an interface, not a map: write v0/NAME"),
        (&["get", "blocked", "1"], "'blocked' names no map"),
        (&["dump", "id", "x"], "'x' is not a map id"),
        (&["dump", "id", "4294967294"], "there is no map id 4294967294"),
        (&["dump", "pinned", "/sys/fs/bpf/nonesuch"], "nothing is pinned"),
    ];
    for (args, words) in cases {
        let ran = bench.hoist(&[&["map"], args].concat()).code(2);
        assert!(ran.err.contains(words) && ran.err.contains("error: "), "{args:?}: {}", ran.err);
    }
    bench.hoist(&["unload", "v0"]).code(0);
}

#[test]
fn variables_are_set_before_loading() {
    if !require::veth("variables_are_set_before_loading") {
        return;
    }
    let bench = Bench::new();
    let globals = object("globals");
    let wrong = bench.hoist(&["plan", "v0", &globals, "--set", "confg={}"]).code(2);
    assert!(wrong.err.contains("did you mean 'config'?"), "{}", wrong.err);
    let wrong = bench.hoist(&["plan", "v0", &globals, "--set", "config=x"]).code(2);
    assert!(wrong.err.contains("variable 'config'"), "{}", wrong.err);
    let set = "config={\"min_length\": 1000}";
    bench.hoist(&["load", "v0", &globals, "--set", set, "--count"]).code(0);
    bench.send([192, 0, 2, 1], 2);
    let rodata = bench.hoist(&["map", "dump", "v0/.rodata"]).code(0);
    assert!(rodata.out.contains("1000"), "{}", rodata.out);
    let frozen = bench.hoist(&["map", "set", "v0/.rodata", "0", "{}"]).code(2);
    assert!(frozen.err.contains("--set"), "{}", frozen.err);
    bench.hoist(&["unload", "v0"]).code(0);
}

#[test]
fn interfaces_and_programs_are_put_into_maps_by_name_and_id() {
    if !require::veth("interfaces_and_programs_are_put_into_maps_by_name_and_id") {
        return;
    }
    let bench = Bench::new();
    bench.hoist(&["load", "v0", &object("redirect_devmap"), "-m", "generic"]).code(0);
    bench.hoist(&["map", "set", "v0/ports", "3", "v0"]).code(0);
    let ifindex = format!("{}\n", bench.lab.near().ifindex);
    assert_eq!(bench.hoist(&["map", "get", "v0/ports", "3"]).code(0).out, ifindex);
    let wrong = bench.hoist(&["map", "set", "v0/ports", "3", "v7"]).code(2);
    assert!(wrong.err.contains("there is no interface 'v7'"), "{}", wrong.err);
    bench.hoist(&["unload", "v0"]).code(0);
    let object = object("tail_call");
    let loaded = bench.hoist(&["load", "v0", &object, "-n", "xdp_tail_call", "-j"]).code(0);
    let dump = bench.hoist(&["map", "dump", "v0/next"]).code(0).document();
    let id = dump["maps"][0]["entries"][1]["value"].as_u64().unwrap();
    bench.hoist(&["map", "set", "v0/next", "0", &id.to_string()]).code(0);
    let got = bench.hoist(&["map", "get", "v0/next", "0", "-j"]).code(0).document();
    assert_eq!(got["value"], id, "{}", loaded.out);
    let wrong = bench.hoist(&["map", "set", "v0/next", "0", "4294967295"]).code(2);
    assert!(wrong.err.contains("there is no program"), "{}", wrong.err);
    bench.hoist(&["unload", "v0"]).code(0);
}

#[test]
fn a_watch_prints_changes_as_they_happen() {
    if !require::veth("a_watch_prints_changes_as_they_happen") {
        return;
    }
    let bench = Bench::new();
    bench.hoist(&["load", "v0", &object("lpm_block")]).code(0);
    let args = ["--netns", bench.name(), "map", "watch", "v0/blocked", "-j"];
    let args = [args.as_slice(), &["--interval", "20ms", "--duration", "2s"]].concat();
    let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let key = r#"{"bits": 8, "address": "10.0.0.0"}"#;
    bench.hoist(&["map", "set", "v0/blocked", key, "1"]).code(0);
    std::thread::sleep(Duration::from_millis(200));
    bench.hoist(&["map", "delete", "v0/blocked", key]).code(0);
    let lines = Ran::from(child.wait_with_output().unwrap()).code(0).lines();
    let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["set", "deleted"]);
    bench.hoist(&["unload", "v0"]).code(0);
}

#[test]
fn xdp_filter_s_own_objects_obey_the_address_that_map_set_names() {
    let name = "xdp_filter_s_own_objects_obey_the_address_that_map_set_names";
    let folder = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    // What the map names is dropped where the policy is to allow, and passed where it is to deny.
    let files = [("alw", [5, 3]), ("dny", [3, 5])]
        .map(|(policy, expected)| (format!("{folder}/xdpfilt_{policy}_ip.o"), expected));
    if !require::veth_and_files(name, &files.each_ref().map(|(file, _)| Path::new(file))) {
        return;
    }
    let bench = Bench::new();
    for engine in ["native", "generic"] {
        for (file, expected) in &files {
            bench.hoist(&["load", "v0", file, "-m", engine, "--count"]).code(0);
            // 1 is xdp-filter's flag for "as a source".
            bench.hoist(&["map", "set", "v0/filter_ipv4", "198.51.100.7", "1"]).code(0);
            bench.send([198, 51, 100, 7], 5);
            bench.send([192, 0, 2, 1], 3);
            std::thread::sleep(Duration::from_millis(200));
            let status = bench.hoist(&["status", "-j"]).code(0).document();
            let packets = &status["attachments"][0]["packets"];
            let seen = [&packets["drop"], &packets["pass"]].map(|n| n.as_u64().unwrap());
            assert_eq!(&seen, expected, "{file} on {engine}");
            bench.hoist(&["unload", "v0"]).code(0);
        }
    }
}
