//! Settings of a real interface: changed for a program, put back after it, whatever ends it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hoist_bpf::kernel::{Kernel, Linux};
use hoist_bpf::{Module, Selector, analysis, programs};
use hoist_drivers::NATIVE;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};
use hoist_offload::capability::Severity;
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::Wishes;
use hoist_offload::{
    Adjustment, Answer, AttachPolicy, Attachment, Capabilities, Condition, Device, Driver,
    Evidence, Host as _, Job, Plan, Registry, adjust, pins,
};

/// Set for the process that is killed: the directory its program is kept in, or nothing.
const CHILD: &str = "HOIST_TEST_CHILD";
const PATIENCE: Duration = Duration::from_secs(10);
/// Features that a veth lets one switch.
const FEATURES: [&str; 3] = ["rx-gro", "rx-gro-list", "rx-udp-gro-forwarding"];

/// Says of every device that merged packets break programs.
#[derive(Debug)]
struct Merging;

impl Driver for Merging {
    fn name(&self) -> &'static str {
        "merging"
    }

    fn claims(&self, _: &Device) -> bool {
        true
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        let on = FEATURES.iter().any(|feature| device.feature(feature) == Some(true));
        let off = |feature: &&str| Adjustment { feature: (*feature).to_owned(), on: false };
        let holds = if on { Answer::No } else { Answer::Yes };
        let merged = Condition::new("merged", holds, "packets merge", Evidence::kernel("test"))
            .severity(Severity::Breaks)
            .adjustments(FEATURES.iter().map(off).collect());
        capabilities.conditions.push(merged);
    }
}

fn kernel() -> Arc<dyn Kernel> {
    Arc::new(Linux::new().unwrap())
}

fn job() -> Job {
    let module = Module::parse("drop", programs::get("drop").unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    Job {
        requirements: analysis::requirements(&module, program),
        module: Arc::new(module),
        program,
        count_verdicts: false,
        pin_root: None,
        contents: BTreeMap::new(),
        merged: Default::default(),
        accept: Default::default(),
        card: None,
    }
}

/// Attaches with leave to change the device.
fn attach(keep: Option<PathBuf>) -> (Plan, Box<dyn Attachment>) {
    let kernel = kernel();
    let host = LinuxHost::new(Arc::clone(&kernel));
    let device = host.device("v0").unwrap();
    let registry = Registry::new().engine(&NATIVE).driver(&Merging);
    let wishes = Wishes { adjust_device: true, ..Wishes::default() };
    let policy = AttachPolicy { keep, ..AttachPolicy::default() };
    registry.attach(&host, &kernel, &device, &job(), &wishes, &policy).unwrap()
}

fn set(on: bool) {
    for feature in FEATURES {
        kernel().set_feature("v0", feature, on).unwrap();
    }
}

fn features() -> [bool; 3] {
    FEATURES.map(|feature| kernel().feature("v0", feature).unwrap())
}

fn repaired() -> usize {
    adjust::repair(&*kernel()).unwrap().iter().map(|one| one.changes.len()).sum()
}

/// Attaches for the tests that kill it, and waits to be killed.
#[test]
#[ignore = "the child of another test"]
fn child_adjusts_and_waits() {
    let Some(keep) = std::env::var_os(CHILD) else { return };
    let keep = (!keep.is_empty()).then(|| PathBuf::from(keep));
    let running = attach(keep);
    std::thread::sleep(Duration::from_secs(30));
    drop(running);
}

fn start_child(lab: &Lab, keep: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", "child_adjusts_and_waits"]);
    command.env(CHILD, keep).stdout(Stdio::null()).stderr(Stdio::null());
    lab.near().namespace.spawn(&mut command).unwrap()
}

/// Whether the child's program is attached by now.
fn runs(lab: &Lab) -> bool {
    kernel().query_xdp(lab.near().ifindex).unwrap().native.is_some()
}

#[test]
fn settings_follow_the_program() {
    if !require::veth("settings_follow_the_program") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        set(true);
        kernel().set_feature("v0", FEATURES[1], false).unwrap();
        let before = features();
        assert_eq!(before, [true, false, true]);
        let (plan, attachment) = attach(None);
        assert_eq!(features(), [false; 3]);
        let changed: Vec<&str> = plan.adjustments.iter().map(|c| c.feature.as_str()).collect();
        assert_eq!(changed, [FEATURES[0], FEATURES[2]], "one was off already");
        assert_eq!(repaired(), 0);
        attachment.detach().unwrap();
        assert_eq!(features(), before);
    });
}

#[test]
fn the_next_start_repairs_after_kill_9() {
    if !require::veth("the_next_start_repairs_after_kill_9") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        set(true);
        let mut child = start_child(&lab, "");
        assert!(wait::until(PATIENCE, || runs(&lab)), "the child never attached");
        assert_eq!((features(), repaired()), ([false; 3], 0), "the child lives");
        assert_eq!(adjust::of(&*kernel(), lab.near().ifindex).unwrap().len(), 3);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(wait::until(PATIENCE, || !runs(&lab)));
        assert_eq!(features(), [false; 3], "nobody is there to put them back");
        assert_eq!((repaired(), features()), (3, [true; 3]));
        assert_eq!(repaired(), 0);
        assert!(adjust::of(&*kernel(), lab.near().ifindex).unwrap().is_empty());
    });
}

#[test]
fn a_program_that_stays_keeps_its_settings_though_its_process_is_killed() {
    let test = "a_program_that_stays_keeps_its_settings_though_its_process_is_killed";
    if !require::veth(test) {
        return;
    }
    let name = format!("hoist_test_adjust_{}", std::process::id());
    let root = kernel().bpffs(&name).unwrap();
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        set(true);
        let mut child = start_child(&lab, root.to_str().unwrap());
        let kept = || pins::running(&*kernel(), &root).unwrap();
        assert!(wait::until(PATIENCE, || !kept().is_empty()), "the child's program does not stay");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((repaired(), features()), (0, [false; 3]), "its program runs");
        let kernel = kernel();
        let device = LinuxHost::new(Arc::clone(&kernel)).device("v0").unwrap();
        let registry = Registry::new().engine(&NATIVE);
        let adopted = registry.adopt(&kernel, &kept()[0].0, &device).unwrap();
        assert_eq!(adopted.adjusted().len(), 3);
        adopted.detach().unwrap();
        assert_eq!((features(), repaired()), ([true; 3], 0));
    });
    kernel().remove_directory(&root).unwrap();
}
