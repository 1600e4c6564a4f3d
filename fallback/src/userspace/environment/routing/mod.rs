//! Where frames go: a snapshot of interfaces, routes, rules and neighbours, as plain data.
//!
//! `bpf_fib_lookup` and `bpf_check_mtu` ask the kernel's tables. Without the kernel's BPF they ask a
//! [`Routing`] that was taken from rtnetlink ([`Routing::take`], no privilege needed), read from a
//! file, or written by hand. It does not change by itself: whoever runs programs on live traffic takes
//! a new one when `Changes` tells of one.
//!
//! What the kernel keeps to itself is not in it: path MTUs learned on the way (next hop exceptions),
//! and the secret that spreads flows over several next hops, so that which of them a flow takes is
//! ours to choose.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

mod address;
mod index;
#[cfg(feature = "linux")]
mod rtnetlink;
mod rules;
mod source;
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "linux")]
mod watch;

pub use index::{Flow, Found, Index, Refused};
#[cfg(feature = "linux")]
pub use watch::Changes;

/// `RT_TABLE_LOCAL`: the addresses of this machine.
pub const TABLE_LOCAL: u32 = 255;
/// `RT_TABLE_MAIN`.
pub const TABLE_MAIN: u32 = 254;
/// `RT_TABLE_DEFAULT`: behind the main table, for IPv4.
pub const TABLE_DEFAULT: u32 = 253;

/// The whole snapshot. Everything in it is one network namespace's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// Interfaces, in any order.
    pub interfaces: Vec<Interface>,
    /// Policy rules by rising priority; those of both families. Empty stands for the kernel's own
    /// three (local, main, default).
    pub rules: Vec<Rule>,
    /// Routes of all tables.
    pub routes: Vec<Route>,
    /// Neighbours of every state.
    pub neighbours: Vec<Neighbour>,
    /// `net.ipv4.ip_forward_use_pmtu`: the MTU of a route counts even if it is not locked.
    pub use_pmtu: bool,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name, for messages.
    pub name: String,
    /// MTU in bytes, without link header.
    pub mtu: u32,
    /// IPv6's own MTU (`net.ipv6.conf.IF.mtu`) where it differs.
    pub mtu6: Option<u32>,
    /// Bytes of link header (`dev->hard_header_len`): 14 for Ethernet, 0 for layer 3 devices.
    pub header: u32,
    /// Hardware address; zero where it has none.
    pub address: [u8; 6],
    /// Whether it is up.
    pub up: bool,
    /// Loopback or point to point: neighbours are not asked for by address.
    pub no_arp_key: bool,
    /// `net.ipv4.conf.IF.forwarding`; `None` where the interface does not speak IPv4.
    pub forward4: Option<bool>,
    /// `net.ipv6.conf.IF.forwarding`; `None` where the interface does not speak IPv6.
    pub forward6: Option<bool>,
    /// The table of its VRF, for a VRF device and the interfaces enslaved to one.
    pub vrf_table: Option<u32>,
    /// Its addresses, the primary ones of a network first.
    pub addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
    /// `RT_SCOPE_*`: 0 global, 253 link, 254 host.
    #[serde(default)]
    pub scope: u8,
    /// Not to be used as a source: secondary (IPv4), tentative, or failed duplicate detection.
    #[serde(default)]
    pub unusable: bool,
    /// Only when there is no other (IPv6, `IFA_F_DEPRECATED`).
    #[serde(default)]
    pub deprecated: bool,
}

/// One policy rule (`ip rule`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Whether it is a rule of IPv6.
    pub ipv6: bool,
    /// Its priority: lower ones are asked first.
    pub priority: u32,
    /// Applies to what does *not* match.
    pub invert: bool,
    /// Source network.
    pub from: Option<(IpAddr, u8)>,
    /// Destination network.
    pub to: Option<(IpAddr, u8)>,
    /// Interface index the packet came in by.
    pub iif: Option<Wanted>,
    /// Interface index the packet is to leave by.
    pub oif: Option<Wanted>,
    /// Mark and mask.
    pub mark: (u32, u32),
    /// Type of service; 0 matches all. Only its bits 2 to 4 are compared.
    pub tos: u8,
    /// The whole of the DSCP, shifted to where it stands in the header.
    pub dscp: Option<u8>,
    /// IP protocol; 0 matches all.
    pub protocol: u8,
    /// Source ports, both ends included.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, both ends included.
    pub destination_ports: Option<(u16, u16)>,
    /// Only packets of a VRF, whose table is asked.
    pub l3mdev: bool,
    /// Only packets that came through the tunnel of this id, or of other users than root: none that
    /// XDP programs ask about.
    pub never: bool,
    /// What to do.
    pub action: Action,
    /// Ignore routes of the table with at most that many bits of prefix.
    pub suppress_prefix: Option<u8>,
}

/// An interface that a rule names, which may not exist (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// By its index.
    Index(u32),
    /// There is none of that name: nothing matches.
    Missing,
}

/// What a rule does (`FR_ACT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", content = "with")]
pub enum Action {
    /// Ask a table.
    Table(u32),
    /// Go on with the first rule of that priority, if there is one.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drop silently.
    Blackhole,
    /// Drop as unreachable.
    Unreachable,
    /// Drop as prohibited.
    Prohibit,
}

impl Default for Action {
    fn default() -> Self {
        Self::Table(TABLE_MAIN)
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its table.
    pub table: u32,
    /// The network it leads to.
    pub to: IpAddr,
    /// Bits of that network.
    pub prefix: u8,
    /// For packets of this type of service only; 0 for all.
    #[serde(default)]
    pub tos: u8,
    /// Metric: the lowest of equal prefixes wins.
    #[serde(default)]
    pub metric: u32,
    /// What it is.
    #[serde(default)]
    pub kind: RouteKind,
    /// Preferred source address.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// `RTAX_MTU` in bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether that MTU is locked.
    #[serde(default)]
    pub mtu_locked: bool,
    /// Router preference, IPv6: 0 medium, 1 high, 3 low.
    #[serde(default)]
    pub preference: u8,
    /// Next hops; several for a multipath route, none for routes that refuse.
    #[serde(default)]
    pub hops: Vec<Hop>,
}

/// `RTN_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// To somewhere else.
    #[default]
    Unicast,
    /// To this machine.
    Local,
    /// To all on a link.
    Broadcast,
    /// Anycast, multicast, NAT: never forwarded by a lookup.
    Other,
    /// Drops silently.
    Blackhole,
    /// Drops as unreachable.
    Unreachable,
    /// Drops as prohibited.
    Prohibit,
    /// Ends the search in this table; the next rule goes on.
    Throw,
}

/// One next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hop {
    /// The interface to leave by.
    pub interface: u32,
    /// The router, if the network is not on the link; for IPv4 routes it may be an IPv6 one.
    pub gateway: Option<IpAddr>,
    /// Share of flows, from 1.
    pub weight: u16,
    /// Not usable: its link is down.
    pub dead: bool,
    /// Packets would be put into a tunnel of the route (lightweight tunnels).
    pub encapsulates: bool,
}

/// One entry of a neighbour table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The interface it is at.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub link: [u8; 6],
    /// Whether the kernel would send to it without asking first (`NUD_VALID`).
    pub valid: bool,
}

impl Routing {
    /// A machine with one Ethernet interface and nothing else: what a capture file is read from when
    /// nobody says more.
    #[must_use]
    pub fn lone(index: u32, mtu: u32, address: [u8; 6]) -> Self {
        let interface =
            Interface { index, mtu, header: 14, address, up: true, ..Interface::default() };
        Self { interfaces: vec![interface], ..Self::default() }
    }
}
