use hoist_bpf::kernel::XdpMode;
use hoist_fallback::userspace::ports::af_xdp::{open, pass_gap};
use hoist_fallback::userspace::ports::{Action, Outcome, Port};
use hoist_hwtests::require;

use crate::world::{PAYLOAD, World, asked, datagram, drive};

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

#[test]
fn verdicts_are_carried_out() {
    if !require::veth("af_xdp::verdicts_are_carried_out") {
        return;
    }
    for mode in MODES {
        let world = World::new();
        let (near, out) = (world.lab.near(), world.out.near.ifindex);
        let payloads: &[&[u8]] = if mode == XdpMode::Native {
            &[b"d1", b"p2", b"t3", b"r4", b"p5"]
        } else {
            &[b"d1", b"t3", b"r4"]
        };
        let outcomes = near.namespace.run(|| {
            let (attached, mut ports) = open(&world.kernel, "v0", near.ifindex, mode).unwrap();
            payloads.iter().for_each(|payload| world.send(payload));
            let outcomes = drive(&mut [&mut ports[0]], payloads.len(), |frame, arrival| {
                assert_eq!(arrival.ingress_ifindex, near.ifindex);
                assert_eq!(arrival.rx_queue_index, 0);
                assert_eq!((frame.data, frame.buffer.len()), (256, 3776));
                let action = asked(frame, out);
                // UDP without checksum, and a mark to see that what leaves is what the program left.
                let data = frame.data as usize;
                frame.buffer[data + PAYLOAD - 2..data + PAYLOAD].fill(0);
                frame.buffer[data + PAYLOAD + 1] += 1;
                action
            });
            ports[0].finish().unwrap();
            drop(attached);
            outcomes
        });
        let marked = |payload: &[u8]| {
            let mut frame = datagram(payload);
            frame[PAYLOAD - 2..PAYLOAD].fill(0);
            frame[PAYLOAD + 1] += 1;
            frame
        };
        let back: Vec<_> = world.back.take(1).unwrap().into_iter().map(|c| c.bytes).collect();
        assert_eq!(back, [marked(b"t3")], "{mode:?}");
        let sink: Vec<_> = world.sink.take(1).unwrap().into_iter().map(|c| c.bytes).collect();
        assert_eq!(sink, [marked(b"r4")], "{mode:?}");
        let passed: &[&[u8]] = if mode == XdpMode::Native { &[b"p3", b"p6"] } else { &[] };
        assert_eq!(world.received(), passed, "{mode:?}");
        for (outcome, frames) in [
            (Outcome::Received, payloads.len()),
            (Outcome::Dropped, 1),
            (Outcome::Passed, passed.len()),
            (Outcome::Transmitted, 1),
            (Outcome::Redirected, 1),
        ] {
            assert_eq!(outcomes.of(outcome), frames as u64, "{mode:?} {outcome:?}");
        }
        assert_eq!(outcomes.failures().len(), 0, "{mode:?} {outcomes:?}");
    }
}

#[test]
fn programs_that_may_pass_need_native_xdp_and_frames_within_a_page() {
    if !require::veth("af_xdp::programs_that_may_pass_need_native_xdp_and_frames_within_a_page") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    near.namespace.run(|| {
        let code = |mode, bytes| {
            let (attached, _ports) = open(&world.kernel, "v0", near.ifindex, mode).unwrap();
            attached.length_gap(bytes).unwrap().map(|gap| gap.code)
        };
        assert_eq!(code(XdpMode::Native, 1518), None);
        assert_eq!(code(XdpMode::Native, 3000), None);
        let too_long = Some("frame-too-long-to-reinject".to_owned());
        assert_eq!(code(XdpMode::Native, 4000), too_long);
        assert_eq!(code(XdpMode::Generic, 1518), Some("reinjection-loops".to_owned()));
    });
    assert_eq!(pass_gap(XdpMode::Native), None);
}

#[test]
fn every_queue_has_a_socket() {
    if !require::veth("af_xdp::every_queue_has_a_socket") {
        return;
    }
    let world = World::with(|near| near.queues(3, 2));
    let near = world.lab.near();
    near.namespace.run(|| {
        let opened = open(&world.kernel, "v0", near.ifindex, XdpMode::Native).unwrap();
        let names: Vec<_> = opened.1.iter().map(|port| port.name().to_owned()).collect();
        assert_eq!(names, ["v0 queue 0", "v0 queue 1", "v0 queue 2"]);
        let again = open(&world.kernel, "v0", near.ifindex, XdpMode::Native).unwrap_err();
        assert!(again.to_string().contains("another AF_XDP socket has this queue"), "{again}");
        drop(opened);
        open(&world.kernel, "v0", near.ifindex, XdpMode::Native).unwrap();
    });
}

#[test]
fn the_host_is_itself_again_when_the_program_goes() {
    if !require::veth("af_xdp::the_host_is_itself_again_when_the_program_goes") {
        return;
    }
    for mode in MODES {
        let world = World::new();
        let near = world.lab.near();
        near.namespace.run(|| {
            let (attached, mut ports) = open(&world.kernel, "v0", near.ifindex, mode).unwrap();
            world.send(b"dropped");
            drive(&mut [&mut ports[0]], 1, |_, _| Action::Drop);
            drop(attached);
        });
        world.send(b"passed");
        assert_eq!(world.received(), [b"passed"], "{mode:?}");
    }
}

#[test]
fn more_frames_than_the_rings_hold_come_through() {
    if !require::veth("af_xdp::more_frames_than_the_rings_hold_come_through") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    near.namespace.run(|| {
        let (attached, mut ports) =
            open(&world.kernel, "v0", near.ifindex, XdpMode::Native).unwrap();
        // Six turns of the smallest ring, and three of the memory.
        for _ in 0..96 {
            world.sender.send_many(&datagram(b"t"), 128).unwrap();
            drive(&mut [&mut ports[0]], 128, |_, _| Action::Transmit);
        }
        let outcomes = ports[0].outcomes();
        assert_eq!(outcomes.of(Outcome::Transmitted), 96 * 128, "{outcomes:?}");
        assert_eq!(outcomes.failures().len(), 0, "{outcomes:?}");
        drop(attached);
    });
}

#[test]
fn an_interface_that_goes_ends_the_port() {
    if !require::veth("af_xdp::an_interface_that_goes_ends_the_port") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    let World { kernel, lab, .. } = &world;
    near.namespace.run(|| {
        let (_attached, mut ports) = open(kernel, "v0", near.ifindex, XdpMode::Native).unwrap();
        let port = &mut ports[0];
        assert_eq!(
            port.receive(&mut |_, _| Action::Drop).unwrap(),
            hoist_fallback::userspace::ports::Batch::Idle
        );
        lab.near().clone().delete().unwrap();
        let error = port.receive(&mut |_, _| Action::Drop).unwrap_err().to_string();
        assert!(error.contains("v0 queue 0"), "{error}");
    });
}
