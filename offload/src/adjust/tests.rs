use std::collections::BTreeMap;

use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::{Fake, KernelError};
use hoist_bpf::{Module, Selector, analysis, programs};

use super::*;
use crate::attach::{AttachPolicy, Attachment};
use crate::capability::{Condition, Severity};
use crate::device::Toggle;
use crate::driver::Driver;
use crate::fact::{Evidence, Fact};
use crate::host::{FakeHost, sample};
use crate::pins;
use crate::plan::{Plan, Registry, Wishes};
use crate::xdp::XdpEngine;
use crate::{EngineKind, Host};

static NATIVE: XdpEngine = XdpEngine::NATIVE;
const GRO: &str = "rx-gro";
const LRO: &str = "rx-lro";
const IFINDEX: u32 = 3;

/// Says that merged packets break programs.
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
        let on = |feature: &str| device.feature(feature) == Some(true);
        let holds = if on(GRO) || on(LRO) { Answer::No } else { Answer::Yes };
        let off = |feature: &str| Adjustment { feature: feature.to_owned(), on: false };
        let condition = Condition::new("merged", holds, "packets merge", Evidence::kernel("test"))
            .severity(Severity::Breaks)
            .remedy("ethtool -K")
            .adjustments(vec![off(GRO), off(LRO)]);
        capabilities.conditions.push(condition);
    }
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

/// A machine whose interface merges packets in two ways.
struct Machine {
    fake: Arc<Fake>,
    kernel: Arc<dyn Kernel>,
}

impl Machine {
    fn new() -> Self {
        let fake = Arc::new(Fake::new());
        let mut interface = FakeInterface::new(IFINDEX, "eth0");
        interface.features = [GRO, LRO].map(|name| (name.to_owned(), (true, true))).into();
        fake.add_interface(interface);
        let kernel: Arc<dyn Kernel> = Arc::clone(&fake) as Arc<dyn Kernel>;
        Self { fake, kernel }
    }

    /// The interface as it is now.
    fn device(&self) -> Device {
        let features = [GRO, LRO].map(|name| {
            let on = self.kernel.feature("eth0", name).unwrap();
            (name.to_owned(), Toggle { on, changeable: true })
        });
        Device { features: Fact::kernel(features.into(), "test"), ..sample::ice("eth0", IFINDEX) }
    }

    fn features(&self) -> [bool; 2] {
        [GRO, LRO].map(|name| self.kernel.feature("eth0", name).unwrap())
    }

    fn notes(&self) -> usize {
        self.kernel.notes("adjusted").unwrap().len()
    }

    fn attach(
        &self,
        adjust_device: bool,
        policy: &AttachPolicy,
    ) -> Result<(Plan, Box<dyn Attachment>), Error> {
        let device = self.device();
        let registry = Registry::new().engine(&NATIVE).driver(&Merging);
        let host = FakeHost::with_devices(vec![device.clone()]);
        let host: &dyn Host = &host;
        let wishes = Wishes { adjust_device, ..Wishes::default() };
        registry.attach(host, &self.kernel, &device, &job(), &wishes, policy)
    }

    fn needed(&self) -> Needed {
        let mut capabilities = Capabilities::new(EngineKind::Native, "kernel");
        Merging.refine(&self.device(), &mut capabilities);
        Needed::find(&mut capabilities, &self.device(), &job(), true)
    }

    fn grip(&self, kept: Option<PathBuf>) -> Option<Grip> {
        Grip::take(&self.kernel, &self.device(), &self.needed(), kept).unwrap()
    }

    fn repaired(&self) -> Vec<String> {
        let repaired = repair(&*self.kernel).unwrap().into_iter();
        repaired.flat_map(|r| r.changes).map(|change| change.feature).collect()
    }
}

/// What a killed process leaves: nothing is put back, and the system releases its locks.
fn kill(mut grip: Grip) {
    grip.stays = true;
}

#[test]
fn settings_are_changed_on_the_users_word_and_put_back() {
    let machine = Machine::new();
    let policy = AttachPolicy::default();
    let Err(Error::Refused { refusals, .. }) = machine.attach(false, &policy) else {
        panic!("packets would merge")
    };
    let gap = &refusals[0].gaps[0];
    assert_eq!(gap.code, "merged");
    assert!(gap.remedy.as_ref().unwrap().ends_with("--adjust-device"), "{:?}", gap.remedy);
    assert_eq!(machine.features(), [true, true]);

    for by_drop in [false, true] {
        let (plan, attachment) = machine.attach(true, &policy).unwrap();
        assert_eq!(machine.features(), [false, false]);
        let words: Vec<String> = plan.adjustments.iter().map(Change::words).collect();
        let expected = ["rx-gro is switched off (it was on)", "rx-lro is switched off (it was on)"];
        assert_eq!(words, expected);
        assert_eq!(plan.warnings.iter().filter(|w| w.code == "device-adjusted").count(), 1);
        assert_eq!(attachment.adjusted(), plan.adjustments);
        assert_eq!(machine.repaired(), [""; 0], "the process lives");
        match by_drop {
            true => drop(attachment),
            false => attachment.detach().unwrap(),
        }
        assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
    }
}

#[test]
fn the_last_who_relies_on_a_setting_puts_it_back() {
    let machine = Machine::new();
    let first = machine.grip(None).unwrap();
    // The second has nothing to change, with or without the user's word.
    let second = machine.grip(None).unwrap();
    first.release().unwrap();
    assert_eq!(machine.features(), [false, false]);
    drop(second);
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
    // Who finds the settings as they should be, and nothing noted, has nothing to put back.
    for feature in [GRO, LRO] {
        machine.kernel.set_feature("eth0", feature, false).unwrap();
    }
    assert!(machine.grip(None).is_none());
    assert_eq!((machine.features(), machine.notes()), ([false, false], 0));
}

#[test]
fn the_next_start_repairs_what_a_crash_left() {
    let machine = Machine::new();
    let (killed, alive) = (machine.grip(None).unwrap(), machine.grip(None).unwrap());
    kill(killed);
    assert_eq!(machine.repaired(), [""; 0], "one who relies on it lives");
    kill(alive);
    assert_eq!(machine.features(), [false, false]);
    assert_eq!(machine.repaired(), [GRO, LRO]);
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
    assert_eq!(machine.repaired(), [""; 0]);
    // What a repair could not do, the next one does.
    kill(machine.grip(None).unwrap());
    let refused = KernelError::new("ETHTOOL_MSG_FEATURES_SET", "rx-lro on eth0", 16);
    machine.fake.fail_next(refused);
    repair(&*machine.kernel).unwrap_err();
    assert_eq!(machine.repaired(), [GRO, LRO]);
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
}

#[test]
fn a_crash_between_note_and_change_is_repaired_too() {
    let machine = Machine::new();
    let (kernel, device) = (&machine.kernel, machine.device());
    let place = Place::of(&**kernel, IFINDEX).unwrap();
    kill(Grip::take(kernel, &device, &machine.needed(), None).unwrap().unwrap());
    assert!(Record::read(&**kernel, &place).unwrap().is_some());
    for feature in [GRO, LRO] {
        kernel.set_feature("eth0", feature, true).unwrap();
    }
    assert_eq!(machine.repaired(), [GRO, LRO]);
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
}

#[test]
fn a_program_that_stays_keeps_its_settings_until_it_is_taken_off() {
    let machine = Machine::new();
    let root = machine.kernel.bpffs(pins::ROOT).unwrap();
    let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
    let (_, attachment) = machine.attach(true, &policy).unwrap();
    attachment.release();
    assert_eq!(machine.repaired(), [""; 0], "the program runs");
    assert_eq!(machine.features(), [false, false]);
    assert_eq!(of(&*machine.kernel, IFINDEX).unwrap().len(), 2);
    let (kept, _) = pins::running(&*machine.kernel, &root).unwrap().remove(0);
    let registry = Registry::new().engine(&NATIVE);
    let adopted = registry.adopt(&machine.kernel, &kept, &machine.device()).unwrap();
    assert_eq!(adopted.adjusted().len(), 2);
    drop(adopted);
    assert_eq!(machine.features(), [false, false], "it was looked at only");
    let adopted = registry.adopt(&machine.kernel, &kept, &machine.device()).unwrap();
    adopted.detach().unwrap();
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));

    // Taken off by somebody else: the next start finds out.
    let (_, attachment) = machine.attach(true, &policy).unwrap();
    attachment.release();
    machine.kernel.remove_directory(&root).unwrap();
    assert_eq!(machine.repaired(), [GRO, LRO]);
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
}

#[test]
fn what_somebody_else_changed_is_left_and_told() {
    let machine = Machine::new();
    let (_, attachment) = machine.attach(true, &AttachPolicy::default()).unwrap();
    assert_eq!(attachment.warnings(), []);
    machine.kernel.set_feature("eth0", GRO, true).unwrap();
    let warnings = attachment.warnings();
    let codes: Vec<&str> = warnings.iter().map(|w| w.code.as_str()).collect();
    assert_eq!(codes, ["setting-changed"]);
    assert!(warnings[0].message.contains("switched rx-gro on"), "{}", warnings[0].message);
    attachment.detach().unwrap();
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
    let event = hoist_bpf::kernel::fake::Event::Feature {
        interface: "eth0".to_owned(),
        feature: GRO.to_owned(),
        on: true,
    };
    let written = machine.fake.journal().into_iter().filter(|e| *e == event).count();
    assert_eq!(written, 1, "only somebody else wrote it");
}

#[test]
fn a_refused_change_leaves_nothing_behind() {
    // The first or the second change, or the note: nothing is changed that is not noted.
    for (operation, calls_before) in [
        ("ETHTOOL_MSG_FEATURES_SET", 0),
        ("ETHTOOL_MSG_FEATURES_SET", 1),
        ("write", 0),
        ("flock", 0),
    ] {
        let machine = Machine::new();
        if calls_before == 1 {
            machine.fake.with_interface(IFINDEX, |i| {
                i.features.insert(LRO.to_owned(), (true, false));
            });
        } else {
            machine.fake.fail_next(KernelError::new(operation, "eth0", 16));
        }
        let Err(Error::Refused { refusals, .. }) = machine.attach(true, &AttachPolicy::default())
        else {
            panic!("{operation}")
        };
        assert_eq!(refusals[0].gaps[0].code, "device-not-adjusted", "{operation}");
        assert_eq!((machine.features(), machine.notes()), ([true, true], 0), "{operation}");
    }
    // Nor does a program that is refused afterwards.
    let machine = Machine::new();
    machine.fake.fail_next(KernelError::new("BPF_LINK_CREATE", "XDP on eth0", 16));
    machine.attach(true, &AttachPolicy::default()).unwrap_err();
    assert_eq!((machine.features(), machine.notes()), ([true, true], 0));
}

#[test]
fn notes_of_other_namespaces_are_left_and_of_dead_ones_removed() {
    let machine = Machine::new();
    kill(machine.grip(None).unwrap());
    let here = machine.kernel.network_namespace().unwrap();
    machine.fake.set_network_namespace(here + 1);
    assert_eq!((machine.repaired(), machine.notes()), (vec![], 1));
    // The same inode number, given again to another namespace.
    let name = machine.kernel.notes("adjusted").unwrap().remove(0);
    let content = machine.kernel.note("adjusted", &name).unwrap();
    let reused = name.replacen(&here.to_string(), &(here + 1).to_string(), 1);
    machine.kernel.leave_note("adjusted", &reused, content.as_deref()).unwrap();
    machine.kernel.leave_note("adjusted", "something-else", Some(b"x")).unwrap();
    assert_eq!((machine.repaired(), machine.notes()), (vec![], 2));
    assert_eq!(machine.features(), [false, false]);
    machine.fake.set_network_namespace(here);
    assert_eq!(machine.repaired(), [GRO, LRO]);
    // An interface that is gone has nothing to put back.
    kill(machine.grip(None).unwrap());
    machine.fake.remove_interface(IFINDEX);
    assert_eq!((machine.repaired().len(), machine.notes()), (2, 1));
    // A note that cannot be read is an error, not a setting.
    let place = format!("{here}-{here}-{IFINDEX}");
    machine.kernel.leave_note("adjusted", &place, Some(b"{}")).unwrap();
    let error = repair(&*machine.kernel).unwrap_err().to_string();
    assert!(error.contains("not a note of hoist's"), "{error}");
}

#[test]
fn only_what_can_be_changed_is_offered() {
    let toggle = |on, changeable| Some(Toggle { on, changeable });
    // The features; whether the condition holds with --adjust-device, and what is changed then.
    let cases = [
        (toggle(true, true), toggle(true, true), true, vec![GRO, LRO]),
        (toggle(true, true), toggle(false, false), true, vec![GRO]),
        (toggle(true, true), None, true, vec![GRO]),
        (toggle(false, true), toggle(true, true), true, vec![LRO]),
        (toggle(true, true), toggle(true, false), false, vec![]),
        (toggle(false, true), toggle(false, true), true, vec![]),
    ];
    for (gro, lro, holds, changed) in cases {
        let features = [(GRO, gro), (LRO, lro)]
            .into_iter()
            .filter_map(|(name, toggle)| Some((name.to_owned(), toggle?)))
            .collect();
        let device =
            Device { features: Fact::kernel(features, "test"), ..sample::ice("eth0", IFINDEX) };
        let mut capabilities = Capabilities::new(EngineKind::Native, "kernel");
        Merging.refine(&device, &mut capabilities);
        let needed = Needed::find(&mut capabilities, &device, &job(), true);
        let features: Vec<&str> = needed.changes.iter().map(|c| c.feature.as_str()).collect();
        assert_eq!(features, changed, "{gro:?} {lro:?}");
        let now = capabilities.conditions[0].holds;
        assert_eq!(now == Answer::Yes, holds, "{gro:?} {lro:?}");
    }
}
