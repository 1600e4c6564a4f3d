use std::process::{Command, Stdio};

use hoist_fallback::userspace::ports::{AfPacket, Outcome, Port};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::frame::{Frame, mac};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};

use crate::world::{PAYLOAD, World, asked, datagram, drive};

const EPERM: i32 = 1;
/// Set for the process that is killed.
const CHILD: &str = "HOIST_TEST_CHILD";

#[test]
fn verdicts_are_carried_out_and_the_host_gets_nothing() {
    if !require::veth("af_packet::verdicts_are_carried_out_and_the_host_gets_nothing") {
        return;
    }
    let world = World::new();
    let (near, out) = (world.lab.near(), world.out.near.ifindex);
    let payloads: [&[u8]; 3] = [b"d1", b"t2", b"r3"];
    let outcomes = near.namespace.run(|| {
        let mut port = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
        payloads.iter().for_each(|payload| world.send(payload));
        drive(&mut [&mut port], payloads.len(), |frame, arrival| {
            assert_eq!(arrival.ingress_ifindex, near.ifindex);
            assert_eq!((frame.data, frame.buffer.len()), (256, 3776));
            let action = asked(frame, out);
            let data = frame.data as usize;
            frame.buffer[data + PAYLOAD + 1] += 1;
            action
        })
    });
    let marked = |payload: &[u8]| {
        let mut frame = datagram(payload);
        frame[PAYLOAD + 1] += 1;
        frame
    };
    let back: Vec<_> = world.back.take(1).unwrap().into_iter().map(|c| c.bytes).collect();
    assert_eq!(back, [marked(b"t2")]);
    let sink: Vec<_> = world.sink.take(1).unwrap().into_iter().map(|c| c.bytes).collect();
    assert_eq!(sink, [marked(b"r3")]);
    assert_eq!(world.received(), [] as [&[u8]; 0]);
    for outcome in [Outcome::Dropped, Outcome::Transmitted, Outcome::Redirected] {
        assert_eq!(outcomes.of(outcome), 1, "{outcome:?}");
    }
    assert_eq!(outcomes.failures().len(), 0, "{outcomes:?}");
    // The rule went with the port.
    world.send(b"after");
    assert_eq!(world.received(), [b"after"]);
}

#[test]
fn tags_are_in_the_frame_as_on_the_wire() {
    if !require::veth("af_packet::tags_are_in_the_frame_as_on_the_wire") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    let plain = || Frame::eth(mac(2), mac(1));
    let frames = [
        plain().vlan(0x2007).ipv4(Lab::FAR, Lab::NEAR).udp(1, 2).payload(b"tagged").bytes(),
        plain().service_vlan(3).vlan(4).ipv4(Lab::FAR, Lab::NEAR).udp(1, 2).bytes(),
        plain().vlan(0).payload(&[7; 60]).bytes(),
        datagram(b"plain"),
    ];
    let mut seen = Vec::new();
    near.namespace.run(|| {
        let mut port = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
        frames.iter().for_each(|frame| world.sender.send(frame).unwrap());
        drive(&mut [&mut port], frames.len(), |frame, _| {
            assert_eq!(frame.data, 256);
            seen.push(frame.bytes().to_vec());
            asked(frame, 0)
        });
    });
    assert_eq!(seen, frames);
}

#[test]
fn merged_frames_are_counted_and_not_shown() {
    if !require::veth("af_packet::merged_frames_are_counted_and_not_shown") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    near.namespace.run(|| {
        let mut port = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
        // A local sender hands over what its NIC would segment: `struct virtio_net_hdr` asks for
        // datagrams of 100 bytes each, with checksums.
        let far = world.lab.far();
        far.set_feature("tx-checksum-ip-generic", true).unwrap();
        let halves = |values: [u16; 4]| values.map(u16::to_ne_bytes).concat();
        let header = [vec![1, 5], halves([42, 100, 34, 6])].concat();
        let whole = [header, datagram(&[b'd'; 250])].concat();
        Sender::offloading(far).unwrap().send(&whole).unwrap();
        world.send(b"d");
        let outcomes = drive(&mut [&mut port], 2, |frame, _| {
            assert_eq!(frame.bytes(), datagram(b"d"));
            asked(frame, 0)
        });
        assert_eq!(outcomes.of(Outcome::Received), 1);
        assert_eq!(outcomes.of(Outcome::Unfit), 1);
    });
}

#[test]
fn two_ports_cannot_have_one_interface() {
    if !require::veth("af_packet::two_ports_cannot_have_one_interface") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    near.namespace.run(|| {
        let first = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
        let error = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap_err();
        assert_eq!(error.errno, EPERM, "{error}");
        drop(first);
        AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
    });
}

/// Not a test of its own: what the process does that is killed below.
#[test]
fn child_that_waits_to_be_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let kernel: std::sync::Arc<dyn hoist_bpf::kernel::Kernel> =
        std::sync::Arc::new(hoist_bpf::kernel::Linux::new().unwrap());
    let port = AfPacket::open(&kernel, "v0", std::env::var(CHILD).unwrap().parse().unwrap());
    std::thread::sleep(10 * wait::PATIENCE);
    drop(port);
}

#[test]
fn the_rule_dies_with_a_killed_process() {
    if !require::veth("af_packet::the_rule_dies_with_a_killed_process") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "af_packet::child_that_waits_to_be_killed"])
        .env(CHILD, near.ifindex.to_string())
        .stdout(Stdio::null());
    let mut child = near.namespace.spawn(&mut command).unwrap();
    let reaches = || {
        world.send(b"?");
        !world.received().is_empty()
    };
    assert!(wait::until(wait::PATIENCE, || !reaches()), "the child never had the frames dropped");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(wait::until(wait::PATIENCE, reaches), "the rule outlived its process");
}

#[test]
fn an_interface_that_goes_ends_the_port() {
    if !require::veth("af_packet::an_interface_that_goes_ends_the_port") {
        return;
    }
    let world = World::new();
    let near = world.lab.near();
    near.namespace.run(|| {
        let mut port = AfPacket::open(&world.kernel, "v0", near.ifindex).unwrap();
        near.clone().delete().unwrap();
        let error = port.receive(&mut |frame, _| asked(frame, 0)).unwrap_err().to_string();
        assert!(error.contains("v0"), "{error}");
    });
}
