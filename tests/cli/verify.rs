//! `hoist verify`: the suite on a veth pair, and users' own cases for their own program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hoist_hwtests::capture::Capture;
use hoist_hwtests::lab::{End, Namespace, Veth};
use hoist_hwtests::require;

use crate::harness::{Ran, command, hoist, object, root, screen};
use crate::live::Bench;

/// A directory with an object and case files, as a user has them.
struct Project {
    folder: tempfile::TempDir,
}

const CASES: &str = r#"
title = "lpm_block drops sources that a prefix trie blocks"
program = "../filter.o"

[maps]
blocked = [{ key = { bits = 24, address = "198.51.100.0" }, value = 1 }]

[[case]]
name = "a blocked source is dropped"
send = "eth far > near / ipv4 198.51.100.7 > near / udp 1000 > 2000 / 'hello'"
verdict = "drop"

[[case]]
name = "others reach the socket"
send = "eth far > near / ipv4 far > near / udp 1000 > 2000 / 'hello'"
verdict = "pass"
socket = { udp = 2000, receives = ["hello"] }
"#;

impl Project {
    fn new(program: &str, cases: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(root().join(object(program)), folder.path().join("filter.o")).unwrap();
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        let project = Self { folder };
        std::fs::write(project.path("cases/filter.toml"), cases).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `hoist verify` in the project's directory.
    fn verify(&self, args: &[&str]) -> Ran {
        let mut command = command(&[&["verify"], args].concat());
        command.current_dir(self.folder.path()).output().unwrap().into()
    }
}

#[test]
fn listing_needs_no_privilege_and_names_every_case() {
    let list = hoist(&["verify", "--list", "-j"]).code(0).document();
    let cases = list["cases"].as_array().unwrap();
    assert!(cases.len() > 20, "{}", cases.len());
    let some = hoist(&["verify", "--list", "--filter", "vlan_pop/"]).code(0).out;
    assert!(some.contains("vlan_pop/") && !some.contains("acl/"), "{some}");
    let by_row = hoist(&["verify", "--list", "--filter", "pass-vlan", "-j"]).code(0).document();
    for case in by_row["cases"].as_array().unwrap() {
        assert!(case["rows"].to_string().contains("pass-vlan"), "{case}");
    }
    let project = Project::new("lpm_block", CASES);
    let args = ["--object", "filter.o", "--cases", "cases", "--list"];
    let own = project.verify(&args).code(0).out;
    assert_eq!(own, "filter/a blocked source is dropped\nfilter/others reach the socket\n");
}

/// Arguments, what stands in the case file in the place of what, exit status, what is said.
#[test]
fn wrong_cases_are_told_with_their_place() {
    let own: &[&str] = &["--object", "filter.o", "--cases", "cases"];
    let cases: [(&[&str], &str, &str, &[&str]); 17] = [
        (
            own,
            "verdict = \"drop\"",
            "verdit = \"drop\"",
            &["11:1: 'case' has no 'verdit'", "did you mean 'verdict'?"],
        ),
        (
            own,
            "\"drop\"",
            "\"dorp\"",
            &["11:11: 'verdict' cannot be 'dorp'", "did you mean 'drop'?"],
        ),
        (
            own,
            "udp 1000 > 2000 / 'hello'",
            "uddp 1000",
            &["10:53: frame: expected", "found 'uddp'", "did you mean 'udp'?"],
        ),
        (own, "[[case]]", "[[case]", &["filter.toml:8:", "not TOML"]),
        (
            own,
            "blocked = [{",
            "blokced = [{",
            &["6:1: the program has no map 'blokced'", "did you mean 'blocked'?"],
        ),
        (own, "[maps]", "variables.x = 1\n[maps]", &["the program has no variable 'x'"]),
        (own, "program =", "entry = \"nope\"\nprogram =", &["no program 'nope'", "-n PROG"]),
        (own, "title", "titel", &["filter.toml:2:1: the file has no 'titel'", "'title'?"]),
        (own, "udp = 2000", "udp = 70000", &["'udp' is from 1 to 65535"]),
        (&["--cases", "cases"], "program", "#", &["lacks 'program'", "--object OBJ"]),
        (&["--object", "filter.o"], "", "", &["no cases for it", "--new FILE"]),
        (&["--object", "none.o", "--cases", "cases"], "", "", &["none.o", "No such file"]),
        (&["--cases", "none"], "", "", &["cannot read none: No such file"]),
        (&["--cases", "."], "", "", &["no case file (*.toml)", "--new FILE"]),
        (&["--filter", "vlan_pup"], "", "", &["no case has 'vlan_pup'", "next:"]),
        (&["--peer", "x"], "", "", &["required arguments", "<IF>"]),
        (&["nonesuch"], "", "", &["no interface 'nonesuch'"]),
    ];
    for (args, old, new, words) in cases {
        let project = Project::new("lpm_block", &CASES.replacen(old, new, 1));
        let ran = project.verify(args);
        if ran.code == 3 {
            // Whatever needs a privilege was asked for it first.
            continue;
        }
        let ran = ran.code(2);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} {new}: '{word}'?\n{}", ran.err);
        }
        assert_eq!(ran.out, "", "{args:?}");
    }
    let project = Project::new("lpm_block", &CASES.replace("\"drop\"", "\"dorp\""));
    let args = ["--object", "filter.o", "--cases", "cases", "-j"];
    assert_eq!(project.verify(&args).code(2).document()["exit"], 2);
}

#[test]
fn a_first_case_file_is_written_and_never_overwritten() {
    let project = Project::new("lpm_block", CASES);
    let args = ["--object", "filter.o", "--new", "cases/new.toml"];
    let ran = project.verify(&args).code(0);
    assert!(ran.err.contains("next: hoist verify --object filter.o --cases cases"), "{}", ran.err);
    let text = std::fs::read_to_string(project.path("cases/new.toml")).unwrap();
    assert!(text.contains("program = \"../filter.o\"") && text.contains("# blocked = ["), "{text}");
    let again = project.verify(&args).code(2);
    assert!(again.err.contains("there is such a file already"), "{}", again.err);
    let other = ["--object", "filter.o", "--new", "deep/er/new.toml", "-j"];
    assert_eq!(project.verify(&other).code(0).document()["cases"], 6);
    let listed = project.verify(&["--cases", "deep/er", "--list"]).code(0).out;
    assert_eq!(listed.lines().count(), 6, "{listed}");
}

/// What every kind of program does is written down so that the second command passes.
#[test]
fn what_was_written_holds() {
    if !require::veth("what_was_written_holds") {
        return;
    }
    for program in ["lpm_block", "drop", "vlan_pop", "swap_tx"] {
        let project = Project::new(program, CASES);
        project.verify(&["--object", "filter.o", "--new", "mine/first.toml"]).code(0);
        let args = ["--object", "filter.o", "--cases", "mine"];
        project.verify(&args).code(0);
    }
}

/// The screen without what depends on the machine and the day.
fn scrubbed(text: &str) -> String {
    let lines = text.lines().map(|line| {
        match ["kernel", "hoist", "date"].iter().find(|w| line.starts_with(&format!("  {w}"))) {
            Some(word) => format!("  {word:<9}  ..."),
            None => line.to_owned(),
        }
    });
    lines.fold(String::new(), |all, line| all + &line + "\n")
}

#[test]
fn own_cases_for_an_own_program_hold_on_the_chosen_engines() {
    if !require::veth("own_cases_for_an_own_program_hold_on_the_chosen_engines") {
        return;
    }
    let project = Project::new("lpm_block", CASES);
    let own = ["--object", "filter.o", "--cases", "cases"];
    let ran = project.verify(&[&own[..], &["--junit", "report.xml"]].concat()).code(0);
    screen("verify-own", &scrubbed(&ran.out));
    let document = project.verify(&[&own[..], &["-j"]].concat()).code(0).document();
    assert_eq!(document["holds"], true);
    // Two cases on five hooks, by real traffic and by test run. The sixth refuses what may pass.
    let summary = &document["summary"];
    assert_eq!((&summary["passed"], &summary["refused"]), (&20.into(), &4.into()), "{document:#}");
    assert!(document.get("rows").is_none(), "rows are for the suite");
    let text = std::fs::read_to_string(project.path("report.xml")).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(xml.root_element().attribute("tests"), Some("24"));
    let count = |name: &str| xml.descendants().filter(|n| n.has_tag_name(name)).count();
    assert_eq!((count("testsuite"), count("testcase"), count("failure")), (6, 24, 0));
}

#[test]
fn a_case_that_fails_says_how() {
    if !require::veth("a_case_that_fails_says_how") {
        return;
    }
    let own = ["--object", "filter.o", "--cases", "cases"];
    let project = Project::new("lpm_block", &CASES.replace("198.51.100.0", "203.0.113.0"));
    let ran = project.verify(&[&own[..], &["--junit", "report.xml"]].concat()).code(1);
    screen("verify-failed", &scrubbed(&ran.out));
    let text = std::fs::read_to_string(project.path("report.xml")).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(xml.root_element().attribute("failures"), Some("10"));
    let failure = xml.descendants().find(|n| n.has_tag_name("failure")).unwrap();
    let message = failure.attribute("message").unwrap();
    assert!(message.contains("pass") && message.contains("drop"), "{message}");
}

/// An engine that was asked for by name must run the program; one of many need not.
#[test]
fn a_refusal_fails_where_the_engine_was_named() {
    if !require::veth("a_refusal_fails_where_the_engine_was_named") {
        return;
    }
    let cases =
        "title = \"t\"\n[[case]]\nname = \"n\"\nsend = \"eth far > near\"\nverdict = \"pass\"\n";
    let project = Project::new("rx_hash", cases);
    let own = ["--object", "filter.o", "--cases", "cases", "-j"];
    let named = project.verify(&[&own[..], &["-m", "generic"]].concat()).code(1).document();
    assert_eq!((&named["holds"], &named["summary"]["failed"]), (&false.into(), &2.into()));
    let any = project.verify(&own);
    let document = any.document();
    let of = |engine: &str| -> Vec<String> {
        let results = document["results"].as_array().unwrap().iter();
        let of = results.filter(|r| r["engine"] == engine);
        of.map(|r| r["outcome"]["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert!(of("generic").iter().all(|outcome| outcome == "refused"), "{document:#}");
    assert!(of("native").iter().any(|outcome| outcome == "passed"), "{document:#}");
    any.code(0);
}

#[test]
fn nothing_is_sent_on_an_interface_without_a_peer() {
    if !require::veth("nothing_is_sent_on_an_interface_without_a_peer") {
        return;
    }
    let bench = Bench::new();
    let (near, far) = (bench.lab.near(), bench.lab.far());
    let wires = [Capture::both_ways(near).unwrap(), Capture::both_ways(far).unwrap()];
    let args = ["verify", "v0", "--filter", "vlan_pop/", "-j"];
    let document = bench.hoist(&args).code(0).document();
    let environment = &document["environment"];
    assert_eq!((&environment["device"], &environment["driver"]), (&"v0".into(), &"veth".into()));
    assert_eq!(environment["mtu_bytes"], 1500);
    assert!(!document["capabilities"].as_array().unwrap().is_empty());
    for result in document["results"].as_array().unwrap() {
        assert_eq!(result["evidence"], "test run", "{result:#}");
    }
    assert!(document["summary"]["passed"].as_u64() > Some(0), "{document:#}");
    // What arrives where is not seen without sending.
    let rows = document["rows"].as_array().unwrap();
    let outcome = |id: &str| {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        row["engines"]["native"]["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!((outcome("pass-vlan"), outcome("adjust-head")), ("not-run".into(), "passed".into()));
    for wire in wires {
        assert_eq!(wire.rest().unwrap(), [], "a frame was sent");
    }
    let text = bench.hoist(&["verify", "v0", "-m", "native", "--filter", "vlan_pop/"]).code(0).out;
    assert!(text.contains("evidence") && text.contains("test run"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn with_a_peer_frames_go_over_the_wire() {
    if !require::veth("with_a_peer_frames_go_over_the_wire") {
        return;
    }
    let here = Namespace::named("wire").unwrap();
    let wire = Veth::create((&here, End::new("e0", 1)), (&here, End::new("e1", 2))).unwrap();
    let netns = here.name().unwrap();
    let args = ["--netns", netns, "verify", "e0", "--peer", "e1", "-m", "generic", "-j"];
    let document = hoist(&[&args[..], &["--filter", "vlan_pop/"]].concat()).code(0).document();
    assert_eq!(document["environment"]["peer"], "e1");
    let real = document["results"].as_array().unwrap().iter();
    let real = real.filter(|r| r["evidence"] == "real traffic");
    assert!(real.clone().any(|r| r["outcome"]["outcome"] == "passed"), "{document:#}");
    wire.near.set_up(false).unwrap();
    let down = hoist(&["--netns", netns, "verify", "e0", "--peer", "e1"]).code(2);
    assert!(down.err.contains("e0 is down") && down.err.contains("ip link set e0 up"));
    let same = hoist(&["--netns", netns, "verify", "e1", "--peer", "e1"]);
    assert_eq!(same.code, 2, "{}", same.err);
}

#[test]
fn a_signal_ends_it_and_what_was_found_is_told() {
    if !require::veth("a_signal_ends_it_and_what_was_found_is_told") {
        return;
    }
    let mut child =
        command(&["verify", "-j"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let start = Instant::now();
    let out = child.stdout.take().unwrap();
    let document: serde_json::Value = serde_json::from_reader(out).unwrap();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    child.wait().unwrap();
    let document = crate::harness::valid(&document);
    assert_eq!(document["stopped"], true, "{:#}", document["summary"]);
}

/// The steps of the workflow that users copy, as they stand there.
#[test]
fn the_workflow_to_copy_works() {
    if !require::veth("the_workflow_to_copy_works") {
        return;
    }
    let text = std::fs::read_to_string(root().join("docs/guide/ci/hoist-verify.yml")).unwrap();
    let step = |name: &str| -> String {
        let (_, rest) = text.split_once(&format!("- name: {name}\n")).unwrap();
        let (_, script) = rest.split_once("run: |\n").unwrap();
        let lines = script.lines().take_while(|line| line.starts_with("          "));
        lines.fold(String::new(), |all, line| all + line.trim_start() + "\n")
    };
    let project = Project::new("lpm_block", CASES);
    std::fs::rename(project.path("filter.o"), project.path("program.bpf.o")).unwrap();
    // A runner has both on its path.
    let tools = project.path("tools");
    std::fs::create_dir(&tools).unwrap();
    script(&tools.join("sudo"), "exec \"$@\"");
    script(&tools.join("hoist"), &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_hoist")));
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    for name in ["Check the case files", "Verify"] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-e", "-c", &step(name)]).current_dir(project.folder.path());
        let ran: Ran = shell.env("PATH", &path).env("CASES", "cases").output().unwrap().into();
        ran.code(0);
    }
    let report = std::fs::read_to_string(project.path("report.xml")).unwrap();
    assert!(roxmltree::Document::parse(&report).is_ok());
}

fn script(path: &Path, line: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// An interface is not the suite's own: it has other addresses and settings, and that is no failure.
#[test]
fn an_interface_with_addresses_of_its_own_holds() {
    if !require::veth("an_interface_with_addresses_of_its_own_holds") {
        return;
    }
    let bench = Bench::new();
    for (port, mac) in
        [(bench.lab.near(), "06:84:10:05:0c:cb"), (bench.lab.far(), "06:11:22:33:44:55")]
    {
        let mut ip = std::process::Command::new("ip");
        ip.args(["link", "set", &port.name, "address", mac]);
        let done = port.namespace.output(&mut ip, std::time::Duration::from_secs(5)).unwrap();
        assert!(done.status.success());
    }
    let ran = bench.hoist(&["verify", "v0"]);
    assert!(ran.out.contains("holds: "), "{}", ran.out);
    ran.code(0);
}

#[test]
fn what_cannot_be_written_or_read_is_told_before_any_case_is_run() {
    let folder = std::env::temp_dir();
    let missing = folder.join("there-is-no-such-object.o");
    let missing = missing.to_str().unwrap();
    let cases = folder.to_str().unwrap();
    let ran = hoist(&["verify", "--object", missing, "--cases", cases]).code(2);
    assert!(ran.err.contains(&format!("cannot read {missing}: No such file")), "{}", ran.err);
}
