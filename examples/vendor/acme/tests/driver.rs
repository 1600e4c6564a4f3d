//! The driver through a registry, on devices that are data: no card, no privilege, no kernel.
#![expect(clippy::unwrap_used, reason = "a case that does not hold has failed")]

use std::sync::Arc;

use acme::DRIVER;
use hoist_offload::bpf::kernel::fake::FakeInterface;
use hoist_offload::bpf::kernel::{Fake, Kernel};
use hoist_offload::bpf::{Module, Selector, programs};
use hoist_offload::device::{XdpFeatures, XdpInfo};
use hoist_offload::host::{FakeHost, Recording, sample};
use hoist_offload::plan::{Choice, Plan, Wishes};
use hoist_offload::profile::Verdict;
use hoist_offload::xdp::XdpEngine;
use hoist_offload::{
    AttachPolicy, Device, Driver, Engine, EngineKind, Fact, Job, Registry, profile,
};

/// The kernel's own engine, which the vendor's build has besides.
static KERNEL: XdpEngine = XdpEngine::NATIVE;

fn registry() -> Registry {
    Registry::new().engine(&KERNEL).driver(&DRIVER)
}

fn card() -> Device {
    let features = XdpFeatures::BASIC | XdpFeatures::REDIRECT;
    Device {
        driver: Fact::kernel("acme".to_owned(), "ethtool drvinfo"),
        xdp: Fact::kernel(XdpInfo { features, ..XdpInfo::default() }, "netdev"),
        ..sample::device("eth0", 3)
    }
}

fn job(name: &str) -> Job {
    let module = Module::parse(name, programs::get(name).unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    Job { count_verdicts: true, ..Job::new(module, program) }
}

fn native() -> Wishes {
    Wishes { choice: Choice::only(EngineKind::Native), ..Wishes::default() }
}

/// A plan from facts alone, on a host that was written down and read again.
fn plan(device: &Device, program: &str) -> Plan {
    let written = FakeHost::with_devices(vec![device.clone()]).recording().to_json();
    let host = FakeHost::new(Recording::from_json("acme.json", &written).unwrap());
    registry().plan(&host, device, &job(program), &native()).unwrap()
}

/// Codes of the reasons against one provider's engine.
fn against(plan: &Plan, provider: &str) -> Vec<String> {
    let refusals = plan.refusals.iter().filter(|refusal| refusal.provider == provider);
    refusals.flat_map(|refusal| &refusal.gaps).map(|gap| gap.code.clone()).collect()
}

#[test]
fn cards_run_what_they_take_and_say_why_they_refuse_the_rest() {
    let large = Device { mtu_bytes: 1985, ..card() };
    let largest = Device { mtu_bytes: 1984, ..card() };
    for (device, program, codes) in [
        (card(), "drop", &[][..]),
        (card(), "count_proto", &[]),
        (card(), "acl", &[]),
        (largest, "drop", &[]),
        (large, "drop", &["mtu-too-large"]),
        (card(), "redirect", &["missing-feature", "card-helper"]),
        (card(), "lpm_block", &["card-map-type"]),
        (card(), "tail_shrink", &["card-helper"]),
        (card(), "frags", &["card-frags", "card-helper"]),
    ] {
        let plan = plan(&device, program);
        assert_eq!(against(&plan, "acme"), codes, "{program}: {plan:#?}");
        assert_eq!(against(&plan, "kernel"), ["acme-own-engine"], "{program}");
        let runs = codes.is_empty().then_some(EngineKind::Native);
        assert_eq!((plan.engine, plan.provider.is_some()), (runs, runs.is_some()), "{program}");
    }
}

#[test]
fn devices_of_others_are_left_alone() {
    let plan = plan(&sample::ice("ice0", 4), "drop");
    assert_eq!((plan.engine, plan.provider), (Some(EngineKind::Native), None));
    let host = FakeHost::with_devices(vec![sample::ice("ice0", 4)]);
    let ours: &dyn Engine = &acme::ENGINE;
    let known = ours.capabilities(&host, &sample::ice("ice0", 4)).unwrap();
    assert_eq!(known.fit(&job("drop").requirements).gaps[0].code, "not-acme");
}

/// On a kernel in memory: loaded as the card takes it, attached, and gone without a trace.
#[test]
fn a_program_goes_onto_the_card_and_off_again() {
    let fake = Arc::new(Fake::new());
    fake.add_interface(FakeInterface::new(3, "eth0"));
    let kernel: Arc<dyn Kernel> = fake.clone();
    let host = FakeHost::with_devices(vec![card()]);
    let attach = |program: &str| {
        let policy = AttachPolicy::default();
        registry().attach(&host, &kernel, &card(), &job(program), &native(), &policy)
    };
    let (plan, running) = attach("count_proto").unwrap();
    assert_eq!(plan.provider.as_deref(), Some("acme"));
    assert!(fake.slots(3).native.is_some());
    assert_eq!(running.effective().unwrap().engine, EngineKind::Native);
    running.detach().unwrap();
    assert!(attach("lpm_block").is_err());
    assert!(fake.slots(3).native.is_none());
}

/// What `hoist lint --profile acme` says.
#[test]
fn the_profile_judges_without_a_card() {
    let profile = registry().profile("acme").unwrap();
    assert_eq!(profile.name, DRIVER.name());
    for (program, verdict) in [
        ("drop", Verdict::Accepted),
        ("acl", Verdict::Accepted),
        ("ringbuf", Verdict::Refused),
        ("tail_shrink", Verdict::Refused),
    ] {
        let job = job(program);
        let judged = profile.judge(&job.module, job.program, &profile::Wishes::default());
        assert_eq!(judged.verdict, verdict, "{program}: {:?}", judged.gaps);
    }
}

/// Each rule that is listed says where the driver has it.
#[test]
fn every_rule_cites_the_driver() {
    for (rule, citation) in &registry().profile("acme").unwrap().rules {
        assert!(citation.source.starts_with("acme/"), "{rule:?}: {}", citation.source);
    }
}
