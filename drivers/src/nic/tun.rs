//! tun and tap devices: tap has native XDP whatever the MTU and queues, tun (without an Ethernet
//! header) has none.
//!
//! The native path takes frames from vhost-net and from plain writes that fit a page; others go
//! through the generic path with the same program, so each frame meets it once in any case.

use hoist_bpf::requirements::{Feature, Need};
use hoist_offload::capability::{Answer, Capabilities};
use hoist_offload::device::XdpFeatures as X;
use hoist_offload::{Device, Driver, EngineKind, Evidence};

use crate::rules::settle_support;
use crate::table::{Entry, Listed, Reports};

const ARPHRD_ETHER: u16 = 1;

/// Linux tun/tap.
#[derive(Clone, Copy, Debug)]
pub struct Tun;

/// See the module.
pub static DRIVER: Tun = Tun;

impl Listed for Tun {
    fn entry(&self) -> Entry {
        Entry {
            name: "tun",
            aliases: &[],
            since: Some("4.14"),
            source: "drivers/net/tun.c: tun_xdp_set",
            reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT])
                .sometimes(&[], "tap only: a tun, without Ethernet header, has none"),
            limits: Vec::new(),
            asks: vec![
                ("not-ethernet", "a tap, not a tun".to_owned()),
                ("", "no `bpf_xdp_adjust_meta`".to_owned()),
            ],
            profile: None,
        }
    }
}

impl Driver for Tun {
    fn name(&self) -> &'static str {
        "tun"
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        if capabilities.engine != EngineKind::Native {
            return;
        }
        let evidence = || {
            Evidence::driver("drivers/net/tun.c: tun_xdp_set (native XDP on tap since Linux 4.14)")
        };
        if device.link_type == ARPHRD_ETHER {
            settle_support(device, capabilities, evidence());
            capabilities.set(Need::Feature(Feature::Metadata), Answer::No, evidence());
        } else {
            super::without::deny(
                capabilities,
                format!("{} is a tun device", device.name),
                evidence(),
            );
        }
    }
}
