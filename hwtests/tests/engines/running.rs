//! Load, traffic, counters, replacement, detach, and what is left after a crash.

use std::process::{Command, Stdio};
use std::time::Duration;

use hoist_hwtests::capture::Sender;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};
use hoist_offload::{AttachPolicy, Verdict};

use crate::support::*;

#[test]
fn a_program_runs_is_replaced_and_taken_off() {
    if !require::veth("a_program_runs_is_replaced_and_taken_off") {
        return;
    }
    for (engine, slot) in engines() {
        let lab = Lab::pair().unwrap();
        let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
        let stack = stack(&lab);
        lab.near().namespace.run(|| {
            let kernel = kernel();
            let device = device(&kernel, "v0");
            let mut running = attach(engine, "v0", &job("drop", None), &AttachPolicy::default());
            let effective = running.effective().unwrap();
            assert_eq!(effective.engine, engine.kind());
            assert_eq!(there(&*kernel, device.ifindex, slot), Some(effective.program_id));

            sender.send_many(&frame, 5).unwrap();
            let stats = counted(&*running, 5);
            assert_eq!(stats.of(Verdict::Drop), 5, "{engine:?}");
            assert_eq!(stats.bytes[Verdict::Drop as usize], 5 * frame.len() as u64, "{engine:?}");
            assert!(stack.next(MOMENT).unwrap().is_none(), "{engine:?}: a dropped frame passed");

            let next = engine.prepare(&kernel, &device, &job("pass", None)).unwrap();
            running.replace(next).unwrap();
            let replaced = running.effective().unwrap();
            assert_eq!(replaced.link_id, effective.link_id, "the link stays");
            assert_ne!(replaced.program_id, effective.program_id);
            sender.send_many(&frame, 3).unwrap();
            assert_eq!(counted(&*running, 3).of(Verdict::Pass), 3);
            assert_eq!(stack.take(3).unwrap().len(), 3, "{engine:?}: a frame was lost");

            running.detach().unwrap();
            assert_eq!(there(&*kernel, device.ifindex, slot), None);
            assert!(no_qdisc(&*kernel, device.ifindex), "{engine:?}: the qdisc is left");
        });
    }
}

#[test]
fn dropping_an_attachment_detaches() {
    if !require::veth("dropping_an_attachment_detaches") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        for (engine, slot) in engines() {
            let running = attach(engine, "v0", &job("pass", None), &AttachPolicy::default());
            drop(running);
            assert_eq!(there(&*kernel(), lab.near().ifindex, slot), None);
        }
    });
}

/// Attaches for [`a_killed_process_leaves_nothing`] and waits to be killed.
#[test]
#[ignore = "the child of another test"]
fn child_attaches_and_waits() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let slot: usize = std::env::var(CHILD).unwrap().parse().unwrap();
    let (engine, _) = engines().nth(slot).unwrap();
    let running = attach(engine, "v0", &job("drop", None), &AttachPolicy::default());
    println!("attached");
    std::thread::sleep(Duration::from_secs(20));
    drop(running);
}

#[test]
fn a_killed_process_leaves_nothing() {
    if !require::veth("a_killed_process_leaves_nothing") {
        return;
    }
    for (i, (engine, slot)) in engines().enumerate() {
        let lab = Lab::pair().unwrap();
        let ifindex = lab.near().ifindex;
        let runs = || lab.near().namespace.run(|| there(&*kernel(), ifindex, slot));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", "running::child_attaches_and_waits"]);
        command.env(CHILD, i.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = lab.near().namespace.spawn(&mut command).unwrap();
        let attached = wait::until(Duration::from_secs(10), || runs().is_some());
        assert!(attached, "{engine:?}: the child never attached");
        child.kill().unwrap();
        child.wait().unwrap();
        let gone = wait::until(Duration::from_secs(2), || runs().is_none());
        assert!(gone, "{engine:?}: the program outlived its process");
        let free = || lab.near().namespace.run(|| no_qdisc(&*kernel(), ifindex));
        assert!(wait::until(MOMENT, free), "{engine:?}: the qdisc outlived its process");
    }
}
