//! Interfaces and a host report made up in code, for tests and examples. What they claim of drivers
//! follows the drivers' documentation; it was not measured on cards.

use std::collections::BTreeMap;

use hoist_bpf::names;

use super::HostReport;
use super::report::Finding;
use crate::capability::Answer;
use crate::device::{
    Channels, Device, PciId, Peer, PeerInfo, Rings, RxMetadata, Toggle, XdpFeatures, XdpInfo,
    XskFeatures,
};
use crate::fact::{Evidence, Fact};

const SOURCE: &str = "sample";
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;

/// An Ethernet interface that is up, with one queue and nothing attached, of which nothing else is
/// known.
#[must_use]
pub fn device(name: &str, ifindex: u32) -> Device {
    Device {
        name: name.to_owned(),
        ifindex,
        link_type: ETHERNET,
        kind: None,
        driver: Fact::unknown(SOURCE),
        bus: None,
        pci: None,
        firmware: None,
        mac: Some(format!("02:00:00:00:00:{:02x}", ifindex & 0xff)),
        mtu_bytes: 1500,
        max_mtu_bytes: 9000,
        up: true,
        operstate: "up".to_owned(),
        speed_mbps: Fact::unknown(SOURCE),
        rx_queues: 1,
        tx_queues: 1,
        channels: Fact::unknown(SOURCE),
        rings: Fact::unknown(SOURCE),
        features: Fact::unknown(SOURCE),
        xdp: Fact::unknown(SOURCE),
        attached: Vec::new(),
        attached_unknown: Vec::new(),
        offload: BTreeMap::new(),
        offload_report: None,
        master: None,
        upper: Vec::new(),
        lower: Vec::new(),
        peer: None,
    }
}

/// Two ends of a veth pair in one namespace, with indices 10 and 11, one queue each, GRO off.
#[must_use]
pub fn veth_pair(near: &str, far: &str) -> [Device; 2] {
    let end = |name: &str, ifindex, other: &str, other_ifindex| Device {
        kind: Some("veth".to_owned()),
        driver: known("veth".to_owned()),
        max_mtu_bytes: 65535,
        speed_mbps: known(10_000),
        channels: known(Channels { rx: 1, tx: 1, rx_max: 1, tx_max: 1, ..Channels::default() }),
        features: features(&[("rx-gro", false), ("rx-vlan-hw-parse", true), ("rx-checksum", true)]),
        xdp: xdp(
            XdpFeatures::BASIC | XdpFeatures::REDIRECT | XdpFeatures::RX_SG,
            None,
            RxMetadata::all(),
        ),
        peer: Some(Peer {
            ifindex: other_ifindex,
            netns: None,
            info: known(PeerInfo {
                name: other.to_owned(),
                mtu_bytes: 1500,
                tx_queues: Some(1),
                rx_queues: Some(1),
                native_program: false,
                gro: Some(false),
                segmentation: None,
                up: true,
            }),
        }),
        ..device(name, ifindex)
    };
    [end(near, 10, far, 11), end(far, 11, near, 10)]
}

/// An NVIDIA ConnectX-6 Dx (`mlx5_core`) with eight combined channels, LRO off.
#[must_use]
pub fn mlx5(name: &str, ifindex: u32) -> Device {
    Device {
        firmware: Some("22.39.2048 (MT_0000000359)".to_owned()),
        pci: Some(pci(0x15b3, 0x101d, "Mellanox Technologies", "MT2892 Family [ConnectX-6 Dx]")),
        speed_mbps: known(100_000),
        rings: rings(1024, 8192),
        max_mtu_bytes: 9978,
        features: features(&[
            ("hw-tc-offload", false),
            ("rx-checksum", true),
            ("rx-gro", true),
            ("rx-gro-hw", false),
            ("rx-lro", false),
            ("rx-vlan-hw-parse", true),
        ]),
        xdp: xdp(
            XdpFeatures::BASIC
                | XdpFeatures::REDIRECT
                | XdpFeatures::XSK_ZEROCOPY
                | XdpFeatures::RX_SG
                | XdpFeatures::NDO_XMIT
                | XdpFeatures::NDO_XMIT_SG,
            Some(1),
            RxMetadata::all(),
        ),
        ..nic(name, ifindex, "mlx5_core", "0000:3b:00.0", 8)
    }
}

/// An Intel E810 (`ice`) with eight combined channels; its redirect-target bits appear only while a
/// program is attached.
#[must_use]
pub fn ice(name: &str, ifindex: u32) -> Device {
    Device {
        firmware: Some("4.40 0x8001c7d4 1.3534.0".to_owned()),
        pci: Some(pci(0x8086, 0x1592, "Intel Corporation", "Ethernet Controller E810-C for QSFP")),
        speed_mbps: known(100_000),
        rings: rings(2048, 8160),
        max_mtu_bytes: 9702,
        features: features(&[
            ("hw-tc-offload", false),
            ("rx-checksum", true),
            ("rx-gro", true),
            ("rx-ntuple-filter", true),
            ("rx-vlan-hw-parse", true),
        ]),
        xdp: xdp(
            XdpFeatures::BASIC
                | XdpFeatures::REDIRECT
                | XdpFeatures::XSK_ZEROCOPY
                | XdpFeatures::RX_SG,
            Some(8),
            RxMetadata::all(),
        ),
        ..nic(name, ifindex, "ice", "0000:86:00.0", 8)
    }
}

/// A virtio NIC of a virtual machine with two queue pairs and mergeable receive buffers.
#[must_use]
pub fn virtio(name: &str, ifindex: u32) -> Device {
    Device {
        pci: Some(pci(0x1af4, 0x1000, "Red Hat, Inc.", "Virtio network device")),
        rings: rings(256, 256),
        max_mtu_bytes: 65535,
        features: features(&[("rx-checksum", true), ("rx-gro", true), ("rx-gro-hw", true)]),
        xdp: xdp(
            XdpFeatures::BASIC | XdpFeatures::REDIRECT | XdpFeatures::RX_SG,
            None,
            RxMetadata::empty(),
        ),
        ..nic(name, ifindex, "virtio_net", "virtio0", 2)
    }
}

/// A card without native XDP (`e1000e`).
#[must_use]
pub fn e1000e(name: &str, ifindex: u32) -> Device {
    Device {
        pci: Some(pci(0x8086, 0x15bb, "Intel Corporation", "Ethernet Connection (7) I219-LM")),
        speed_mbps: known(1000),
        rings: rings(256, 4096),
        channels: Fact::unknown("the driver does not report it"),
        features: features(&[("rx-checksum", true), ("rx-gro", true), ("rx-vlan-hw-parse", true)]),
        xdp: xdp(XdpFeatures::empty(), None, RxMetadata::empty()),
        rx_queues: 1,
        tx_queues: 1,
        ..nic(name, ifindex, "e1000e", "0000:00:1f.6", 1)
    }
}

fn nic(name: &str, ifindex: u32, driver: &str, bus: &str, queues: u32) -> Device {
    Device {
        driver: known(driver.to_owned()),
        bus: Some(bus.to_owned()),
        rx_queues: queues,
        tx_queues: queues,
        channels: known(Channels { combined: queues, combined_max: queues, ..Channels::default() }),
        ..device(name, ifindex)
    }
}

fn known<T>(value: T) -> Fact<T> {
    Fact::kernel(value, SOURCE)
}

fn pci(vendor: u16, device: u16, vendor_name: &str, device_name: &str) -> PciId {
    PciId {
        vendor,
        device,
        vendor_name: Some(vendor_name.to_owned()),
        device_name: Some(device_name.to_owned()),
    }
}

fn rings(now: u32, most: u32) -> Fact<Rings> {
    known(Rings { rx: now, tx: now, rx_max: most, tx_max: most })
}

fn features(list: &[(&str, bool)]) -> Fact<BTreeMap<String, Toggle>> {
    let toggle = |&(name, on): &(&str, bool)| (name.to_owned(), Toggle { on, changeable: true });
    known(list.iter().map(toggle).collect())
}

fn xdp(features: XdpFeatures, zc_max_segs: Option<u32>, rx_metadata: RxMetadata) -> Fact<XdpInfo> {
    known(XdpInfo { features, zc_max_segs, rx_metadata, xsk: XskFeatures::empty() })
}

/// A Linux 6.12 on four CPUs, asked with every capability, that has all map and program types and
/// every feature, and the helpers of XDP named in [`XDP_HELPERS`].
#[must_use]
pub fn report() -> HostReport {
    let yes = || Finding { answer: Answer::Yes, evidence: Evidence::trial(SOURCE) };
    let no = || Finding { answer: Answer::No, evidence: Evidence::trial(SOURCE) };
    let all = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), yes())).collect();
    let helpers = |has: &dyn Fn(&str) -> bool| {
        (1..=names::LAST_HELPER)
            .map(names::helper)
            .map(|name| (name.clone(), if has(&name) { yes() } else { no() }))
            .collect()
    };
    HostReport {
        kernel: "6.12.0".to_owned(),
        version: String::new(),
        machine: "x86_64".to_owned(),
        cpus: 4,
        jit: BTreeMap::from([
            ("net.core.bpf_jit_enable".to_owned(), known(1)),
            ("net.core.bpf_jit_harden".to_owned(), known(0)),
        ]),
        btf_bytes: known(6 << 20),
        unprivileged_bpf_disabled: known(2),
        capabilities: ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_SYS_ADMIN"]
            .map(|name| (name.to_owned(), true))
            .into(),
        bpf_syscall: yes(),
        program_types: (1..=names::LAST_PROGRAM_TYPE)
            .map(|kind| (names::program_type(kind), yes()))
            .collect(),
        map_types: (1..=names::LAST_MAP_TYPE).map(|kind| (names::map_type(kind), yes())).collect(),
        xdp_helpers: helpers(&|name| XDP_HELPERS.contains(&name)),
        tc_helpers: helpers(&|name| !name.starts_with("bpf_xdp_")),
        kfuncs: all(&[
            "bpf_xdp_metadata_rx_hash",
            "bpf_xdp_metadata_rx_timestamp",
            "bpf_xdp_metadata_rx_vlan_tag",
            "bpf_dynptr_from_xdp",
        ]),
        features: all(&super::report::FEATURES),
    }
}

/// Helpers that the sample report grants XDP programs: those in everyday use.
pub const XDP_HELPERS: [&str; 24] = [
    "bpf_map_lookup_elem",
    "bpf_map_update_elem",
    "bpf_map_delete_elem",
    "bpf_ktime_get_ns",
    "bpf_trace_printk",
    "bpf_get_prandom_u32",
    "bpf_get_smp_processor_id",
    "bpf_tail_call",
    "bpf_redirect",
    "bpf_perf_event_output",
    "bpf_csum_diff",
    "bpf_xdp_adjust_head",
    "bpf_redirect_map",
    "bpf_xdp_adjust_meta",
    "bpf_xdp_adjust_tail",
    "bpf_fib_lookup",
    "bpf_ringbuf_output",
    "bpf_ringbuf_reserve",
    "bpf_ringbuf_submit",
    "bpf_ringbuf_discard",
    "bpf_loop",
    "bpf_xdp_get_buff_len",
    "bpf_xdp_load_bytes",
    "bpf_xdp_store_bytes",
];
