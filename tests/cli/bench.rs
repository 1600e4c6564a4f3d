//! `hoist bench`: on a veth pair of its own, on interfaces that are named, and where it must not.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hoist::offload::bpf::kernel::{Kernel, Linux};
use hoist_hwtests::lab::{End, Namespace, Veth};
use hoist_hwtests::require;
use serde_json::Value;

use crate::harness::{Ran, command, hoist, object, screen};
use crate::live::eventually;

/// Both ends of a wire in one namespace, as two ports of one machine with a cable.
struct Cable {
    _wire: Veth,
    namespace: Namespace,
}

impl Cable {
    fn new() -> Self {
        let namespace = Namespace::named("bench").unwrap();
        let ends = (End::new("v0", 1), End::new("v1", 2));
        let wire = Veth::create((&namespace, ends.0), (&namespace, ends.1)).unwrap();
        Self { _wire: wire, namespace }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--netns", self.namespace.name().unwrap()], args].concat()
    }

    fn hoist(&self, args: &[&str]) -> Ran {
        hoist(&self.args(args))
    }

    fn gro(&self) -> bool {
        self.namespace.run(|| Linux::new().unwrap().feature("v0", "rx-gro").unwrap())
    }

    fn start(&self, args: &[&str]) -> Child {
        command(&self.args(args)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Others build here meanwhile.
const SHORT: [&str; 7] = ["--seconds", "100ms", "--repeats", "1", "--busy", "--no-floors", "-j"];

/// The residual of every stage of every trial that counts.
fn accounted(result: &Value) -> bool {
    let stages = result["ledger"]["stages"].as_array().unwrap();
    stages.iter().all(|stage| {
        let out = stage["out"].as_array().unwrap().iter();
        let out: u64 = out.map(|entry| entry["packets"].as_u64().unwrap()).sum();
        stage["came"]["packets"].as_u64().unwrap() == out
    })
}

#[test]
fn without_arguments_every_engine_is_measured_and_every_packet_found() {
    if !require::veth("without_arguments_every_engine_is_measured_and_every_packet_found") {
        return;
    }
    let ran = hoist(&[&["bench"][..], &SHORT].concat()).code(0);
    let report = ran.document();
    let mut hooks = Vec::new();
    for result in report["results"].as_array().unwrap() {
        let hook = result["hook"].as_str().unwrap();
        hooks.push(format!("{} {hook}", result["engine"].as_str().unwrap()));
        assert!(result["pps"]["median"].as_f64().unwrap() > 1000.0, "{hook}: {result:#}");
        assert!(accounted(result), "{hook}: {result:#}");
    }
    let expected =
        ["native xdp", "generic xdp", "tc tcx", "tc clsact", "user af_xdp", "user af_packet"];
    assert_eq!(hooks, expected);
    let machine = &report["environment"]["machine"];
    for fact in ["architecture", "cpu", "cpus", "hz", "memory", "hypervisor", "bpf_stats"] {
        assert!(machine[fact].is_string(), "{fact}: {machine:#}");
    }
    let v0 = &report["environment"]["devices"]["v0"];
    assert_eq!((&v0["driver"], &v0["rx-gro"]), (&"veth".into(), &"on".into()), "{v0:#}");
}

#[test]
fn named_interfaces_are_as_before_afterwards() {
    if !require::veth("named_interfaces_are_as_before_afterwards") {
        return;
    }
    let cable = Cable::new();
    assert!(!cable.gro());
    let args = ["bench", "v0", "--peer", "v1", "-m", "generic"];
    let report = cable.hoist(&[&args[..], &SHORT].concat()).code(0).document();
    let steps = report["recipe"].as_array().unwrap();
    assert_eq!(steps[0]["command"], "ethtool -K v0 gro on", "{steps:#?}");
    assert!(accounted(&report["results"][0]), "{report:#}");
    assert!(!cable.gro(), "put back");
    let dry = cable.hoist(&["bench", "v0", "--peer", "v1", "--dry-run"]).code(0);
    assert!(dry.out.contains("ethtool -K v0 gro on") && dry.out.contains("drop"), "{}", dry.out);
    assert!(!cable.gro(), "a dry run changes nothing");
}

#[test]
fn a_signal_ends_it_with_what_was_measured() {
    if !require::veth("a_signal_ends_it_with_what_was_measured") {
        return;
    }
    let cable = Cable::new();
    let args = [
        "bench",
        "v0",
        "--peer",
        "v1",
        "-m",
        "native,generic",
        "--repeats",
        "1000",
        "--busy",
        "--no-floors",
    ];
    let child = cable.start(&[&args[..], &["--seconds", "100ms", "-j"]].concat());
    eventually("it never began", || cable.gro());
    std::thread::sleep(Duration::from_secs(3));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ran = Ran::from(child.wait_with_output().unwrap()).code(0);
    let report = ran.document();
    assert_eq!(report["interrupted"], true);
    let native = &report["results"][0];
    assert!(native["pps"]["runs"].as_u64().unwrap() >= 1, "what was measured stays: {native:#}");
    assert!(!cable.gro(), "put back");
    let status = cable.hoist(&["status", "-j"]).code(0).document();
    assert_eq!(status["attachments"], Value::Array(Vec::new()));
}

#[test]
fn the_next_start_puts_back_what_a_killed_one_left() {
    if !require::veth("the_next_start_puts_back_what_a_killed_one_left") {
        return;
    }
    let cable = Cable::new();
    let args = [
        "bench",
        "v0",
        "--peer",
        "v1",
        "-m",
        "native",
        "--repeats",
        "1000",
        "--busy",
        "--no-floors",
    ];
    let mut child = cable.start(&args);
    eventually("it never began", || cable.gro());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(cable.gro(), "nobody was left to put it back");
    let next = cable.hoist(&["unload", "v0"]);
    assert!(next.err.contains("v0: rx-gro put back"), "{next:?}");
    assert!(!cable.gro());
}

#[test]
fn a_slot_that_is_held_is_a_refusal_and_the_others_are_measured() {
    if !require::veth("a_slot_that_is_held_is_a_refusal_and_the_others_are_measured") {
        return;
    }
    let cable = Cable::new();
    cable.hoist(&["load", "v0", &object("pass"), "-m", "native"]).code(0);
    let args = ["bench", "v0", "--peer", "v1", "-m"];
    let report = cable.hoist(&[&args[..], &["native,tcx"], &SHORT].concat()).code(0).document();
    let [native, tcx] = [&report["results"][0], &report["results"][1]];
    assert_eq!(native["pps"], Value::Null);
    assert_eq!(native["findings"][0]["code"], "slot-held", "{native:#}");
    assert!(tcx["pps"]["median"].as_f64().is_some(), "{tcx:#}");
    let alone = cable.hoist(&[&args[..], &["native"], &SHORT].concat()).code(1);
    assert!(alone.err.contains("slot-held"), "{}", alone.err);
}

#[test]
fn the_same_is_measured_without_hoist() {
    if !require::veth_and_command("the_same_is_measured_without_hoist", "ip") {
        return;
    }
    let args = ["bench", "-m", "native,generic", "--control"];
    let report = hoist(&[&args[..], &SHORT].concat()).code(0).document();
    let names: Vec<&str> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["engine"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["native", "native without hoist", "generic", "generic without hoist"]);
    assert!(report["results"].as_array().unwrap().iter().all(accounted), "{report:#}");
}

#[test]
fn nothing_is_sent_where_it_should_not_be() {
    if !require::veth("nothing_is_sent_where_it_should_not_be") {
        return;
    }
    let cable = Cable::new();
    let ip = |args: &[&str]| {
        let ran = cable.namespace.output(Command::new("ip").args(args), Duration::from_secs(5));
        assert!(ran.unwrap().status.success(), "{args:?}");
    };
    for (args, error, next) in [
        (&["v0"][..], "sends only out of interfaces that are named", "--peer v1"),
        (&["v7", "--peer", "v1"], "v7", ""),
        (&["v0", "--peer", "v0"], "both ends", "--peer names"),
        (&["lo", "--peer", "v1"], "loopback", "veth pair"),
        (&["v0", "--peer", "v1", "--program", "drob"], "drob", "'drop'"),
        (&["v0", "--peer", "v1", "--cores", "0"], "0", ""),
        (&["v0", "--peer", "v1", "--repeats", "0"], "0", ""),
    ] {
        let ran = cable.hoist(&[&["bench"][..], args].concat()).code(2);
        assert!(ran.err.contains(error) && ran.err.contains(next), "{args:?}: {}", ran.err);
        assert!(!cable.gro(), "{args:?}");
    }
    ip(&["address", "add", "192.0.2.1/24", "dev", "v1"]);
    ip(&["route", "add", "default", "via", "192.0.2.9", "dev", "v1"]);
    let ran = cable.hoist(&["bench", "v0", "--peer", "v1"]).code(2);
    assert!(ran.err.contains("v1 carries the default route"), "{}", ran.err);
    let args = ["bench", "v0", "--peer", "v1", "--force", "-m", "native"];
    cable.hoist(&[&args[..], &SHORT].concat()).code(0);
    ip(&["link", "set", "dev", "v1", "down"]);
    let ran = cable.hoist(&["bench", "v0", "--peer", "v1", "--force"]).code(2);
    assert!(ran.err.contains("v1 is down"), "{}", ran.err);
}

#[test]
fn what_is_sent_back_is_received_and_timed() {
    if !require::veth("what_is_sent_back_is_received_and_timed") {
        return;
    }
    let args = ["bench", "--program", "swap_tx", "-m", "native,tcx", "--rate", "20k"];
    let report = hoist(&[&args[..], &SHORT].concat()).code(0).document();
    for result in report["results"].as_array().unwrap() {
        assert!(accounted(result), "{result:#}");
        let latency = &result["latency"];
        for from in ["from_intended", "from_sent"] {
            assert!(latency[from]["p50"].as_u64().unwrap() > 0, "{result:#}");
        }
        let stages = result["ledger"]["stages"].as_array().unwrap();
        let last = stages.last().unwrap()["out"][0]["packets"].as_u64().unwrap();
        assert!(last > 1000, "{result:#}");
    }
}

#[test]
fn sockets_generate_too() {
    if !require::veth("sockets_generate_too") {
        return;
    }
    for maker in ["af_xdp", "af_packet"] {
        let args = ["bench", "--generator", maker, "-m", "native,generic"];
        let report = hoist(&[&args[..], &SHORT].concat()).code(0).document();
        let results = report["results"].as_array().unwrap();
        assert!(
            results.iter().all(|r| r["pps"]["median"].is_number() && accounted(r)),
            "{report:#}"
        );
    }
}

#[test]
fn another_machine_sends() {
    if !require::veth("another_machine_sends") {
        return;
    }
    // Two namespaces stand for two machines.
    let (here, there) = (Namespace::named("bench").unwrap(), Namespace::named("bench").unwrap());
    let near = End::new("v0", 1).gro(true);
    let wire = Veth::create((&here, near), (&there, End::new("v1", 2))).unwrap();
    let at = |namespace: &Namespace, args: &[&str]| {
        let name = namespace.name().unwrap().to_owned();
        command(&[&["--netns", &name, "bench"], args].concat())
    };
    let mut receive = at(&here, &["v0", "--receive-only", "-m", "native", "-j"]);
    let child = receive.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let slots = || here.run(|| Linux::new().unwrap().query_xdp(wire.near.ifindex).unwrap());
    eventually("it never attached", || slots().native.is_some());
    std::thread::sleep(Duration::from_millis(300));
    let args = ["v1", "--send-only", "--rate", "20k", "--seconds", "1s", "-j"];
    let sent = Ran::from(at(&there, &args).output().unwrap()).code(0).document();
    let count = sent["transmitted"].as_u64().unwrap();
    assert!(count > 1000 && sent["generated"] == sent["transmitted"], "{sent:#}");
    let report = Ran::from(child.wait_with_output().unwrap()).code(0).document();
    let result = &report["results"][0];
    assert_eq!(
        (&result["cores"], &result["loss_ratio"]),
        (&(-1).into(), &0.0.into()),
        "{result:#}"
    );
    assert!(accounted(result), "{result:#}");
    assert_eq!(result["trials"][0]["received"], count);
}

#[test]
fn a_report_is_shown_again_and_compared() {
    if !require::veth("a_report_is_shown_again_and_compared") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let args = ["bench", "-m", "native", "--repeats", "5", "--seconds", "50ms", "--busy"];
    let page = path("page.html");
    let ran = hoist(&[&args[..], &["--html", &page, "-j"]].concat()).code(0);
    let mut report = ran.document();
    let floors = report["floors"].as_array().unwrap().iter();
    let floors: Vec<&str> = floors.map(|floor| floor["name"].as_str().unwrap()).collect();
    assert!(floors.contains(&"generator alone") && floors.contains(&"bounce"), "{floors:?}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<html"));
    let (one, two) = (path("one.json"), path("two.json"));
    std::fs::write(&one, &ran.out).unwrap();
    let shown = hoist(&["bench", "report", &one]).code(0);
    assert!(shown.out.contains("native") && shown.out.contains("floor"), "{}", shown.out);
    assert_eq!(hoist(&["bench", "report", &one, "-j"]).code(0).document(), report);
    hoist(&["bench", "compare", &one, &one]).code(0);
    // Rates that no machine disturbs, and half of them.
    let mut with = |path: &str, scale: f64| {
        let rates = [5.0, 5.01, 4.99, 5.02, 4.98].map(|mpps: f64| mpps * 1e6 * scale);
        report["results"][0]["rates"] = rates.to_vec().into();
        std::fs::write(path, report.to_string()).unwrap();
    };
    with(&one, 1.0);
    with(&two, 0.5);
    let slower = hoist(&["bench", "compare", &one, &two]).code(1);
    assert!(slower.out.contains("slower"), "{}", slower.out);
    for (text, words) in [("{", "is not JSON"), ("{}", "names no schema")] {
        std::fs::write(&two, text).unwrap();
        let refused = hoist(&["bench", "report", &two]).code(2);
        assert!(refused.err.contains(words), "{}", refused.err);
    }
}

#[test]
fn a_wire_carries_what_the_standard_says() {
    let ran = hoist(&["bench", "linerate", "--speed", "10G", "--size", "64,1518"]).code(0);
    assert!(
        ran.out.contains("14.881 Mpps (67.20 ns)") && ran.out.contains("0.813 Mpps"),
        "{}",
        ran.out
    );
    let table = hoist(&["bench", "linerate", "-j"]).code(0).document();
    assert_eq!(table["rows"].as_array().unwrap().len(), 8);
}

/// A report of a busy machine, kept as it was.
const RECORDED: &str = "tests/reports/bench.json";

#[test]
fn a_recorded_report_reads_as_recorded() {
    let shown = hoist(&["bench", "report", RECORDED]).code(0);
    screen("bench-report", &shown.out);
    let verbose = hoist(&["bench", "report", RECORDED, "-v"]).code(0);
    screen("bench-report-verbose", &verbose.out);
}

#[test]
fn mistakes_are_read_aloud() {
    let mut all = String::new();
    for args in [
        &["bench", "--rate", "fast"][..],
        &["bench", "--goal", "los=1%"],
        &["bench", "eth0", "--receive-only", "--peer", "eth1"],
        &["bench", "--peer", "eth1"],
        &["bench", "linerate", "--speed", "ten"],
        &["bench", "linerate", "--size", "big"],
        &["bench", "report", "nothing.json"],
        &["bench", "compare", RECORDED, "Cargo.toml"],
    ] {
        let ran = hoist(args).code(2);
        all += &format!("$ hoist {}\n", args.join(" "));
        for line in ran.err.lines() {
            // Screens have 100 columns; messages that come with the parser's own are longer.
            let chars: Vec<char> = line.chars().collect();
            for part in chars.chunks(100) {
                all.extend(part);
                all.push('\n');
            }
        }
        all.push('\n');
    }
    screen("bench-mistakes", &all);
}

#[test]
fn frames_that_do_not_fit_are_named_and_give_no_number() {
    if !require::veth("frames_that_do_not_fit_are_named_and_give_no_number") {
        return;
    }
    let cable = Cable::new();
    let ip = ["link", "set", "dev", "v0", "mtu", "600"];
    let set = cable.namespace.output(Command::new("ip").args(ip), Duration::from_secs(5)).unwrap();
    assert!(set.status.success());
    let args = ["bench", "v0", "--peer", "v1", "--profile", "1518", "-m", "native"];
    let report = cable.hoist(&[&args[..], &SHORT].concat()).code(1).document();
    let result = &report["results"][0];
    assert_eq!(result["pps"], Value::Null, "{result:#}");
    let codes = result["findings"].as_array().unwrap().iter();
    let codes: Vec<&str> = codes.map(|finding| finding["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"frame-exceeds-mtu"), "{codes:?}");
}

#[test]
fn kernel_threads_poll_where_they_are_told_and_are_gone_afterwards() {
    if !require::veth("kernel_threads_poll_where_they_are_told_and_are_gone_afterwards") {
        return;
    }
    let cable = Cable::new();
    let threaded = || cable.namespace.run(|| Linux::new().unwrap().threaded_napi("v0").unwrap());
    assert!(!threaded());
    let args = ["bench", "v0", "--peer", "v1", "--napi-cpus", "1", "-m", "native"];
    let report = cable.hoist(&[&args[..], &SHORT].concat()).code(0).document();
    let v0 = &report["environment"]["devices"]["v0"];
    assert_eq!(v0["threaded-napi"], "on", "what was in force is recorded: {v0:#}");
    let cpus = report["results"][0]["trials"][0]["cpus"].as_array().unwrap();
    assert_eq!((&cpus[0]["role"], &cpus[1]["role"]), (&"generator".into(), &"napi".into()));
    assert!(!threaded() && !cable.gro(), "put back");
    let all = cable.hoist(&["bench", "v0", "--peer", "v1", "--napi-cpus", "0-", "-m", "native"]);
    all.code(2);
}
