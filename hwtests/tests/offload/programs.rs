//! Programs that come with hoist, in the NIC with their maps: counted, replaced, taken off, and nothing
//! left.

use hoist_bpf::kernel::XdpMode;
use hoist_hwtests::require;
use hoist_offload::profile::{Parameters, Wishes};
use hoist_offload::{Choice, EngineKind, Hook, Verdict};

use crate::support::{Nic, attach, job, kernel, only, refusal};

/// What the card profile of nfp takes, once rewritten; their maps have more than two entries.
const PROGRAMS: [&str; 9] = [
    "drop",
    "pass",
    "count_proto",
    "acl",
    "swap_tx",
    "vlan_push",
    "vlan_pop",
    "ipip_encap",
    "tail_shrink",
];

#[test]
fn programs_are_offloaded_with_their_maps() {
    if !require::netdevsim_card("programs_are_offloaded_with_their_maps") {
        return;
    }
    let nic = Nic::new(1);
    let kernel = kernel();
    for name in PROGRAMS {
        let mut job = job(name);
        job.count_verdicts = true;
        let device = nic.device();
        let (plan, mut attachment) = attach(&device, &job, &only(EngineKind::Hw))
            .unwrap_or_else(|error| panic!("{name}: {:?}", refusal(Err::<(), _>(error))));
        assert_eq!((plan.engine, plan.hook), (Some(EngineKind::Hw), Some(Hook::Xdp)), "{name}");
        let codes: Vec<&str> = plan.warnings.iter().map(|w| w.code.as_str()).collect();
        assert!(codes.contains(&"simulated"), "{name}: {codes:?}");
        assert!(!codes.contains(&"not-counted"), "{name}: {:?}", plan.warnings);
        let effective = attachment.effective().unwrap();
        assert_eq!(effective.engine, EngineKind::Hw, "{name}");
        let there = kernel.query_xdp(device.ifindex).unwrap().of(XdpMode::Hardware);
        assert_eq!(there, Some(effective.program_id), "{name}");
        let stats = attachment.stats().unwrap().unwrap();
        assert_eq!((stats.total(), stats.of(Verdict::Drop)), (0, 0), "{name}");
        for map in attachment.maps() {
            let def = map.def().clone();
            if !matches!(def.kind, 1 | 2) {
                continue;
            }
            let (key, value) = (vec![0; def.key_size as usize], vec![7; def.value_size as usize]);
            map.update(&key, &value).unwrap();
            assert_eq!(map.lookup(&key).unwrap(), Some(value.clone()), "{name}: {}", def.name);
            assert!(map.entries().unwrap().contains(&(key, value)), "{name}: {}", def.name);
        }
        let host = hoist_offload::host::LinuxHost::new(kernel.clone());
        let engine = hoist_drivers::HARDWARE;
        let next = hoist_offload::Engine::prepare(&engine, &kernel, &device, &job).unwrap();
        drop(host);
        attachment.replace(next).unwrap();
        let after = attachment.effective().unwrap();
        assert_ne!(after.program_id, effective.program_id, "{name}");
        attachment.detach().unwrap();
        assert_eq!(kernel.query_xdp(device.ifindex).unwrap().of(XdpMode::Hardware), None);
        nic.empty();
    }
}

/// The list above is of what the profile of a real card takes.
#[test]
fn the_programs_pass_the_profile_of_nfp() {
    let profile = hoist_drivers::DRIVERS
        .iter()
        .filter(|driver| driver.name() == "nfp")
        .find_map(|driver| driver.profile())
        .unwrap();
    let mut refused = Vec::new();
    for name in PROGRAMS {
        let job = job(name);
        let judged = profile.judge(
            &job.module,
            job.program,
            &Wishes { parameters: Parameters::new(), ..Wishes::default() },
        );
        if !judged.gaps.is_empty() {
            refused.push(format!("{name}: {:?}", judged.gaps[0].message));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Two entries are all that stock netdevsim has: counters cost nothing but themselves.
#[test]
fn counters_that_do_not_fit_are_left_out() {
    if !require::netdevsim("counters_that_do_not_fit_are_left_out") {
        return;
    }
    if require::netdevsim_is_card() {
        return;
    }
    let nic = Nic::new(1);
    let mut job = job("drop");
    job.count_verdicts = true;
    let (plan, attachment) = attach(&nic.device(), &job, &only(EngineKind::Hw)).unwrap();
    let told = plan.warnings.iter().find(|w| w.code == "not-counted").unwrap();
    assert!(told.message.contains("hoist_verdicts"), "{told:?}");
    assert_eq!(attachment.stats().unwrap(), None);
    drop(attachment);
    nic.empty();
}

/// A frame runs on the host's twin: the kernel runs none on a NIC's program.
#[test]
fn a_dry_run_uses_the_twin() {
    if !require::netdevsim("a_dry_run_uses_the_twin") {
        return;
    }
    let nic = Nic::new(1);
    let kernel = kernel();
    for (name, verdict) in [("drop", Verdict::Drop), ("pass", Verdict::Pass)] {
        for engine in [hoist_drivers::HARDWARE, hoist_drivers::CLASSIFIER] {
            let engine: &dyn hoist_offload::Engine = &engine;
            let prepared = engine.prepare(&kernel, &nic.device(), &job(name)).unwrap();
            let outcome = prepared.dry_run().unwrap().run(&[0; 64]).unwrap();
            assert_eq!(outcome.verdict, verdict, "{name}");
        }
    }
    nic.empty();
}

/// What `auto` does with a device that takes everything.
#[test]
fn the_nic_is_the_first_choice() {
    if !require::netdevsim("the_nic_is_the_first_choice") {
        return;
    }
    let nic = Nic::new(1);
    let wishes = hoist_offload::plan::Wishes { choice: Choice::Auto, ..Default::default() };
    let (plan, attachment) = attach(&nic.device(), &job("drop"), &wishes).unwrap();
    assert_eq!(plan.engine, Some(EngineKind::Hw));
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    attachment.detach().unwrap();
    nic.empty();
}
