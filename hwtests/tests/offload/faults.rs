//! Each switch of the simulation turned to refuse, at each stage of a load: the ladder goes on with the
//! reason, and nothing is left in the NIC.

use hoist_hwtests::require;
use hoist_offload::plan::Wishes;
use hoist_offload::{EngineKind, Error};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::support::{Nic, attach, job, only, refusal, told, until};

/// Switch, program, code, words.
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
fn a_nic_that_refuses_leaves_the_program_to_the_host() {
    if !require::netdevsim("a_nic_that_refuses_leaves_the_program_to_the_host") {
        return;
    }
    let nic = Nic::new(1);
    for (knob, program, code, words) in REFUSALS {
        nic.set(knob, "N");
        let (codes, said) = refusal(attach(&nic.device(), &job(program), &only(EngineKind::Hw)));
        assert!(codes.contains(&code.to_owned()), "{knob}: {codes:?}: {said}");
        assert!(said.contains(words), "{knob}: {said}");
        nic.empty();
        let (plan, attached) = attach(&nic.device(), &job(program), &Wishes::default())
            .unwrap_or_else(|e| panic!("{knob}: {:?}", refusal(Err::<(), _>(e))));
        assert_eq!(plan.engine, Some(EngineKind::Native), "{knob}");
        let (codes, _) = told(&plan.refusals);
        assert!(codes.contains(&code.to_owned()), "{knob}: {codes:?}");
        attached.detach().unwrap();
        // And on: the driver refuses the host's mode too.
        nic.set("ports/0/bpf_xdpdrv_accept", "N");
        let (plan, attached) = attach(&nic.device(), &job(program), &Wishes::default()).unwrap();
        assert_eq!(plan.engine, Some(EngineKind::Generic), "{knob}");
        assert_eq!(plan.refusals.first().map(|r| r.engine), Some(EngineKind::Hw), "{knob}");
        attached.detach().unwrap();
        nic.set("ports/0/bpf_xdpdrv_accept", "Y");
        nic.set(knob, "Y");
        nic.empty();
    }
}

/// What a card's driver finds out at an instruction, and what only when all is verified.
#[test]
fn a_card_that_refuses_late_is_heard() {
    if !require::netdevsim_card("a_card_that_refuses_late_is_heard") {
        return;
    }
    let nic = Nic::new(1);
    for (knob, refusing, open, program) in [
        ("card/translate_accept", "N", "Y", "drop"),
        ("card/insns_max", "1", "4294967295", "drop"),
        ("card/helpers_refused", "1-250", "", "acl"),
        ("card/map_types", "1", "1-2", "count_proto"),
        ("card/maps_max", "0", "4294967295", "acl"),
    ] {
        nic.set(knob, refusing);
        let (codes, said) = refusal(attach(&nic.device(), &job(program), &only(EngineKind::Hw)));
        assert!(!codes.contains(&"accepted".to_owned()), "{knob}");
        assert!(!codes.contains(&"error".to_owned()), "{knob}: {said}");
        // The driver's own words, wherever it put them.
        assert!(said.contains("netdevsim") || said.contains("the driver says"), "{knob}: {said}");
        nic.set(knob, open);
        nic.empty();
    }
}

/// Loading a program needs less than making a map in a NIC does.
#[test]
fn without_cap_sys_admin_maps_stay_on_the_host() {
    if !require::netdevsim("without_cap_sys_admin_maps_stay_on_the_host") {
        return;
    }
    let nic = Nic::new(1);
    let device = nic.device();
    let program = job("globals");
    let outcome = std::thread::scope(|scope| {
        let less = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_ADMIN);
            set_capabilities(None, sets).unwrap();
            let alone = refusal(attach(&device, &program, &only(EngineKind::Hw)));
            let auto = attach(&device, &program, &Wishes::default()).map(|(plan, held)| {
                drop(held);
                plan
            });
            (alone, auto)
        });
        less.join().unwrap()
    });
    let ((codes, words), auto) = outcome;
    assert_eq!(codes, ["nic-map-not-permitted"], "{words}");
    assert!(words.contains("CAP_SYS_ADMIN"), "{words}");
    assert_eq!(auto.unwrap().engine, Some(EngineKind::Native));
    nic.empty();
}

/// The NIC goes while the verifier is at work.
#[test]
fn a_nic_that_goes_in_the_middle_of_a_load_is_an_error_with_its_cause() {
    if !require::netdevsim("a_nic_that_goes_in_the_middle_of_a_load") {
        return;
    }
    let nic = Nic::new(1);
    // Far longer than it takes to see the load begin, however busy the machine is.
    nic.set("bpf_bind_verifier_delay", "2000");
    let device = nic.device();
    let outcome = std::thread::scope(|scope| {
        let loading =
            scope.spawn(|| attach(&device, &job("drop"), &only(EngineKind::Hw)).map(drop));
        until("the NIC has been given the program", || nic.bound() == 1);
        nic.unplug();
        loading.join().unwrap()
    });
    let Err(error) = outcome else { panic!("the program runs in a NIC that is gone") };
    assert!(matches!(error, Error::Kernel { .. }), "{error:?}");
    assert!(error.to_string().contains("ENODEV"), "{error}");
    // And after: the interface is not there any more.
    let (_, said) = refusal(attach(&device, &job("drop"), &only(EngineKind::Hw)));
    assert!(said.contains("is gone"), "{said}");
}
