//! The builder, the reader and the differ agree with each other and with the standards.

use std::net::Ipv6Addr;

use hoist_hwtests::frame::{BROADCAST, Frame, diff, dissect, mac, tcp};
use proptest::prelude::*;

fn base() -> Frame {
    Frame::eth(mac(1), mac(2))
}

#[test]
fn frames_read_as_they_were_written() {
    let v6 = |n| Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]);
    let eth = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02";
    let ip = "ipv4 10.0.0.1 > 10.0.0.2 ttl 64";
    let cases: Vec<(Frame, String)> = vec![
        (
            base().ipv4([10, 0, 0, 1], [10, 0, 0, 2]).udp(1, 2).payload(b"abc"),
            format!("{eth} | {ip} | udp 1 > 2 | payload 3 bytes"),
        ),
        (
            base().vlan(7).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).tcp(1, 2, tcp::SYN),
            format!("{eth} | vlan 7 | {ip} | tcp 1 > 2"),
        ),
        (
            base().service_vlan(5).vlan(7).payload(&[1]),
            format!("{eth} | vlan 5 | vlan#2 7 | payload 1 bytes"),
        ),
        (
            base().ipv4([10, 0, 0, 1], [10, 0, 0, 2]).ipv4([1, 1, 1, 1], [2, 2, 2, 2]).echo(3, 4),
            format!("{eth} | {ip} | ipv4#2 1.1.1.1 > 2.2.2.2 ttl 64 | icmp type 8 code 0"),
        ),
        (
            base().ipv6(v6(1), v6(2)).extension(0, &[1, 4, 0, 0]).udp(1, 2),
            format!("{eth} | ipv6 fd00::1 > fd00::2 hops 64 | extension 0 | udp 1 > 2"),
        ),
        (
            base().mpls(16).mpls(17).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).echo(0, 0),
            format!("{eth} | mpls 16 ttl 64 | mpls#2 17 ttl 64 | {ip} | icmp type 8 code 0"),
        ),
        (
            Frame::eth(mac(1), BROADCAST).arp_request((mac(1), [10, 0, 0, 1]), [10, 0, 0, 2]),
            "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff | arp 10.0.0.1 asks for 10.0.0.2".to_owned(),
        ),
        (
            base().arp_reply((mac(1), [10, 0, 0, 1]), (mac(2), [10, 0, 0, 2])),
            format!("{eth} | arp 10.0.0.1 answers 10.0.0.2"),
        ),
        (base().llc(0x42, 0x42, 3), format!("{eth} | llc 0x42 > 0x42")),
        (
            base().ipv4([10, 0, 0, 1], [10, 0, 0, 2]).checksum(1).udp(1, 2),
            format!("{eth} | {ip} bad checksum | udp 1 > 2"),
        ),
        (Frame::raw(&[1, 2, 3]), "payload 3 bytes".to_owned()),
    ];
    for (frame, text) in cases {
        assert_eq!(frame.to_string(), text);
    }
}

/// Bytes from RFC 1071-style hand calculation and from real captures, not from this builder.
#[test]
fn known_bytes() {
    let header =
        base().ipv4([192, 168, 0, 1], [192, 168, 0, 199]).next(17).length(115).fragment(0x4000);
    // The example of the IPv4 header checksum in common use: 4500 0073 0000 4000 4011 b861 ...
    assert_eq!(header.bytes()[24..26], [0xb8, 0x61]);
    let tag = base().vlan(7).payload(&[]).bytes();
    assert_eq!(tag[12..18], [0x81, 0, 0, 7, 0x88, 0xb5]);
    let stp = base().llc(0x42, 0x42, 3).payload(&[0; 35]).pad_to(60).bytes();
    assert_eq!((stp.len(), &stp[12..17]), (60, &[0, 38, 0x42, 0x42, 3][..]));
    let header = base().ipv4([0; 4], [0; 4]).tos(0x10).options(&[7, 3, 4]).bytes();
    assert_eq!((header.len(), &header[14..18]), (14 + 24, &[0x46, 0x10, 0, 24][..]));
    assert_eq!(header[34..38], [7, 3, 4, 0]);
    let cut = base().ipv4([0; 4], [0; 4]).patch(14, &[0x4f]).bytes();
    assert_eq!(cut[14], 0x4f);
}

#[test]
fn the_differ_names_what_changed() {
    let ip = |f: Frame| f.ipv4([10, 0, 0, 1], [10, 0, 0, 2]);
    let cases = [
        (ip(base()).udp(1, 2), ip(base()).udp(1, 2), ""),
        (base().vlan(7).payload(b"x"), base().vlan(8).payload(b"x"), "vlan.id at 14: 7 became 8"),
        (base().payload(b"abc"), base().payload(b"axc"), "payload at 15: byte 1 was 62, became 78"),
        (base().payload(b"abc"), base().payload(b"ab"), "payload of 3 bytes became 2 bytes"),
        (
            base().payload(b"abc"),
            Frame::eth(mac(2), mac(1)).payload(b"abc"),
            "eth.dst at 0: 02:00:00:00:00:02 became 02:00:00:00:00:01\n\
             eth.src at 6: 02:00:00:00:00:01 became 02:00:00:00:00:02",
        ),
        (
            base().next(0x8100).payload(&[0, 7, 0x88, 0xb5, 1]),
            base().payload(&[1]),
            "eth.type at 12: 0x8100 became 0x88b5\n\
             vlan.priority is gone, was 0\nvlan.drop is gone, was 0\nvlan.id is gone, was 7\n\
             vlan.type is gone, was 0x88b5",
        ),
    ];
    for (before, after, text) in cases {
        assert_eq!(diff(&before.bytes(), &after.bytes()).to_string(), text);
    }
}

proptest! {
    #[test]
    fn any_bytes_dissect_and_every_byte_is_in_a_field(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut covered = vec![false; bytes.len()];
        for field in dissect(&bytes).fields {
            covered[field.offset..field.offset + field.len].fill(true);
        }
        prop_assert!(covered.iter().all(|c| *c));
    }

    #[test]
    fn a_changed_byte_is_a_difference(at in 0usize..60, bit in 0u8..8) {
        let frame = base().vlan(3).ipv4([10, 0, 0, 1], [10, 0, 0, 2]).udp(1, 2).payload(&[7; 14]).bytes();
        let mut other = frame.clone();
        other[at] ^= 1 << bit;
        prop_assert!(!diff(&frame, &other).is_empty());
    }
}
