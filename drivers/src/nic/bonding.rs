//! Bonds: native XDP is handed down to every member.

use hoist_offload::capability::{Answer, Capabilities, Condition};
use hoist_offload::device::XdpFeatures as X;
use hoist_offload::{Device, Driver, EngineKind, Evidence};

use crate::rules::settle_support;
use crate::table::{Entry, Listed, Reports};

/// Linux bonding.
#[derive(Clone, Copy, Debug)]
pub struct Bonding;

/// See the module.
pub static DRIVER: Bonding = Bonding;

impl Listed for Bonding {
    fn entry(&self) -> Entry {
        Entry {
            name: "bonding",
            aliases: &[],
            since: Some("5.15"),
            source: "drivers/net/bonding/bond_main.c: bond_xdp_set",
            reports: Reports::NONE.sometimes(
                &[X::BASIC, X::REDIRECT, X::NDO_XMIT, X::RX_SG, X::NDO_XMIT_SG],
                "what all members have, without AF_XDP's",
            ),
            limits: Vec::new(),
            asks: vec![
                (
                    "bond-mode",
                    "mode balance-rr, active-backup, 802.3ad or balance-xor (without vlan+srcmac \
                     hashing)"
                        .to_owned(),
                ),
                ("bond-member-no-native", "native XDP on every member".to_owned()),
            ],
            profile: None,
        }
    }
}

impl Driver for Bonding {
    fn name(&self) -> &'static str {
        "bonding"
    }

    fn claims(&self, device: &Device) -> bool {
        device.kind.as_deref() == Some("bond") || device.driver_name() == "bonding"
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        if capabilities.engine != EngineKind::Native {
            return;
        }
        let evidence = || {
            Evidence::driver(
                "drivers/net/bonding/bond_main.c: bond_xdp_set (native XDP since Linux 5.15)",
            )
        };
        // A bond reports what all its members have, and nothing in modes without native XDP.
        let reports = device.xdp.value().is_some_and(|x| x.features.contains(X::BASIC));
        let holds = if reports { Answer::Yes } else { Answer::Unknown };
        let members = match &device.lower[..] {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        capabilities.conditions.extend([
            Condition::new(
                "bond-mode",
                holds,
                format!(
                    "{} must be in mode balance-rr, active-backup, 802.3ad or balance-xor (without \
                     vlan+srcmac hashing)",
                    device.name
                ),
                evidence(),
            )
            .remedy(format!("ip link set dev {} type bond mode active-backup", device.name)),
            Condition::new(
                "bond-member-no-native",
                holds,
                format!(
                    "every member of {} must have native XDP; its members: {members}",
                    device.name
                ),
                evidence(),
            )
            .remedy("use --engine generic, or other members"),
        ]);
        settle_support(device, capabilities, evidence());
    }
}
