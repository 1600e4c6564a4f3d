//! A snapshot made ready for questions.

use std::net::{IpAddr, Ipv4Addr};

use hashbrown::HashMap;

use super::rules::{Outcome, walk};
use super::table::{Answer, Question, Table};
use super::{
    Action, Hop, Interface, Route, RouteKind, Routing, Rule, TABLE_DEFAULT, TABLE_LOCAL,
    TABLE_MAIN, address,
};

/// `LOOPBACK_IFINDEX`: where packets of this machine come from.
const LOOPBACK: u32 = 1;

/// A snapshot made ready for questions: a few hash look-ups each.
#[derive(Clone, Debug, Default)]
pub struct Index {
    interfaces: HashMap<u32, Interface>,
    families: [Family; 2],
    neighbours: HashMap<(u32, IpAddr), [u8; 6]>,
    use_pmtu: bool,
}

/// The routes of one family.
#[derive(Clone, Debug, Default)]
struct Family {
    /// Policy rules; `None`: the kernel's own three, which it does not walk.
    rules: Option<Vec<Rule>>,
    tables: HashMap<u32, Table>,
}

/// What is looked up: a packet as the kernel describes it to its tables (`struct flowi4`, `flowi6`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Interface index the packet came in by, or is to leave by.
    pub interface: u32,
    /// Which of the two: `BPF_FIB_LOOKUP_OUTPUT`.
    pub output: bool,
    /// Source address.
    pub from: IpAddr,
    /// Destination address, of the same family.
    pub to: IpAddr,
    /// Type of service as in the header.
    pub tos: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Source and destination port, in the host's byte order.
    pub ports: (u16, u16),
    /// Mark, for policy rules.
    pub mark: u32,
    /// Ask this table only, without rules: `BPF_FIB_LOOKUP_DIRECT`.
    pub table: Option<u32>,
}

/// A route and the next hop of it that the flow takes.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The route.
    pub route: &'a Route,
    /// The next hop.
    pub hop: &'a Hop,
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A route or rule drops it silently.
    Blackhole,
    /// A route declares it unreachable.
    Unreachable,
    /// A route or rule prohibits it.
    Prohibit,
    /// There is no route that leads out of this machine.
    NotForwarded,
}

impl Flow {
    pub(super) const fn incoming(&self) -> u32 {
        if self.output { LOOPBACK } else { self.interface }
    }

    pub(super) const fn outgoing(&self) -> u32 {
        if self.output { self.interface } else { 0 }
    }

    /// A number that is the same for all packets of the flow, to spread flows by (FNV-1a over the
    /// addresses: as with the kernel's default policy, ports do not count).
    fn number(&self) -> u64 {
        let addresses = [address::key(self.from), address::key(self.to)];
        let bytes = addresses.iter().flat_map(|a| a.to_be_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

impl Index {
    /// Makes a snapshot ready.
    #[must_use]
    pub fn new(routing: &Routing) -> Self {
        let of_family = |ipv6| Family::new(routing, ipv6);
        let valid = routing.neighbours.iter().filter(|n| n.valid);
        Self {
            interfaces: routing.interfaces.iter().map(|i| (i.index, i.clone())).collect(),
            families: [of_family(false), of_family(true)],
            neighbours: valid.map(|n| ((n.interface, n.address), n.link)).collect(),
            use_pmtu: routing.use_pmtu,
        }
    }

    /// The interface of an index.
    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index)
    }

    /// Whether packets from or to an address never leave its link (`rt6_need_strict`).
    #[must_use]
    pub fn stays_on_link(address: IpAddr) -> bool {
        address::stays_on_link(address)
    }

    /// Whether an interface is up and takes a frame of that many bytes, link header included
    /// (`xdp_ok_fwd_dev`): its MTU, its header and a VLAN tag.
    #[must_use]
    pub fn takes(&self, index: u32, bytes: u32) -> bool {
        const VLAN_TAG: u32 = 4;
        let fits = |i: &Interface| i.up && bytes <= i.mtu.saturating_add(i.header + VLAN_TAG);
        self.interface(index).is_some_and(fits)
    }

    /// The hardware address of a neighbour that the kernel would send to without asking first.
    #[must_use]
    pub fn neighbour(&self, interface: &Interface, at: IpAddr) -> Option<[u8; 6]> {
        let at = match at {
            IpAddr::V4(_) if interface.no_arp_key => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            at => at,
        };
        self.neighbours.get(&(interface.index, at)).copied()
    }

    /// The way of a flow: `fib_lookup` or `fib_table_lookup` of its family, with the next hop.
    ///
    /// # Errors
    /// Why there is none.
    pub fn lookup(&self, flow: &Flow) -> Result<Found<'_>, Refused> {
        let vrf = self.interface(flow.interface).and_then(|i| i.vrf_table);
        if flow.to.is_ipv6() { self.lookup6(flow, vrf) } else { self.lookup4(flow, vrf) }
    }

    /// The largest packet of a route, without link header: `ip_mtu_from_fib_result` and
    /// `ip6_mtu_from_fib6`.
    #[must_use]
    pub fn mtu(&self, found: &Found<'_>, ipv6: bool) -> u32 {
        /// `IP_MAX_MTU`.
        const MOST4: u32 = 0xffff;
        /// `IP6_MAX_MTU`.
        const MOST6: u32 = 0xffff + 40;
        /// `IPV6_MIN_MTU`.
        const LEAST6: u32 = 1280;
        let interface = self.interface(found.hop.interface);
        let of_device = interface.map_or(0, |i| i.mtu);
        let counts = found.route.mtu_locked || (self.use_pmtu && !ipv6);
        match found.route.mtu.filter(|mtu| counts && *mtu != 0) {
            Some(mtu) => mtu,
            None if ipv6 => {
                let mtu6 = interface.and_then(|i| i.mtu6).unwrap_or(of_device);
                mtu6.clamp(LEAST6, MOST6)
            }
            None => of_device.min(MOST4),
        }
    }

    fn lookup4(&self, flow: &Flow, vrf: Option<u32>) -> Result<Found<'_>, Refused> {
        let family = &self.families[0];
        let interface = flow.outgoing();
        let (to, tos, output) = (flow.to, flow.tos, flow.output);
        let question = Question { to, tos, interface, flow: flow.number(), output };
        let ask = |id: u32| family.tables.get(&id)?.lookup4(&question);
        let answer = match (flow.table, &family.rules) {
            (Some(table), _) => ask(table),
            (None, None) => match ask(TABLE_MAIN) {
                Some(Answer::Route(route, hop)) => Some(Answer::Route(route, hop)),
                // What the default table says, if there is one, counts more than a refusal.
                _ if family.tables.contains_key(&TABLE_DEFAULT) => ask(TABLE_DEFAULT),
                other => other,
            },
            (None, Some(rules)) => {
                let table = |id| {
                    let answer = ask(id)?;
                    let bits = match &answer {
                        Answer::Route(route, _) => route.prefix,
                        // Only routes that lead somewhere are suppressed.
                        Answer::Refuses(_) => u8::MAX,
                    };
                    Some((answer, bits))
                };
                match walk(rules, flow, vrf, table) {
                    Outcome::Answer(answer) => Some(answer),
                    Outcome::Refuses(Action::Blackhole) => return Err(Refused::Blackhole),
                    Outcome::Refuses(Action::Prohibit) => return Err(Refused::Prohibit),
                    // A rule says ENETUNREACH where a route says EHOSTUNREACH.
                    Outcome::Refuses(_) | Outcome::Nothing => None,
                }
            }
        };
        match answer {
            Some(Answer::Route(route, hop)) if route.kind == RouteKind::Unicast => {
                Ok(Found { route, hop })
            }
            Some(Answer::Refuses(RouteKind::Blackhole)) => Err(Refused::Blackhole),
            Some(Answer::Refuses(RouteKind::Unreachable)) => Err(Refused::Unreachable),
            Some(Answer::Refuses(RouteKind::Prohibit)) => Err(Refused::Prohibit),
            _ => Err(Refused::NotForwarded),
        }
    }

    fn lookup6(&self, flow: &Flow, vrf: Option<u32>) -> Result<Found<'_>, Refused> {
        let family = &self.families[1];
        // Unlike IPv4, the interface a packet came in by is preferred to leave by.
        let (to, tos, interface, output) = (flow.to, flow.tos, flow.interface, flow.output);
        let question = Question { to, tos, interface, flow: flow.number(), output };
        let ask = |id: u32| family.tables.get(&id)?.lookup6(&question);
        let answer = match (flow.table, &family.rules) {
            (Some(table), _) => ask(table),
            (None, None) => ask(TABLE_LOCAL).or_else(|| ask(TABLE_MAIN)),
            (None, Some(rules)) => {
                match walk(rules, flow, vrf, |id| ask(id).map(|found| (found, found.0.prefix))) {
                    Outcome::Answer(answer) => Some(answer),
                    Outcome::Refuses(_) | Outcome::Nothing => None,
                }
            }
        };
        match answer.map(|(route, hop)| (route, route.kind, hop)) {
            Some((route, RouteKind::Unicast, Some(hop))) => Ok(Found { route, hop }),
            Some((_, RouteKind::Blackhole, _)) => Err(Refused::Blackhole),
            Some((_, RouteKind::Unreachable, _)) => Err(Refused::Unreachable),
            Some((_, RouteKind::Prohibit, _)) => Err(Refused::Prohibit),
            _ => Err(Refused::NotForwarded),
        }
    }
}

impl Family {
    fn new(routing: &Routing, ipv6: bool) -> Self {
        let mut rules: Vec<Rule> =
            routing.rules.iter().filter(|r| r.ipv6 == ipv6).cloned().collect();
        rules.sort_by_key(|r| r.priority);
        let rules = (!are_default(&rules)).then_some(rules);
        // Until the first rule is added, IPv4 keeps local and main in one trie (`fib_unmerge`).
        let merged = !ipv6 && rules.is_none();
        let mut tables: HashMap<u32, Table> = HashMap::new();
        for route in routing.routes.iter().filter(|r| r.to.is_ipv6() == ipv6) {
            let id = if merged && route.table == TABLE_LOCAL { TABLE_MAIN } else { route.table };
            tables.entry(id).or_default().add(route.clone());
        }
        tables.values_mut().for_each(Table::finish);
        if merged && let Some(both) = tables.get(&TABLE_MAIN).cloned() {
            tables.insert(TABLE_LOCAL, both);
        }
        Self { rules, tables }
    }
}

/// Whether the rules are those that every namespace starts with.
fn are_default(rules: &[Rule]) -> bool {
    let plain = |r: &Rule| {
        let id = match r.action {
            Action::Table(id) => id,
            _ => return false,
        };
        let expected = match r.priority {
            0 => TABLE_LOCAL,
            32766 => TABLE_MAIN,
            32767 => TABLE_DEFAULT,
            _ => return false,
        };
        let bare = Rule {
            ipv6: r.ipv6,
            priority: r.priority,
            action: Action::Table(expected),
            ..Rule::default()
        };
        id == expected && *r == bare
    };
    rules.iter().all(plain)
}
