//! Frames of the self-test, and what each program makes of them.

/// `ETH_P_8021Q`.
pub(super) const VLAN: u16 = 0x8100;
/// Control information of the tag that comes in: priority 3, VLAN 5.
pub(super) const TAG: u16 = 3 << 13 | 5;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// `vlan_push` puts VLAN 7 on.
const PUSHED: u32 = (VLAN as u32) << 16 | 7;
const CAME: u32 = (VLAN as u32) << 16 | TAG as u32;

/// The library's programs that are run.
pub(super) const PROGRAMS: [&str; 4] = ["vlan_pop", "vlan_push", "ipip_encap", "ipip_decap"];

/// One run.
#[derive(Debug)]
pub(super) struct Case {
    /// In words, for the refusal.
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) frame: fn() -> Vec<u8>,
    /// The frame comes with [`TAG`], as the stack keeps it: beside the data.
    pub(super) tagged: bool,
    pub(super) expected: fn() -> Seen,
}

/// What the rest of the stack would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The bytes; empty where the runtime gave the frame up.
    pub(super) frame: Vec<u8>,
    /// `skb->protocol`, in host byte order.
    pub(super) protocol: u16,
    /// Protocol and control information of the tag beside the data; 0 for none.
    pub(super) tag: u32,
}

/// Runs that between them use every routine on every kind of buffer.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "a tag taken off IPv4",
        program: "vlan_pop",
        frame: ipv4,
        tagged: true,
        expected: || seen(ipv4(), IPV4, 0),
    },
    Case {
        name: "a tag taken off ARP",
        program: "vlan_pop",
        frame: arp,
        tagged: true,
        expected: || seen(arp(), ARP, 0),
    },
    Case {
        name: "no tag to take off",
        program: "vlan_pop",
        frame: ipv4,
        tagged: false,
        expected: || seen(ipv4(), IPV4, 0),
    },
    Case {
        name: "a tag put on IPv4",
        program: "vlan_push",
        frame: ipv4,
        tagged: false,
        expected: || seen(ipv4(), IPV4, PUSHED),
    },
    Case {
        name: "a tag put on ARP",
        program: "vlan_push",
        frame: arp,
        tagged: false,
        expected: || seen(arp(), ARP, PUSHED),
    },
    Case {
        name: "a second tag put on",
        program: "vlan_push",
        frame: ipv4,
        tagged: true,
        expected: || seen(tagged(ipv4()), VLAN, PUSHED),
    },
    Case {
        name: "a header put on",
        program: "ipip_encap",
        frame: ipv4,
        tagged: false,
        expected: || seen(tunnelled(), IPV4, 0),
    },
    Case {
        name: "a tagged frame left alone",
        program: "ipip_encap",
        frame: ipv4,
        tagged: true,
        expected: || seen(ipv4(), IPV4, CAME),
    },
    Case {
        name: "a header taken off",
        program: "ipip_decap",
        frame: tunnelled,
        tagged: false,
        expected: || seen(ipv4(), IPV4, 0),
    },
];

fn seen(frame: Vec<u8>, protocol: u16, tag: u32) -> Seen {
    Seen { frame, protocol, tag }
}

fn ethernet(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&addresses[..], &protocol.to_be_bytes(), payload].concat()
}

/// UDP over IPv4 from 10.0.0.2 to 10.0.0.1, 32 bytes of payload; the checksums are no matter.
fn ipv4() -> Vec<u8> {
    let header = [0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    let ports = [0x03, 0xe8, 0x07, 0xd0, 0, 40, 0, 0];
    ethernet(IPV4, &[&header[..], &ports, &[0x5a; 32]].concat())
}

fn arp() -> Vec<u8> {
    let request = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2];
    ethernet(ARP, &[&request[..], &[0; 6], &[10, 0, 0, 1], &[0; 18]].concat())
}

/// [`ipv4`] as `ipip_encap` wraps it: from 192.0.2.1 to 192.0.2.2.
fn tunnelled() -> Vec<u8> {
    let outer = [0x45, 0, 0, 80, 0, 0, 0, 0, 64, 4, 0xf6, 0xa6, 192, 0, 2, 1, 192, 0, 2, 2];
    ethernet(IPV4, &[&outer[..], &ipv4()[14..]].concat())
}

/// With [`TAG`] in the data.
fn tagged(frame: Vec<u8>) -> Vec<u8> {
    let tag = [VLAN.to_be_bytes(), TAG.to_be_bytes()].concat();
    [&frame[..12], &tag, &frame[12..]].concat()
}
