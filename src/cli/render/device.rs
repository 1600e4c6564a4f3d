//! One interface as text.

use hoist_offload::bpf::requirements::Need;
use hoist_offload::capability::{Answer, Capabilities, Condition, Severity, When};
use hoist_offload::device::{
    AttachedProgram, Device, Owner, Peer, PeerInfo, RxMetadata, XdpFeatures, XdpInfo, XskFeatures,
};
use hoist_offload::fact::Fact;
use hoist_offload::host::Finding;
use hoist_offload::{Hook, names};

use crate::session::userspace::PROVIDER;

use super::offload::{self, Detail};
use super::plan::evidence_kind;
use super::style::{BAD, DIM, GOOD, HEAD, Style, WARN, paint};
use super::table::{Table, paragraph};

/// ethtool features that bear on XDP, by kernel name and by the name `ethtool -k` prints.
const FEATURES: [(&str, &str); 9] = [
    ("rx-vlan-hw-parse", "rx-vlan"),
    ("rx-gro", "gro"),
    ("rx-lro", "lro"),
    ("rx-gro-hw", "gro-hw"),
    ("rx-gro-list", "gro-list"),
    ("rx-checksum", "rx-checksum"),
    ("hw-tc-offload", "hw-tc"),
    ("rx-ntuple-filter", "ntuple"),
    ("rx-hashing", "rxhash"),
];

/// The whole screen of one interface.
pub(crate) fn device(device: &Device, engines: &[Capabilities], verbose: bool) -> String {
    let detail = if verbose { Detail::Refused } else { Detail::Summary };
    device_in(device, engines, verbose, detail)
}

/// The same, with what an offload device takes in this detail.
pub(crate) fn device_in(
    device: &Device,
    engines: &[Capabilities],
    verbose: bool,
    detail: Detail,
) -> String {
    let mut table = Table::pairs(2);
    identity(device, &mut table);
    queues(device, &mut table);
    xdp(device, &mut table);
    taken(device, &mut table);
    attached(device, &mut table);
    let mut text = format!("{}  {}\n", paint(HEAD, &device.name), link(device));
    text.push_str(&table.render());
    if let Some(report) = &device.offload_report {
        text.push_str(&offload::lists(report, detail));
    }
    let mut before: Option<&Capabilities> = None;
    for engine in engines {
        let same = |b: &&Capabilities| (b.engine, &b.provider) == (engine.engine, &engine.provider);
        // Another hook for which all is as before tells nothing new.
        if before.filter(same).is_some_and(|b| b.conditions == engine.conditions) {
            continue;
        }
        text.push('\n');
        text.push_str(&capabilities(engine, before.filter(same), verbose));
        before = Some(engine);
    }
    text
}

fn link(device: &Device) -> String {
    let state = if device.up { device.operstate.as_str() } else { "down" };
    let mut parts = vec![
        format!("index {}", device.ifindex),
        paint(if device.up { GOOD } else { WARN }, state),
        format!("mtu {}", device.mtu_bytes),
    ];
    if device.max_mtu_bytes > 0 {
        parts.push(format!("(at most {})", device.max_mtu_bytes));
    }
    if let Some(speed) = device.speed_mbps.value().filter(|s| **s > 0 && **s != u32::MAX) {
        parts.push(match speed {
            s if s % 1000 == 0 => format!("{} Gbit/s", s / 1000),
            s => format!("{s} Mbit/s"),
        });
    }
    parts.extend(device.mac.clone());
    parts.join(" ")
}

fn identity(device: &Device, table: &mut Table) {
    let mut driver = match (&device.driver, &device.kind) {
        (Fact::Known { value, .. }, _) => value.clone(),
        (Fact::Unknown { .. }, Some(kind)) => kind.clone(),
        (Fact::Unknown { why }, None) => format!("unknown: {why}"),
    };
    if let Some(firmware) = device.firmware.as_ref().filter(|f| !f.is_empty()) {
        driver.push_str(&format!(", firmware {firmware}"));
    }
    table.row(["driver", &driver]);
    if let Some(pci) = &device.pci {
        let name = |known: &Option<String>, id: u16| match known {
            Some(name) => name.clone(),
            None => format!("{id:#06x}"),
        };
        let bus = device.bus.as_deref().unwrap_or("pci");
        table.row([
            "bus",
            &format!(
                "{bus} [{:04x}:{:04x}] {} {}",
                pci.vendor,
                pci.device,
                name(&pci.vendor_name, pci.vendor),
                name(&pci.device_name, pci.device)
            ),
        ]);
    } else if let Some(bus) = device.bus.as_ref().filter(|b| !b.is_empty()) {
        table.row(["bus", bus]);
    }
    if let Some(peer) = &device.peer {
        table.row(["peer", &peer_words(peer)]);
    }
    let mut stack = Vec::new();
    stack.extend(device.master.iter().map(|m| format!("master {m}")));
    if !device.upper.is_empty() {
        stack.push(format!("below {}", device.upper.join(", ")));
    }
    if !device.lower.is_empty() {
        stack.push(format!("above {}", device.lower.join(", ")));
    }
    if !stack.is_empty() {
        table.row(["stacked", &stack.join("; ")]);
    }
}

fn peer_words(peer: &Peer) -> String {
    let place = match &peer.netns {
        Some(netns) => format!(" in {netns}"),
        None => String::new(),
    };
    match &peer.info {
        Fact::Known { value, .. } => format!(
            "{}{place}, mtu {}, {}{}{}",
            value.name,
            value.mtu_bytes,
            peer_queues(value),
            if value.up { "up" } else { "down" },
            if value.native_program { ", runs native XDP" } else { "" },
        ),
        Fact::Unknown { why } => format!("index {}{place}; unknown: {why}", peer.ifindex),
    }
}

/// A peer's queue counts, as far as they are known.
fn peer_queues(peer: &PeerInfo) -> String {
    let count = |n: Option<u32>, what| n.map(|n| format!("{n} {what}"));
    let known = [count(peer.rx_queues, "rx"), count(peer.tx_queues, "tx")];
    let known: Vec<String> = known.into_iter().flatten().collect();
    if known.is_empty() { String::new() } else { format!("{} queues, ", known.join(" and ")) }
}

fn queues(device: &Device, table: &mut Table) {
    let mut text = format!("{} receive, {} transmit", device.rx_queues, device.tx_queues);
    if let Fact::Known { value: c, .. } = &device.channels {
        text.push_str("; channels");
        for (name, now, most) in [
            ("combined", c.combined, c.combined_max),
            ("rx", c.rx, c.rx_max),
            ("tx", c.tx, c.tx_max),
        ] {
            if most > 0 || now > 0 {
                text.push_str(&format!(" {name} {now} of {most}"));
            }
        }
    }
    if let Fact::Known { value: r, .. } = &device.rings {
        text.push_str(&format!("; rings rx {} of {}, tx {} of {}", r.rx, r.rx_max, r.tx, r.tx_max));
    }
    table.row(["queues", &text]);
    match &device.features {
        Fact::Known { value, .. } => {
            let words: Vec<String> = FEATURES
                .iter()
                .filter_map(|(kernel, short)| value.get(*kernel).map(|t| (short, t)))
                .map(|(short, t)| {
                    let fixed = if t.changeable { "" } else { " [fixed]" };
                    format!("{short} {}{fixed}", if t.on { "on" } else { "off" })
                })
                .collect();
            if !words.is_empty() {
                table.row(["features", &words.join(", ")]);
            }
        }
        Fact::Unknown { why } => table.row(["features", &format!("unknown: {why}")]),
    }
}

fn xdp(device: &Device, table: &mut Table) {
    match &device.xdp {
        Fact::Known { value, .. } => {
            table.row(["xdp", &flag_words(&xdp_flags(value))]);
            let metadata = metadata_flags(value);
            if !metadata.is_empty() {
                table.row(["metadata", &flag_words(&metadata)]);
            }
        }
        Fact::Unknown { why } => table.row(["xdp", &format!("unknown: {why}")]),
    }
}

/// What the device takes when a program or map is loaded for it; things with the same answer for the
/// same reason share a sentence.
fn taken(device: &Device, table: &mut Table) {
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for (name, finding) in &device.offload {
        let same = |(f, _): &&mut (&Finding, _)| {
            f.answer == finding.answer && (f.answer == Answer::Yes || words(f) == words(finding))
        };
        match groups.iter_mut().find(same) {
            Some((_, names)) => names.push(name),
            None => groups.push((finding, vec![name])),
        }
    }
    let sentences: Vec<String> = groups
        .iter()
        .map(|(finding, names)| match finding.answer {
            Answer::Yes => format!("takes {}", names.join(", ")),
            Answer::No => format!("no {}: {}", names.join(", "), words(finding)),
            Answer::Unknown => format!("unknown {}: {}", names.join(", "), words(finding)),
        })
        .collect();
    if !sentences.is_empty() {
        table.row(["offload", &sentences.join("; ")]);
    }
    if let Some(report) = &device.offload_report {
        offload::rows(report, table);
    }
}

/// Why, without the operation in parentheses, which differs between programs and maps.
fn words(finding: &Finding) -> &str {
    let detail = &finding.evidence.detail;
    detail.split(" (").next().unwrap_or(detail)
}

fn flag_words(flags: &[String]) -> String {
    if flags.is_empty() { "none reported".to_owned() } else { flags.join(", ") }
}

/// The names of `xdp-features`, as in the kernel's netdev family.
pub(crate) fn xdp_flags(info: &XdpInfo) -> Vec<String> {
    let names = [
        (XdpFeatures::BASIC, "basic"),
        (XdpFeatures::REDIRECT, "redirect"),
        (XdpFeatures::NDO_XMIT, "ndo-xmit"),
        (XdpFeatures::XSK_ZEROCOPY, "xsk-zerocopy"),
        (XdpFeatures::HW_OFFLOAD, "hw-offload"),
        (XdpFeatures::RX_SG, "rx-sg"),
        (XdpFeatures::NDO_XMIT_SG, "ndo-xmit-sg"),
    ];
    let mut words: Vec<String> = names
        .iter()
        .filter(|(flag, _)| info.features.contains(*flag))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    if let Some(segments) = info.zc_max_segs {
        words.push(format!("zerocopy segments {segments}"));
    }
    words
}

fn metadata_flags(info: &XdpInfo) -> Vec<String> {
    let rx = [
        (RxMetadata::TIMESTAMP, "rx timestamp"),
        (RxMetadata::HASH, "rx hash"),
        (RxMetadata::VLAN_TAG, "rx vlan tag"),
    ];
    let tx = [
        (XskFeatures::TX_TIMESTAMP, "tx timestamp"),
        (XskFeatures::TX_CHECKSUM, "tx checksum"),
        (XskFeatures::TX_LAUNCH_TIME, "tx launch time"),
    ];
    let rx = rx.iter().filter(|(f, _)| info.rx_metadata.contains(*f)).map(|(_, n)| *n);
    let tx = tx.iter().filter(|(f, _)| info.xsk.contains(*f)).map(|(_, n)| *n);
    rx.chain(tx).map(str::to_owned).collect()
}

fn attached(device: &Device, table: &mut Table) {
    if device.attached.is_empty() && device.attached_unknown.is_empty() {
        table.row(["attached", "nothing"]);
    }
    for (i, program) in device.attached.iter().enumerate() {
        let head = if i == 0 { "attached" } else { "" };
        table.row([head, &program_words(program)]);
        for part in &program.components {
            let priority = part.priority.map(|p| format!(", priority {p}")).unwrap_or_default();
            let name = part.name.as_deref().unwrap_or("?");
            table.row(["", &format!("  => {name} (id {}{priority})", part.id)]);
        }
    }
    for why in &device.attached_unknown {
        table.row(["", &format!("unknown: {why}")]);
    }
}

fn program_words(program: &AttachedProgram) -> String {
    format!(
        "{}: {} (id {}), {}",
        program.slot.name(),
        program.name.as_deref().unwrap_or("?"),
        program.id,
        owner_words(&program.owner)
    )
}

/// Who holds a program, in words.
pub(crate) fn owner_words(owner: &Owner) -> String {
    match owner {
        Owner::Hoist { pin } => format!("loaded by hoist, pinned at {pin}"),
        Owner::Link { id } => format!("held by link {id}"),
        Owner::Netlink => "stays until detached".to_owned(),
        Owner::Libxdp => "libxdp's dispatcher".to_owned(),
        Owner::Unknown { why } => format!("holder unknown: {why}"),
    }
}

/// One engine: whether it is usable, with every reason and remedy. Of an engine that has another hook
/// before it, only what is not the same there.
fn capabilities(engine: &Capabilities, other: Option<&Capabilities>, verbose: bool) -> String {
    let (style, word) = answer(engine.usable());
    let provider = match engine.provider.as_str() {
        "kernel" | PROVIDER => String::new(),
        vendor => format!(" ({vendor})"),
    };
    // Helpers and map types are those of the kernel: the host's list has them.
    let telling = |need: &Need| verbose || !matches!(need, Need::Helper(_) | Need::MapType(_));
    let lacks: Vec<String> = engine
        .answers
        .iter()
        .filter(|a| a.answer == Answer::No && telling(&a.need))
        .map(|a| names::need(&a.need))
        .collect();
    let hook = match engine.hook {
        Some(Hook::Xdp) | None => String::new(),
        Some(hook) => format!(" (hook {hook})"),
    };
    let mut text = format!(
        "  {}  {}{provider}{hook}",
        paint(HEAD, format!("{:<8}", engine.engine)),
        paint(style, word)
    );
    let told = |c: &Condition| other.is_some_and(|other| other.conditions.contains(c));
    let shown = engine.conditions.iter().filter(|c| verbose || c.holds != Answer::Yes);
    for condition in shown.filter(|c| !told(c)) {
        text.push('\n');
        text.push_str(&condition_words(condition, verbose));
    }
    if let Some(hook) = other.and_then(|other| other.hook) {
        text.push('\n');
        text.push_str(&paragraph(12, &format!("otherwise as at {hook}")));
    } else if engine.usable() != Answer::No && !lacks.is_empty() {
        text.push('\n');
        text.push_str(&paragraph(12, &format!("lacks {}", lacks.join(", "))));
    }
    text
}

fn condition_words(condition: &Condition, verbose: bool) -> String {
    let concern = match condition.when {
        When::Always => String::new(),
        When::WithoutFrags => " [programs without frags]".to_owned(),
        When::WithFrags => " [programs with frags]".to_owned(),
        When::Uses(feature) => format!(" [programs with {}]", names::feature(feature)),
        When::Reads(field) => format!(" [programs that read {}]", names::context_field(field)),
    };
    let style = match (condition.holds, condition.severity) {
        (Answer::Yes, _) => GOOD,
        (Answer::No, Severity::Refuses) => BAD,
        _ => WARN,
    };
    let effect = match (condition.holds, condition.severity) {
        (Answer::Yes, _) => " (holds)",
        (Answer::Unknown, _) => " (unknown)",
        (Answer::No, Severity::Breaks) => " (packets would be lost or changed)",
        (Answer::No, _) => "",
    };
    let mut text = paragraph(
        12,
        &format!("{}{concern}: {}{effect}", paint(style, &condition.code), condition.message),
    );
    if verbose {
        let evidence = &condition.evidence;
        let known = format!("known: {} ({})", evidence_kind(evidence.kind), evidence.detail);
        text.push('\n');
        text.push_str(&paint(DIM, paragraph(14, &known)));
    }
    if let Some(remedy) = condition.remedy.as_ref().filter(|_| condition.holds != Answer::Yes) {
        text.push('\n');
        text.push_str(&paragraph(14, &format!("{} {remedy}", paint(GOOD, "remedy:"))));
    }
    text
}

/// An answer's colour and word.
pub(crate) const fn answer(answer: Answer) -> (Style, &'static str) {
    match answer {
        Answer::Yes => (GOOD, "usable"),
        Answer::No => (BAD, "not usable"),
        Answer::Unknown => (WARN, "unknown"),
    }
}
