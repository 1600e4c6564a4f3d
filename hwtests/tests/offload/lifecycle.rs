//! Ports that go, NICs that go, network namespaces, and programs that stay.

use std::sync::Arc;

use hoist_bpf::kernel::XdpMode;
use hoist_hwtests::lab::Namespace;
use hoist_hwtests::require;
use hoist_offload::pins::{self, State};
use hoist_offload::{AttachPolicy, EngineKind};

use crate::support::{Nic, attach, attach_with, job, kernel, only, registry, until};

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
    let ip = |args: &[&str]| {
        let done = std::process::Command::new("ip").args(args).status().unwrap();
        assert!(done.success(), "{args:?}");
    };
    let id = std::process::id().to_string();
    ip(&["link", "set", &device.name, "netns", elsewhere.name().unwrap_or_default()]);
    assert!(matches!(kept.state(&*kernel).unwrap(), State::Running { .. }), "process {id}");
    let index = elsewhere.run(|| {
        let host = hoist_offload::host::LinuxHost::new(Arc::clone(&kernel));
        let moved = hoist_offload::Host::device(&host, &device.name).unwrap();
        assert_eq!(kernel.query_xdp(moved.ifindex).unwrap().hardware, Some(program_id));
        moved.ifindex
    });
    assert!(index > 0);
    elsewhere.run(|| ip(&["link", "set", &device.name, "netns", "1"]));
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
