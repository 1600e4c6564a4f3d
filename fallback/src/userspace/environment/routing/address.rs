//! Addresses of both families as one number, so that one search serves both.

use std::net::IpAddr;

/// An address in the upper bits of a number: an IPv4 address is followed by zeroes.
pub(super) fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The first bits of an address.
pub(super) const fn head(key: u128, bits: u8) -> u128 {
    match bits {
        0 => 0,
        1..=127 => key & !(u128::MAX >> bits),
        _ => key,
    }
}

/// Whether an address lies in a network.
pub(super) fn within(address: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    address.is_ipv4() == network.is_ipv4() && head(key(address), bits) == head(key(network), bits)
}

/// Whether IPv6 never forwards from or to it (`rt6_need_strict`): multicast, link-local, loopback.
pub(super) fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (address, network, bits, expected) in [
            ("10.1.2.3", "10.1.0.0", 16, true),
            ("10.2.2.3", "10.1.0.0", 16, false),
            ("10.2.2.3", "0.0.0.0", 0, true),
            ("10.2.2.3", "10.2.2.3", 32, true),
            ("10.2.2.2", "10.2.2.3", 32, false),
            ("fd00::1", "fd00::", 127, true),
            ("fd00::2", "fd00::", 127, false),
            ("fd00::2", "fd00::2", 128, true),
            ("fd00::2", "0.0.0.0", 0, false),
        ] {
            let (a, n) = (address.parse().unwrap(), network.parse().unwrap());
            assert_eq!(within(a, (n, bits)), expected, "{address} in {network}/{bits}");
        }
    }
}
