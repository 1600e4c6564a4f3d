//! The command as a process: what its user sees when a NIC refuses, at which stage ever, and that a
//! process which has ended leaves nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hoist_bpf::kernel::{ObjectKind, XdpMode};
use hoist_hwtests::require;
use serde_json::Value;

use crate::support::{Nic, kernel, until};

/// Where the VM laboratory puts it.
const HOIST: &str = "/t/hoist";

struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

fn here(name: &str) -> bool {
    let absent = !Path::new(HOIST).exists();
    require::netdevsim(name)
        && require::verdict("netdevsim", name, absent.then(|| format!("the command {HOIST}")))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(HOIST);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn hoist(args: &[&str]) -> Ran {
    ran(command(args).output().unwrap())
}

fn ran(output: std::process::Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

impl Ran {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// What it says to people, without the breaks of lines.
    fn words(&self) -> String {
        self.err.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

/// One of hoist's own programs, as a file.
struct Objects(PathBuf);

impl Objects {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("hoist-objects-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        let path = self.0.join(format!("{name}.o"));
        std::fs::write(&path, hoist_bpf::programs::get(name).unwrap().object).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn maps() -> usize {
    kernel().ids(ObjectKind::Map).unwrap().len()
}

/// Knob, program, code of the refusal, words.
const REFUSALS: [(&str, &str, &str, &str); 4] = [
    ("bpf_bind_accept", "drop", "driver-refused", "before it was verified"),
    ("bpf_bind_verifier_accept", "drop", "driver-refused", "Hello from netdevsim"),
    ("ports/0/bpf_map_accept", "globals", "nic-map-refused", "cannot be made in the NIC"),
    (
        "ports/0/bpf_xdpoffload_accept",
        "drop",
        "offload-disabled",
        "XDP offload disabled in DebugFS",
    ),
];

#[test]
fn load_is_refused_or_goes_on_with_the_reason() {
    if !here("load_is_refused_or_goes_on_with_the_reason") {
        return;
    }
    let (nic, objects, kernel) = (Nic::new(1), Objects::new(), kernel());
    let device = nic.device();
    let before = maps();
    for (knob, program, code, words) in REFUSALS {
        let object = objects.file(program);
        nic.set(knob, "N");
        let alone = hoist(&["load", &device.name, &object, "-m", "hw"]).code(1);
        let told = alone.words().contains(code) && alone.words().contains(words);
        assert!(told, "{knob}: {}", alone.err);
        let document = hoist(&["load", &device.name, &object, "-m", "hw", "-j"]).code(1).document();
        let gaps = document["refusals"][0]["gaps"].as_array().unwrap();
        assert!(gaps.iter().any(|gap| gap["code"] == code), "{knob}: {document:#}");
        nic.empty();
        assert_eq!(kernel.query_xdp(device.ifindex).unwrap(), Default::default(), "{knob}");
        until("the maps to go", || maps() <= before);
        // Left to itself, it takes the next engine and says why.
        let auto = hoist(&["load", &device.name, &object]).code(0);
        assert!(
            auto.words().contains(code) && auto.words().contains(words),
            "{knob}: {}",
            auto.err
        );
        let slots = kernel.query_xdp(device.ifindex).unwrap();
        assert!(slots.of(XdpMode::Native).is_some() && slots.of(XdpMode::Hardware).is_none());
        let status = hoist(&["status", &device.name, "-j"]).code(0).document();
        assert_eq!(status["attachments"][0]["engine"], "native", "{knob}: {status:#}");
        hoist(&["unload", &device.name]).code(0);
        nic.set(knob, "Y");
        nic.empty();
        until("the maps to go", || maps() <= before);
    }
}

/// What is loaded stays in the NIC without the process, with maps of the size that was asked for, which
/// are read, written and copied to the host's.
#[test]
fn load_leaves_the_program_in_the_nic() {
    if !here("load_leaves_the_program_in_the_nic") {
        return;
    }
    let (nic, objects, kernel) = (Nic::new(1), Objects::new(), kernel());
    let device = nic.device();
    let name = &device.name;
    let before = maps();
    let object = objects.file("acl");
    let stock = !require::netdevsim_is_card();
    let load = ["load", name, &object, "-m", "hw"];
    if stock {
        let refused = hoist(&load).code(1);
        assert!(refused.err.contains("nic-map-refused"), "{}", refused.err);
    }
    let two = [&load[..], &["--max-entries", "rules=2", "--no-count"]].concat();
    hoist(&two).code(0);
    assert!(kernel.query_xdp(device.ifindex).unwrap().of(XdpMode::Hardware).is_some());
    assert_eq!(nic.bound(), 1);
    let list = hoist(&["map", "list", name, "-j"]).code(0).document();
    let rules = list["maps"].as_array().unwrap().iter().find(|map| map["name"] == "rules").unwrap();
    assert_eq!(rules["max_entries"], 2, "{list:#}");
    let in_nic = format!("{name}/rules");
    // Without types: `struct flow` and `struct rule` as bytes.
    let (key, value) = (format!("0x{}", "11".repeat(16)), format!("0x{}", "22".repeat(16)));
    hoist(&["map", "set", &in_nic, &key, &value]).code(0);
    assert_eq!(hoist(&["map", "get", &in_nic, &key]).code(0).out.trim(), format!("\"{value}\""));

    // Its state goes to the host and back, although neither has the other's map.
    let host = Nic::beside(1);
    let other = host.device().name;
    hoist(&["load", &other, &object, "-m", "native", "--no-count"]).code(0);
    let at_host = format!("{other}/rules");
    let copied = hoist(&["map", "copy", &in_nic, &at_host, "-j"]).code(0).document();
    assert_eq!((&copied["entries"], &copied["read_back"]["same"]), (&1.into(), &1.into()));
    hoist(&["map", "delete", &in_nic, &key]).code(0);
    hoist(&["map", "copy", &at_host, &in_nic]).code(0);
    assert_eq!(hoist(&["map", "get", &in_nic, &key]).code(0).out.trim(), format!("\"{value}\""));
    // What does not fit the NIC's two is told before anything is written.
    let typed = |n: u8| format!(r#"{{"source": "192.0.2.{n}", "protocol": 17}}"#);
    for n in 1..=2 {
        hoist(&["map", "set", &at_host, &typed(n), r#"{"drop": 1}"#]).code(0);
    }
    let full = hoist(&["map", "copy", &at_host, &in_nic]).code(2);
    assert!(full.err.contains("has room for 2 entries"), "{}", full.err);
    hoist(&["unload", name]).code(0);
    hoist(&["unload", &other]).code(0);
    nic.empty();
    until("the maps to go", || maps() <= before);
}

/// The NIC goes, or somebody ends the process, while the driver looks at the program.
#[test]
fn a_load_that_is_broken_off_leaves_nothing() {
    if !here("a_load_that_is_broken_off_leaves_nothing") {
        return;
    }
    let (nic, objects, kernel) = (Nic::new(1), Objects::new(), kernel());
    let device = nic.device();
    let before = maps();
    let object = objects.file("globals");
    nic.set("bpf_bind_verifier_delay", "1500");
    let mut load = command(&["load", &device.name, &object, "-m", "hw"]).spawn().unwrap();
    until("the driver to look at it", || nic.bound() > 0);
    load.kill().unwrap();
    load.wait().unwrap();
    nic.empty();
    until("the maps to go", || maps() <= before);
    assert_eq!(kernel.query_xdp(device.ifindex).unwrap(), Default::default());

    // A knob that turns meanwhile is heard at the stage that comes after.
    let load = command(&["load", &device.name, &object, "-m", "hw"]).spawn().unwrap();
    until("the driver to look at it", || nic.bound() > 0);
    nic.set("ports/0/bpf_xdpoffload_accept", "N");
    let refused = ran(load.wait_with_output().unwrap()).code(1);
    assert!(refused.words().contains("XDP offload disabled in DebugFS"), "{}", refused.err);
    nic.set("ports/0/bpf_xdpoffload_accept", "Y");
    nic.empty();

    let load = command(&["load", &device.name, &object, "-m", "hw"]).spawn().unwrap();
    until("the driver to look at it", || nic.bound() > 0);
    let start = std::time::Instant::now();
    nic.unplug();
    let waited = start.elapsed();
    let gone = ran(load.wait_with_output().unwrap());
    assert!(gone.code != Some(0), "{}", gone.out);
    assert!(gone.err.contains("is gone") || gone.err.contains("ENODEV"), "{}", gone.err);
    // The kernel lets the driver finish before it lets the NIC go.
    assert!(waited > Duration::from_millis(100), "{waited:?}");
    until("the maps to go", || maps() <= before);
}

/// netdevsim runs nothing: what is held against the cases is the NIC's form on the host, and it says so.
#[test]
fn verify_says_what_ran() {
    if !here("verify_says_what_ran") {
        return;
    }
    let (nic, objects) = (Nic::new(1), Objects::new());
    let name = nic.device().name;
    drop(objects);
    let verify = ["verify", &name, "-m", "hw", "--filter", "drop/"];
    let text = hoist(&verify).code(0);
    assert!(text.out.contains("host-twin") && text.out.contains("simulated"), "{}", text.out);
    let document = hoist(&[&verify[..], &["-j"]].concat()).code(0).document();
    let codes: Vec<&Value> =
        document["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(codes.contains(&&"host-twin".into()) && codes.contains(&&"simulated".into()));
    nic.empty();
}
