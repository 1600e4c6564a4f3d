//! What the host says of itself and its interfaces, compared with what other tools say.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Expect, Kernel as _, Linux, ProgramSpec, XdpMode, yardstick};
use hoist_bpf::names;
use hoist_hwtests::frame::mac;
use hoist_hwtests::lab::{Lab, LinkKind, Namespace, Port, Tap};
use hoist_hwtests::require;
use hoist_offload::capability::Answer;
use hoist_offload::device::{Device, Owner, Slot, XdpFeatures};
use hoist_offload::error::Error;
use hoist_offload::host::report::{Finding, HostReport};
use hoist_offload::host::{FakeHost, Host, LinuxHost, Recording};
use rustix::thread::CapabilitySet;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);

fn host() -> LinuxHost {
    LinuxHost::new(Arc::new(Linux::new().unwrap())).without_cache()
}

fn tool(namespace: &Namespace, command: &[&str]) -> Option<String> {
    let output = namespace.output(Command::new(command[0]).args(&command[1..]), LIMIT).unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn pass(kernel: &Linux, kind: u32) -> std::os::fd::OwnedFd {
    let insns = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];
    kernel
        .load_program(&ProgramSpec {
            name: "host_test".to_owned(),
            kind,
            expected_attach_type: if kind == 6 { 37 } else { 0 },
            insns: &insns,
            license: "GPL".to_owned(),
            ..ProgramSpec::default()
        })
        .unwrap()
}

/// A namespace with one interface of every kind the kernel can make without hardware.
fn menagerie() -> (Lab, Tap, Namespace) {
    let lab = Lab::with(|near| near.queues(2, 2).gro(true), |far| far).unwrap();
    let namespace = lab.near().namespace.clone();
    let bridge = Port::create(&namespace, "br0", mac(0xb0), LinkKind::Bridge).unwrap();
    let tap = Tap::create(&namespace, "tap0").unwrap();
    Port::find(&namespace, "tap0").unwrap().set_master(Some(&bridge)).unwrap();
    for (name, kind) in
        [("v0.7", LinkKind::Vlan(lab.near(), 7)), ("mv0", LinkKind::Macvlan(lab.near()))]
    {
        // Not every kernel is built with these.
        let _ = Port::create(&namespace, name, mac(7), kind);
    }
    (lab, tap, namespace)
}

fn named<'a>(devices: &'a [Device], name: &str) -> &'a Device {
    devices.iter().find(|d| d.name == name).unwrap()
}

#[test]
fn interfaces_are_as_ip_shows_them() {
    if !require::veth_and_command("interfaces_are_as_ip_shows_them", "ip") {
        return;
    }
    let (_lab, _tap, namespace) = menagerie();
    // The kernel settles operational states in its own time: compare when nothing moved meanwhile.
    let devices = || namespace.run(|| host().devices()).unwrap();
    let (devices, shown) = (0..50)
        .find_map(|_| {
            let before = devices();
            let shown = tool(&namespace, &["ip", "-d", "-j", "link"]).unwrap();
            (devices() == before).then_some((before, shown))
        })
        .unwrap();
    let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
    assert!(shown.len() >= 4, "{shown:?}");
    assert_eq!(devices.len(), shown.len());
    for theirs in &shown {
        let ours = named(&devices, theirs["ifname"].as_str().unwrap());
        let name = &ours.name;
        assert_eq!(theirs["ifindex"], ours.ifindex, "{name}");
        assert_eq!(theirs["mtu"], ours.mtu_bytes, "{name}");
        assert_eq!(
            theirs["max_mtu"].as_u64().unwrap_or(0),
            u64::from(ours.max_mtu_bytes),
            "{name}"
        );
        assert_eq!(theirs["address"].as_str(), ours.mac.as_deref(), "{name}");
        let state = theirs["operstate"].as_str().unwrap().to_lowercase();
        assert_eq!(state, ours.operstate, "{name}");
        assert_eq!(theirs["linkinfo"]["info_kind"].as_str(), ours.kind.as_deref(), "{name}");
        assert_eq!(theirs["master"].as_str(), ours.master.as_deref(), "{name}");
        let up = theirs["flags"].as_array().unwrap().iter().any(|f| f == "UP");
        assert_eq!(up, ours.up, "{name}");
        if ours.kind.as_deref() != Some("veth") {
            let lower = theirs["link"].as_str().map(str::to_owned);
            assert!(lower.is_none_or(|l| ours.lower.contains(&l)), "{name}: {:?}", ours.lower);
        }
    }
    assert_eq!(named(&devices, "br0").lower, ["tap0"]);
    assert_eq!(named(&devices, "tap0").upper, ["br0"]);
}

#[test]
fn drivers_and_settings_are_as_ethtool_shows_them() {
    if !require::veth_and_command("drivers_and_settings_are_as_ethtool_shows_them", "ethtool") {
        return;
    }
    let (_lab, _tap, namespace) = menagerie();
    let devices = namespace.run(|| host().devices()).unwrap();
    for ours in &devices {
        let name = ours.name.as_str();
        let ask = |flag| tool(&namespace, &["ethtool", flag, name]);
        let driver = ask("-i").and_then(|text| field(&text, "driver").map(str::to_owned));
        assert_eq!(driver.as_ref(), ours.driver.value(), "{name}");
        let shown = ask("-k").unwrap();
        let features = ours.features.value().unwrap();
        assert!(features.len() > 10, "{name}: {features:?}");
        for (theirs, kernel) in [
            ("generic-receive-offload", "rx-gro"),
            ("large-receive-offload", "rx-lro"),
            ("rx-vlan-offload", "rx-vlan-hw-parse"),
            ("ntuple-filters", "rx-ntuple-filter"),
            ("rx-checksumming", "rx-checksum"),
            ("hw-tc-offload", "hw-tc-offload"),
            ("tx-checksum-ip-generic", "tx-checksum-ip-generic"),
            ("rx-gro-hw", "rx-gro-hw"),
        ] {
            let theirs = field(&shown, theirs).unwrap();
            let toggle = features[kernel];
            assert_eq!(theirs.starts_with("on"), toggle.on, "{name} {kernel}: {theirs}");
            assert_eq!(!theirs.contains("fixed"), toggle.changeable, "{name} {kernel}: {theirs}");
        }
        match (ask("-l"), ours.channels.value()) {
            (Some(text), Some(channels)) => {
                let now = text.split("Current hardware settings:").nth(1).unwrap();
                let count = |what| field(now, what).and_then(|n| n.parse().ok()).unwrap_or(0);
                assert_eq!(
                    (count("RX"), count("TX"), count("Combined")),
                    (channels.rx, channels.tx, channels.combined),
                    "{name}"
                );
            }
            (theirs, ours) => assert!(theirs.is_none() && ours.is_none(), "{name}: {ours:?}"),
        }
        assert_eq!(ask("-g").is_some(), ours.rings.value().is_some(), "{name}");
    }
    let near = named(&devices, "v0");
    assert_eq!((near.rx_queues, near.tx_queues, near.feature("rx-gro")), (2, 2, Some(true)));
}

/// The value behind `name:` in ethtool's output.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|l| Some(l.trim().strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The peer's facts decide about native XDP here, wherever it lives.
#[test]
fn a_peer_is_read_in_its_own_namespace() {
    if !require::veth("a_peer_is_read_in_its_own_namespace") {
        return;
    }
    let near = Namespace::new().unwrap();
    let far = Namespace::named("peer").unwrap();
    let lab = Lab::between(&near, &far, |near| near, |far| far.mtu(9000).queues(1, 3)).unwrap();
    let peer = || near.run(|| host().device("v0")).unwrap().peer.unwrap();
    assert_eq!(peer().netns.as_deref(), far.name());
    let info = peer().info.value().unwrap().clone();
    assert_eq!((info.name.as_str(), info.mtu_bytes, info.up), ("v1", 9000, true));
    assert_eq!((info.rx_queues, info.tx_queues), (Some(1), Some(3)));
    assert_eq!((info.gro, info.native_program), (Some(false), false));

    lab.far().set_feature("rx-gro", true).unwrap();
    let kernel = Linux::new().unwrap();
    let program = pass(&kernel, 6);
    let link = far.run(|| kernel.link_xdp(program.as_fd(), lab.far().ifindex, XdpMode::Native));
    let link = link.unwrap();
    let info = peer().info.value().unwrap().clone();
    assert_eq!((info.gro, info.native_program), (Some(true), true));
    drop(link);

    // Without a name nobody can enter the namespace, but the kernel still tells the MTU.
    let lab = Lab::with(|near| near, |far| far.mtu(4000)).unwrap();
    let peer = lab.near().namespace.run(|| host().device("v0")).unwrap().peer.unwrap();
    assert!(peer.netns.unwrap().starts_with("netnsid "));
    let info = peer.info.value().unwrap();
    assert_eq!((info.mtu_bytes, info.tx_queues, info.gro), (4000, None, None));

    // In one namespace, no namespace is named.
    let both = Namespace::new().unwrap();
    let _lab = Lab::between(&both, &both, |near| near, |far| far.mtu(2000)).unwrap();
    let peer = both.run(|| host().device("v0")).unwrap().peer.unwrap();
    assert_eq!((peer.netns, peer.info.value().unwrap().mtu_bytes), (None, 2000));
}

#[test]
fn attached_programs_are_listed_with_their_owners() {
    if !require::veth_and_command("attached_programs_are_listed_with_their_owners", "tc") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let (near, ifindex) = (&lab.near().namespace, lab.near().ifindex);
    let kernel = Linux::new().unwrap();
    let device = || near.run(|| host().device("v0")).unwrap();
    let (xdp, cls) = (pass(&kernel, 6), pass(&kernel, 3));
    let xdp_id = kernel.program_info(xdp.as_fd()).unwrap().id;
    let cls_id = kernel.program_info(cls.as_fd()).unwrap().id;
    assert_eq!(device().attached, []);

    let link = near.run(|| kernel.link_xdp(xdp.as_fd(), ifindex, XdpMode::Native)).unwrap();
    let link_id = kernel.link_info(link.as_fd()).unwrap().id;
    let found = device().attached;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].slot, found[0].id), (Slot::Native, xdp_id));
    assert_eq!(found[0].name.as_deref(), Some("host_test"));
    assert_eq!(found[0].owner, Owner::Link { id: link_id });
    drop(link);

    let generic = Some(XdpMode::Generic);
    near.run(|| kernel.netlink_xdp(ifindex, Some(xdp.as_fd()), generic, Expect::Empty)).unwrap();
    let pins = kernel.bpffs("hoist-test").unwrap();
    let pin = pins.join(format!("host_{}", std::process::id()));
    kernel.pin(cls.as_fd(), &pin).unwrap();
    let tc = |arguments: &str| {
        let words: Vec<&str> = std::iter::once("tc").chain(arguments.split(' ')).collect();
        tool(near, &words)
    };
    let clsact = tc("qdisc add dev v0 clsact").is_some()
        && tc(&format!("filter add dev v0 egress bpf da object-pinned {}", pin.display()))
            .is_some();
    kernel.unpin(&pin).unwrap();
    kernel.remove_directory(&pins).unwrap();
    let found = device().attached;
    let listed: Vec<_> = found.iter().map(|a| (a.slot, a.id, a.owner.clone())).collect();
    let mut expected = vec![(Slot::Generic, xdp_id, Owner::Netlink)];
    if clsact {
        expected.push((Slot::ClsactEgress, cls_id, Owner::Netlink));
    }
    assert_eq!(listed, expected);
    near.run(|| kernel.netlink_xdp(ifindex, None, generic, Expect::Anything)).unwrap();
}

/// Redirects reach a veth only while its peer polls, and the driver claims just that.
#[test]
fn claimed_features_follow_the_peer() {
    if !require::veth("claimed_features_follow_the_peer") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let claimed = || {
        let device = lab.near().namespace.run(|| host().device("v0")).unwrap();
        device.xdp.value().map(|x| x.features)
    };
    let Some(before) = claimed() else {
        return; // Linux 6.2 and earlier claim nothing.
    };
    assert!(before.contains(XdpFeatures::BASIC | XdpFeatures::REDIRECT), "{before:?}");
    assert!(!before.contains(XdpFeatures::NDO_XMIT), "{before:?}");
    lab.far().set_feature("rx-gro", true).unwrap();
    assert!(claimed().unwrap().contains(XdpFeatures::NDO_XMIT));
}

/// Drivers without offload refuse in two ways, and only the driver hook decides about device-bound
/// programs; bpftool, asked about offload alone, finds nothing on either.
#[test]
fn what_a_device_takes_is_found_by_loading_for_it() {
    if !require::veth("what_a_device_takes_is_found_by_loading_for_it") {
        return;
    }
    let (lab, _tap, namespace) = menagerie();
    namespace.run(|| {
        let host = host();
        for (name, bound, words) in [
            ("v0", Answer::Yes, "not an offload device"),
            ("tap0", Answer::Yes, "not an offload device"),
            ("br0", Answer::No, "no ndo_bpf"),
            ("lo", Answer::No, "no ndo_bpf"),
        ] {
            let found = host.offload(&host.device(name).unwrap()).unwrap();
            assert_eq!(found["dev-bound-only"].answer, bound, "{name}: {found:?}");
            for what in ["xdp", "sched_cls", "hash", "array"] {
                assert_eq!(found[what].answer, Answer::No, "{name} {what}");
                let said = &found[what].evidence.detail;
                assert!(said.contains(words), "{name} {what}: {said}");
            }
        }
    });
    if let Some(text) = tool(&namespace, &["bpftool", "feature", "probe", "dev", "v0"]) {
        let offered = |l: &&str| l.starts_with("eBPF ") && l.ends_with(" is available");
        assert_eq!(text.lines().find(offered), None);
    }
    drop(lab);
}

#[test]
fn a_missing_interface_is_named_with_its_likeness() {
    if !require::veth("a_missing_interface_is_named_with_its_likeness") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let error = lab.near().namespace.run(|| host().device("vo")).unwrap_err();
    let Error::Input { what, hint } = error else { unreachable!("{error}") };
    assert_eq!(what, "there is no interface 'vo'");
    assert!(hint.unwrap().contains("v0"));
}

/// libbpf is the yardstick: no answer contradicts it. Where one of the two is unsure, nothing is
/// compared, but that may not be most of them.
#[test]
fn trial_loads_agree_with_libbpf() {
    if !require::veth("trial_loads_agree_with_libbpf") {
        return;
    }
    let report = host().report().unwrap().clone();
    let mut compared = 0;
    let mut compare = |section: &std::collections::BTreeMap<String, Finding>,
                       name: String,
                       theirs: Option<bool>| {
        let ours = &section[&name];
        let answer = match ours.answer {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Unknown => return,
        };
        if let Some(theirs) = theirs {
            assert_eq!(answer, theirs, "{name}: {}", ours.evidence.detail);
            compared += 1;
        }
    };
    for id in 1..=names::LAST_HELPER {
        compare(&report.xdp_helpers, names::helper(id), yardstick::helper(6, id));
        compare(&report.tc_helpers, names::helper(id), yardstick::helper(3, id));
    }
    for kind in
        (1..=names::LAST_MAP_TYPE).filter(|k| report.map_types.contains_key(&names::map_type(*k)))
    {
        compare(&report.map_types, names::map_type(kind), yardstick::map_type(kind));
    }
    for kind in 1..=names::LAST_PROGRAM_TYPE {
        compare(&report.program_types, names::program_type(kind), yardstick::program_type(kind));
    }
    let all = report.xdp_helpers.len() + report.tc_helpers.len() + 60;
    assert!(compared * 10 > all * 9, "{compared} of about {all}");
    let unknown: BTreeSet<&String> = report
        .features
        .iter()
        .filter(|(_, f)| f.answer == Answer::Unknown)
        .map(|(name, _)| name)
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A recording answers as the host did, also after a journey through JSON.
#[test]
fn a_recording_stands_in_for_its_host() {
    if !require::veth("a_recording_stands_in_for_its_host") {
        return;
    }
    let (_lab, _tap, namespace) = menagerie();
    let recording = namespace.run(|| Recording::of(&host())).unwrap();
    let read = Recording::from_json("test", &recording.to_json()).unwrap();
    assert_eq!(read, recording);
    let fake = FakeHost::new(read);
    let near = named(&recording.devices, "v0");
    assert_eq!(&fake.device("v0").unwrap(), near);
    assert_eq!(fake.report().unwrap(), &recording.host);
}

/// The report as a process with only these capabilities gets it.
fn report_with(capabilities: CapabilitySet) -> HostReport {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Capabilities belong to threads: the rest of the process keeps its own.
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.effective = capabilities;
            sets.inheritable = CapabilitySet::empty();
            rustix::thread::set_capabilities(None, sets).unwrap();
            host().report().unwrap().clone()
        });
        thread.join().unwrap()
    })
}

/// What a missing capability hides is unknown; it never turns into "the kernel does not have it".
#[test]
fn a_missing_capability_makes_unknown_not_missing() {
    if !require::veth("a_missing_capability_makes_unknown_not_missing") {
        return;
    }
    let all = host().report().unwrap().clone();
    let bpf = CapabilitySet::BPF;
    let net = CapabilitySet::NET_ADMIN;
    let cases = [
        (bpf | net, Answer::Yes, ""),
        (bpf, Answer::No, "CAP_NET_ADMIN would permit it"),
        (net, Answer::No, "CAP_BPF would permit it"),
        (CapabilitySet::empty(), Answer::No, "CAP_BPF and CAP_NET_ADMIN would permit it"),
    ];
    for (held, permitted, words) in cases {
        let report = report_with(held);
        let found = &report.bpf_syscall;
        assert_eq!(found.answer, permitted, "{held:?}: {}", found.evidence.detail);
        assert!(found.evidence.detail.contains(words), "{held:?}: {}", found.evidence.detail);
        for (full, less) in [
            (&all.program_types, &report.program_types),
            (&all.map_types, &report.map_types),
            (&all.xdp_helpers, &report.xdp_helpers),
            (&all.tc_helpers, &report.tc_helpers),
            (&all.kfuncs, &report.kfuncs),
            (&all.features, &report.features),
        ] {
            for (name, finding) in less {
                let detail = &finding.evidence.detail;
                let answers = (full[name].answer, finding.answer);
                let contradict =
                    matches!(answers, (Answer::Yes, Answer::No) | (Answer::No, Answer::Yes));
                assert!(!contradict, "{held:?} {name}: {answers:?}, {detail}");
                let explained = finding.answer != Answer::Unknown || detail.contains("would tell");
                assert!(explained, "{held:?} {name}: {detail}");
            }
        }
    }
}
