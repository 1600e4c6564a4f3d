//! One routing table: the longest prefix that holds an address, then the best of its routes.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::address::{head, key};
use super::{Hop, Route, RouteKind};

/// The routes of one family and table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Prefix lengths that occur, the longest first.
    lengths: Vec<u8>,
    networks: HashMap<(u8, u128), Vec<Route>>,
}

/// What is asked of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) to: IpAddr,
    /// IPv4: type of service of the packet.
    pub(super) tos: u8,
    /// IPv4: the interface the packet must leave by, 0 for any. IPv6: the one that is preferred.
    pub(super) interface: u32,
    /// Spreads flows over several next hops.
    pub(super) flow: u64,
    /// Whether the interface was given by the caller as the one to leave by.
    pub(super) output: bool,
}

/// What an IPv4 table says.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// This way.
    Route(&'a Route, &'a Hop),
    /// A route that refuses.
    Refuses(RouteKind),
}

impl Table {
    pub(super) fn add(&mut self, route: Route) {
        let bits = route.prefix;
        if let Err(at) = self.lengths.binary_search_by(|l| bits.cmp(l)) {
            self.lengths.insert(at, bits);
        }
        self.networks.entry((bits, head(key(route.to), bits))).or_default().push(route);
    }

    /// Brings the routes to a network into the order in which they are tried: a trie keeps those of
    /// the local table first, then the more specific type of service, then the lower metric.
    pub(super) fn finish(&mut self) {
        for routes in self.networks.values_mut() {
            routes.sort_by_key(|r| (std::cmp::Reverse((r.table, r.tos)), r.metric));
        }
    }

    /// The routes to the networks that hold an address, the longest prefix first.
    fn candidates(&self, to: IpAddr) -> impl Iterator<Item = &[Route]> {
        let to = key(to);
        let network = move |bits: &u8| self.networks.get(&(*bits, head(to, *bits)));
        self.lengths.iter().filter_map(network).map(Vec::as_slice)
    }

    /// `fib_table_lookup`; `None` stands for its `-EAGAIN`.
    pub(super) fn lookup4(&self, question: &Question) -> Option<Answer<'_>> {
        /// `INET_DSCP_LEGACY_TOS_MASK`: what of a packet's type of service routes look at.
        const LEGACY_TOS: u8 = 0x1c;
        for route in self.candidates(question.to).flatten() {
            if route.tos != 0 && route.tos != question.tos & LEGACY_TOS {
                continue;
            }
            match route.kind {
                RouteKind::Throw => return None,
                RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit => {
                    return Some(Answer::Refuses(route.kind));
                }
                _ => {}
            }
            let good =
                |h: &&Hop| !h.dead && (!question.output || h.interface == question.interface);
            if let Some(hop) = choose(route.hops.iter().filter(good), question) {
                return Some(Answer::Route(route, hop));
            }
        }
        None
    }

    /// `fib6_table_lookup` and `fib6_select_path`; `None` stands for the null entry. Routes that
    /// refuse are routes here.
    pub(super) fn lookup6(&self, question: &Question) -> Option<(&Route, Option<&Hop>)> {
        for routes in self.candidates(question.to) {
            let refuses = |r: &Route| r.hops.is_empty() && r.kind != RouteKind::Unicast;
            let live = |r: &&Route| refuses(r) || r.hops.iter().any(|h| !h.dead);
            let Some(metric) = routes.iter().filter(live).map(|r| r.metric).min() else { continue };
            let mut best: Option<(&Route, u8)> = None;
            for route in routes.iter().filter(live).filter(|r| r.metric == metric) {
                let score = score(route, question.interface);
                if best.is_none_or(|(_, most)| score > most) {
                    best = Some((route, score));
                }
            }
            let Some((route, _)) = best else { continue };
            let there = |h: &&Hop| !h.dead && question.output && h.interface == question.interface;
            let hop = route.hops.iter().find(there);
            let hop = hop.or_else(|| choose(route.hops.iter().filter(|h| !h.dead), question));
            return Some((route, hop));
        }
        None
    }
}

/// `rt6_score_route`: a route by the interface asked for counts more, then the router's preference.
fn score(route: &Route, interface: u32) -> u8 {
    let there = interface == 0 || route.hops.iter().any(|h| !h.dead && h.interface == interface);
    // `IPV6_DECODE_PREF`: low, medium, high become 1, 2, 3 (xor with 2 of the coded form).
    let preference = (route.preference & 3) ^ 2;
    (u8::from(there) << 1) | preference << 2
}

/// One of several next hops, by their weights.
fn choose<'a>(hops: impl Iterator<Item = &'a Hop> + Clone, question: &Question) -> Option<&'a Hop> {
    let share = |hop: &Hop| u64::from(hop.weight.max(1));
    let total: u64 = hops.clone().map(share).sum();
    let mut at = question.flow.checked_rem(total)?;
    for hop in hops {
        match at.checked_sub(share(hop)) {
            Some(rest) => at = rest,
            None => return Some(hop),
        }
    }
    None
}
