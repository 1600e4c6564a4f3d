//! Slots that somebody else holds.

use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Expect, FilterKey, ProgramSpec};
use hoist_fallback::CLSACT;
use hoist_hwtests::capture::Sender;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::device::Slot;
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::{Choice, Wishes};
use hoist_offload::{AttachPolicy, Engine as _, EngineKind, Error, Host, Verdict};

use crate::support::*;

/// The whole of the ladder: a peer with a large MTU refuses native before and generic is chosen;
/// after the remedy, or for a program that takes fragments, native is.
#[test]
fn the_peers_mtu_decides() {
    if !require::veth("the_peers_mtu_decides") {
        return;
    }
    let registry = registry();
    let choose = |object: &str| {
        let kernel = kernel();
        let host = LinuxHost::new(Arc::clone(&kernel));
        let device = host.device("v0").unwrap();
        let policy = AttachPolicy::default();
        registry
            .attach(&host, &kernel, &device, &job(object, None), &Wishes::default(), &policy)
            .map(|(plan, _running)| plan)
            .unwrap()
    };
    let lab = Lab::with(|near| near, |far| far.mtu(9000)).unwrap();
    lab.near().namespace.run(|| {
        let plan = choose("drop");
        assert_eq!(plan.engine, Some(EngineKind::Generic), "{plan:?}");
        let gap = &plan.refusals[0].gaps[0];
        assert_eq!(gap.code, "peer-mtu-too-large", "{gap:?}");
        assert_eq!(choose("frags").engine, Some(EngineKind::Native));
        lab.far().set_mtu(1500).unwrap();
        lab.near().set_mtu(9000).unwrap();
        assert_eq!(choose("drop").engine, Some(EngineKind::Native));
    });
}

/// A slot that somebody else holds is not touched unless the user names what is in it; then it is
/// swapped, and emptied in the end.
#[test]
fn a_foreign_program_is_replaced_only_by_name() {
    if !require::veth("a_foreign_program_is_replaced_only_by_name") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let sender = Sender::open(lab.far()).unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        for (engine, slot) in engines() {
            let device = device(&kernel, "v0");
            let theirs = attach(engine, "v0", &job("pass", None), &AttachPolicy::default());
            let id = theirs.effective().unwrap().program_id;
            let prepare = || engine.prepare(&kernel, &device, &job("drop", None)).unwrap();

            // tcx has room for many.
            if slot != Slot::TcxIngress {
                let error = prepare().attach(&AttachPolicy::default()).unwrap_err();
                assert_eq!(codes(&error), ["slot-held"]);
            }
            let wrong = AttachPolicy { keep: None, replace: Some(id + 1) };
            assert_eq!(codes(&prepare().attach(&wrong).unwrap_err()), ["replace-mismatch"]);
            assert_eq!(theirs.effective().unwrap().program_id, id);

            let right = AttachPolicy { keep: None, replace: Some(id) };
            let ours = prepare().attach(&right).unwrap();
            sender.send_many(&frame(&lab), 2).unwrap();
            assert_eq!(counted(&*ours, 2).of(Verdict::Drop), 2);
            drop(ours);
            assert_eq!(there(&*kernel, device.ifindex, slot), None);
        }
    });
}

/// What the interface itself holds (netlink) is swapped in one step, and the slot is empty in the end.
#[test]
fn a_netlink_program_is_replaced_in_one_step() {
    if !require::veth("a_netlink_program_is_replaced_in_one_step") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let (kernel, ifindex) = (kernel(), lab.near().ifindex);
        for (engine, mode) in XDP {
            let pass = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];
            let spec = ProgramSpec { kind: 6, insns: &pass, ..ProgramSpec::default() };
            let theirs = kernel.load_program(&spec).unwrap();
            let id = kernel.program_info(theirs.as_fd()).unwrap().id;
            kernel.netlink_xdp(ifindex, Some(theirs.as_fd()), Some(mode), Expect::Empty).unwrap();
            let device = device(&kernel, "v0");
            let prepare = || engine.prepare(&kernel, &device, &job("drop", None)).unwrap();

            let error = prepare().attach(&AttachPolicy::default()).unwrap_err();
            assert_eq!(codes(&error), ["slot-held"]);
            let right = AttachPolicy { keep: None, replace: Some(id) };
            let mut ours = prepare().attach(&right).unwrap();
            let effective = ours.effective().unwrap();
            assert_eq!((effective.engine, effective.link_id), (engine.kind(), None));
            ours.replace(engine.prepare(&kernel, &device, &job("pass", None)).unwrap()).unwrap();
            assert_ne!(ours.effective().unwrap().program_id, effective.program_id);
            ours.detach().unwrap();
            assert_eq!(kernel.query_xdp(ifindex).unwrap().of(mode), None);
        }
    });
}

/// A filter that somebody added with tc(8) is swapped where it is, and the qdisc is theirs.
#[test]
fn a_foreign_filter_is_replaced_where_it_is() {
    if !require::veth("a_foreign_filter_is_replaced_where_it_is") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let sender = Sender::open(lab.far()).unwrap();
    lab.near().namespace.run(|| {
        let (kernel, ifindex) = (kernel(), lab.near().ifindex);
        let pass = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];
        let spec = ProgramSpec { kind: 3, insns: &pass, ..ProgramSpec::default() };
        let theirs = kernel.load_program(&spec).unwrap();
        let id = kernel.program_info(theirs.as_fd()).unwrap().id;
        kernel.add_clsact(ifindex).unwrap();
        let key = FilterKey { priority: 7, handle: 3 };
        kernel.add_filter(ifindex, key, theirs.as_fd(), "theirs").unwrap();
        let device = device(&kernel, "v0");
        let prepare = |object| CLSACT.prepare(&kernel, &device, &job(object, None)).unwrap();
        let runs = || kernel.filters(ifindex).unwrap().iter().map(|f| f.key).collect::<Vec<_>>();

        let wrong = AttachPolicy { keep: None, replace: Some(id + 1) };
        assert_eq!(codes(&prepare("drop").attach(&wrong).unwrap_err()), ["replace-mismatch"]);
        let right = AttachPolicy { keep: None, replace: Some(id) };
        let mut ours = prepare("drop").attach(&right).unwrap();
        assert_eq!(runs(), [key]);
        sender.send_many(&frame(&lab), 2).unwrap();
        assert_eq!(counted(&*ours, 2).of(Verdict::Drop), 2);
        ours.replace(prepare("pass")).unwrap();
        assert_eq!(runs(), [key]);
        ours.detach().unwrap();
        assert_eq!(runs(), []);
        assert!(!kernel.add_clsact(ifindex).unwrap(), "the qdisc is theirs");
    });
}

/// hoist's filter goes first; what keeps it from there is named.
#[test]
fn filters_of_another_protocol_are_in_the_way() {
    if !require::veth("filters_of_another_protocol_are_in_the_way") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        kernel.add_clsact(lab.near().ifindex).unwrap();
        let tc = "filter add dev v0 ingress prio 1 protocol ip bpf bytecode";
        let mut tc =
            Command::new("tc").args(tc.split(' ')).arg("1,6 0 0 4294967295").spawn().unwrap();
        assert!(tc.wait().unwrap().success());
        let device = device(&kernel, "v0");
        let prepared = CLSACT.prepare(&kernel, &device, &job("drop", None)).unwrap();
        let error = prepared.attach(&AttachPolicy::default()).unwrap_err();
        assert_eq!(codes(&error), ["filter-priority-taken"]);
        let Error::Refused { refusals, .. } = &error else { panic!("{error}") };
        let gap = &refusals[0].gaps[0];
        assert!(gap.message.contains("protocol 0x0800"), "{}", gap.message);
        for (engine, _) in engines().filter(|(_, slot)| *slot == Slot::TcxIngress) {
            drop(attach(engine, "v0", &job("drop", None), &AttachPolicy::default()));
        }
    });
}

#[test]
fn the_other_mode_excludes() {
    if !require::veth("the_other_mode_excludes") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        let [native, generic] = XDP.map(|(engine, _)| engine);
        for (first, second, code) in
            [(native, generic, "native-active"), (generic, native, "generic-active")]
        {
            let held = attach(first, "v0", &job("pass", None), &AttachPolicy::default());
            let host = LinuxHost::new(Arc::clone(&kernel));
            let device = host.device("v0").unwrap();
            let foreseen = registry()
                .plan(
                    &host,
                    &device,
                    &job("drop", None),
                    &Wishes { choice: Choice::only(second.kind()), ..Wishes::default() },
                )
                .unwrap();
            assert_eq!(foreseen.refusals[0].gaps[0].code, code);
            let prepared = second.prepare(&kernel, &device, &job("drop", None)).unwrap();
            let error = prepared.attach(&AttachPolicy::default()).unwrap_err();
            assert_eq!(codes(&error), [code]);
            drop(held);
        }
    });
}
