//! The source address of a route (`BPF_FIB_LOOKUP_SRC`).

use std::net::IpAddr;

use super::address::{head, key, within};
use super::index::{Found, Index};
use super::{Address, Interface};

impl Index {
    /// The source address that packets by this route would get: the route's own, else one of the
    /// interface's. `None` where it has none; for IPv4 the kernel then says 0.0.0.0.
    #[must_use]
    pub fn source(&self, found: &Found<'_>, to: IpAddr) -> Option<IpAddr> {
        if let Some(source) = found.route.source {
            return Some(source);
        }
        let interface = self.interface(found.hop.interface)?;
        if to.is_ipv4() {
            select4(interface, found.hop.gateway.filter(IpAddr::is_ipv4))
        } else {
            select6(interface, to)
        }
    }
}

/// `inet_select_addr`: an address of the router's network, else the first one.
fn select4(interface: &Interface, gateway: Option<IpAddr>) -> Option<IpAddr> {
    /// `RT_SCOPE_HOST`: not for packets that leave.
    const HOST: u8 = 254;
    let fit = |a: &&Address| a.address.is_ipv4() && !a.unusable && a.scope < HOST;
    let addresses = || interface.addresses.iter().filter(fit);
    let near = addresses().find(|a| gateway.is_none_or(|g| within(g, (a.address, a.prefix))));
    near.or_else(|| addresses().next()).map(|a| a.address)
}

/// `ipv6_dev_get_saddr`, as far as the interface's addresses go (RFC 6724 section 5): the address
/// itself, a fitting scope, not deprecated, the longest common prefix.
fn select6(interface: &Interface, to: IpAddr) -> Option<IpAddr> {
    let fit = |a: &&Address| a.address.is_ipv6() && !a.unusable;
    let link_local = |a: IpAddr| matches!(a, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let rank = |a: &Address| {
        // A scope smaller than the destination's is the worst, the smallest that suffices the best.
        let scope = link_local(a.address) == link_local(to);
        let common = (key(a.address) ^ key(to)).leading_zeros().min(u32::from(a.prefix));
        (a.address == to, scope, !a.deprecated, common)
    };
    let best = interface.addresses.iter().filter(fit).rev().max_by_key(|a| rank(a));
    best.filter(|a| head(key(a.address), 128) != 0).map(|a| a.address)
}
