use std::collections::BTreeMap;

use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::{Fake, KernelError};
use hoist_bpf::requirements::{ContextField, Need, Requirement, Strength};
use hoist_bpf::{Module, Selector, analysis, programs};

use super::*;
use crate::device::{AttachedProgram, Component, Owner, Slot, XdpFeatures, XdpInfo};
use crate::fact::Fact;
use crate::host::{FakeHost, sample};
use crate::xdp::XdpEngine;

mod hooks;
mod keeping;

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const ERANGE: i32 = 34;

static NATIVE: XdpEngine = XdpEngine::NATIVE;
static GENERIC: XdpEngine = XdpEngine::GENERIC;

fn registry() -> Registry {
    // Registered in the wrong order: the ladder is the kind's business.
    Registry::new().engine(&GENERIC).engine(&NATIVE)
}

fn job(object: &str) -> Job {
    let module = Module::parse(object, programs::get(object).unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    let requirements = analysis::requirements(&module, program);
    Job {
        module: Arc::new(module),
        program,
        requirements,
        count_verdicts: false,
        pin_root: None,
        contents: BTreeMap::new(),
        merged: Default::default(),
        accept: Default::default(),
        card: None,
    }
}

/// A job that reads the index of the receive queue.
fn queue_reader() -> Job {
    let mut job = job("pass");
    job.requirements.items.push(Requirement {
        need: Need::ContextField(ContextField::RxQueueIndex),
        strength: Strength::Must,
        sites: Vec::new(),
        map: None,
    });
    job
}

/// A job that reads it on paths that may never be taken.
fn possible_queue_reader() -> Job {
    let mut job = queue_reader();
    for requirement in &mut job.requirements.items {
        requirement.strength = Strength::May;
    }
    job
}

fn nic() -> Device {
    sample::ice("eth0", 3)
}

fn held(slot: Slot, id: u32, owner: Owner) -> Device {
    let there = AttachedProgram {
        slot,
        id,
        name: Some("theirs".to_owned()),
        owner,
        components: Vec::new(),
    };
    Device { attached: vec![there], ..nic() }
}

fn dispatcher() -> Device {
    let mut device = held(Slot::Native, 40, Owner::Libxdp);
    device.attached[0].components =
        vec![Component { id: 41, name: Some("xdpfilt_dny_ip".to_owned()), priority: Some(10) }];
    device
}

fn features(device: Device, features: XdpFeatures) -> Device {
    Device { xdp: Fact::kernel(XdpInfo { features, ..XdpInfo::default() }, "test"), ..device }
}

fn unknown(device: Device) -> Device {
    Device { xdp: Fact::unknown("kernel before 6.3"), ..device }
}

fn queued() -> Device {
    let [near, _] = sample::veth_pair("v0", "v1");
    Device { rx_queues: 4, ..near }
}

fn listed(kinds: &[EngineKind]) -> Wishes {
    Wishes { choice: Choice::listed(kinds.iter().copied()), ..Wishes::default() }
}

fn accepting(code: &str, kinds: &[EngineKind]) -> Wishes {
    Wishes { accept: vec![code.to_owned()], ..listed(kinds) }
}

fn replacing(id: u32) -> Wishes {
    Wishes { replace: Some(id), ..Wishes::default() }
}

/// `engine: code, code; engine: code` for every engine passed over.
fn reasons(refusals: &[Refusal]) -> String {
    let one = |r: &Refusal| {
        let codes: Vec<&str> = r.gaps.iter().map(|g| g.code.as_str()).collect();
        format!("{}: {}", r.engine, codes.join(", "))
    };
    refusals.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn warnings(plan: &Plan) -> String {
    plan.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>().join(", ")
}

#[test]
fn facts_decide() {
    use EngineKind::{Generic, Hw, Native};
    let basic = XdpFeatures::BASIC;
    // Name, device, job, wishes; engine, reasons against the others, warnings.
    type Case = (&'static str, Device, Job, Wishes, Option<EngineKind>, &'static str, &'static str);
    let auto = Wishes::default;
    let cases: Vec<Case> = vec![
        ("free", nic(), job("drop"), auto(), Some(Native), "", ""),
        ("generic is asked for", nic(), job("drop"), listed(&[Generic]), Some(Generic), "", ""),
        (
            "an order of one's own",
            nic(),
            job("drop"),
            listed(&[Generic, Native]),
            Some(Generic),
            "",
            "",
        ),
        (
            "nobody offers hw",
            nic(),
            job("drop"),
            listed(&[Hw, Native]),
            Some(Native),
            "hw: engine-missing",
            "",
        ),
        (
            "no native XDP",
            sample::e1000e("eth0", 3),
            job("drop"),
            auto(),
            Some(Generic),
            "native: no-native-support",
            "",
        ),
        (
            "no native XDP, forced",
            sample::e1000e("eth0", 3),
            job("drop"),
            listed(&[Native]),
            None,
            "native: no-native-support",
            "",
        ),
        (
            "no redirect",
            features(nic(), basic),
            job("redirect"),
            auto(),
            Some(Generic),
            "native: missing-feature",
            "",
        ),
        (
            "features not known",
            unknown(nic()),
            job("drop"),
            auto(),
            Some(Native),
            "",
            "no-native-support",
        ),
        (
            "metadata kfunc",
            nic(),
            job("rx_hash"),
            listed(&[Generic]),
            None,
            "generic: missing-feature",
            "",
        ),
        (
            "a devmap program",
            nic(),
            job("devmap_egress"),
            auto(),
            None,
            "native: missing-feature, missing-context-field; generic: missing-feature, missing-context-field",
            "",
        ),
        (
            "native slot held",
            held(Slot::Native, 40, Owner::Netlink),
            job("drop"),
            auto(),
            None,
            "native: slot-held; generic: native-active",
            "",
        ),
        (
            "generic slot held",
            held(Slot::Generic, 40, Owner::Link { id: 9 }),
            job("drop"),
            auto(),
            None,
            "native: generic-active; generic: slot-held",
            "",
        ),
        (
            "tcx is no obstacle",
            held(Slot::TcxIngress, 40, Owner::Netlink),
            job("drop"),
            auto(),
            Some(Native),
            "",
            "",
        ),
        (
            "replaced by name",
            held(Slot::Native, 40, Owner::Netlink),
            job("drop"),
            replacing(40),
            Some(Native),
            "",
            "",
        ),
        (
            "another is named",
            held(Slot::Native, 40, Owner::Netlink),
            job("drop"),
            replacing(41),
            None,
            "native: slot-held; generic: native-active",
            "",
        ),
        (
            "the other slot is named",
            held(Slot::Generic, 40, Owner::Netlink),
            job("drop"),
            replacing(40),
            Some(Generic),
            "native: generic-active",
            "",
        ),
        (
            "not Ethernet",
            Device { link_type: 65534, ..nic() },
            job("drop"),
            auto(),
            None,
            "native: not-ethernet; generic: not-ethernet",
            "",
        ),
        (
            "a hook of TC cannot be read",
            Device { attached_unknown: vec!["tcx ingress: denied".to_owned()], ..nic() },
            job("drop"),
            listed(&[Native]),
            Some(Native),
            "",
            "",
        ),
        (
            "a difference",
            queued(),
            queue_reader(),
            listed(&[Generic, Native]),
            Some(Native),
            "generic: rx-queue-index-differs",
            "",
        ),
        (
            "a difference, accepted",
            queued(),
            queue_reader(),
            accepting("rx-queue-index-differs", &[Generic, Native]),
            Some(Generic),
            "",
            "rx-queue-index-differs",
        ),
        (
            "a difference, forced",
            queued(),
            queue_reader(),
            listed(&[Generic]),
            Some(Generic),
            "",
            "rx-queue-index-differs",
        ),
        (
            "a difference, perhaps",
            queued(),
            possible_queue_reader(),
            listed(&[Generic, Native]),
            Some(Generic),
            "",
            "rx-queue-index-differs",
        ),
        (
            "accepting does not overrule the kernel",
            sample::e1000e("eth0", 3),
            job("drop"),
            accepting("no-native-support", &[Native]),
            None,
            "native: no-native-support",
            "",
        ),
    ];
    for (name, device, job, wishes, engine, against, told) in cases {
        let host = FakeHost::with_devices(vec![device.clone()]);
        let plan = registry().plan(&host, &device, &job, &wishes).unwrap();
        assert_eq!(plan.engine, engine, "{name}: {plan:#?}");
        assert_eq!(reasons(&plan.refusals), against, "{name}");
        assert_eq!(warnings(&plan), told, "{name}: {plan:#?}");
        assert_eq!(plan.certainty, Certainty::Expected, "{name}");
    }
}

#[test]
fn a_program_on_top_excludes_whatever_its_mode() {
    let mut bond = held(Slot::Generic, 40, Owner::Netlink);
    (bond.name, bond.ifindex) = ("bond0".to_owned(), 4);
    let device =
        Device { master: Some("bond0".to_owned()), upper: vec!["bond0".to_owned()], ..nic() };
    let host = FakeHost::with_devices(vec![device.clone(), bond]);
    let plan = registry().plan(&host, &device, &job("drop"), &Wishes::default()).unwrap();
    let both = "native: upper-device-has-program; generic: upper-device-has-program";
    assert_eq!(reasons(&plan.refusals), both);

    let host = FakeHost::with_devices(vec![device.clone()]);
    let plan = registry().plan(&host, &device, &job("drop"), &Wishes::default()).unwrap();
    assert_eq!(
        (plan.engine, warnings(&plan)),
        (Some(EngineKind::Native), "upper-device-has-program".to_owned())
    );
}

#[test]
fn a_dispatcher_is_described_with_what_runs_inside() {
    let device = dispatcher();
    let host = FakeHost::with_devices(vec![device.clone()]);
    let plan = registry().plan(&host, &device, &job("drop"), &Wishes::default()).unwrap();
    let gap = &plan.refusals[0].gaps[0];
    assert_eq!(
        gap.message,
        "the native XDP slot of eth0 holds program 40 (theirs), libxdp's dispatcher, which runs \
         xdpfilt_dny_ip (id 41, priority 10)"
    );
    assert_eq!(
        gap.remedy.as_deref(),
        Some("xdp-loader unload eth0 --all, or replace it: --replace 40")
    );
}

/// A fake kernel with `eth0`, as a door and as itself.
fn machine() -> (Arc<Fake>, Arc<dyn Kernel>) {
    let fake = Arc::new(Fake::new());
    fake.add_interface(FakeInterface::new(3, "eth0"));
    let kernel: Arc<dyn Kernel> = Arc::clone(&fake) as Arc<dyn Kernel>;
    (fake, kernel)
}

fn try_attach(
    fake: &Arc<Fake>,
    device: &Device,
    job: &Job,
    policy: &AttachPolicy,
) -> Result<(Plan, Box<dyn Attachment>), Error> {
    let kernel: Arc<dyn Kernel> = Arc::clone(fake) as Arc<dyn Kernel>;
    let host = FakeHost::with_devices(vec![device.clone()]);
    registry().attach(&host, &kernel, device, job, &Wishes::default(), policy)
}

#[test]
fn what_prepare_refuses_moves_on() {
    let (fake, kernel) = machine();
    let log = "0: (b7) r0 = 1\nR1 type=ctx expected=fp\nprocessed 1 insns (limit 1000000)";
    let refused = KernelError {
        log: Some(log.to_owned()),
        ..KernelError::new("BPF_PROG_LOAD", "program xdp_drop", EACCES)
    };
    fake.fail_next(refused.clone());
    let device = nic();
    let host = FakeHost::with_devices(vec![device.clone()]);
    let (plan, prepared) =
        registry().prove(&host, &kernel, &device, &job("drop"), &Wishes::default()).unwrap();
    assert_eq!(reasons(&plan.refusals), "native: verifier-rejected");
    let gap = &plan.refusals[0].gaps[0];
    assert!(gap.message.contains("R1 type=ctx expected=fp (EACCES)"), "{}", gap.message);
    assert_eq!(gap.insn.as_deref(), Some("xdp_drop+0"));
    assert_eq!(gap.log.as_deref(), Some(log));
    assert_eq!((plan.engine, plan.certainty), (Some(EngineKind::Generic), Certainty::Proven));
    assert!(prepared.is_some());

    fake.verify_with(move |_| Err(refused.clone()));
    let error = try_attach(&fake, &device, &job("drop"), &AttachPolicy::default()).unwrap_err();
    let Error::Refused { refusals, .. } = error else { panic!("{error}") };
    assert_eq!(reasons(&refusals), "native: verifier-rejected; generic: verifier-rejected");
}

#[test]
fn what_attach_refuses_moves_on() {
    // Error number, words; the code that stands for them.
    for (errno, words, code) in [
        (ERANGE, Some("veth: Peer MTU is too large to set XDP"), "peer-mtu-too-large"),
        (
            28,
            Some("veth: XDP expects number of rx queues not less than peer tx queues"),
            "queue-mismatch",
        ),
        (107, Some("veth: Cannot set XDP when peer is detached"), "peer-detached"),
        (95, Some("Underlying driver does not support XDP in native mode"), "no-native-support"),
        (95, None, "no-native-support"),
        (
            17,
            Some("Cannot attach when an upper device already has a program"),
            "upper-device-has-program",
        ),
        (17, Some("Native and generic XDP can't be active at the same time"), "generic-active"),
        (16, Some("Can't replace active XDP program with BPF link"), "slot-held"),
        (16, None, "slot-held"),
        (16, Some("unable to install XDP to device using memory provider"), "memory-provider"),
        (22, Some("virtio_net: MTU too large to enable XDP without frags"), "mtu-too-large"),
        (22, Some("igc: Jumbo frames not supported"), "mtu-too-large"),
        (22, Some("hv_netvsc: XDP: not support LRO"), "receive-merging-on"),
        (16, Some("enetc: Reserving 4 XDP TXQs leaves under 1 for stack"), "not-enough-queues"),
        (22, Some("acme: not enough Tx rings for XDP"), "not-enough-queues"),
        (22, Some("acme: no XDP during a reset"), "attach-refused"),
        (22, None, "attach-refused"),
    ] {
        let (fake, _) = machine();
        let mut error = KernelError::new("BPF_LINK_CREATE", "eth0", errno);
        error.message = words.map(str::to_owned);
        fake.fail_next(error);
        let (plan, attachment) =
            try_attach(&fake, &nic(), &job("drop"), &AttachPolicy::default()).unwrap();
        assert_eq!(reasons(&plan.refusals), format!("native: {code}"), "{words:?}");
        let gap = &plan.refusals[0].gaps[0];
        assert!(gap.remedy.is_some(), "{code} has no remedy");
        assert!(words.is_none_or(|w| gap.message.contains(w)), "{}", gap.message);
        assert_eq!(attachment.effective().unwrap().engine, EngineKind::Generic);
        drop(attachment);
        assert_eq!(fake.slots(3), hoist_bpf::kernel::XdpSlots::default(), "{code}");
    }
}

#[test]
fn failures_do_not_move_on() {
    for (operation, errno, expected) in [
        ("BPF_PROG_LOAD", ENOMEM, "not enough memory"),
        ("BPF_LINK_CREATE", ENODEV, "has gone"),
        ("BPF_PROG_LOAD", EPERM, "not permitted"),
        ("BPF_LINK_CREATE", EPERM, "not permitted"),
    ] {
        let (fake, _) = machine();
        fake.fail_next(KernelError::new(operation, "it", errno));
        let error = try_attach(&fake, &nic(), &job("drop"), &AttachPolicy::default()).unwrap_err();
        assert!(!matches!(error, Error::Refused { .. }), "{operation}: {error}");
        assert!(error.to_string().contains(expected), "{operation}: {error}");
        assert_eq!(fake.slots(3), hoist_bpf::kernel::XdpSlots::default());
    }
}

#[test]
fn what_was_open_is_settled_step_by_step() {
    let (fake, kernel) = machine();
    let device = unknown(nic());
    let host = FakeHost::with_devices(vec![device.clone()]);
    let job = job("drop");
    let (plan, _) = registry().prove(&host, &kernel, &device, &job, &Wishes::default()).unwrap();
    assert_eq!(plan.certainty, Certainty::Proven);
    assert_eq!(warnings(&plan), "no-native-support", "loading does not attach");
    let (plan, _running) = try_attach(&fake, &device, &job, &AttachPolicy::default()).unwrap();
    assert_eq!(warnings(&plan), "");
}

/// A program goes only where it was prepared for, whether or not the kernel would mind.
#[test]
fn a_program_prepared_for_elsewhere_replaces_nothing() {
    let (fake, kernel) = machine();
    fake.add_interface(FakeInterface::new(4, "eth1"));
    let (other, here) = (sample::ice("eth1", 4), nic());
    let (_, mut running) =
        try_attach(&fake, &here, &job("drop"), &AttachPolicy::default()).unwrap();
    let id = running.effective().unwrap().program_id;
    let prepare = |engine: &XdpEngine, device| engine.prepare(&kernel, device, &job("pass"));
    let strangers = [
        (prepare(&NATIVE, &other), "native engine on eth1"),
        (prepare(&GENERIC, &here), "generic engine on eth0"),
        {
            fake.set_network_namespace(7);
            (prepare(&NATIVE, &here), "native engine on eth0 in another network namespace")
        },
    ];
    let refusal = |error| {
        let Error::Refused { refusals, .. } = error else { panic!("{error}") };
        refusals[0].gaps[0].clone()
    };
    for (next, from) in strangers {
        let gap = refusal(running.replace(next.unwrap()).unwrap_err());
        assert_eq!(gap.code, "replace-mismatch");
        assert!(gap.message.ends_with(from), "{}", gap.message);
    }
    let stray = prepare(&NATIVE, &here).unwrap();
    fake.set_network_namespace(8);
    let gap = refusal(stray.attach(&AttachPolicy::default()).unwrap_err());
    assert_eq!(gap.code, "device-mismatch");
    assert_eq!(running.effective().unwrap().program_id, id, "the old program goes on running");
}

/// Counters that the verifier does not take cost the counters, not the program.
#[test]
fn a_program_goes_without_counters_rather_than_not_at_all() {
    let (fake, _) = machine();
    let log = "3: (1f) r7 -= r8\nR7 pointer -= pointer prohibited\nprocessed 4 insns";
    fake.verify_with(move |spec| match spec.insns.len() {
        2 => Ok(()),
        _ => Err(KernelError {
            log: Some(log.to_owned()),
            ..KernelError::new("BPF_PROG_LOAD", "program xdp_drop", EACCES)
        }),
    });
    let job = Job { count_verdicts: true, ..job("drop") };
    let (plan, running) = try_attach(&fake, &nic(), &job, &AttachPolicy::default()).unwrap();
    assert_eq!(
        (plan.engine, warnings(&plan)),
        (Some(EngineKind::Native), "not-counted".to_owned())
    );
    assert!(plan.warnings[0].message.contains("pointer -= pointer prohibited"), "{plan:?}");
    assert_eq!(running.stats().unwrap(), None);
}

/// Without `CAP_PERFMON` the verifier takes no difference of pointers; counting goes on without it.
#[test]
fn counting_takes_no_more_privilege_than_the_program() {
    const SUBTRACT: u8 = 0x1f;
    let (fake, _) = machine();
    fake.verify_with(move |spec| match spec.insns.iter().any(|insn| insn.code == SUBTRACT) {
        false => Ok(()),
        true => Err(KernelError {
            log: Some("3: (1f) r7 -= r0\nR7 pointer -= pointer prohibited".to_owned()),
            ..KernelError::new("BPF_PROG_LOAD", "program xdp_drop", EACCES)
        }),
    });
    let job = Job { count_verdicts: true, ..job("drop") };
    let (plan, running) = try_attach(&fake, &nic(), &job, &AttachPolicy::default()).unwrap();
    assert_eq!((plan.engine, warnings(&plan)), (Some(EngineKind::Native), String::new()));
    assert!(running.stats().unwrap().is_some());
}
