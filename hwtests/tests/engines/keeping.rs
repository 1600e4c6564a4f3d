//! Programs that stay, and interfaces that go.

use std::time::Duration;

use hoist_drivers::NATIVE;
use hoist_hwtests::capture::Sender;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};
use hoist_offload::device::Slot;
use hoist_offload::{AttachPolicy, Verdict, pins};

use crate::support::*;

#[test]
fn a_kept_program_stays_and_is_found_again() {
    if !require::veth("a_kept_program_stays_and_is_found_again") {
        return;
    }
    let root = kernel().bpffs(&format!("hoist_test_{}", std::process::id())).unwrap();
    for (engine, slot) in engines() {
        let lab = Lab::pair().unwrap();
        let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
        lab.near().namespace.run(|| {
            let kernel = kernel();
            let device = device(&kernel, "v0");
            let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
            let kept = attach(engine, "v0", &job("count_proto", None), &policy);
            let id = kept.effective().unwrap().program_id;
            drop(kept);
            assert_eq!(there(&*kernel, device.ifindex, slot), Some(id));

            let found = pins::running(&*kernel, &root).unwrap();
            let [(kept, pins::State::Running { program_id, link_id })] = &found[..] else {
                panic!("{found:?}");
            };
            assert_eq!((*program_id, kept.ifindex, kept.slot), (id, device.ifindex, slot));
            assert_eq!(link_id.is_some(), slot != Slot::ClsactIngress);

            sender.send_many(&frame, 4).unwrap();
            let mut adopted = engine.adopt(&kernel, kept, &device).unwrap();
            assert_eq!(counted(&*adopted, 4).of(Verdict::Pass), 4);
            let protocols = adopted.map("protocols").unwrap();
            let udp = protocols.lookup(&17u32.to_ne_bytes()).unwrap().unwrap();
            let packets: u64 =
                udp.chunks_exact(16).map(|c| u64::from_ne_bytes(c[..8].try_into().unwrap())).sum();
            assert_eq!(packets, 4);

            // Replaced by the id that runs, by another process as it were.
            let next = engine.prepare(&kernel, &device, &job("drop", None)).unwrap();
            adopted.replace(next).unwrap();
            let new = adopted.effective().unwrap().program_id;
            drop(adopted);
            let replacing = AttachPolicy { keep: Some(root.clone()), replace: Some(new) };
            drop(attach(engine, "v0", &job("pass", None), &replacing));
            let found = pins::running(&*kernel, &root).unwrap();
            assert_eq!(found.len(), 1);
            let stale = AttachPolicy { keep: Some(root.clone()), replace: Some(new) };
            let prepared = engine.prepare(&kernel, &device, &job("pass", None)).unwrap();
            let error = prepared.attach(&stale).unwrap_err();
            assert_eq!(codes(&error), ["replace-mismatch"]);

            engine.adopt(&kernel, &found[0].0, &device).unwrap().detach().unwrap();
            assert_eq!(there(&*kernel, device.ifindex, slot), None);
            assert!(no_qdisc(&*kernel, device.ifindex), "{engine:?}: the qdisc is left");
            assert_eq!(pins::list(&*kernel, &root).unwrap(), []);
        });
    }
    // An interface that goes away leaves pins that a sweep finds dead.
    let lab = Lab::pair().unwrap();
    let near = lab.near().namespace.clone();
    near.run(|| {
        let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
        drop(attach(&NATIVE, "v0", &job("pass", None), &policy));
    });
    drop(lab);
    near.run(|| {
        let kernel = kernel();
        assert!(wait::until(Duration::from_secs(2), || {
            pins::running(&*kernel, &root).unwrap().is_empty()
        }));
        assert_eq!(pins::sweep(&*kernel, &root).unwrap().len(), 1);
        assert_eq!(pins::list(&*kernel, &root).unwrap(), []);
        kernel.remove_directory(&root).unwrap();
    });
}

#[test]
fn a_vanished_interface_is_reported() {
    if !require::veth("a_vanished_interface_is_reported") {
        return;
    }
    for (engine, _) in engines() {
        let lab = Lab::pair().unwrap();
        let near = lab.near().namespace.clone();
        let running =
            near.run(|| attach(engine, "v0", &job("pass", None), &AttachPolicy::default()));
        drop(lab);
        near.run(|| {
            assert!(wait::until(Duration::from_secs(2), || running.effective().is_err()));
            let text = running.effective().unwrap_err().to_string();
            assert!(text.contains("interface is gone"), "{text}");
            running.detach().unwrap();
        });
    }
}
