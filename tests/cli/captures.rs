//! Capture files where interfaces stand, and single packets of them step by step: as anybody, without
//! a kernel's help.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hoist_fallback::userspace::ports::capture::{Lane, Writer};
use hoist_hwtests::frame::Frame;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{command, hoist, object, screen};

/// A folder with a capture of four packets: UDP from a good and from a bad source, TCP, and one that
/// is too short for an IP header.
struct Captured {
    folder: TempDir,
}

impl Captured {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("in.pcapng")).unwrap();
        let (far, near) = ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
        let from = |source: [u8; 4]| Frame::eth(far, near).ipv4(source, [10, 0, 0, 1]);
        let frames = [
            from([10, 0, 0, 2]).udp(4000, 9).bytes(),
            from([198, 51, 100, 7]).udp(4000, 9).bytes(),
            from([10, 0, 0, 2]).tcp(4000, 80, 2).bytes(),
            Frame::eth(far, near).bytes()[..14].to_vec(),
        ];
        for (frame, second) in frames.iter().zip(0_u64..) {
            writer
                .write(Lane::Pass, Some((1_700_000_000 + second) * 1_000_000_000), frame)
                .unwrap();
        }
        writer.finish().unwrap();
        let blocked = json!({"schema": "hoist.map-dump.v1", "maps": [{"name": "blocked", "entries": [
            {"key": {"bits": 24, "address": "198.51.100.0"}, "value": 1}
        ]}]});
        let captured = Self { folder };
        let mut file = std::fs::File::create(captured.path("blocked.json")).unwrap();
        write!(file, "{blocked}").unwrap();
        captured
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// What is printed, with the folder's name taken out.
    fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn a_capture_runs_and_what_leaves_is_written() {
    let captured = Captured::new();
    let (input, maps) = (captured.text("in.pcapng"), captured.text("blocked.json"));
    let (output, saved) = (captured.text("out.pcapng"), captured.text("after.json"));
    let block = object("lpm_block");
    let options = ["--maps", &maps, "-w", &output, "--save-maps", &saved];
    let ran = hoist(&[&["run", &input, &block, "-m", "user", "-j"], &options[..]].concat()).code(0);
    let lines = ran.lines();
    assert_eq!(lines[0]["event"], "started");
    assert_eq!(
        (&lines[0]["plans"][0]["hook"], &lines[0]["plans"][0]["engine"]),
        (&"file".into(), &"user".into())
    );
    let totals = lines.last().unwrap();
    assert_eq!(totals["counters"][0]["packets"]["drop"], 1);
    assert_eq!(totals["counters"][0]["packets"]["pass"], 3);
    // What left is a capture, too, and what was saved fills maps: nothing of the blocked source is left.
    let again = hoist(&["run", &output, &block, "--maps", &saved, "-j"]).code(0).lines();
    let packets = &again.last().unwrap()["counters"][0]["packets"];
    assert_eq!((&packets["pass"], &packets["drop"]), (&3.into(), &0.into()));
}

#[test]
fn packets_can_come_from_a_pipe() {
    let captured = Captured::new();
    let input = std::fs::File::open(captured.path("in.pcapng")).unwrap();
    let output = command(&["run", "-", &object("drop"), "-j"]).stdin(input).output().unwrap();
    let ran = crate::harness::Ran::from(output).code(0);
    assert_eq!(ran.lines().last().unwrap()["counters"][0]["packets"]["drop"], 4);
}

#[test]
fn nobody_in_particular_can_run_and_trace_captures() {
    use std::os::unix::process::CommandExt as _;
    let captured = Captured::new();
    let open = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(captured.folder.path(), 0o755);
    open(&captured.path("in.pcapng"), 0o644);
    // A copy of the command, for the build's own folder may be closed to others.
    let hoist = captured.path("hoist");
    std::fs::copy(env!("CARGO_BIN_EXE_hoist"), &hoist).unwrap();
    std::fs::copy(object("subprog"), captured.path("subprog.o")).unwrap();
    open(&hoist, 0o755);
    open(&captured.path("subprog.o"), 0o644);
    for verb in ["run", "trace"] {
        let mut command = std::process::Command::new(&hoist);
        command.args([verb, "in.pcapng", "subprog.o"]).current_dir(captured.folder.path());
        if rustix_is_root() {
            command.uid(65534).gid(65534);
        }
        let ran = crate::harness::Ran::from(command.output().unwrap()).code(0);
        assert!(ran.out.contains("pass") || ran.out.contains("XDP_PASS"), "{}", ran.out);
    }
}

/// Whether the test runs as root, who can become somebody else.
fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| {
        use std::os::unix::fs::MetadataExt as _;
        about.uid() == 0
    })
}

#[test]
fn a_trace_reads_as_recorded() {
    let captured = Captured::new();
    let (input, maps) = (captured.text("in.pcapng"), captured.text("blocked.json"));
    let block = object("lpm_block");
    let dropped = hoist(&["trace", &input, &block, "--maps", &maps, "--verdict", "drop"]).code(0);
    assert!(dropped.out.contains("packet 2 of"), "{}", dropped.out);
    screen("trace-lpm_block", &captured.plain(&dropped.out));
    let subprog = object("subprog");
    let called = hoist(&["trace", &input, &subprog, "--packet", "3"]).code(0);
    screen("trace-subprog", &captured.plain(&called.out));
}

#[test]
fn a_trace_is_documents_too() {
    let captured = Captured::new();
    let (input, maps) = (captured.text("in.pcapng"), captured.text("blocked.json"));
    let of = |args: &[&str]| hoist(&[&["trace", &input, "-j"], args].concat()).code(0).lines();
    let block = object("lpm_block");
    let lines = of(&[&block, "--maps", &maps, "--packet", "2"]);
    assert_eq!((&lines[0]["event"], &lines[0]["packet"]), (&"packet".into(), &2.into()));
    let verdict = lines.last().unwrap();
    assert_eq!(verdict["verdict"], "drop");
    assert_eq!(verdict["executed"].as_u64().unwrap() as usize, lines.len() - 2);
    let lookup = lines.iter().find(|line| line["maps"].is_array()).unwrap();
    assert_eq!(lookup["maps"][0]["key"], "{\"bits\":32,\"address\":\"198.51.100.7\"}");
    assert_eq!(lookup["call"]["returned"], "map_value(blocked)+0");
    for name in ["loop", "vlan_push", "acl", "redirect", "tail_call", "ringbuf", "swap_tx"] {
        let object = object(name);
        let program: &[&str] = if name == "tail_call" { &["-n", "xdp_tail_call"] } else { &[] };
        let lines = of(&[&[object.as_str()], program].concat());
        assert_eq!(lines.last().unwrap()["event"], "verdict", "{name}");
    }
}

#[test]
fn a_trace_stops_and_shows_the_state_where_it_is_told_to() {
    let captured = Captured::new();
    let input = captured.text("in.pcapng");
    let subprog = object("subprog");
    let of =
        |args: &[&str]| hoist(&[&["trace", &input, &subprog, "-j"], args].concat()).code(0).lines();
    let stopped = of(&["--until", "account"]);
    let last = stopped.last().unwrap();
    assert_eq!(
        (&last["event"], &last["function"], &last["slot"]),
        (&"stopped".into(), &"account".into(), &0.into())
    );
    let text = last["line"]["line"].as_u64().unwrap().to_string();
    for place in ["account+0", &format!("subprog.bpf.c:{text}"), &text] {
        let lines = of(&["--break", place]);
        let steps: Vec<&Value> = lines.iter().filter(|line| line["event"] == "step").collect();
        assert!(!steps.is_empty() && steps.iter().all(|s| s["function"] == "account"), "{place}");
        let state = &steps[0]["state"];
        assert_eq!(state["registers"][1]["means"], "ctx", "{place}");
        assert_eq!(state["registers"][10]["means"], "stack", "{place}");
        assert_eq!(lines.last().unwrap()["verdict"], "pass", "{place}");
    }
    let short = of(&["--limit", "3"]);
    assert_eq!(short.len(), 5);
    let whole = of(&[]);
    assert_eq!(short.last().unwrap()["reasons"], whole.last().unwrap()["reasons"]);
}

#[test]
fn mistakes_with_captures_are_told_with_the_next_step() {
    let captured = Captured::new();
    let input = captured.text("in.pcapng");
    let drop = object("drop");
    let cases: [(&[&str], &[&str]); 17] = [
        (&["run", "none.pcap", &drop], &["cannot read none.pcap: No such file", "next:"]),
        (&["run", "src/", &drop], &["cannot read src/: is a directory", "next:"]),
        (&["run", "Cargo.toml", &drop], &["Cargo.toml is no capture file", "next:"]),
        (&["run", &input, "eth0", &drop], &["a capture file and interfaces", "next:"]),
        (&["run", &input, &input, &drop], &["several capture files", "mergecap"]),
        (&["run", &input, &drop, "-m", "tc"], &["only the user engine", "--engine user"]),
        (&["run", &input, &drop, "-w", &input], &["written over", "which is read", "another file"]),
        (&["run", &input, &drop, "--save-maps", &drop], &["written over", "another file"]),
        (&["run", &input, &drop, "-w", "/nowhere/out.pcapng"], &["cannot write", "-w takes"]),
        (&["run", &input, &drop, "-m", "af_xdp"], &["is a file", "--engine user"]),
        (&["run", &input, &drop, "-w", "-", "-j"], &["packets and documents", "-w FILE"]),
        (&["trace", &input, &drop, "--packet", "9"], &["no packet 9", "1 to 4"]),
        (&["trace", &input, &drop, "--packet", "0"], &["0", "--packet"]),
        (&["trace", &input, &drop, "--verdict", "tx"], &["verdict tx", "are: drop 4"]),
        (&["trace", &input, &drop, "--break", "9999"], &["no instruction comes from line 9999"]),
        (&["trace", &input, &drop, "--until", "nope"], &["no line and no function", "xdp_drop"]),
        (&["trace", &input, &drop, "--until", "x.c:1"], &["a file 'x.c'", "the files are"]),
    ];
    for (args, words) in cases {
        let ran = hoist(args).code(2);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} should say '{word}':\n{}", ran.err);
        }
    }
}

/// Whoever pipes nothing is not waited for beyond the duration, and what came before is counted.
#[test]
fn silent_input_does_not_outlast_the_duration() {
    let captured = Captured::new();
    let bytes = std::fs::read(captured.path("in.pcapng")).unwrap();
    for (given, packets) in [(&bytes[..], 4), (&[][..], 0)] {
        let mut child = command(&["run", "-", &object("drop"), "-d", "300ms", "-j"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = child.stdin.take().unwrap();
        held.write_all(given).unwrap();
        let start = std::time::Instant::now();
        let ran = crate::harness::Ran::from(child.wait_with_output().unwrap()).code(0);
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
        drop(held);
        let lines = ran.lines();
        let totals = &lines.last().unwrap()["counters"][0];
        assert_eq!(totals["packets"]["drop"], packets, "{totals}");
        assert_eq!(totals["device"], "standard input");
    }
}

#[test]
fn routes_faults_and_files_in_the_wrong_place() {
    let captured = Captured::new();
    let (input, drop, pass) = (captured.text("in.pcapng"), object("drop"), object("pass"));
    let routes = captured.text("routes.json");
    hoist(&["probe", "lo", "--routes", &routes, "-j"]).code(0);
    hoist(&["run", &input, &drop, "--routes", &routes, "--ingress", "lo"]).code(0);
    for (options, code, part) in [
        (&["--routes", &input][..], 2, "cannot read"),
        (&["--routes", &routes, "--ingress", "lp"][..], 2, "know no interface 'lp'"),
        (&["--ingress", "lo"][..], 2, "without --routes"),
        (&["--faults", "lose=101%"][..], 2, "no share"),
        (&["--faults", "loose=1%"][..], 2, "there is no fault 'loose'"),
    ] {
        let ran = hoist(&[&["run", &input, &drop], options].concat()).code(code);
        assert!(ran.err.contains(part), "{options:?}: {}", ran.err);
    }
    let lossy = hoist(&["run", &input, &pass, "--faults", "lose=100%", "-j"]).code(0).lines();
    let counted = &lossy.last().unwrap()["counters"][0]["packets"];
    assert_eq!(counted["pass"], 0, "{counted}");
    for command in [&["plan", &input, &drop][..], &["status", &input], &["probe", &input]] {
        let ran = hoist(command).code(2);
        assert!(ran.err.contains("is a file, not an interface"), "{}", ran.err);
    }
    let ran = hoist(&["run", "lo", &drop, "--faults", "lose=1%"]).code(2);
    assert!(ran.err.contains("--faults is for capture files"), "{}", ran.err);
}
