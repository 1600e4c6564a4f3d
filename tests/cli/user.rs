//! hoist's own engine on live interfaces, as its users see it.

use std::process::Stdio;
use std::time::Duration;

use hoist_hwtests::require;

use crate::harness::{Ran, command, object};
use crate::live::{Bench, eventually};

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

#[test]
fn other_processes_see_the_program_and_its_maps() {
    if !require::veth("other_processes_see_the_program_and_its_maps") {
        return;
    }
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("live.pcapng");
    let (block, drop) = (object("lpm_block"), object("drop"));
    let run = ["--netns", bench.name(), "run", "v0", &block, "-m", "user", "-w"];
    let mut args = run.to_vec();
    args.push(written.to_str().unwrap());
    let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the program shows", || {
        let shown = bench.attachments();
        shown.iter().any(|row| row["engine"] == "user" && row["program"] == "xdp_lpm_block")
    });
    let row = &bench.attachments()[0];
    assert_eq!((&row["hook"], &row["process"]), (&"af_xdp".into(), &child.id().into()));
    let key = r#"{"bits":32,"address":"192.0.2.1"}"#;
    bench.hoist(&["map", "set", "v0/blocked", key, "1"]).code(0);
    assert_eq!(bench.hoist(&["map", "get", "v0/blocked", key]).code(0).out.trim(), "1");
    bench.send([192, 0, 2, 1], 3);
    eventually("frames of the blocked source are counted", || {
        bench.attachments()[0]["packets"]["drop"] == 3
    });
    bench.hoist(&["map", "delete", "v0/blocked", key]).code(0);
    bench.hoist(&["map", "get", "v0/blocked", key]).code(1);
    let missing = bench.hoist(&["map", "get", "v0/blokced", key]).code(2);
    assert!(missing.err.contains("did you mean"), "{}", missing.err);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("nothing is left", || bench.attachments().is_empty());

    let args = ["--netns", bench.name(), "run", "v0", &drop, "-m", "af_packet"];
    let mut first = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the packet socket shows", || {
        bench.attachments().iter().any(|row| row["hook"] == "af_packet")
    });
    let second = bench.hoist(&["run", "v0", &drop, "-m", "af_packet", "-d", "1s"]).code(1);
    assert!(second.err.contains("slot-held"), "{}", second.err);
    first.kill().unwrap();
    first.wait().unwrap();
}
