//! Between whom frames go.

use std::net::{Ipv4Addr, Ipv6Addr};

use hoist_hwtests::frame::{Mac, mac};

/// Addresses and ports of the first flow; each flow counts up from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Hardware addresses: whom frames are from, and to.
    pub macs: (Mac, Mac),
    /// IPv4 addresses.
    pub v4: (Ipv4Addr, Ipv4Addr),
    /// IPv6 addresses.
    pub v6: (Ipv6Addr, Ipv6Addr),
    /// UDP ports.
    pub ports: (u16, u16),
}

impl Ends {
    /// Hardware addresses, with the networks that are set aside for benchmarks (RFC 6815 section 5,
    /// RFC 5180 section 8) and the port that discards (RFC 863).
    #[must_use]
    pub const fn between(from: Mac, to: Mac) -> Self {
        Self {
            macs: (from, to),
            v4: (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 19, 0, 1)),
            v6: (
                Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 2, 0, 1, 0, 0, 0, 1),
            ),
            ports: (4000, 9),
        }
    }

    /// The same between other IPv4 addresses.
    #[must_use]
    pub fn v4(mut self, from: impl Into<Ipv4Addr>, to: impl Into<Ipv4Addr>) -> Self {
        self.v4 = (from.into(), to.into());
        self
    }

    /// Those of a tunnel's inner frame.
    pub(super) const fn inner(self) -> Self {
        Self {
            macs: (mac(0x11), mac(0x12)),
            v4: (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(172, 16, 0, 1)),
            ..self
        }
    }
}
