//! XDP in the NIC beside XDP on the host, and what the slot says to whom (`dev_xdp_attach`).

use std::os::fd::AsFd;

use hoist_bpf::kernel::{Expect, XdpMode};
use hoist_hwtests::require;
use hoist_offload::plan::Wishes;
use hoist_offload::{AttachPolicy, EngineKind};

use crate::support::{Nic, attach, attach_with, job, kernel, only, refusal};

#[test]
fn the_nic_and_the_host_run_programs_side_by_side() {
    if !require::netdevsim("the_nic_and_the_host_run_programs_side_by_side") {
        return;
    }
    let nic = Nic::new(1);
    let kernel = kernel();
    for (beside, mode) in
        [(EngineKind::Native, XdpMode::Native), (EngineKind::Generic, XdpMode::Generic)]
    {
        for nic_first in [true, false] {
            let order = match nic_first {
                true => [EngineKind::Hw, beside],
                false => [beside, EngineKind::Hw],
            };
            let held: Vec<_> = order
                .map(|engine| {
                    let device = nic.device();
                    attach(&device, &job("pass"), &only(engine)).map(|(_, held)| held)
                })
                .into_iter()
                .map(|held| {
                    held.unwrap_or_else(|e| panic!("{order:?}: {:?}", refusal(Err::<(), _>(e))))
                })
                .collect();
            let slots = kernel.query_xdp(nic.device().ifindex).unwrap();
            assert!(slots.of(XdpMode::Hardware).is_some() && slots.of(mode).is_some(), "{order:?}");
            for (attachment, engine) in held.iter().zip(order) {
                assert_eq!(attachment.effective().unwrap().engine, engine);
            }
        }
    }
    nic.empty();
}

#[test]
fn a_held_slot_is_named_and_only_its_holder_replaced() {
    if !require::netdevsim("a_held_slot_is_named_and_only_its_holder_replaced") {
        return;
    }
    let nic = Nic::new(1);
    let (_, first) = attach(&nic.device(), &job("pass"), &only(EngineKind::Hw)).unwrap();
    let id = first.effective().unwrap().program_id;
    // Seen beforehand, and seen by the kernel only.
    for device in [nic.device(), hoist_offload::Device { attached: vec![], ..nic.device() }] {
        let (codes, words) = refusal(attach(&device, &job("drop"), &only(EngineKind::Hw)));
        assert!(codes.contains(&"slot-held".to_owned()), "{codes:?}: {words}");
    }
    let replacing = |id| Wishes { replace: Some(id), ..only(EngineKind::Hw) };
    let (codes, _) = refusal(attach(&nic.device(), &job("drop"), &replacing(id + 1000)));
    assert!(codes.iter().any(|c| c == "slot-held" || c == "replace-mismatch"), "{codes:?}");
    let (_, second) = attach(&nic.device(), &job("drop"), &replacing(id)).unwrap();
    assert_ne!(second.effective().unwrap().program_id, id);
    second.detach().unwrap();
    drop(first);
    nic.empty();
}

#[test]
fn a_program_goes_to_ports_of_its_nic_only() {
    if !require::netdevsim("a_program_goes_to_ports_of_its_nic_only") {
        return;
    }
    let (nic, kernel) = (Nic::new(2), kernel());
    let other = Nic::beside(1);
    let engine: &dyn hoist_offload::Engine = &hoist_drivers::HARDWARE;
    let loaded = |device| {
        let spec = hoist_bpf::kernel::loader::LoadSpec {
            module: &job("pass").module,
            program: job("pass").program,
            kind: 6,
            attach_type: 37,
            binding: Some(hoist_bpf::kernel::loader::Binding::Offload(device)),
            pin_root: None,
            contents: &Default::default(),
        };
        hoist_bpf::kernel::loader::load(&*kernel, &spec).unwrap()
    };
    let program = loaded(nic.port(0).ifindex);
    let hardware = XdpMode::Hardware;
    let link = |ifindex, mode| kernel.link_xdp(program.program.as_fd(), ifindex, mode);
    drop(link(nic.port(1).ifindex, hardware).unwrap());
    for (ifindex, mode, words) in [
        (other.device().ifindex, hardware, "Program bound to different device"),
        (nic.port(0).ifindex, XdpMode::Native, "Using offloaded program without HW_MODE flag"),
        (1, hardware, "Underlying driver does not support XDP in native mode"),
    ] {
        let error = link(ifindex, mode).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(link(nic.port(0).ifindex, XdpMode::Generic).unwrap_err().errno, 22);
    // A program of the host is not for the NIC.
    let host = hoist_bpf::kernel::loader::LoadSpec {
        module: &job("pass").module,
        program: job("pass").program,
        kind: 6,
        attach_type: 37,
        binding: None,
        pin_root: None,
        contents: &Default::default(),
    };
    let host = hoist_bpf::kernel::loader::load(&*kernel, &host).unwrap();
    let error = kernel.link_xdp(host.program.as_fd(), nic.port(0).ifindex, hardware).unwrap_err();
    assert!(error.to_string().contains("xdpoffload of non-bound program"), "{error}");
    // Over netlink the same words come with the answer.
    let error = kernel
        .netlink_xdp(
            other.device().ifindex,
            Some(program.program.as_fd()),
            Some(hardware),
            Expect::Empty,
        )
        .unwrap_err();
    assert!(error.to_string().contains("Program bound to different device"), "{error}");
    drop((program, host));
    let prepared = engine.prepare(&kernel, &nic.port(0), &job("pass")).unwrap();
    let mut attached = engine
        .prepare(&kernel, &nic.port(1), &job("drop"))
        .unwrap()
        .attach(&AttachPolicy::default())
        .unwrap();
    let (codes, _) = refusal(attached.replace(prepared));
    assert_eq!(codes, ["replace-mismatch"]);
    drop(attached);
    nic.empty();
}

/// The reason comes through although links return a number only.
#[test]
fn firmware_without_live_reload_keeps_the_old_program() {
    if !require::netdevsim_card("firmware_without_live_reload_keeps_the_old_program") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let engine: &dyn hoist_offload::Engine = &hoist_drivers::HARDWARE;
    let device = nic.device();
    let (_, mut attached) =
        attach_with(&device, &job("pass"), &only(EngineKind::Hw), &AttachPolicy::default())
            .unwrap();
    let before = attached.effective().unwrap();
    nic.set("card/reload_accept", "N");
    let next = engine.prepare(&kernel, &device, &job("drop")).unwrap();
    let (codes, words) = refusal(attached.replace(next));
    assert_eq!(codes, ["no-live-replace"], "{words}");
    assert_eq!(attached.effective().unwrap(), before);
    attached.detach().unwrap();
    nic.empty();
}
