//! `--adjust-device` on a live veth pair, with what a killed command leaves.

use std::process::Stdio;

use hoist::offload::bpf::kernel::{Kernel, Linux};
use hoist_hwtests::require;
use serde_json::{Value, json};

use crate::harness::{command, object};
use crate::live::{Bench, eventually};

const HOOKS: [&str; 2] = ["tcx", "clsact"];

/// A lab whose device under test merges packets.
fn bench() -> Bench {
    let bench = Bench::new();
    set_gro(&bench, true);
    bench
}

fn gro(bench: &Bench) -> bool {
    bench.lab.near().namespace.run(|| Linux::new().unwrap().feature("v0", "rx-gro").unwrap())
}

fn set_gro(bench: &Bench, on: bool) {
    let set = || Linux::new().unwrap().set_feature("v0", "rx-gro", on).unwrap();
    bench.lab.near().namespace.run(set);
}

fn status(bench: &Bench) -> Value {
    bench.hoist(&["status", "-j"]).code(0).document()
}

#[test]
fn a_plan_says_what_would_be_changed_and_changes_nothing() {
    if !require::veth("a_plan_says_what_would_be_changed_and_changes_nothing") {
        return;
    }
    let (bench, drop) = (bench(), object("drop"));
    let without = bench.hoist(&["plan", "v0", &drop, "-m", "tc,native", "-j"]).code(0).document();
    let remedies = without["refusals"][0]["gaps"].as_array().unwrap().iter();
    let offered = remedies.filter_map(|gap| gap["remedy"].as_str());
    assert!(offered.into_iter().any(|remedy| remedy.contains("--adjust-device")), "{without:#}");
    let args = ["plan", "v0", &drop, "-m", "tc", "--adjust-device", "-j"];
    let with = bench.hoist(&args).code(0).document();
    let change = json!([{"feature": "rx-gro", "before": true, "set": false}]);
    assert_eq!((&with["engine"], &with["adjustments"]), (&json!("tc"), &change));
    assert!(gro(&bench));
}

#[test]
fn settings_come_back_with_unload() {
    if !require::veth("settings_come_back_with_unload") {
        return;
    }
    let (bench, drop) = (bench(), object("drop"));
    for hook in HOOKS {
        bench.hoist(&["load", "v0", &drop, "-m", hook, "--adjust-device"]).code(0);
        assert!(!gro(&bench), "{hook}");
        let change = json!({"feature": "rx-gro", "before": true, "set": false});
        let expected = json!([{"device": "v0", "changes": [change]}]);
        assert_eq!(status(&bench)["adjusted"], expected, "{hook}");
        bench.hoist(&["unload", "v0"]).code(0);
        assert!(gro(&bench), "{hook}");
        assert_eq!(status(&bench).get("adjusted"), None, "{hook}");
    }
    // What somebody else changed meanwhile is theirs.
    bench.hoist(&["load", "v0", &drop, "-m", "tc", "--adjust-device"]).code(0);
    set_gro(&bench, true);
    let unloaded = bench.hoist(&["unload", "v0"]).code(0);
    assert!(unloaded.err.contains("somebody else has switched rx-gro on"), "{}", unloaded.err);
    assert!(gro(&bench));
}

#[test]
fn the_next_command_repairs_what_a_killed_one_left() {
    if !require::veth("the_next_command_repairs_what_a_killed_one_left") {
        return;
    }
    let (bench, drop) = (bench(), object("drop"));
    for hook in HOOKS {
        let args = ["--netns", bench.name(), "run", "v0", &drop, "-m", hook, "--adjust-device"];
        let mut killed =
            command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let attached = || !status(&bench)["attachments"].as_array().unwrap().is_empty();
        eventually("the program is attached", attached);
        assert!(!gro(&bench), "{hook}");
        killed.kill().unwrap();
        killed.wait().unwrap();
        eventually("the program is gone", || !attached());
        assert!(!gro(&bench), "{hook}: nobody was there to put it back");
        let next = bench.hoist(&["run", "v0", &drop, "-m", "generic", "-d", "100ms"]).code(0);
        assert!(next.err.contains("v0: rx-gro put back"), "{hook}: {}", next.err);
        assert!(gro(&bench), "{hook}");
    }
}
