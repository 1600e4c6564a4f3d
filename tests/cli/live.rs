//! Live programs on veth pairs, in namespaces of their own.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hoist_hwtests::capture::Sender;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::{End, Lab, Namespace, Veth};
use hoist_hwtests::require;
use serde_json::Value;

use crate::harness::{Ran, command, hoist, object, root};

/// A lab whose near end, `v0`, is in a namespace that the command finds by name.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    near: Namespace,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let near = Namespace::named("cli").unwrap();
        let far = Namespace::new().unwrap();
        let lab = Lab::between(&near, &far, |end| end, |end| end).unwrap();
        Self { lab, near }
    }

    pub(crate) fn name(&self) -> &str {
        self.near.name().unwrap()
    }

    /// Runs the command with `--netns`.
    pub(crate) fn hoist(&self, args: &[&str]) -> Ran {
        hoist(&[&["--netns", self.name()], args].concat())
    }

    /// Sends UDP frames from a source address to `v0`.
    pub(crate) fn send(&self, source: [u8; 4], count: usize) {
        let (near, far) = (self.lab.near(), self.lab.far());
        let frame = Frame::eth(far.mac, near.mac).ipv4(source, Lab::NEAR).udp(4000, 9);
        Sender::open(far).unwrap().send_many(&frame.bytes(), count).unwrap();
    }

    pub(crate) fn attachments(&self) -> Vec<Value> {
        let status = self.hoist(&["status", "-j"]).code(0).document();
        status["attachments"].as_array().unwrap().clone()
    }
}

/// Waits for what must come within a few seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_loaded_program_stays_counts_and_goes() {
    if !require::veth("a_loaded_program_stays_counts_and_goes") {
        return;
    }
    let bench = Bench::new();
    let drop = object("drop");
    for (word, engine, hook) in [
        ("native", "native", "xdp"),
        ("generic", "generic", "xdp"),
        ("tc", "tc", "tcx"),
        ("tcx", "tc", "tcx"),
        ("clsact", "tc", "clsact"),
    ] {
        let loaded = bench.hoist(&["load", "v0", &drop, "-m", word, "--count", "-j"]).code(0);
        let document = loaded.document();
        assert_eq!(document["attachments"][0]["engine"], engine);
        assert_eq!(document["attachments"][0]["hook"], hook);
        assert_eq!(document["plans"][0]["certainty"], "proven");
        assert!(loaded.err.contains("chosen, proven"), "the ladder is talk: {}", loaded.err);
        bench.send([192, 0, 2, 1], 7);
        eventually("seven drops are counted", || {
            bench.attachments()[0]["packets"]["drop"].as_u64() >= Some(7)
        });
        let row = &bench.attachments()[0];
        assert_eq!((&row["engine"], &row["owner"]["by"]), (&engine.into(), &"hoist".into()));
        let unloaded = bench.hoist(&["unload", "v0", "-j"]).code(0).document();
        assert!(unloaded["detached"][0]["packets"]["drop"].as_u64() >= Some(7), "{unloaded:#}");
        assert_eq!(bench.attachments(), [] as [Value; 0]);
    }
    let again = bench.hoist(&["unload", "v0"]).code(2);
    assert!(again.err.contains("v0: nothing is attached"), "{}", again.err);
}

#[test]
fn several_interfaces_get_the_program_or_none_does() {
    if !require::veth("several_interfaces_get_the_program_or_none_does") {
        return;
    }
    let bench = Bench::new();
    let ends = |near: &str, far: &str| (End::new(near, 3), End::new(far, 4));
    let (near, far) = ends("w0", "w1");
    let _second = Veth::create((&bench.near, near), (&bench.near, far)).unwrap();
    let (pass, drop) = (object("pass"), object("drop"));
    bench.hoist(&["load", "w0", &drop]).code(0);
    let refused = bench.hoist(&["load", "v0", "w0", &pass, "-m", "native,generic"]).code(1);
    assert!(refused.err.contains("v0: detached again"), "{}", refused.err);
    assert!(refused.err.contains("slot-held"), "{}", refused.err);
    assert!(refused.err.contains("error: xdp_pass cannot run on w0"), "{}", refused.err);
    let names = |bench: &Bench| -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        bench.attachments().iter().map(|a| (text(&a["device"]), text(&a["program"]))).collect()
    };
    assert_eq!(names(&bench), [("w0".to_owned(), "xdp_drop".to_owned())]);
    let partly = bench.hoist(&["unload", "w0", "v0"]).code(2);
    assert!(partly.err.contains("v0: nothing is attached"), "{}", partly.err);
    assert_eq!(names(&bench).len(), 1, "unload, too, is all or none");
    bench.hoist(&["unload", "w0"]).code(0);
    bench.hoist(&["load", "v0", "w0", "v0", &pass]).code(0);
    assert_eq!(names(&bench).len(), 2);
    bench.hoist(&["unload", "v0", "w0"]).code(0);
}

#[test]
fn somebody_else_s_program_is_left_alone_unless_named() {
    if !require::veth("somebody_else_s_program_is_left_alone_unless_named") {
        return;
    }
    let bench = Bench::new();
    let (pass, drop) = (object("pass"), object("drop"));
    let object = root().join(&drop);
    let mut ip = Command::new("ip");
    ip.args(["link", "set", "dev", "v0", "xdpgeneric", "obj"]).arg(object).args(["sec", "xdp"]);
    let output = bench.near.output(&mut ip, Duration::from_secs(10)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let id = bench.attachments()[0]["id"].as_u64().unwrap().to_string();
    bench.hoist(&["load", "v0", &pass, "-m", "generic"]).code(1);
    let refused = bench.hoist(&["unload", "v0"]).code(1);
    assert!(refused.err.contains("was not loaded by hoist"), "{}", refused.err);
    assert!(refused.err.contains(&format!("next: hoist unload v0 --force {id}")));
    let refused = bench.hoist(&["unload", "v0", "-j"]).code(1).document();
    assert_eq!(refused["code"], "not-loaded-by-hoist");
    bench.hoist(&["load", "v0", &pass, "-m", "generic", "--replace", "1"]).code(1);
    bench.hoist(&["load", "v0", &pass, "-m", "generic", "--replace", &id]).code(0);
    assert_eq!(bench.attachments()[0]["program"], "xdp_pass");
    bench.hoist(&["unload", "v0"]).code(0);
    let output = bench.near.output(&mut ip, Duration::from_secs(10)).unwrap();
    assert!(output.status.success());
    let id = bench.attachments()[0]["id"].as_u64().unwrap().to_string();
    bench.hoist(&["unload", "v0", "--force", "1"]).code(2);
    bench.hoist(&["unload", "v0", "--force", &id]).code(0);
    assert_eq!(bench.attachments().len(), 0);
}

/// `hoist run`, stopped by a signal.
fn running(bench: &Bench, args: &[&str]) -> Child {
    let args = [&["--netns", bench.name(), "run"], args].concat();
    command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn run_ends_cleanly_on_signals_and_leaves_nothing_when_killed() {
    if !require::veth("run_ends_cleanly_on_signals_and_leaves_nothing_when_killed") {
        return;
    }
    let bench = Bench::new();
    let drop = object("drop");
    for name in ["-INT", "-TERM"] {
        let child = running(&bench, &["v0", &drop, "-j", "--interval", "50ms"]);
        eventually("the program runs", || bench.attachments().len() == 1);
        bench.send([192, 0, 2, 1], 3);
        std::thread::sleep(Duration::from_millis(200));
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().unwrap()).code(0);
        let lines = ran.lines();
        let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(
            (events[0], events[1], *events.last().unwrap()),
            ("started", "counters", "totals")
        );
        assert!(lines.last().unwrap()["counters"][0]["packets"]["drop"].as_u64() >= Some(3));
        assert_eq!(bench.attachments().len(), 0, "{name}");
    }
    let mut child = running(&bench, &["v0", &drop]);
    eventually("the program runs", || bench.attachments().len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("a killed run leaves nothing", || bench.attachments().is_empty());
    let timed = bench.hoist(&["run", "v0", &drop, "-d", "150ms", "--interval", "50ms"]).code(0);
    assert!(timed.out.contains("totals after 0."), "{}", timed.out);
}

#[test]
fn run_ends_when_its_interface_goes() {
    if !require::veth("run_ends_when_its_interface_goes") {
        return;
    }
    let bench = Bench::new();
    let child = running(&bench, &["v0", &object("drop"), "--interval", "50ms"]);
    eventually("the program runs", || bench.attachments().len() == 1);
    bench.lab.near().clone().delete().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).code(4);
    assert!(ran.err.contains("the interface is gone"), "{}", ran.err);
    assert!(ran.out.contains("totals after"), "{}", ran.out);
}

/// Pins are named after the namespace in which the program was attached; it is found all the same.
#[test]
fn a_loaded_program_moves_with_its_interface() {
    if !require::veth("a_loaded_program_moves_with_its_interface") {
        return;
    }
    let bench = Bench::new();
    let elsewhere = Namespace::named("moved").unwrap();
    bench.hoist(&["load", "v0", &object("drop")]).code(0);
    bench.lab.near().clone().move_to(&elsewhere).unwrap();
    assert_eq!(bench.attachments(), [] as [Value; 0]);
    let there = |args: &[&str]| hoist(&[&["--netns", elsewhere.name().unwrap()], args].concat());
    let status = there(&["status", "v0", "-j"]).code(0).document();
    assert_eq!(status["attachments"][0]["owner"]["by"], "hoist", "{status:#}");
    there(&["unload", "v0"]).code(0);
    let status = there(&["status", "v0", "-j"]).code(0).document();
    assert_eq!(status["attachments"].as_array().unwrap().len(), 0, "{status:#}");
}

#[test]
fn every_way_into_a_namespace_sees_the_same_program() {
    if !require::veth_and_command("every_way_into_a_namespace_sees_the_same_program", "nsenter") {
        return;
    }
    let bench = Bench::new();
    let (name, drop) = (bench.name().to_owned(), object("drop"));
    let binary = env!("CARGO_BIN_EXE_hoist");
    let within = |program: &str, args: &[&str], rest: &[&str]| -> Ran {
        let mut command = Command::new(program);
        command.args(args).arg(binary).args(rest).current_dir(root());
        command.output().unwrap().into()
    };
    let path = format!("--net=/run/netns/{name}");
    let exec = ["netns", "exec", name.as_str()];
    within("ip", &exec, &["load", "v0", &drop]).code(0);
    let owner = |ran: Ran| ran.code(0).document()["attachments"][0]["owner"]["by"].clone();
    assert_eq!(owner(within("nsenter", &[&path], &["status", "v0", "-j"])), "hoist");
    assert_eq!(owner(bench.hoist(&["status", "v0", "-j"])), "hoist");
    assert_eq!(owner(hoist(&["--netns", &format!("/run/netns/{name}"), "status", "-j"])), "hoist");
    let mut sleep = Command::new("sleep");
    let mut sleep = bench.near.spawn(sleep.arg("30")).unwrap();
    assert_eq!(owner(hoist(&["--netns", &sleep.id().to_string(), "status", "-j"])), "hoist");
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    within("nsenter", &[&path], &["unload", "v0"]).code(0);
    assert_eq!(bench.attachments().len(), 0);
    let absent = hoist(&["--netns", "nonesuch", "status"]).code(2);
    assert!(absent.err.contains("nonesuch") && absent.err.contains("next:"), "{}", absent.err);
}

#[test]
fn a_missing_capability_is_named() {
    let name = "a_missing_capability_is_named";
    if !require::veth_and_command(name, "setpriv") {
        return;
    }
    let bench = Bench::new();
    let drop = object("drop");
    // The object and the command may lie where an ordinary user cannot look.
    let shelf = tempfile::Builder::new().permissions(world()).tempdir().unwrap();
    let binary = shelf.path().join("hoist");
    std::fs::copy(env!("CARGO_BIN_EXE_hoist"), &binary).unwrap();
    let copy = shelf.path().join("drop.o");
    std::fs::copy(root().join(drop), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let with = |capabilities: &str, args: &[&str]| -> Ran {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(format!("--inh-caps={capabilities}"));
        command.arg(format!("--ambient-caps={capabilities}"));
        command.arg(&binary).args(args).current_dir("/");
        let limit = Duration::from_secs(20);
        bench.near.output(&mut command, limit).unwrap().into()
    };
    let both = "-all,+bpf,+net_admin";
    let cases: [(&str, &[&str], i32, &[&str]); 7] = [
        ("-all", &["plan", "v0", copy], 0, &["without CAP_BPF, CAP_NET_ADMIN"]),
        ("-all", &["run", "v0", copy], 3, &["needs CAP_BPF and CAP_NET_ADMIN", "setcap"]),
        ("-all,+bpf", &["run", "v0", copy], 3, &["needs CAP_NET_ADMIN\n"]),
        ("-all,+net_admin", &["run", "v0", copy], 3, &["needs CAP_BPF\n"]),
        (both, &["plan", "v0", copy, "-j"], 0, &[]),
        (both, &["run", "v0", copy, "-d", "100ms"], 0, &["chosen, proven"]),
        (both, &["map", "list"], 3, &["needs CAP_SYS_ADMIN"]),
    ];
    for (capabilities, args, code, words) in cases {
        let ran = with(capabilities, args).code(code);
        for word in words {
            assert!(ran.err.contains(word), "{capabilities} {args:?}: {}", ran.err);
        }
        // Counting takes no more than the program does.
        assert!(!ran.err.contains("not counted"), "{capabilities} {args:?}: {}", ran.err);
    }
}

fn world() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

#[test]
fn the_demo_runs_and_leaves_nothing() {
    if !require::veth("the_demo_runs_and_leaves_nothing") {
        return;
    }
    let start = Instant::now();
    let ran = hoist(&["demo", "-j", "--duration", "300ms"]).code(0);
    assert!(start.elapsed() < Duration::from_secs(20));
    let document = ran.document();
    let results = document["results"].as_array().unwrap();
    let engines: Vec<String> =
        results.iter().map(|r| format!("{} {}", r["engine"], r["hook"])).collect();
    assert_eq!(
        engines,
        [
            "\"native\" \"xdp\"",
            "\"generic\" \"xdp\"",
            "\"tc\" \"tcx\"",
            "\"tc\" \"clsact\"",
            "\"user\" \"af_xdp\""
        ],
        "{document:#}"
    );
    for result in results {
        assert!(result["pps"].as_f64() > Some(0.0), "{result:#}");
        for checked in result["checked"].as_array().unwrap() {
            assert_eq!(checked["verdict"], checked["expected"], "{result:#}");
        }
    }
    // Killed by a signal half-way, it takes everything down, too.
    let mut child = command(&["demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    signal(&child, "-INT");
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(start.elapsed() < Duration::from_secs(10));
}
