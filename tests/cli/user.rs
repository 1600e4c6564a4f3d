//! hoist's own engine on live interfaces, as its users see it.

use std::process::Stdio;
use std::time::Duration;

use hoist_hwtests::require;

use crate::harness::{Ran, command, object};
use crate::live::Bench;

#[test]
fn hoist_itself_runs_programs_on_interfaces() {
    if !require::veth("hoist_itself_runs_programs_on_interfaces") {
        return;
    }
    for (word, name, hook, verdict) in [
        ("user", "drop", "af_xdp", "drop"),
        ("user", "pass", "af_xdp", "pass"),
        ("af_packet", "drop", "af_packet", "drop"),
    ] {
        let bench = Bench::new();
        let program = object(name);
        let args = ["--netns", bench.name(), "run", "v0", &program, "-m", word, "-j", "-d", "3s"];
        let mut child =
            command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            bench.send([192, 0, 2, 1], 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        let lines = Ran::from(output).code(0).lines();
        let started = &lines[0]["attachments"][0];
        assert_eq!(
            (&started["engine"], &started["hook"]),
            (&"user".into(), &hook.into()),
            "{word}"
        );
        let totals = &lines.last().unwrap()["counters"][0];
        assert!(totals["packets"][verdict].as_u64() >= Some(1), "{word} {name}: {totals:#}");
        let left: Vec<_> = bench.attachments();
        assert!(left.is_empty(), "{word} {name}: {left:?}");
    }
}

#[test]
fn what_hoist_itself_cannot_do_on_an_interface_is_refused() {
    if !require::veth("what_hoist_itself_cannot_do_on_an_interface_is_refused") {
        return;
    }
    let bench = Bench::new();
    let (pass, drop) = (object("pass"), object("drop"));
    let refused = bench.hoist(&["run", "v0", &pass, "-m", "af_packet"]).code(1);
    assert!(refused.err.contains("no-reinjection"), "{}", refused.err);
    let refused = bench.hoist(&["load", "v0", &drop, "-m", "user"]).code(1);
    assert!(refused.err.contains("cannot-stay"), "{}", refused.err);
}
