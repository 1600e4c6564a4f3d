//! Drivers and kinds of devices without native XDP: they have no `ndo_bpf`, so that the core refuses
//! with "Underlying driver does not support XDP in native mode".

use hoist_offload::capability::{Answer, Capabilities, Condition};
use hoist_offload::device::XdpFeatures;
use hoist_offload::{Device, Driver, EngineKind, Evidence};

use crate::table::{Entry, Listed, Reports};

/// A driver without native XDP.
#[derive(Clone, Copy, Debug)]
pub struct Without {
    /// Name as `ethtool -i` prints it.
    name: &'static str,
    /// `IFLA_INFO_KIND`, for virtual devices.
    kind: &'static str,
    /// Where in the kernel source its operations stand.
    source: &'static str,
}

/// One entry for each driver name; kinds of virtual devices after the NICs.
pub static ALL: [Without; 28] = [
    nic("e1000", "drivers/net/ethernet/intel/e1000/e1000_main.c"),
    nic("e1000e", "drivers/net/ethernet/intel/e1000e/netdev.c"),
    nic("iavf", "drivers/net/ethernet/intel/iavf/iavf_main.c"),
    nic("fm10k", "drivers/net/ethernet/intel/fm10k/fm10k_netdev.c"),
    nic("r8169", "drivers/net/ethernet/realtek/r8169_main.c"),
    nic("r8152", "drivers/net/usb/r8152.c"),
    nic("cdc_ether", "drivers/net/usb/usbnet.c"),
    nic("ax88179_178a", "drivers/net/usb/ax88179_178a.c"),
    nic("tg3", "drivers/net/ethernet/broadcom/tg3.c"),
    nic("bnx2", "drivers/net/ethernet/broadcom/bnx2.c"),
    nic("bnx2x", "drivers/net/ethernet/broadcom/bnx2x/bnx2x_main.c"),
    nic("be2net", "drivers/net/ethernet/emulex/benet/be_main.c"),
    nic("cxgb4", "drivers/net/ethernet/chelsio/cxgb4/cxgb4_main.c"),
    nic("iwlwifi", "net/mac80211/iface.c"),
    kind("802.1Q VLAN Support", "vlan", "net/8021q/vlan_dev.c"),
    kind("bridge", "bridge", "net/bridge/br_device.c"),
    kind("dummy", "dummy", "drivers/net/dummy.c"),
    kind("ifb", "ifb", "drivers/net/ifb.c"),
    kind("ipvlan", "ipvlan", "drivers/net/ipvlan/ipvlan_main.c"),
    kind("macvlan", "macvlan", "drivers/net/macvlan.c"),
    kind("macvtap", "macvtap", "drivers/net/macvlan.c"),
    kind("netkit", "netkit", "drivers/net/netkit.c"),
    kind("team", "team", "drivers/net/team/team_core.c"),
    kind("vrf", "vrf", "drivers/net/vrf.c"),
    kind("vxlan", "vxlan", "drivers/net/vxlan/vxlan_core.c"),
    kind("geneve", "geneve", "drivers/net/geneve.c"),
    kind("gre", "gretap", "net/ipv4/ip_gre.c"),
    kind("wireguard", "wireguard", "drivers/net/wireguard/device.c"),
];

/// The loopback device, which names neither a driver nor a kind.
pub static LOOPBACK: Loopback = Loopback;

const fn nic(name: &'static str, source: &'static str) -> Without {
    Without { name, kind: "", source }
}

const fn kind(name: &'static str, kind: &'static str, source: &'static str) -> Without {
    Without { name, kind, source }
}

/// A row of a driver without native XDP.
const fn nothing(name: &'static str, source: &'static str) -> Entry {
    Entry {
        name,
        aliases: &[],
        since: None,
        source,
        reports: Reports::NONE,
        limits: Vec::new(),
        asks: Vec::new(),
        profile: None,
    }
}

impl Listed for Without {
    fn entry(&self) -> Entry {
        nothing(self.name, self.source)
    }
}

impl Listed for Loopback {
    fn entry(&self) -> Entry {
        nothing("lo", "drivers/net/loopback.c")
    }
}

impl Driver for Without {
    fn name(&self) -> &'static str {
        self.name
    }

    fn claims(&self, device: &Device) -> bool {
        device.driver_name() == self.name
            || (!self.kind.is_empty() && device.kind.as_deref() == Some(self.kind))
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        // A kernel that reports native XDP knows better than a list of those that had none.
        let reports = device.xdp.value().is_some_and(|x| x.features.contains(XdpFeatures::BASIC));
        if capabilities.engine == EngineKind::Native && !reports {
            let evidence = Evidence::driver(format!("{}: no ndo_bpf", self.source));
            deny(capabilities, format!("{} ({})", device.name, self.name), evidence);
        }
    }
}

/// See [`LOOPBACK`].
#[derive(Clone, Copy, Debug)]
pub struct Loopback;

impl Driver for Loopback {
    fn name(&self) -> &'static str {
        "lo"
    }

    fn claims(&self, device: &Device) -> bool {
        const ARPHRD_LOOPBACK: u16 = 772;
        device.link_type == ARPHRD_LOOPBACK
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        if capabilities.engine == EngineKind::Native {
            let evidence = Evidence::driver("drivers/net/loopback.c: no ndo_bpf");
            deny(capabilities, device.name.clone(), evidence);
        }
    }
}

/// Says that `what` has no native XDP.
pub(super) fn deny(capabilities: &mut Capabilities, what: String, evidence: Evidence) {
    const CODE: &str = "no-native-support";
    capabilities.conditions.retain(|c| c.code != CODE);
    capabilities.conditions.push(
        Condition::new(CODE, Answer::No, format!("{what} has no native XDP"), evidence)
            .remedy("use --engine generic"),
    );
}
