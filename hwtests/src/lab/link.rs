//! rtnetlink requests about links, addresses and neighbours, in the calling thread's namespace.

use std::net::IpAddr;

use hoist_bpf::kernel::netlink::{Attributes, Builder, Refusal, Socket, generic::Family};

use crate::frame::Mac;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWNEIGH: u16 = 28;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
pub(super) const IFLA_NUM_TX_QUEUES: u16 = 31;
pub(super) const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;

/// `struct ifinfomsg`, in bytes.
const IFINFOMSG: usize = 16;
const IFF_UP: u32 = 1;
/// Up, and with a carrier that the kernel has acted upon.
const IFF_RUNNING: u32 = 0x40;

/// Kinds of links other than veth.
#[derive(Clone, Copy, Debug)]
pub enum LinkKind<'a> {
    /// A bridge without ports.
    Bridge,
    /// An intermediate functional block: no driver of its own for XDP.
    Ifb,
    /// A macvlan in bridge mode on this lower link of the same namespace.
    Macvlan(&'a super::Port),
    /// A VLAN with this id on this lower link of the same namespace.
    Vlan(&'a super::Port, u16),
}

impl LinkKind<'_> {
    /// `IFLA_INFO_KIND`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Ifb => "ifb",
            Self::Macvlan(_) => "macvlan",
            Self::Vlan(..) => "vlan",
        }
    }
}

/// `struct ifinfomsg`: an interface by index (0: a new one), and whether to change `IFF_UP`.
pub(super) fn header(ifindex: u32, up: Option<bool>) -> Builder {
    let mut bytes = [0; IFINFOMSG];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    if let Some(up) = up {
        bytes[8..12].copy_from_slice(&(u32::from(up) * IFF_UP).to_ne_bytes());
        bytes[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    Builder::new(&bytes)
}

/// Makes a veth pair: the attributes of this end, and whole message of the other.
pub(super) fn create_veth(near: Builder, far: Builder) -> Result<(), Refusal> {
    const VETH_INFO_PEER: u16 = 1;
    let data = Builder::default().raw(VETH_INFO_PEER, &far.build());
    create(near, "veth", data)
}

/// Makes a link of another kind, down.
pub(super) fn create_kind(name: &str, mac: Mac, kind: LinkKind<'_>) -> Result<(), Refusal> {
    const IFLA_MACVLAN_MODE: u16 = 1;
    const MACVLAN_MODE_BRIDGE: u32 = 4;
    const IFLA_VLAN_ID: u16 = 1;
    let link = header(0, None).text(IFLA_IFNAME, name).raw(IFLA_ADDRESS, &mac);
    let nothing = Builder::default();
    let (link, data) = match kind {
        LinkKind::Bridge | LinkKind::Ifb => (link, nothing),
        LinkKind::Macvlan(lower) => (
            link.u32(IFLA_LINK, lower.ifindex),
            nothing.u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE),
        ),
        LinkKind::Vlan(lower, id) => {
            (link.u32(IFLA_LINK, lower.ifindex), nothing.raw(IFLA_VLAN_ID, &id.to_ne_bytes()))
        }
    };
    create(link, kind.name(), data)
}

fn create(link: Builder, kind: &str, data: Builder) -> Result<(), Refusal> {
    let info = Builder::default().text(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, data);
    let payload = link.nest(IFLA_LINKINFO, info).build();
    Socket::route()?.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &payload)?;
    Ok(())
}

pub(super) fn delete(ifindex: u32) -> Result<(), Refusal> {
    request(RTM_DELLINK, 0, header(ifindex, None))
}

pub(super) fn set_up(ifindex: u32, up: bool) -> Result<(), Refusal> {
    request(RTM_NEWLINK, 0, header(ifindex, Some(up)))
}

pub(super) fn set_mtu(ifindex: u32, bytes: u32) -> Result<(), Refusal> {
    request(RTM_NEWLINK, 0, header(ifindex, None).u32(IFLA_MTU, bytes))
}

/// 0 releases it.
pub(super) fn set_master(ifindex: u32, master: u32) -> Result<(), Refusal> {
    request(RTM_NEWLINK, 0, header(ifindex, None).u32(IFLA_MASTER, master))
}

pub(super) fn move_to(ifindex: u32, namespace: i32) -> Result<(), Refusal> {
    request(RTM_NEWLINK, 0, header(ifindex, None).i32(IFLA_NET_NS_FD, namespace))
}

pub(super) fn add_address(ifindex: u32, address: IpAddr, prefix: u8) -> Result<(), Refusal> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_F_NODAD: u8 = 2;
    let mut bytes = vec![family(address), prefix, IFA_F_NODAD, 0];
    bytes.extend(ifindex.to_ne_bytes());
    let octets = octets(address);
    let payload = Builder::new(&bytes).raw(IFA_LOCAL, &octets).raw(IFA_ADDRESS, &octets);
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, payload)
}

pub(super) fn add_neighbour(ifindex: u32, address: IpAddr, mac: Mac) -> Result<(), Refusal> {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    const NUD_PERMANENT: u16 = 0x80;
    let mut bytes = vec![family(address), 0, 0, 0];
    bytes.extend(ifindex.to_ne_bytes());
    bytes.extend(NUD_PERMANENT.to_ne_bytes());
    bytes.extend([0, 0]);
    let payload = Builder::new(&bytes).raw(NDA_DST, &octets(address)).raw(NDA_LLADDR, &mac);
    request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, payload)
}

/// What the kernel says of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkState {
    pub(super) ifindex: u32,
    pub(super) mac: Mac,
    pub(super) mtu_bytes: u32,
    pub(super) running: bool,
}

/// Asks about a link by name.
pub(super) fn get(name: &str) -> Result<LinkState, Refusal> {
    let payload = header(0, None).text(IFLA_IFNAME, name).build();
    let reply = Socket::route()?.request(RTM_GETLINK, 0, &payload)?;
    let message = reply.messages.into_iter().next().map(|m| m.payload).unwrap_or_default();
    let attributes = Attributes::after(&message, IFINFOMSG);
    let number = |at: usize| {
        message.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    Ok(LinkState {
        ifindex: number(4),
        mac: attributes.get(IFLA_ADDRESS).and_then(|a| a.value.try_into().ok()).unwrap_or_default(),
        mtu_bytes: attributes.get(IFLA_MTU).and_then(|a| a.u32()).unwrap_or(0),
        running: number(8) & IFF_RUNNING != 0,
    })
}

/// Names of all links.
pub(super) fn names() -> Result<Vec<String>, Refusal> {
    let messages = Socket::route()?.dump(RTM_GETLINK, &header(0, None).build())?;
    Ok(messages
        .iter()
        .filter_map(|m| Attributes::after(&m.payload, IFINFOMSG).get(IFLA_IFNAME)?.text())
        .map(str::to_owned)
        .collect())
}

/// Switches an ethtool feature by the kernel's name (`ETHTOOL_MSG_FEATURES_SET`).
pub(super) fn set_feature(name: &str, feature: &str, on: bool) -> Result<(), Refusal> {
    const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
    const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
    const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
    const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
    const ETHTOOL_A_BITSET_BITS: u16 = 3;
    const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
    const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
    const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
    let absent = || Refusal { errno: libc::EOPNOTSUPP, message: None };
    let device = Builder::default().text(ETHTOOL_A_HEADER_DEV_NAME, name);
    let bit = Builder::default().text(ETHTOOL_A_BITSET_BIT_NAME, feature);
    let bit = if on { bit.flag(ETHTOOL_A_BITSET_BIT_VALUE) } else { bit };
    let bits = Builder::default().nest(ETHTOOL_A_BITSET_BITS_BIT, bit);
    let wanted = Builder::default().nest(ETHTOOL_A_BITSET_BITS, bits);
    let mut family = Family::resolve("ethtool", 1)?.ok_or_else(absent)?;
    family.request(ETHTOOL_MSG_FEATURES_SET, |message| {
        message.nest(ETHTOOL_A_FEATURES_HEADER, device).nest(ETHTOOL_A_FEATURES_WANTED, wanted)
    })?;
    Ok(())
}

fn request(kind: u16, flags: u16, payload: Builder) -> Result<(), Refusal> {
    Socket::route()?.request(kind, flags, &payload.build())?;
    Ok(())
}

const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}
