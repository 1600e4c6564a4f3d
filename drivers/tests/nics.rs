//! What each driver's file says of a device: settings that fit, and settings that do not.
#![expect(clippy::unwrap_used, reason = "a case that does not hold has failed")]

use std::collections::BTreeMap;

use hoist_bpf::requirements::{Feature, Need, Requirement, Requirements, Strength};
use hoist_drivers::table::Whose;
use hoist_drivers::{DRIVERS, NATIVE, nic};
use hoist_offload::device::{Channels, Peer, Toggle, XdpFeatures, XdpInfo};
use hoist_offload::host::{FakeHost, sample};
use hoist_offload::{Answer, Capabilities, Device, Engine, EvidenceKind, Fact};

fn needs(features: &[Feature]) -> Requirements {
    let items = features
        .iter()
        .map(|&feature| Requirement {
            need: Need::Feature(feature),
            strength: Strength::Must,
            sites: Vec::new(),
            map: None,
        })
        .collect();
    Requirements { items }
}

/// What the native engine can do on the device, the drivers' knowledge included.
fn native(device: &Device) -> Capabilities {
    let host = FakeHost::with_devices(vec![device.clone()]);
    let mut capabilities = NATIVE.capabilities(&host, device).unwrap();
    for driver in DRIVERS.iter().filter(|d| d.claims(device)) {
        driver.refine(device, &mut capabilities);
    }
    capabilities
}

fn gaps(device: &Device, needs: &Requirements) -> Vec<String> {
    let fit = native(device).fit(needs);
    fit.gaps.into_iter().map(|g| g.code).collect()
}

fn nic(driver: &str) -> Device {
    let all = XdpFeatures::BASIC | XdpFeatures::REDIRECT;
    Device {
        driver: Fact::kernel(driver.to_owned(), "test"),
        xdp: Fact::kernel(XdpInfo { features: all, ..XdpInfo::default() }, "test"),
        channels: Fact::kernel(
            Channels { combined: 4, combined_max: 16, ..Channels::default() },
            "test",
        ),
        ..sample::device("eth0", 3)
    }
}

fn with_feature(device: Device, name: &str, on: bool, changeable: bool) -> Device {
    let features = BTreeMap::from([(name.to_owned(), Toggle { on, changeable })]);
    Device { features: Fact::kernel(features, "test"), ..device }
}

fn with_channels(device: Device, channels: Channels) -> Device {
    Device { channels: Fact::kernel(channels, "test"), ..device }
}

/// Driver, the largest MTU that it takes, and whether programs that take fragments may exceed it.
const MTU_LIMITS: [(&str, u32, bool); 25] = [
    ("mlx5_core", 3498, true),
    ("mlx4_en", 3498, false),
    ("i40e", 3046, true),
    ("ice", 3046, true),
    ("igb", 3046, false),
    ("mvneta", 3520, true),
    ("ionic", 3502, true),
    ("igc", 1500, false),
    ("bnxt_en", 3502, true),
    ("ena", 3498, false),
    ("gve", 2032, false),
    ("mana", 3506, false),
    ("virtio_net", 3506, true),
    ("vmxnet3", 3494, false),
    ("st_gmac", 1500, false),
    ("atlantic", 2048, true),
    ("netsec", 1500, false),
    ("vif", 3840, false),
    ("netdevsim", 4000, false),
    ("ixgbe", 3050, false),
    ("ixgbevf", 3050, false),
    ("rvu-nicpf", 1508, false),
    ("nicvf", 1508, false),
    ("hv_netvsc", 3506, false),
    ("mtk_soc_eth", 3520, false),
];

/// Every limit in a driver's file is tried below.
#[test]
fn every_limit_is_in_the_table() {
    for driver in DRIVERS {
        let own = driver.entry().limits.into_iter().filter(|limit| limit.whose == Whose::Own);
        let limits: Vec<u32> = own.map(|limit| limit.most).collect();
        let rows = MTU_LIMITS.iter().filter(|row| driver.claims(&nic(row.0)));
        let tried: Vec<u32> = rows.map(|row| row.1).collect();
        assert_eq!(limits, tried, "{}: in its file (left), in MTU_LIMITS (right)", driver.name());
    }
}

/// An MTU at the limit is taken, and one byte more is refused: where the limit is for linear frames
/// only, programs that take fragments go beyond it.
#[test]
fn mtu_limits() {
    for (driver, most, linear_only) in MTU_LIMITS {
        let at = |mtu_bytes| Device { mtu_bytes, ..nic(driver) };
        let plain = needs(&[]);
        assert_eq!(gaps(&at(most), &plain), [""; 0], "{driver} at {most}");
        assert_eq!(gaps(&at(most + 1), &plain), ["mtu-too-large"], "{driver} at {}", most + 1);
        let frags = gaps(&at(most + 1), &needs(&[Feature::Frags]));
        assert_eq!(frags.is_empty(), linear_only, "{driver} with fragments: {frags:?}");
        let fit = native(&at(most + 1)).fit(&plain);
        let gap = &fit.gaps[0];
        assert!(gap.message.contains(&most.to_string()), "{}", gap.message);
        assert!(gap.remedy.as_deref().unwrap().starts_with("ip link set dev eth0 mtu"));
        assert_eq!(gap.evidence.as_ref().unwrap().kind, EvidenceKind::DriverTable);
    }
}

#[test]
fn settings_that_exclude() {
    let none = XdpInfo::default();
    let silent = |device: Device| Device { xdp: Fact::kernel(none, "test"), ..device };
    let mlx5 = |on| with_feature(nic("mlx5_core"), "rx-lro", on, true);
    let split = Channels { rx: 4, tx: 4, rx_max: 16, tx_max: 16, ..Channels::default() };
    let full = Channels { combined: 16, combined_max: 16, ..Channels::default() };
    let cases: Vec<(&str, Device, &[&str])> = vec![
        ("LRO", mlx5(true), &["receive-merging-on"]),
        ("no LRO", mlx5(false), &[]),
        // The driver reports no features while LRO is on: LRO is the reason, not the driver.
        ("LRO hides the features", silent(mlx5(true)), &["receive-merging-on"]),
        ("split channels", with_channels(nic("bnxt_en"), split), &["channels-not-combined"]),
        ("combined channels", nic("bnxt_en"), &[]),
        ("all channels in use", silent(with_channels(nic("ena"), full)), &["not-enough-queues"]),
        ("half of the channels", nic("ena"), &[]),
        (
            "offload the guest cannot release",
            with_feature(nic("virtio_net"), "rx-gro-hw", true, false),
            &["receive-merging-on"],
        ),
        (
            "offload the guest can release",
            with_feature(nic("virtio_net"), "rx-gro-hw", true, true),
            &[],
        ),
        (
            "unpaired queues",
            Device { rx_queues: 4, tx_queues: 8, ..nic("gve") },
            &["not-enough-queues"],
        ),
        ("no native XDP", silent(nic("r8169")), &["no-native-support"]),
        ("a newer kernel gave it native XDP", nic("r8169"), &[]),
        (
            "a vlan",
            silent(Device { kind: Some("vlan".to_owned()), ..nic("802.1Q VLAN Support") }),
            &["no-native-support"],
        ),
        (
            "loopback",
            Device { link_type: 772, driver: Fact::unknown("none"), ..silent(nic("lo")) },
            &["no-native-support"],
        ),
        ("tap", nic("tun"), &[]),
        (
            "tun",
            Device { link_type: 65534, ..silent(nic("tun")) },
            &["not-ethernet", "no-native-support"],
        ),
    ];
    for (name, device, expected) in cases {
        assert_eq!(gaps(&device, &needs(&[])), expected, "{name}");
    }
}

#[test]
fn abilities_that_the_features_do_not_tell() {
    for (driver, feature, has) in [
        ("nfp", Feature::Redirect, Answer::No),
        ("ixgbevf", Feature::Redirect, Answer::No),
        ("ice", Feature::Metadata, Answer::Yes),
        ("tun", Feature::Metadata, Answer::No),
        ("qede", Feature::Metadata, Answer::Unknown),
    ] {
        let answer = native(&nic(driver)).answer(&Need::Feature(feature)).0;
        assert_eq!(answer, has, "{driver} {feature:?}");
    }
}

#[test]
fn what_drivers_do_not_tell_is_unknown_not_no() {
    let fit = native(&nic("ixgbe")).fit(&needs(&[]));
    assert_eq!(fit.gaps, []);
    let open: Vec<&str> = fit.unknown.iter().map(|g| g.code.as_str()).collect();
    assert_eq!(open, ["receive-merging-on", "sriov-on", "dcb-on"]);
    assert_eq!(
        fit.unknown[1].remedy.as_deref(),
        Some("echo 0 > /sys/class/net/eth0/device/sriov_numvfs")
    );
}

/// A near end of a pair, after a change to what is known of the far one.
fn veth(change: impl FnOnce(&mut Device)) -> Device {
    let [mut near, _] = sample::veth_pair("v0", "v1");
    change(&mut near);
    near
}

fn peer(device: &mut Device, change: impl FnOnce(&mut hoist_offload::device::PeerInfo)) {
    let Some(Peer { info: Fact::Known { value, .. }, .. }) = &mut device.peer else { panic!() };
    change(value);
}

#[test]
fn veth_depends_on_its_peer() {
    assert_eq!((nic::veth::LINEAR_MTU, nic::veth::FRAGS_MTU), (3506, 73138));
    let frags = &[Feature::Frags][..];
    let tx = &[Feature::Tx][..];
    let cases: Vec<(&str, Device, &[Feature], &[&str])> = vec![
        ("as made", veth(|_| {}), &[], &[]),
        ("own MTU", veth(|d| d.mtu_bytes = 9000), &[], &[]),
        ("at the limit", veth(|d| peer(d, |p| p.mtu_bytes = 3506)), &[], &[]),
        ("over the limit", veth(|d| peer(d, |p| p.mtu_bytes = 3507)), &[], &["peer-mtu-too-large"]),
        ("with fragments", veth(|d| peer(d, |p| p.mtu_bytes = 3507)), frags, &[]),
        (
            "over that limit",
            veth(|d| peer(d, |p| p.mtu_bytes = 73139)),
            frags,
            &["peer-mtu-too-large"],
        ),
        ("queues", veth(|d| peer(d, |p| p.tx_queues = Some(2))), &[], &["queue-mismatch"]),
        ("enough queues", veth(|d| d.rx_queues = 2), &[], &[]),
        ("XDP_TX to nobody", veth(|_| {}), tx, &["tx-peer-no-napi"]),
        ("GRO is not enough", veth(|d| peer(d, |p| p.gro = Some(true))), tx, &["tx-peer-no-napi"]),
        ("XDP_TX to a program", veth(|d| peer(d, |p| p.native_program = true)), tx, &[]),
    ];
    for (name, device, features, expected) in cases {
        assert_eq!(gaps(&device, &needs(features)), expected, "{name}");
    }
}

#[test]
fn a_veth_whose_peer_is_out_of_sight_says_what_would_tell() {
    let device = veth(|d| {
        d.peer = Some(Peer {
            ifindex: 7,
            netns: Some("netnsid 3".to_owned()),
            info: Fact::unknown("CAP_SYS_ADMIN would let hoist look into its namespace"),
        });
    });
    let fit = native(&device).fit(&needs(&[Feature::Tx]));
    assert_eq!(fit.gaps, []);
    let open: Vec<&str> = fit.unknown.iter().map(|g| g.code.as_str()).collect();
    assert_eq!(open, ["peer-mtu-too-large", "queue-mismatch", "tx-peer-no-napi"]);
    for gap in &fit.unknown {
        assert!(gap.message.contains("netnsid 3"), "{}", gap.message);
        assert!(gap.message.contains("CAP_SYS_ADMIN would"), "{}", gap.message);
        assert!(gap.message.contains("attaching will tell"), "{}", gap.message);
    }
}

/// Remedies name the peer and where it is.
#[test]
fn remedies_reach_into_the_peers_namespace() {
    let device = veth(|d| {
        peer(d, |p| p.mtu_bytes = 9000);
        d.peer.as_mut().unwrap().netns = Some("blue".to_owned());
    });
    let fit = native(&device).fit(&needs(&[]));
    let remedy = fit.gaps[0].remedy.as_deref().unwrap();
    assert!(remedy.starts_with("ip netns exec blue ip link set dev v1 mtu 1500"), "{remedy}");
    assert!(
        fit.gaps[0].message.contains("v1 in network namespace blue"),
        "{}",
        fit.gaps[0].message
    );
}
