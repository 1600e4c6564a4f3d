//! Ports that go, NICs that go, network namespaces, and programs that stay.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Expect, MapSpec, ObjectKind, XdpMode};
use hoist_hwtests::lab::Namespace;
use hoist_hwtests::require;
use hoist_offload::pins::{self, State};
use hoist_offload::{AttachPolicy, EngineKind};

use crate::support::{
    Nic, PASS, XDP, attach, attach_with, index, ip, job, kernel, only, program, registry, until,
};

#[test]
fn a_program_moves_to_another_port_of_its_nic() {
    if !require::netdevsim("a_program_moves_to_another_port_of_its_nic") {
        return;
    }
    let (nic, kernel) = (Nic::new(2), kernel());
    let engine: &dyn hoist_offload::Engine = &hoist_drivers::HARDWARE;
    let prepared = engine.prepare(&kernel, &nic.port(0), &job("drop")).unwrap();
    assert_eq!(nic.bound(), 1);
    let left = nic.port(1);
    nic.remove_port(0);
    assert_eq!(nic.names(), std::slice::from_ref(&left.name));
    assert_eq!(nic.bound(), 1, "the program is the NIC's, not the port's");
    // It was prepared for a port that is gone.
    let refused = prepared.attach(&AttachPolicy::default()).unwrap_err().to_string();
    assert!(refused.contains("has gone") || refused.contains("ENODEV"), "{refused}");
    nic.empty();
    let (_, attached) = attach(&left, &job("drop"), &only(EngineKind::Hw)).unwrap();
    attached.detach().unwrap();
}

#[test]
fn a_nic_that_goes_takes_the_program_with_it() {
    if !require::netdevsim("a_nic_that_goes_takes_the_program_with_it") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let engine: &dyn hoist_offload::Engine = &hoist_drivers::HARDWARE;
    let device = nic.device();
    let prepared = engine.prepare(&kernel, &device, &job("drop")).unwrap();
    let (_, attached) = attach(&device, &job("pass"), &only(EngineKind::Hw)).unwrap();
    nic.unplug();
    let gone = attached.effective().unwrap_err().to_string();
    assert!(gone.contains("is gone"), "{gone}");
    attached.detach().unwrap();
    let orphan = prepared.attach(&AttachPolicy::default()).unwrap_err().to_string();
    assert!(orphan.contains("has gone") || orphan.contains("ENODEV"), "{orphan}");
}

#[test]
fn a_program_that_stays_is_found_moved_and_taken_off() {
    if !require::netdevsim("a_program_that_stays_is_found_moved_and_taken_off") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let root = kernel.bpffs("hoist-offload-test").unwrap();
    let keep = AttachPolicy { keep: Some(root.clone()), ..AttachPolicy::default() };
    let device = nic.device();
    let (_, attached) = attach_with(&device, &job("drop"), &only(EngineKind::Hw), &keep).unwrap();
    attached.release();
    let (kept, state) = pins::running(&*kernel, &root).unwrap().pop().unwrap();
    let State::Running { program_id, .. } = state else { panic!("{state:?}") };
    let slots = || kernel.query_xdp(device.ifindex).unwrap();
    assert_eq!(slots().of(XdpMode::Hardware), Some(program_id));
    // It survives a move to another network namespace and back.
    let elsewhere = Namespace::named("hw-elsewhere").unwrap();
    let id = std::process::id().to_string();
    ip(&format!("link set {} netns {}", device.name, elsewhere.name().unwrap_or_default()));
    assert!(matches!(kept.state(&*kernel).unwrap(), State::Running { .. }), "process {id}");
    let index = elsewhere.run(|| {
        let host = hoist_offload::host::LinuxHost::new(Arc::clone(&kernel));
        let moved = hoist_offload::Host::device(&host, &device.name).unwrap();
        assert_eq!(kernel.query_xdp(moved.ifindex).unwrap().hardware, Some(program_id));
        moved.ifindex
    });
    assert!(index > 0);
    elsewhere.run(|| ip(&format!("link set {} netns 1", device.name)));
    until("its return", || nic.names().contains(&device.name));
    let attached = registry().adopt(&kernel, &kept, &nic.device()).unwrap();
    attached.detach().unwrap();
    assert_eq!(kernel.query_xdp(nic.device().ifindex).unwrap().hardware, None);
    assert_eq!(pins::list(&*kernel, &root).unwrap(), []);
    nic.empty();
    // One whose NIC goes is dead, and is swept.
    let (_, attached) =
        attach_with(&nic.device(), &job("drop"), &only(EngineKind::Hw), &keep).unwrap();
    attached.release();
    nic.unplug();
    let kept = pins::list(&*kernel, &root).unwrap().pop().unwrap();
    assert!(matches!(kept.state(&*kernel).unwrap(), State::Dead { .. }));
    assert_eq!(pins::sweep(&*kernel, &root).unwrap().len(), 1);
}

/// Whatever slot it is in: nothing outlives the interface but what somebody holds.
#[test]
fn programs_of_every_slot_go_with_their_nic() {
    if !require::netdevsim("programs_of_every_slot_go_with_their_nic") {
        return;
    }
    let turn = Nic::new(1);
    let kernel = kernel();
    for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Hardware] {
        let nic = Nic::beside(1);
        let ifindex = nic.device().ifindex;
        let bound = if mode == XdpMode::Hardware { ifindex } else { 0 };
        let loaded = kernel.load_program(&program(XDP, 0, bound, &PASS)).unwrap();
        let id = kernel.program_info(loaded.as_fd()).unwrap().id;
        // From a pin, twice, as bpftool and ip do.
        let at = kernel.bpffs("hoist-slots").unwrap().join(format!("{mode:?}"));
        kernel.pin(loaded.as_fd(), &at).unwrap();
        drop(loaded);
        for _ in 0..2 {
            let pinned = kernel.get_pinned(&at).unwrap().unwrap();
            let set = |program| kernel.netlink_xdp(ifindex, program, Some(mode), Expect::Anything);
            set(None).unwrap();
            set(Some(pinned.as_fd())).unwrap();
            assert_eq!(kernel.query_xdp(ifindex).unwrap().of(mode), Some(id), "{mode:?}");
        }
        kernel.unpin(&at).unwrap();
        assert_eq!(nic.bound(), usize::from(bound != 0), "{mode:?}");
        nic.unplug();
        let programs = || kernel.ids(ObjectKind::Program).unwrap();
        until("the program to go", || !programs().contains(&id));
    }
    drop(turn);
}

/// What the kernel says of programs and maps in a NIC, wherever its port is and whichever port is left.
#[test]
fn what_is_in_a_nic_says_where_it_is() {
    if !require::netdevsim("what_is_in_a_nic_says_where_it_is") {
        return;
    }
    let (nic, other, kernel) = (Nic::new(2), Nic::beside(1), kernel());
    let (first, second) = (nic.port(0), nic.port(1));
    let in_nic = |ifindex| {
        let spec = MapSpec {
            name: "of_nic".to_owned(),
            kind: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 2,
            ifindex,
            ..MapSpec::default()
        };
        kernel.create_map(&spec).unwrap()
    };
    let map = in_nic(first.ifindex);
    let insns =
        [Insn::new(0x18, 1, 1, 0, map.as_raw_fd()), Insn::new(0, 0, 0, 0, 0), PASS[0], PASS[1]];
    // A map is of the whole NIC: another port's program may use it, another NIC's may not.
    let loaded = kernel.load_program(&program(XDP, 0, second.ifindex, &insns)).unwrap();
    let stranger = program(XDP, 0, other.device().ifindex, &insns);
    let error = kernel.load_program(&stranger).unwrap_err();
    let log = error.log.unwrap_or_default();
    assert!(log.contains("offload device mismatch between prog and map"), "{log}");
    let places = || {
        let program = kernel.program_info(loaded.as_fd()).unwrap().ifindex;
        (program, kernel.map_info(map.as_fd()).unwrap().ifindex)
    };
    assert_eq!(places(), (second.ifindex, first.ifindex));
    let link = |port: &hoist_offload::Device| {
        kernel.link_xdp(loaded.as_fd(), port.ifindex, XdpMode::Hardware).unwrap()
    };
    let links = (link(&first), link(&second));
    // A port moves away and takes the index that it has there along.
    let elsewhere = Namespace::named("hw-away").unwrap();
    ip(&format!("link set {} netns {}", second.name, elsewhere.name().unwrap_or_default()));
    let moved = elsewhere.run(|| index(&second.name));
    assert_eq!(places(), (moved, first.ifindex));
    elsewhere.run(|| ip(&format!("link set {} netns 1", second.name)));
    until("its return", || nic.names().len() == 2);
    // A port goes: the NIC is still there, and so is everything in it.
    drop(links);
    nic.remove_port(1);
    assert_eq!(places().0, first.ifindex, "to the port that is left");
    assert_eq!(nic.bound(), 1);
    drop((loaded, map));
    nic.empty();
}
