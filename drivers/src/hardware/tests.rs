//! The engine on a kernel in memory: what a NIC takes, and how each refusal sends the ladder on.

use std::sync::{Arc, LazyLock};

use hoist_bpf::analysis;
use hoist_bpf::kernel::fake::{Card, FakeInterface};
use hoist_bpf::kernel::{Fake, Kernel, XdpMode};
use hoist_bpf::module::Module;
use hoist_bpf::parse::Selector;
use hoist_bpf::programs;
use hoist_offload::device::XdpFeatures;
use hoist_offload::engine::Job;
use hoist_offload::host::{FakeHost, sample};
use hoist_offload::plan::{Choice, Plan, Wishes};
use hoist_offload::profile::{Citation, Profile, Rule};
use hoist_offload::{
    AttachPolicy, Attachment, Capabilities, Device, Driver, EngineKind, Error, Fact, Registry,
    Verdict,
};

const NIC: u32 = 4;

fn job(name: &str) -> Job {
    let module = Module::parse(name, programs::get(name).unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    Job {
        requirements: analysis::requirements(&module, program),
        module: Arc::new(module),
        program,
        count_verdicts: true,
        pin_root: None,
        contents: Default::default(),
        merged: Default::default(),
        accept: Default::default(),
        card: None,
    }
}

/// An interface of the simulated card.
fn device() -> Device {
    let mut device = sample::device("nsim0", NIC);
    device.driver = Fact::kernel("netdevsim".to_owned(), "given");
    let xdp =
        hoist_offload::device::XdpInfo { features: XdpFeatures::HW_OFFLOAD, ..Default::default() };
    device.xdp = Fact::kernel(xdp, "given");
    device
}

fn machine(card: Card) -> (Arc<Fake>, Arc<dyn Kernel>) {
    let fake = Arc::new(Fake::new());
    fake.add_interface(FakeInterface { card: Some(card), ..FakeInterface::new(NIC, "nsim0") });
    let kernel: Arc<dyn Kernel> = fake.clone();
    (fake, kernel)
}

fn attach(kernel: &Arc<dyn Kernel>, name: &str) -> Result<(Plan, Box<dyn Attachment>), Error> {
    let registry = crate::ENGINES.iter().fold(Registry::new(), |all, engine| all.engine(*engine));
    let registry = crate::DRIVERS.iter().fold(registry, |all, driver| all.driver(*driver));
    let device = device();
    let host = FakeHost::with_devices(vec![device.clone()]);
    let policy = AttachPolicy::default();
    registry.attach(&host, kernel, &device, &job(name), &Wishes::default(), &policy)
}

#[test]
fn what_the_nic_takes_runs_there_with_its_maps() {
    let (fake, kernel) = machine(Card::default());
    for name in ["drop", "count_proto", "acl"] {
        let (plan, attached) = attach(&kernel, name).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(plan.engine, Some(EngineKind::Hw), "{name}: {:?}", plan.refusals);
        assert!(fake.slots(NIC).of(XdpMode::Hardware).is_some(), "{name}");
        for map in attached.maps() {
            let id = map.id().unwrap();
            let fd = kernel.open(hoist_bpf::kernel::ObjectKind::Map, id).unwrap().unwrap();
            let info = kernel.map_info(std::os::fd::AsFd::as_fd(&fd)).unwrap();
            assert_eq!((info.ifindex, info.btf_id), (NIC, 0), "{name}: {}", info.name);
        }
        assert_eq!(attached.stats().unwrap().unwrap().of(Verdict::Drop), 0);
        attached.detach().unwrap();
        assert_eq!(fake.slots(NIC), Default::default(), "{name}");
    }
}

#[test]
fn each_refusal_sends_the_ladder_on_with_its_words() {
    let word = |errno, text: &str| Some((errno, text.to_owned()));
    let cases = [
        (Card { refuses_binding: Some(95), ..Card::default() }, "driver-refused", "before it was"),
        (
            Card { refuses_instruction: word(95, "[netdevsim] no"), ..Card::default() },
            "driver-refused",
            "netdevsim refused the program: no",
        ),
        (
            Card { refuses_translation: word(22, "netdevsim: too long"), ..Card::default() },
            "driver-refused",
            "netdevsim: too long",
        ),
        (
            Card { refuses_maps: word(95, "netdevsim: no room"), ..Card::default() },
            "nic-map-refused",
            "netdevsim: no room",
        ),
        (Card { most_entries: 1, ..Card::default() }, "nic-map-refused", "ENOMEM"),
        (
            Card { refuses_xdp: word(95, "netdevsim: XDP offload disabled"), ..Card::default() },
            "offload-disabled",
            "XDP offload disabled",
        ),
        (
            Card { refuses_xdp: word(22, "nfp: stack too large"), ..Card::default() },
            "driver-refused",
            "stack too large",
        ),
    ];
    for (card, code, words) in cases {
        let (fake, kernel) = machine(card.clone());
        let (plan, attached) = attach(&kernel, "acl").unwrap_or_else(|e| panic!("{card:?}: {e:?}"));
        assert_eq!(plan.engine, Some(EngineKind::Native), "{card:?}");
        let gap = &plan.refusals[0].gaps[0];
        assert_eq!(gap.code, code, "{card:?}: {gap:?}");
        assert!(gap.message.contains(words), "{card:?}: {}", gap.message);
        assert_eq!(fake.slots(NIC).hardware, None);
        drop(attached);
        let maps = kernel.ids(hoist_bpf::kernel::ObjectKind::Map).unwrap();
        let programs = kernel.ids(hoist_bpf::kernel::ObjectKind::Program).unwrap();
        assert!(maps.is_empty() && programs.is_empty(), "{card:?}: {maps:?} {programs:?}");
    }
}

#[test]
fn other_interfaces_get_one_short_line() {
    let [near, _] = sample::veth_pair("veth0", "veth1");
    let virtio = sample::virtio("ens3", 2);
    for (device, words) in [
        (near, "veth0 (veth) takes no BPF programs"),
        (virtio, "ens3 (virtio_net) takes no BPF programs"),
        (
            Device { driver: Fact::unknown("none"), kind: None, ..sample::device("x0", 9) },
            "x0 takes no BPF",
        ),
    ] {
        let host = FakeHost::with_devices(vec![device.clone()]);
        let engine: &dyn hoist_offload::Engine = &super::HARDWARE;
        let known = engine.capabilities(&host, &device).unwrap();
        let fit = known.fit(&job("acl").requirements);
        let told: Vec<&str> = fit.gaps.iter().map(|gap| gap.message.as_str()).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(words), "{told:?}");
        assert!(engine.examine(&device, &job("drop")).is_empty());
    }
}

/// A vendor's card: netdevsim's interfaces under a profile of the vendor's own.
#[derive(Debug)]
struct Vendor;

static VENDOR: Vendor = Vendor;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let mut profile = Profile::kernel("acme", "a card without helpers", "acme.c");
    let citation = Citation::new("acme_check_call", &["acme: no helper %d"]);
    profile.rules.insert(Rule::Helper, citation);
    profile.helpers = Some(Default::default());
    profile
});

impl Driver for Vendor {
    fn name(&self) -> &'static str {
        "acme"
    }

    fn claims(&self, device: &Device) -> bool {
        device.driver_name() == "netdevsim"
    }

    fn refine(&self, _: &Device, _: &mut Capabilities) {}

    fn profile(&self) -> Option<&'static Profile> {
        Some(&PROFILE)
    }
}

/// The engine judges by the profile of whichever driver the registry has for the device, the last
/// where several have one: plans without a kernel, loading, and the words of a card that refuses.
#[test]
fn a_program_is_judged_by_the_profile_of_the_registered_driver() {
    let registry = || crate::ENGINES.iter().fold(Registry::new(), |all, one| all.engine(*one));
    let both = crate::DRIVERS.iter().fold(registry(), |all, driver| all.driver(*driver));
    let device = device();
    let host = FakeHost::with_devices(vec![device.clone()]);
    let wishes = Wishes { choice: Choice::only(EngineKind::Hw), ..Wishes::default() };
    let mut plain = job("acl");
    plain.count_verdicts = false;
    for (registry, code) in [
        (registry(), None),
        (both.clone(), None),
        (registry().driver(&VENDOR), Some("card-helper")),
        (both.driver(&VENDOR), Some("card-helper")),
    ] {
        let plan = registry.plan(&host, &device, &plain, &wishes).unwrap();
        let (_, kernel) = machine(Card::default());
        let (proof, _) = registry.prove(&host, &kernel, &device, &plain, &wishes).unwrap();
        for plan in [plan, proof] {
            let gaps = plan.refusals.iter().flat_map(|refusal| &refusal.gaps);
            let codes: Vec<&str> = gaps.map(|gap| gap.code.as_str()).collect();
            match code {
                Some(code) => assert!(codes.contains(&code), "{codes:?}"),
                None => assert_eq!(codes, [""; 0], "{:?}", registry.drivers().count()),
            }
        }
    }
    let card = Card {
        refuses_instruction: Some((22, "[netdevsim] acme: no helper 7".to_owned())),
        ..Card::default()
    };
    let (_, kernel) = machine(card);
    let vendor = registry().driver(&VENDOR);
    let (plan, _) = vendor.prove(&host, &kernel, &device, &job("drop"), &wishes).unwrap();
    let gap = &plan.refusals[0].gaps[0];
    assert_eq!(gap.code, "card-helper", "{gap:?}");
}

/// What `count_proto` starts with on an Agilio, from two CPUs' values of 12 and 30 packets; where
/// neither types nor size say what the integers are, there is no sum.
#[test]
fn values_for_each_cpu_become_their_sum() {
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<_>>();
    let value = words(&[12, 1200, 30, 1 << 40]);
    for (typed, size, expected) in [
        (true, 16, Ok(words(&[42, 1200 + (1 << 40)]))),
        (false, 16, Ok(words(&[42, 1200 + (1 << 40)]))),
        (false, 20, Err("per-cpu-value")),
    ] {
        let mut job = job("count_proto");
        let mut module = (*job.module).clone();
        let at = module.maps.iter().position(|map| map.name == "protocols").unwrap();
        let map = &mut module.maps[at];
        map.value_size = size;
        map.value_type_id = map.value_type_id.filter(|_| typed);
        let key = (17_u32.to_ne_bytes().to_vec(), value.clone());
        job.contents = [(hoist_bpf::module::MapId(at as u32), vec![key])].into();
        job.module = Arc::new(module);
        job.card = crate::nic::nfp::DRIVER.profile();
        let forms = super::form::of(hoist_offload::Hook::Xdp, &job);
        let is = forms.map(|forms| forms.iter().map(|f| f.contents.clone()).collect::<Vec<_>>());
        match (is, expected) {
            (Ok(forms), Ok(expected)) => {
                let values = forms.iter().flat_map(|f| f.values().flatten().map(|e| &e.1));
                assert_eq!(values.collect::<Vec<_>>(), [&expected, &expected], "{typed}");
            }
            (Err(gaps), Err(code)) => assert_eq!(gaps[0].code, code, "{gaps:?}"),
            (is, expected) => panic!("{typed} {size}: {is:?}, not {expected:?}"),
        }
    }
}
