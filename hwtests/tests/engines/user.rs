//! hoist's own engine on live interfaces: the verdicts it carries out, its maps and counters, and that
//! nothing is left.

use hoist_fallback::userspace::engine::{AF_PACKET, AF_XDP, UserEngine};
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::{AttachPolicy, Engine, Hook, Verdict};

use crate::support::*;

#[test]
fn the_user_engine_carries_out_verdicts() {
    if !require::veth("the_user_engine_carries_out_verdicts") {
        return;
    }
    let cases: [(UserEngine, &str, Verdict); 5] = [
        (AF_XDP, "drop", Verdict::Drop),
        (AF_XDP, "pass", Verdict::Pass),
        (AF_XDP, "swap_tx", Verdict::Tx),
        (AF_PACKET, "drop", Verdict::Drop),
        (AF_XDP, "drop", Verdict::Drop),
    ];
    for (engine, object, verdict) in cases {
        let lab = Lab::pair().unwrap();
        let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
        let (stack, wire) = (stack(&lab), Capture::open(lab.far()).unwrap());
        lab.near().namespace.run(|| {
            let running = attach(&engine, "v0", &job(object, None), &AttachPolicy::default());
            let effective = running.effective().unwrap();
            assert_eq!((effective.engine, effective.hook), (engine.kind(), engine.hook()));
            sender.send_many(&frame, 5).unwrap();
            assert_eq!(counted(&*running, 5).of(verdict), 5, "{engine:?} {object}");
            let passed = if verdict == Verdict::Pass { 5 } else { 0 };
            assert_eq!(stack.take(passed).unwrap().len(), passed, "{engine:?} {object}");
            if verdict != Verdict::Pass {
                assert!(stack.next(MOMENT).unwrap().is_none(), "{engine:?} {object}: passed");
            }
            if verdict == Verdict::Tx {
                assert_eq!(wire.take(5).unwrap().len(), 5, "{engine:?} {object}");
            }
            running.detach().unwrap();
            // The interface is itself again.
            sender.send_many(&frame, 3).unwrap();
            assert_eq!(stack.take(3).unwrap().len(), 3, "{engine:?} {object}: it is still there");
        });
    }
}

#[test]
fn what_a_port_cannot_do_is_refused() {
    if !require::veth("what_a_port_cannot_do_is_refused") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        let device = device(&kernel, "v0");
        let passing = AF_PACKET.prepare(&kernel, &device, &job("pass", None)).unwrap_err();
        assert_eq!(codes(&passing), ["no-reinjection"]);
        let stay = AttachPolicy { keep: Some("/sys/fs/bpf/hoist".into()), replace: None };
        let prepared = AF_XDP.prepare(&kernel, &device, &job("drop", None)).unwrap();
        assert_eq!(codes(&prepared.attach(&stay).unwrap_err()), ["cannot-stay"]);
        let running = attach(&AF_XDP, "v0", &job("drop", None), &AttachPolicy::default());
        let again = AF_XDP.prepare(&kernel, &device, &job("drop", None)).unwrap();
        let refused = codes(&again.attach(&AttachPolicy::default()).unwrap_err());
        assert!(refused.iter().all(|code| code == "af-xdp-refused"), "{refused:?}");
        running.detach().unwrap();
    });
}

#[test]
fn maps_of_the_user_engine_are_maps() {
    if !require::veth("maps_of_the_user_engine_are_maps") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
    lab.near().namespace.run(|| {
        let running = attach(&AF_XDP, "v0", &job("count_proto", None), &AttachPolicy::default());
        let map = running.map("protocols").unwrap();
        sender.send_many(&frame, 4).unwrap();
        assert_eq!(counted(&*running, 4).total(), 4);
        let seen = |value: Vec<u8>| value.chunks_exact(16).map(|cpu| cpu[0]).sum::<u8>();
        let all: u8 = map.entries().unwrap().into_iter().map(|(_, value)| seen(value)).sum();
        assert_eq!(all, 4);
        assert_eq!(running.effective().unwrap().hook, Hook::AfXdp);
    });
}
