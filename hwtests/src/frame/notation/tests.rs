use super::*;
use crate::frame::tcp;

fn parse(line: &str) -> Result<Frame, NotationError> {
    Frame::parse(line, &Names::lab())
}

#[test]
fn lines_are_the_frames_they_describe() {
    let eth = || Frame::eth(mac(2), mac(1));
    let (near, far) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let v6 = |n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n);
    let cases = [
        ("eth far > near type 0x1234", eth().next(0x1234)),
        ("eth far > broadcast", Frame::eth(mac(2), BROADCAST)),
        ("eth 02:00:00:00:00:02 > near / 'hello'", eth().payload(b"hello")),
        (
            "eth far > near / vlan 7 priority 5 drop / vlan 0",
            eth().vlan(7 | 5 << 13 | 1 << 12).vlan(0),
        ),
        ("eth far > near / service-vlan 4095 type 0x9", eth().service_vlan(4095).next(9)),
        ("eth far > near / mpls 16 / mpls 17 ttl 3", eth().mpls(16).mpls(17).ttl(3)),
        ("eth far > near / llc 0x42 0x42 3", eth().llc(0x42, 0x42, 3)),
        ("eth far > near / arp request far > near", eth().arp_request((mac(2), far), near)),
        (
            "eth far > near / arp reply 02:00:00:00:00:77@1.2.3.4 > near",
            eth().arp_reply((mac(0x77), [1, 2, 3, 4]), (mac(1), near)),
        ),
        (
            "eth far > near / ipv4 far > near ttl 1 tos 8 fragment 0x2000 options 0101 / udp 1 > 2",
            eth().ipv4(far, near).ttl(1).tos(8).fragment(0x2000).options(&[1, 1]).udp(1, 2),
        ),
        (
            "eth far > near / ipv4 1.2.3.4 > near protocol 9 length 7 checksum 0x0001",
            eth().ipv4([1, 2, 3, 4], near).next(9).length(7).checksum(1),
        ),
        (
            "eth far > near / ipv6 far > near hops 9 / hop-by-hop / routing 0102 / icmp echo 1 2",
            eth().ipv6(v6(2), v6(1)).ttl(9).extension(0, &[]).extension(43, &[1, 2]).echo(1, 2),
        ),
        (
            "eth far > near / ipv4 far > near / ipv4 far > near",
            eth().ipv4(far, near).ipv4(far, near),
        ),
        (
            "eth far > near / ipv4 far > near / tcp 5 > 6 syn ack checksum 0x0000 / bytes 300",
            eth()
                .ipv4(far, near)
                .tcp(5, 6, tcp::SYN | tcp::ACK)
                .checksum(0)
                .payload(&crate::frame::counting(300)),
        ),
        (
            "eth far > near / hex 0102 / pad 60 / patch 3 ff",
            eth().payload(&[1, 2]).pad_to(60).patch(3, &[255]),
        ),
        ("eth far > near / ipv4 far > near / cut 20", eth().ipv4(far, near).cut_to(20)),
        (
            "eth far > near / hex 0102 / insert 14 aabb / remove 12 1",
            eth().payload(&[1, 2]).insert(14, &[0xaa, 0xbb]).remove(12, 1),
        ),
        ("raw 0102ff", Frame::raw(&[1, 2, 255])),
    ];
    for (line, frame) in cases {
        let read = parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(read, frame, "{line}");
        let again = frame.notation(&Names::lab());
        assert_eq!(parse(&again).as_ref(), Ok(&frame), "{line} became {again}");
    }
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let cases = [
        ("", "column 1: expected 'eth' or 'raw', found the end"),
        ("ipv4 far > near", "column 1: expected 'eth' or 'raw', found 'ipv4'"),
        ("eth far near", "column 9: expected '>', found 'near'"),
        ("eth far > near ipv4", "column 16: expected 'type', found 'ipv4'"),
        ("eth far > near / 'open", "column 18: expected a text that ends with ', found ''open'"),
        (
            "eth far > near / vlan 4096",
            "column 23: expected a VLAN id of at most 4095, found '4096'",
        ),
        (
            "eth far > near / vlan x",
            "column 23: expected a VLAN id, a number of 32 bits, found 'x'",
        ),
        (
            "eth far > near / vlan 1 priority 8",
            "column 34: expected a priority of at most 7, found '8'",
        ),
        (
            "eth far > near / pad 4294967295",
            "column 22: expected a length of at most 262144, found ",
        ),
        ("eth far > near / raw 01", "column 18: expected a layer: eth, "),
        ("eth far > near / hex 012", "column 22: expected pairs of hex digits, found '012'"),
        (
            "eth far > near / udp 1 > 70000",
            "column 26: expected a port, a number of 16 bits, found '70000'",
        ),
        (
            "eth far > near / ipv4 nobody > near",
            "column 23: expected an IPv4 address or one of near, far, ",
        ),
        ("eth far > near / ipv4 far > near hops 1", "column 34: expected 'ttl', 'tos', "),
        ("eth far > near / 'a' 'b'", "column 22: expected '/', found ''b''"),
        (
            "eth far > near / arp ask far > near",
            "column 22: expected 'request' or 'reply', found 'ask'",
        ),
        ("eth fär > near", "column 5: expected a MAC address or one of near, "),
    ];
    for (line, message) in cases {
        let error = parse(line).expect_err(line).to_string();
        assert!(error.starts_with(message), "{line}: {error}");
    }
}

#[test]
fn a_name_can_stand_for_other_addresses() {
    let station = Station {
        name: "near".to_owned(),
        mac: [0xaa; 6],
        ipv4: [192, 0, 2, 1].into(),
        ipv6: Ipv6Addr::LOCALHOST,
    };
    let names = Names::lab().with(station);
    let frame = Frame::parse("eth far > near / ipv4 far > near", &names).unwrap();
    assert_eq!(frame, Frame::eth(mac(2), [0xaa; 6]).ipv4([10, 0, 0, 2], [192, 0, 2, 1]));
    assert_eq!(frame.notation(&Names::lab()), "eth far > aa:aa:aa:aa:aa:aa / ipv4 far > 192.0.2.1");
}

proptest::proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in ".{0,60}") {
        let _ = parse(&line);
    }

    /// Layers that make no sense together are frames too.
    #[test]
    fn what_is_written_is_read_again(layers in proptest::collection::vec(0..LAYERS.len(), 0..6)) {
        let line: String =
            std::iter::once("eth far > other").chain(layers.iter().map(|i| LAYERS[*i])).collect();
        let frame = parse(&line).unwrap();
        let again = frame.notation(&Names::lab());
        proptest::prop_assert_eq!(parse(&again).unwrap().bytes(), frame.bytes(), "{} {}", line, again);
    }
}

const LAYERS: [&str; 20] = [
    " / vlan 7 priority 3 drop",
    " / service-vlan 9 type 0x1234",
    " / mpls 1048575",
    " / llc 1 2 3",
    " / arp request near > broadcast",
    " / arp reply other > third",
    " / ipv4 near > 1.2.3.4 ttl 0 tos 255 fragment 0xffff options 01 protocol 255 length 1 checksum 2",
    " / ipv4 multicast > zero",
    " / ipv6 near > ::1 hops 255 next 0 length 65535",
    " / hop-by-hop 0102030405060708",
    " / fragment 00000000 next 17",
    " / udp 0 > 65535 length 0 checksum 0",
    " / tcp 1 > 2 syn ack fin rst psh",
    " / icmp echo 65535 0 checksum 9",
    " / 'it \"is\"'",
    " / bytes 260",
    " / pad 70",
    " / cut 33",
    " / patch 20 ffff / insert 3 00",
    " / remove 100 1000",
];
