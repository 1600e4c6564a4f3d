//! `hoist map copy`, between programs on veth pairs and between maps of their own.

use std::process::Stdio;

use hoist_hwtests::require;
use serde_json::{Value, json};

use crate::harness::{Ran, command, hoist, object};
use crate::live::{Bench, eventually};

/// Maps pinned on the bpffs for one test, gone afterwards.
struct Pinned {
    folder: std::path::PathBuf,
}

impl Pinned {
    fn new(name: &str) -> Self {
        let kernel = hoist::offload::bpf::kernel::Linux::new().unwrap();
        let sub = format!("hoist-copies-{name}-{}", std::process::id());
        let folder = hoist::offload::bpf::kernel::Kernel::bpffs(&kernel, &sub).unwrap();
        Self { folder }
    }

    /// Makes a map of 4-byte keys and 8-byte values.
    fn map(&self, name: &str, kind: u32, max_entries: u32) -> String {
        self.sized(name, kind, 4, 8, max_entries, 0)
    }

    fn sized(&self, name: &str, kind: u32, key: u32, value: u32, most: u32, flags: u32) -> String {
        use hoist::offload::bpf::kernel::{Kernel, Linux, MapSpec};
        let spec = MapSpec {
            name: name.to_owned(),
            kind,
            key_size: key,
            value_size: value,
            max_entries: most,
            flags,
            ..MapSpec::default()
        };
        let kernel = Linux::new().unwrap();
        let map = kernel.create_map(&spec).unwrap();
        let path = self.folder.join(name);
        kernel.pin(std::os::fd::AsFd::as_fd(&map), &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn set(map: &str, key: u32, value: u64) {
    hoist(&["map", "set", map, &key.to_string(), &value.to_string()]).code(0);
}

fn entries(map: &str) -> Vec<(Value, Value)> {
    let dump = hoist(&["map", "dump", map, "-j"]).code(0).document();
    let mut all: Vec<(Value, Value)> = dump["maps"][0]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["key"].clone(), entry["value"].clone()))
        .collect();
    all.sort_by_key(|(key, _)| key.to_string());
    all
}

#[test]
fn entries_go_from_map_to_map() {
    if !require::veth("entries_go_from_map_to_map") {
        return;
    }
    let maps = Pinned::new("tables");
    let (hash, lru, array) =
        (maps.map("hash", 1, 8), maps.map("lru", 9, 64), maps.map("array", 2, 4));
    for key in 0..3 {
        set(&hash, key, 10 + u64::from(key));
    }
    set(&lru, 2, 1);
    set(&lru, 9, 9);
    // Inserted and replaced; what else is there stays.
    let document = hoist(&["map", "copy", &hash, &lru, "-j"]).code(0).document();
    let told = |name: &str| document[name].clone();
    assert_eq!((told("entries"), told("new"), told("removed")), (3.into(), 2.into(), 0.into()));
    assert_eq!(document["read_back"], json!({"same": 3, "different": 0, "missing": 0}));
    assert_eq!(
        (&document["from"]["type"], &document["to"]["type"]),
        (&"hash".into(), &"lru_hash".into())
    );
    assert_eq!(entries(&lru).len(), 4);
    // Exactly the same.
    let exact = hoist(&["map", "copy", &hash, &lru, "--exact"]).code(0);
    assert_eq!(
        exact.out,
        "3 entries copied from hash (hash) to lru (lru_hash): 0 new, 3 replaced, 1 others removed; \
         read back the same\n"
    );
    assert_eq!(entries(&lru), entries(&hash));
    // Into an array: the slots that are not written become zero only when asked to.
    set(&array, 3, 33);
    hoist(&["map", "copy", &hash, &array]).code(0);
    let value = |n: u64| Value::String(format!("0x{}", hex(n)));
    let slots = |values: [u64; 4]| -> Vec<(Value, Value)> {
        (0_u32..).zip(values).map(|(slot, n)| (slot.into(), value(n))).collect()
    };
    assert_eq!(entries(&array), slots([10, 11, 12, 33]));
    hoist(&["map", "copy", &hash, &array, "--exact"]).code(0);
    assert_eq!(entries(&array), slots([10, 11, 12, 0]));
    // And back.
    hoist(&["map", "copy", &array, &lru, "--no-verify", "-j"]).code(0).document();
    assert_eq!(entries(&lru).len(), 4);
}

fn hex(n: u64) -> String {
    n.to_ne_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn maps_that_do_not_match_are_refused_before_anything_is_written() {
    if !require::veth("maps_that_do_not_match_are_refused_before_anything_is_written") {
        return;
    }
    let maps = Pinned::new("refused");
    let hash = maps.map("hash", 1, 4);
    for key in 0..4 {
        set(&hash, key, 7);
    }
    let cases = [
        (maps.map("each", 5, 4), "'each' has a value for each CPU, 'hash' has one for all"),
        (maps.sized("wide", 1, 8, 8, 4, 0), "keys of 4 bytes do not fit keys of 8 bytes"),
        (maps.sized("long", 1, 4, 16, 4, 0), "values of 8 bytes do not fit values of 16 bytes"),
        (maps.sized("trie", 11, 5, 8, 4, 1), "only the one has prefixes as keys"),
        (maps.sized("tails", 3, 4, 4, 4, 0), "entries of a prog_array cannot be copied"),
        (maps.map("small", 1, 3), "has room for 3 entries: 0 are there and 4 new ones"),
        (maps.map("short", 2, 3), "has 3 entries, and entry 3 is to be written"),
        (hash.clone(), "cannot be copied to itself"),
    ];
    for (to, words) in cases {
        let before = entries_or_none(&to);
        let ran = hoist(&["map", "copy", &hash, &to]).code(2);
        assert!(ran.err.contains(words), "{to}: {}", ran.err);
        assert_eq!(entries_or_none(&to), before, "{to}");
    }
    // A map that cannot be written is named.
    let frozen = maps.map("frozen", 1, 8);
    set(&frozen, 9, 7);
    let kernel = hoist::offload::bpf::kernel::Linux::new().unwrap();
    let door: &dyn hoist::offload::bpf::kernel::Kernel = &kernel;
    let map = door.get_pinned(std::path::Path::new(&frozen)).unwrap().unwrap();
    door.map_freeze(std::os::fd::AsFd::as_fd(&map)).unwrap();
    for exact in [&[][..], &["--exact"]] {
        let ran = hoist(&[&["map", "copy", &hash, &frozen], exact].concat()).code(2);
        assert!(ran.err.contains("'frozen': it is read-only"), "{}", ran.err);
    }
    for (args, words) in [
        (&["map", "copy", &hash][..], "2 values required"),
        (&["map", "copy", "id", "1"], "the map to copy to is missing"),
        (&["map", "copy", &hash, &hash, "more"], "one word too many"),
        (&["map", "copy", "/etc/passwd", &hash], "/etc/passwd is no pinned map"),
    ] {
        let ran = hoist(args).code(2);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
}

fn entries_or_none(map: &str) -> String {
    hoist(&["map", "dump", map]).out
}

/// From one engine to the next, typed: the values of all CPUs as they are, and their sums.
#[test]
fn counters_go_with_the_program_to_another_engine() {
    if !require::veth("counters_go_with_the_program_to_another_engine") {
        return;
    }
    let (old, new) = (Bench::new(), Bench::new());
    let program = object("count_proto");
    old.hoist(&["load", "v0", &program, "-m", "native"]).code(0);
    new.hoist(&["load", "v0", &program, "-m", "generic"]).code(0);
    old.send([192, 0, 2, 1], 5);
    let id = |bench: &Bench| {
        let list = bench.hoist(&["map", "list", "v0", "-j"]).code(0).document();
        let maps = list["maps"].as_array().unwrap();
        let map = maps.iter().find(|map| map["name"] == "protocols").unwrap();
        map["id"].to_string()
    };
    let packets = |id: &str| -> u64 {
        let value = hoist(&["map", "get", "id", id, "17", "-j"]).code(0).document();
        let each = value["value"].as_array().unwrap().clone();
        each.iter().map(|cpu| cpu["packets"].as_u64().unwrap()).sum()
    };
    let (from, to) = (id(&old), id(&new));
    eventually("frames are counted", || packets(&from) == 5);
    hoist(&["map", "copy", "id", &from, "id", &to]).code(0);
    assert_eq!(packets(&to), 5);
    // As a NIC keeps them, and back.
    let maps = Pinned::new("counters");
    let plain = maps.sized("plain", 2, 4, 16, 256, 0);
    let refused = hoist(&["map", "copy", "id", &from, &plain]).code(2);
    assert!(refused.err.contains("--counters"), "{}", refused.err);
    let summed = hoist(&["map", "copy", "id", &from, &plain, "--counters", "-j"]).code(0);
    assert_eq!(summed.document()["values"], "summed");
    let value = hoist(&["map", "get", &plain, "17"]).code(0).out;
    assert!(value.contains(&format!("0x{}", hex(5))), "{value}");
    let back = hoist(&["map", "copy", &plain, "id", &to, "--counters", "-j"]).code(0);
    assert_eq!(back.document()["values"], "first-cpu");
    assert_eq!(packets(&to), 5);
    for bench in [&old, &new] {
        bench.hoist(&["unload", "v0"]).code(0);
    }
}

/// hoist's own engine is a process that is asked.
#[test]
fn maps_of_the_user_engine_are_copied_too() {
    if !require::veth("maps_of_the_user_engine_are_copied_too") {
        return;
    }
    let bench = Bench::new();
    let program = object("lpm_block");
    let args = ["--netns", bench.name(), "run", "v0", &program, "-m", "user"];
    let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the program shows", || {
        bench.attachments().iter().any(|row| row["engine"] == "user")
    });
    let key = r#"{"bits":24,"address":"192.0.2.0"}"#;
    let maps = Pinned::new("user");
    let trie = maps.sized("trie", 11, 8, 4, 16, 1);
    hoist(&["map", "set", &trie, "0x18000000c0000200", "1"]).code(0);
    let copied = bench.hoist(&["map", "copy", &trie, "v0/blocked", "-j"]).code(0).document();
    assert_eq!((&copied["entries"], &copied["to"]["id"]), (&1.into(), &0.into()), "{copied:#}");
    assert_eq!(bench.hoist(&["map", "get", "v0/blocked", key]).code(0).out.trim(), "1");
    bench.hoist(&["map", "delete", "v0/blocked", key]).code(0);
    let exact: Ran = bench.hoist(&["map", "copy", "v0/blocked", &trie, "--exact"]).code(0);
    assert!(exact.out.contains("0 entries copied") && exact.out.contains("1 others removed"));
    assert_eq!(entries(&trie), []);
    child.kill().unwrap();
    child.wait().unwrap();
}
