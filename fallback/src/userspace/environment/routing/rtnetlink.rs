//! Taking a snapshot: five dumps of rtnetlink(7), which anyone may ask for.

use std::net::IpAddr;

use hoist_bpf::kernel::KernelError;
use hoist_bpf::kernel::netlink::{Attributes, Builder, Message, Socket};

use super::{Action, Address, Hop, Interface, Neighbour, Route, RouteKind, Routing, Rule, Wanted};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Routing {
    /// Takes a snapshot of the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// The kernel's refusal of a dump.
    pub fn take() -> Result<Self, KernelError> {
        let dump = |name: &str, kind: u16, header: usize| -> Result<Vec<Message>, KernelError> {
            let request = Builder::new(&vec![0; header]).build();
            let answer = Socket::route().and_then(|mut socket| socket.dump(kind, &request));
            answer.map_err(|refusal| refusal.about(name, "this network namespace"))
        };
        let links = dump("RTM_GETLINK", RTM_GETLINK, LINK)?;
        let mut interfaces: Vec<Interface> = links.iter().filter_map(interface).collect();
        enslave(&mut interfaces, &links);
        for message in dump("RTM_GETADDR", RTM_GETADDR, ADDRESS)? {
            if let Some((index, address)) = address(&message)
                && let Some(interface) = interfaces.iter_mut().find(|i| i.index == index)
            {
                interface.addresses.push(address);
            }
        }
        let rules = dump("RTM_GETRULE", RTM_GETRULE, ROUTE)?;
        let rules = rules.iter().filter_map(|m| rule(m, &interfaces)).collect();
        let routes = dump("RTM_GETROUTE", RTM_GETROUTE, ROUTE)?.iter().filter_map(route).collect();
        let neighbours = dump("RTM_GETNEIGH", RTM_GETNEIGH, NEIGHBOUR)?;
        let neighbours = neighbours.iter().filter_map(neighbour).collect();
        // Where it cannot be read it has not been changed: only the namespace's owner may.
        let use_pmtu = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward_use_pmtu");
        let use_pmtu = use_pmtu.is_ok_and(|text| text.trim() != "0");
        Ok(Self { interfaces, rules, routes, neighbours, use_pmtu })
    }
}

/// `struct ifinfomsg`, in bytes.
const LINK: usize = 16;

fn interface(message: &Message) -> Option<Interface> {
    const ARPHRD_ETHER: u16 = 1;
    const ARPHRD_LOOPBACK: u16 = 772;
    const IFF_UP: u32 = 1;
    const IFF_LOOPBACK: u32 = 8;
    const IFF_POINTOPOINT: u32 = 16;
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_AF_SPEC: u16 = 26;
    const IFLA_INET_CONF: u16 = 1;
    const IFLA_INET6_CONF: u16 = 2;
    /// Position in the array of IPv6 settings.
    const DEVCONF_MTU6: usize = 2;
    let head: &[u8; LINK] = message.payload.first_chunk()?;
    let flags = word(head, 8);
    let framed = matches!(half(head, 2), ARPHRD_ETHER | ARPHRD_LOOPBACK);
    let mut interface = Interface {
        index: word(head, 4),
        up: flags & IFF_UP != 0,
        no_arp_key: flags & (IFF_LOOPBACK | IFF_POINTOPOINT) != 0,
        header: if framed { 14 } else { 0 },
        ..Interface::default()
    };
    for a in Attributes::after(&message.payload, LINK) {
        match a.kind {
            IFLA_ADDRESS => interface.address = a.value.try_into().unwrap_or_default(),
            IFLA_IFNAME => interface.name = a.text().unwrap_or_default().to_owned(),
            IFLA_MTU => interface.mtu = a.u32().unwrap_or(0),
            IFLA_AF_SPEC => {
                // In both families the first setting of the array is forwarding.
                let settings = |family: u8, kind: u16| {
                    let values = a.nested().get(u16::from(family))?.nested().get(kind)?.value;
                    let (values, _) = values.as_chunks::<4>();
                    Some(values.iter().map(|v| u32::from_ne_bytes(*v)).collect::<Vec<u32>>())
                };
                let forwards = |values: &Vec<u32>| values.first().is_some_and(|v| *v != 0);
                interface.forward4 = settings(AF_INET, IFLA_INET_CONF).as_ref().map(forwards);
                let six = settings(AF_INET6, IFLA_INET6_CONF);
                interface.forward6 = six.as_ref().map(forwards);
                interface.mtu6 = six.and_then(|values| values.get(DEVCONF_MTU6).copied());
            }
            _ => {}
        }
    }
    interface.mtu6 = interface.mtu6.filter(|mtu6| *mtu6 != interface.mtu);
    Some(interface)
}

/// Gives VRF devices and the interfaces below them their table (`l3mdev_fib_table`).
fn enslave(interfaces: &mut [Interface], links: &[Message]) {
    const IFLA_MASTER: u16 = 10;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const IFLA_VRF_TABLE: u16 = 1;
    let index = |m: &Message| m.payload.first_chunk::<LINK>().map_or(0, |head| word(head, 4));
    let table = |m: &Message| {
        let info = Attributes::after(&m.payload, LINK).get(IFLA_LINKINFO)?.nested();
        let vrf = info.get(IFLA_INFO_KIND)?.text() == Some("vrf");
        info.get(IFLA_INFO_DATA)?.nested().get(IFLA_VRF_TABLE)?.u32().filter(|_| vrf)
    };
    let vrfs: Vec<(u32, u32)> = links.iter().filter_map(|m| Some((index(m), table(m)?))).collect();
    for message in links {
        let master = Attributes::after(&message.payload, LINK).get(IFLA_MASTER);
        let master = master.and_then(|a| a.u32());
        let own = index(message);
        let of = vrfs.iter().find(|(vrf, _)| *vrf == own || Some(*vrf) == master);
        if let Some(interface) = interfaces.iter_mut().find(|i| i.index == own) {
            interface.vrf_table = of.map(|(_, table)| *table);
        }
    }
}

/// `struct ifaddrmsg`, in bytes.
const ADDRESS: usize = 8;

fn address(message: &Message) -> Option<(u32, Address)> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_FLAGS: u16 = 8;
    const IFA_F_SECONDARY: u32 = 0x01;
    const IFA_F_DADFAILED: u32 = 0x08;
    const IFA_F_DEPRECATED: u32 = 0x20;
    const IFA_F_TENTATIVE: u32 = 0x40;
    let head: &[u8; ADDRESS] = message.payload.first_chunk()?;
    let attributes = Attributes::after(&message.payload, ADDRESS);
    // On point-to-point links IFA_ADDRESS is the other end's.
    let own = attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS))?;
    let flags = attributes.get(IFA_FLAGS).and_then(|a| a.u32()).unwrap_or(u32::from(head[2]));
    let secondary = if head[0] == AF_INET { IFA_F_SECONDARY } else { 0 };
    let address = Address {
        address: ip(own.value)?,
        prefix: head[1],
        scope: head[3],
        unusable: flags & (secondary | IFA_F_DADFAILED | IFA_F_TENTATIVE) != 0,
        deprecated: flags & IFA_F_DEPRECATED != 0,
    };
    Some((word(head, 4), address))
}

/// `struct rtmsg` and `struct fib_rule_hdr`, in bytes.
const ROUTE: usize = 12;

fn route(message: &Message) -> Option<Route> {
    const RTM_F_CLONED: u32 = 0x200;
    const RTA_DST: u16 = 1;
    const RTA_PRIORITY: u16 = 6;
    const RTA_PREFSRC: u16 = 7;
    const RTA_METRICS: u16 = 8;
    const RTA_MULTIPATH: u16 = 9;
    const RTA_TABLE: u16 = 15;
    const RTA_PREF: u16 = 20;
    const RTAX_LOCK: u16 = 1;
    const RTAX_MTU: u16 = 2;
    let head: &[u8; ROUTE] = message.payload.first_chunk()?;
    let [family, prefix, source_prefix, tos, table, _, _, kind, ..] = *head;
    // Routes for a source network only need CONFIG_IPV6_SUBTREES; the lookup here has none.
    if !matches!(family, AF_INET | AF_INET6)
        || source_prefix != 0
        || word(head, 8) & RTM_F_CLONED != 0
    {
        return None;
    }
    let any = if family == AF_INET { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let attributes = Attributes::after(&message.payload, ROUTE);
    let number = |kind| attributes.get(kind).and_then(|a| a.u32());
    let metrics = attributes.get(RTA_METRICS).map(|a| a.nested());
    let metric = |kind| metrics.and_then(|m| m.get(kind)).and_then(|a| a.u32());
    let hops = match attributes.get(RTA_MULTIPATH) {
        Some(paths) => multipath(paths.value),
        None => hop(attributes, word(head, 8), 1).into_iter().collect(),
    };
    Some(Route {
        table: number(RTA_TABLE).unwrap_or(u32::from(table)),
        to: attributes.get(RTA_DST).and_then(|a| ip(a.value)).unwrap_or(any),
        prefix,
        tos,
        metric: number(RTA_PRIORITY).unwrap_or(0),
        kind: match kind {
            1 => RouteKind::Unicast,
            2 => RouteKind::Local,
            3 => RouteKind::Broadcast,
            6 => RouteKind::Blackhole,
            7 => RouteKind::Unreachable,
            8 => RouteKind::Prohibit,
            9 => RouteKind::Throw,
            _ => RouteKind::Other,
        },
        source: attributes.get(RTA_PREFSRC).and_then(|a| ip(a.value)),
        mtu: metric(RTAX_MTU),
        mtu_locked: metric(RTAX_LOCK).is_some_and(|lock| lock & 1 << RTAX_MTU != 0),
        preference: attributes.get(RTA_PREF).and_then(|a| a.u8()).unwrap_or(0),
        hops,
    })
}

const RTA_OIF: u16 = 4;

/// The next hop that attributes describe; `flags` are `RTNH_F_*`.
fn hop(attributes: Attributes<'_>, flags: u32, weight: u16) -> Option<Hop> {
    const RTNH_F_DEAD: u32 = 1;
    const RTA_GATEWAY: u16 = 5;
    const RTA_VIA: u16 = 18;
    const RTA_ENCAP: u16 = 22;
    let via = attributes.get(RTA_VIA).and_then(|a| ip(a.value.get(2..)?));
    Some(Hop {
        interface: attributes.get(RTA_OIF)?.u32()?,
        gateway: attributes.get(RTA_GATEWAY).and_then(|a| ip(a.value)).or(via),
        weight,
        dead: flags & RTNH_F_DEAD != 0,
        encapsulates: attributes.get(RTA_ENCAP).is_some(),
    })
}

/// `RTA_MULTIPATH`: one `struct rtnexthop` with attributes after another.
fn multipath(mut bytes: &[u8]) -> Vec<Hop> {
    /// `struct rtnexthop`, in bytes.
    const HEADER: usize = 8;
    let mut hops = Vec::new();
    while let Some(head) = bytes.first_chunk::<HEADER>() {
        let length = usize::from(half(head, 0));
        let Some(own) = bytes.get(HEADER..length) else { break };
        let (flags, weight) = (u32::from(head[2]), u16::from(head[3]) + 1);
        let attributes = Builder::new(&[]).raw(RTA_OIF, &head[4..]).encoded(own).build();
        hops.extend(hop(Attributes::new(&attributes), flags, weight));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

fn rule(message: &Message, interfaces: &[Interface]) -> Option<Rule> {
    const FIB_RULE_INVERT: u32 = 2;
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_IIFNAME: u16 = 3;
    const FRA_GOTO: u16 = 4;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_TUN_ID: u16 = 12;
    const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;
    const FRA_OIFNAME: u16 = 17;
    const FRA_L3MDEV: u16 = 19;
    const FRA_UID_RANGE: u16 = 20;
    const FRA_IP_PROTO: u16 = 22;
    const FRA_SPORT_RANGE: u16 = 23;
    const FRA_DPORT_RANGE: u16 = 24;
    const FRA_DSCP: u16 = 25;
    let head: &[u8; ROUTE] = message.payload.first_chunk()?;
    let [family, to, from, tos, table, _, _, action, ..] = *head;
    if !matches!(family, AF_INET | AF_INET6) {
        return None;
    }
    let attributes = Attributes::after(&message.payload, ROUTE);
    let number = |kind| attributes.get(kind).and_then(|a| a.u32());
    let byte = |kind| attributes.get(kind).and_then(|a| a.u8());
    let network = |kind, bits| Some((ip(attributes.get(kind)?.value)?, bits));
    let range = |kind| {
        let value = attributes.get(kind)?.value.first_chunk::<4>()?;
        Some((half(value, 0), half(value, 2)))
    };
    let named = |kind| {
        let name = attributes.get(kind)?.text()?;
        let found = interfaces.iter().find(|i| i.name == name);
        Some(found.map_or(Wanted::Missing, |i| Wanted::Index(i.index)))
    };
    let other_users = attributes.get(FRA_UID_RANGE).and_then(|a| a.u32()).is_some_and(|s| s != 0);
    Some(Rule {
        ipv6: family == AF_INET6,
        priority: number(FRA_PRIORITY).unwrap_or(0),
        invert: word(head, 8) & FIB_RULE_INVERT != 0,
        from: network(FRA_SRC, from),
        to: network(FRA_DST, to),
        iif: named(FRA_IIFNAME),
        oif: named(FRA_OIFNAME),
        mark: (number(FRA_FWMARK).unwrap_or(0), number(FRA_FWMASK).unwrap_or(0)),
        tos,
        dscp: byte(FRA_DSCP).map(|dscp| dscp << 2),
        protocol: byte(FRA_IP_PROTO).unwrap_or(0),
        source_ports: range(FRA_SPORT_RANGE),
        destination_ports: range(FRA_DPORT_RANGE),
        l3mdev: byte(FRA_L3MDEV).is_some_and(|yes| yes != 0),
        never: other_users || attributes.get(FRA_TUN_ID).is_some(),
        action: match action {
            1 => Action::Table(number(FRA_TABLE).unwrap_or(u32::from(table))),
            2 => Action::Goto(number(FRA_GOTO).unwrap_or(0)),
            6 => Action::Blackhole,
            7 => Action::Unreachable,
            8 => Action::Prohibit,
            _ => Action::Nop,
        },
        suppress_prefix: number(FRA_SUPPRESS_PREFIXLEN).and_then(|bits| u8::try_from(bits).ok()),
    })
}

/// `struct ndmsg`, in bytes.
const NEIGHBOUR: usize = 12;

fn neighbour(message: &Message) -> Option<Neighbour> {
    /// Permanent, without ARP, reachable, probed, stale, delayed.
    const NUD_VALID: u16 = 0xde;
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    let head: &[u8; NEIGHBOUR] = message.payload.first_chunk()?;
    if !matches!(head[0], AF_INET | AF_INET6) {
        return None;
    }
    let attributes = Attributes::after(&message.payload, NEIGHBOUR);
    let link = attributes.get(NDA_LLADDR).and_then(|a| a.value.try_into().ok());
    Some(Neighbour {
        interface: word(head, 4),
        address: ip(attributes.get(NDA_DST)?.value)?,
        link: link.unwrap_or_default(),
        valid: half(head, 8) & NUD_VALID != 0,
    })
}

fn half<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
