//! A snapshot of one network interface: plain data, serialisable, the input of every decision.

use std::collections::BTreeMap;

use hoist_bpf::kernel::XdpMode;
use serde::{Deserialize, Serialize};

use crate::engine::{EngineKind, Hook};
use crate::fact::Fact;
use crate::host::offload::OffloadReport;
use crate::host::report::Finding;

/// One interface as it was when it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Name in its network namespace.
    pub name: String,
    /// Index in its network namespace.
    pub ifindex: u32,
    /// `ARPHRD_*` of `linux/if_arp.h`: 1 is Ethernet.
    pub link_type: u16,
    /// `IFLA_INFO_KIND`: `veth`, `vlan`, `bridge` ...; `None` for physical devices.
    pub kind: Option<String>,
    /// Kernel driver, as `ethtool -i` prints it.
    #[serde(default)]
    pub driver: Fact<String>,
    /// Bus address, for example `0000:3b:00.0`.
    pub bus: Option<String>,
    /// PCI identity.
    pub pci: Option<PciId>,
    /// Firmware version, as `ethtool -i` prints it.
    pub firmware: Option<String>,
    /// Hardware address, colon-separated.
    pub mac: Option<String>,
    /// MTU in bytes: the L3 payload, without Ethernet header and FCS.
    pub mtu_bytes: u32,
    /// Largest MTU the driver takes now, in bytes; 0 when it does not say.
    pub max_mtu_bytes: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// `IF_OPER_*` in words: `up`, `down`, `lowerlayerdown` ...
    pub operstate: String,
    /// Link speed in Mbit/s.
    #[serde(default)]
    pub speed_mbps: Fact<u32>,
    /// Receive queues the device has now.
    pub rx_queues: u32,
    /// Transmit queues the device has now.
    pub tx_queues: u32,
    /// Channel counts (`ethtool -l`).
    #[serde(default)]
    pub channels: Fact<Channels>,
    /// Ring sizes (`ethtool -g`).
    #[serde(default)]
    pub rings: Fact<Rings>,
    /// ethtool features that bear on XDP, by kernel name (`rx-gro`, `hw-tc-offload` ...).
    #[serde(default)]
    pub features: Fact<BTreeMap<String, Toggle>>,
    /// What the `netdev` netlink family says (kernel 6.3 and later).
    #[serde(default)]
    pub xdp: Fact<XdpInfo>,
    /// What the device takes when a program or map is loaded for it: `xdp`, `sched_cls`, `hash`,
    /// `array` (offload into the NIC) and `dev-bound-only`. Empty where nobody asked: only probing
    /// does, by [`crate::Host::offload`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offload: BTreeMap<String, Finding>,
    /// Everything an offload device takes. Absent for other devices, and where nobody asked: only
    /// probing does, by [`crate::Host::offload_report`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offload_report: Option<OffloadReport>,
    /// What is attached, slot by slot.
    #[serde(default)]
    pub attached: Vec<AttachedProgram>,
    /// Slots that could not be read, with the reason.
    #[serde(default)]
    pub attached_unknown: Vec<String>,
    /// Master (bridge, bond), by name.
    pub master: Option<String>,
    /// Devices stacked on top of this one, by name.
    #[serde(default)]
    pub upper: Vec<String>,
    /// Devices this one is stacked on, by name.
    #[serde(default)]
    pub lower: Vec<String>,
    /// The other end of a veth or netkit pair.
    pub peer: Option<Peer>,
}

/// PCI identity with names from the PCI ID database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciId {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Vendor name, where known.
    pub vendor_name: Option<String>,
    /// Device name, where known.
    pub device_name: Option<String>,
}

/// Channel counts, current and largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    /// Receive only.
    pub rx: u32,
    /// Transmit only.
    pub tx: u32,
    /// Combined.
    pub combined: u32,
    /// Largest receive only.
    pub rx_max: u32,
    /// Largest transmit only.
    pub tx_max: u32,
    /// Largest combined.
    pub combined_max: u32,
}

/// Ring sizes in descriptors, current and largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rings {
    /// Receive.
    pub rx: u32,
    /// Transmit.
    pub tx: u32,
    /// Largest receive.
    pub rx_max: u32,
    /// Largest transmit.
    pub tx_max: u32,
}

/// An ethtool feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toggle {
    /// Whether it is on.
    pub on: bool,
    /// Whether it can be changed.
    pub changeable: bool,
}

bitflags::bitflags! {
    /// `enum netdev_xdp_act` of `linux/netdev.h`. Hints, not truth.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct XdpFeatures: u64 {
        /// Native ABORTED, DROP, PASS and TX.
        const BASIC = 1;
        /// Native XDP_REDIRECT from this device.
        const REDIRECT = 2;
        /// May be the target of a redirect.
        const NDO_XMIT = 4;
        /// AF_XDP without copying.
        const XSK_ZEROCOPY = 8;
        /// BPF offload.
        const HW_OFFLOAD = 16;
        /// Multi-buffer receive.
        const RX_SG = 32;
        /// Multi-buffer frames as redirect target.
        const NDO_XMIT_SG = 64;
    }

    /// `enum netdev_xdp_rx_metadata` of `linux/netdev.h`: receive metadata kfuncs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct RxMetadata: u64 {
        /// `bpf_xdp_metadata_rx_timestamp`.
        const TIMESTAMP = 1;
        /// `bpf_xdp_metadata_rx_hash`.
        const HASH = 2;
        /// `bpf_xdp_metadata_rx_vlan_tag`.
        const VLAN_TAG = 4;
    }

    /// `enum netdev_xsk_flags` of `linux/netdev.h`: AF_XDP transmit metadata.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct XskFeatures: u64 {
        /// Transmit timestamps.
        const TX_TIMESTAMP = 1;
        /// Transmit checksum offload.
        const TX_CHECKSUM = 2;
        /// Launch time.
        const TX_LAUNCH_TIME = 4;
    }
}

/// `NETDEV_CMD_DEV_GET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpInfo {
    /// `xdp-features`.
    pub features: XdpFeatures,
    /// `xdp-zc-max-segs`; present with zero copy only.
    pub zc_max_segs: Option<u32>,
    /// `xdp-rx-metadata-features` (6.7).
    pub rx_metadata: RxMetadata,
    /// `xsk-features` (6.8).
    pub xsk: XskFeatures,
}

/// The hooks a program can sit at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// XDP in the NIC.
    Hw,
    /// XDP in the driver.
    Native,
    /// XDP in the core.
    Generic,
    /// tcx ingress.
    TcxIngress,
    /// tcx egress.
    TcxEgress,
    /// cls_bpf on clsact ingress.
    ClsactIngress,
    /// cls_bpf on clsact egress.
    ClsactEgress,
    /// cls_bpf on clsact ingress, in the NIC and not on the host (`skip_sw`).
    HwClsact,
}

impl Slot {
    /// Where programs of an engine go; `None` for engines that use no slot of the kernel's.
    #[must_use]
    pub const fn of(engine: EngineKind, hook: Hook) -> Option<Self> {
        Some(match (engine, hook) {
            (EngineKind::Hw, Hook::Clsact) => Self::HwClsact,
            (EngineKind::Hw, _) => Self::Hw,
            (EngineKind::Native, _) => Self::Native,
            (EngineKind::Generic, _) => Self::Generic,
            (EngineKind::Tc, Hook::Tcx) => Self::TcxIngress,
            (EngineKind::Tc, Hook::Clsact) => Self::ClsactIngress,
            (EngineKind::Tc | EngineKind::User, _) => return None,
        })
    }

    /// The engine whose programs are there.
    #[must_use]
    pub const fn engine(self) -> EngineKind {
        match self {
            Self::Hw | Self::HwClsact => EngineKind::Hw,
            Self::Native => EngineKind::Native,
            Self::Generic => EngineKind::Generic,
            Self::TcxIngress | Self::TcxEgress | Self::ClsactIngress | Self::ClsactEgress => {
                EngineKind::Tc
            }
        }
    }

    /// The hook it belongs to.
    #[must_use]
    pub const fn hook(self) -> Hook {
        match self {
            Self::Hw | Self::Native | Self::Generic => Hook::Xdp,
            Self::TcxIngress | Self::TcxEgress => Hook::Tcx,
            Self::ClsactIngress | Self::ClsactEgress | Self::HwClsact => Hook::Clsact,
        }
    }

    /// The mode in which the XDP hook runs it; `None` at other hooks.
    #[must_use]
    pub const fn mode(self) -> Option<XdpMode> {
        match self {
            Self::Hw => Some(XdpMode::Hardware),
            Self::Native => Some(XdpMode::Native),
            Self::Generic => Some(XdpMode::Generic),
            Self::TcxIngress
            | Self::TcxEgress
            | Self::ClsactIngress
            | Self::ClsactEgress
            | Self::HwClsact => None,
        }
    }

    /// The name printed everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hw => "hw",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::TcxIngress => "tcx ingress",
            Self::TcxEgress => "tcx egress",
            Self::ClsactIngress => "clsact ingress",
            Self::ClsactEgress => "clsact egress",
            Self::HwClsact => "hw clsact ingress",
        }
    }
}

/// One attached program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedProgram {
    /// Where.
    pub slot: Slot,
    /// Program id.
    pub id: u32,
    /// Program name, where it may be read.
    pub name: Option<String>,
    /// Who holds it.
    pub owner: Owner,
    /// For libxdp's dispatcher: the programs inside it, in the order they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
}

/// Who holds an attached program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Owner {
    /// hoist loaded it, pinned at this path.
    Hoist {
        /// The pin.
        pin: String,
    },
    /// A bpf_link held by someone else.
    Link {
        /// Link id.
        id: u32,
    },
    /// The interface itself: attached over netlink, stays until detached.
    Netlink,
    /// libxdp's dispatcher.
    Libxdp,
    /// It could not be read.
    Unknown {
        /// Why.
        why: String,
    },
}

/// A program inside libxdp's dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Program id.
    pub id: u32,
    /// Program name.
    pub name: Option<String>,
    /// Run priority, lower first, where the dispatcher's configuration could be read.
    pub priority: Option<u32>,
}

/// The other end of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Index in the peer's own namespace.
    pub ifindex: u32,
    /// `None` when it lives in the same namespace; else the namespace's name or `netnsid N`.
    pub netns: Option<String>,
    /// What could be read of it.
    pub info: Fact<PeerInfo>,
}

/// Facts of the peer that decide about this end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its name.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu_bytes: u32,
    /// Transmit queues it uses now; `None` where only the number allocated could be read.
    pub tx_queues: Option<u32>,
    /// Receive queues it uses now; `None` where only the number allocated could be read.
    pub rx_queues: Option<u32>,
    /// Whether it has a native XDP program.
    pub native_program: bool,
    /// Whether GRO is on, which starts its NAPI.
    pub gro: Option<bool>,
    /// Whether it leaves the segmentation of what local senders send to the device (TSO).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<bool>,
    /// Whether it is up.
    pub up: bool,
}

impl Device {
    /// The hardware address, if it has one of six bytes.
    #[must_use]
    pub fn address(&self) -> Option<[u8; 6]> {
        let mut address = [0; 6];
        let mut parts = self.mac.as_deref()?.split(':');
        for byte in &mut address {
            *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
        }
        parts.next().is_none().then_some(address)
    }

    /// The programs in one slot.
    pub fn slot(&self, slot: Slot) -> impl Iterator<Item = &AttachedProgram> {
        self.attached.iter().filter(move |a| a.slot == slot)
    }

    /// The driver's name, or the link kind, or nothing.
    #[must_use]
    pub fn driver_name(&self) -> &str {
        self.driver.value().map(String::as_str).or(self.kind.as_deref()).unwrap_or("")
    }

    /// Whether an ethtool feature is on; `None` when not known.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<bool> {
        self.features.value().and_then(|f| f.get(name)).map(|t| t.on)
    }
}
