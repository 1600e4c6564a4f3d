//! The laboratory itself: what it builds is what was asked, quiet, and gone afterwards.

use std::process::Command;
use std::time::Duration;

use hoist_hwtests::capture::{Capture, Destination, Sender};
use hoist_hwtests::frame::{Frame, diff, mac};
use hoist_hwtests::lab::{Lab, LinkKind, Namespace, Port, Tap};
use hoist_hwtests::{require, socket, wait};

#[test]
fn a_pair_carries_datagrams_and_streams_both_ways() {
    if !require::veth("a_pair_carries_datagrams_and_streams_both_ways") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let near = socket::udp(&lab.near().namespace, (Lab::NEAR, 7000)).unwrap();
    let far = socket::udp(&lab.far().namespace, (Lab::FAR, 7000)).unwrap();
    far.send_to(b"ping", (Lab::NEAR, 7000)).unwrap();
    near.send_to(b"pong", (Lab::FAR, 7000)).unwrap();
    assert_eq!(socket::drain(&near).unwrap(), [b"ping"]);
    assert_eq!(socket::drain(&far).unwrap(), [b"pong"]);
    let listener = socket::tcp_listener(&lab.near().namespace, (Lab::NEAR, 80)).unwrap();
    let client = socket::tcp_connect(&lab.far().namespace, (Lab::NEAR, 80)).unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
}

#[test]
fn a_capture_shows_the_frame_that_was_sent_and_what_the_stack_makes_of_it() {
    if !require::veth("a_capture_shows_the_frame_that_was_sent_and_what_the_stack_makes_of_it") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let capture = Capture::open(lab.near()).unwrap();
    let ip = |f: Frame| f.ipv4(Lab::FAR, Lab::NEAR).udp(1, 2).payload(b"hello").pad_to(60);
    let cases = [
        (ip(Frame::eth(mac(2), mac(1))), Destination::Host, 0x0800, None),
        (ip(Frame::eth(mac(2), mac(9))), Destination::Other, 0x0800, None),
        (ip(Frame::eth(mac(2), [0xff; 6])), Destination::Broadcast, 0x0800, None),
        (ip(Frame::eth(mac(2), [1, 0, 0x5e, 0, 0, 1])), Destination::Multicast, 0x0800, None),
        (ip(Frame::eth(mac(2), mac(1)).vlan(7)), Destination::Host, 0x0800, Some((0x8100, 7))),
        (
            Frame::eth(mac(2), mac(1)).next(0x1234).payload(&[1; 46]),
            Destination::Host,
            0x1234,
            None,
        ),
    ];
    let (plain, bypass) =
        (Sender::open(lab.far()).unwrap(), Sender::bypassing_qdisc(lab.far()).unwrap());
    for (frame, destination, protocol, vlan) in cases {
        for sender in [&plain, &bypass] {
            sender.send(&frame.bytes()).unwrap();
            let got = capture.next(wait::PATIENCE).unwrap().expect("a frame");
            assert_eq!(diff(&frame.bytes(), &got.bytes).to_string(), "", "{frame}");
            assert_eq!((got.destination, got.protocol), (destination, protocol), "{frame}");
            assert_eq!((got.offloaded_vlan, got.checksum_partial), (vlan, false), "{frame}");
        }
    }
}

#[test]
fn checksums_are_finished_unless_asked_otherwise() {
    if !require::veth("checksums_are_finished_unless_asked_otherwise") {
        return;
    }
    for partial in [false, true] {
        let lab = Lab::with(|near| near, |far| far.tx_checksum(partial)).unwrap();
        let capture = Capture::open(lab.near()).unwrap();
        let far = socket::udp(&lab.far().namespace, (Lab::FAR, 7000)).unwrap();
        far.send_to(b"x", (Lab::NEAR, 7000)).unwrap();
        let got = capture.next(wait::PATIENCE).unwrap().expect("a datagram");
        assert_eq!(got.checksum_partial, partial);
    }
}

#[test]
fn nothing_is_sent_that_no_test_sent() {
    if !require::veth("nothing_is_sent_that_no_test_sent") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let capture = Capture::both_ways(lab.near()).unwrap();
    lab.far().set_up(false).unwrap();
    lab.far().set_up(true).unwrap();
    let noise = capture.next(Duration::from_millis(1500)).unwrap().map(|f| f.to_string());
    assert_eq!(noise, None);
}

#[test]
fn ends_are_as_ordered() {
    if !require::veth("ends_are_as_ordered") {
        return;
    }
    let lab =
        Lab::with(|near| near.mtu(9000).queues(3, 2).gro(true), |far| far.name("wan0").down())
            .unwrap();
    assert_eq!((lab.near().mtu().unwrap(), lab.far().mtu().unwrap()), (9000, 1500));
    let queues = |port: &Port, way: &str| {
        // sysfs shows the namespace it was mounted in; a mount of its own shows this one.
        let count = format!(
            "mount -t sysfs s /sys && ls -d /sys/class/net/{}/queues/{way}-* | wc -l",
            port.name
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &count]);
        let output = port.namespace.output(&mut command, wait::PATIENCE).unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!((queues(lab.near(), "rx"), queues(lab.near(), "tx")), ("3".into(), "2".into()));
    assert_eq!((queues(lab.far(), "rx"), queues(lab.far(), "tx")), ("1".into(), "1".into()));
    assert_eq!(lab.far().name, "wan0");
}

#[test]
fn other_links_can_be_had() {
    if !require::veth("other_links_can_be_had") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let here = &lab.near().namespace;
    let bridge = Port::create(here, "br0", mac(10), LinkKind::Bridge).unwrap();
    lab.near().set_master(Some(&bridge)).unwrap();
    lab.near().set_master(None).unwrap();
    Port::create(here, "mv0", mac(11), LinkKind::Macvlan(lab.near())).unwrap();
    Port::create(here, "ifb0", mac(12), LinkKind::Ifb).unwrap();
    match Port::create(here, "vlan7", mac(13), LinkKind::Vlan(lab.near(), 7)) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.errno, libc::EOPNOTSUPP, "{e}"),
    }
    let tap = Tap::create(here, "tap0").unwrap();
    let capture = Capture::open(&tap.port).unwrap();
    let frame = Frame::eth(mac(2), tap.port.mac).payload(&[5; 46]).bytes();
    tap.send(&frame).unwrap();
    let got = capture.next(wait::PATIENCE).unwrap().expect("a frame through the tap");
    assert_eq!(diff(&frame, &got.bytes).to_string(), "");
    Sender::open(&tap.port).unwrap().send(&frame).unwrap();
    assert_eq!(tap.receive(wait::PATIENCE).unwrap(), Some(frame));
}

#[test]
fn the_namespace_stays_inside_and_panics_come_out() {
    if !require::veth("the_namespace_stays_inside_and_panics_come_out") {
        return;
    }
    let own = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let (before, namespace) = (own(), Namespace::new().unwrap());
    let inside = namespace.run(own);
    let panic = std::panic::catch_unwind(|| namespace.run(|| panic!("inside")));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    assert_ne!(before, inside);
    assert_eq!((before, inside), (own(), namespace.run(own)));
    assert_eq!(Port::all(&namespace).unwrap(), ["lo"]);
}

#[test]
fn a_command_that_hangs_is_ended() {
    if !require::veth("a_command_that_hangs_is_ended") {
        return;
    }
    let namespace = Namespace::new().unwrap();
    let limit = Duration::from_millis(200);
    let error = namespace.output(Command::new("sleep").arg("60"), limit).unwrap_err();
    assert_eq!(error.to_string(), "run sleep: did not end within 200ms");
}

#[test]
fn an_interface_moves_and_a_namespace_is_found_by_its_path() {
    if !require::veth("an_interface_moves_and_a_namespace_is_found_by_its_path") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let elsewhere = Namespace::named("elsewhere").unwrap();
    let moved = lab.far().clone().move_to(&elsewhere).unwrap();
    let same = Namespace::open(&elsewhere.path()).unwrap();
    assert_eq!(Port::all(&same).unwrap(), ["lo", "v1"]);
    assert_eq!(Port::all(&lab.far().namespace).unwrap(), ["lo"]);
    let anonymous = Namespace::open(&lab.near().namespace.path()).unwrap();
    assert_eq!(Port::all(&anonymous).unwrap(), ["lo", "v0"]);
    moved.delete().unwrap();
    assert_eq!(Port::all(&anonymous).unwrap(), ["lo"], "a veth goes with its other end");
}
