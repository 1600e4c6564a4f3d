//! docs/devices.md is made from the files of drivers/src/nic; this test fails when it is not.
//! `HOIST_BLESS=1` writes it.

use std::fmt::Write as _;
use std::path::Path;

use hoist_drivers::DRIVERS;
use hoist_drivers::table::{Entry, Limit, Reports, Whose};
use hoist_offload::When;
use hoist_offload::device::XdpFeatures;

const HEAD: &str = "\
# Devices

<!-- Made from drivers/src/nic/*.rs. To change it, change those, then: HOIST_BLESS=1 cargo test --test devices -->

What hoist knows of each kernel driver besides what the kernel reports: `hoist plan` and `hoist probe` use it, with the source
given here as evidence. The numbers are those of Linux 6.12 on x86-64. How a driver is added: [Adding a driver](adding-a-driver.md).

";

const NATIVE: &str = "\
## With native XDP

*reports* is what the netdev family says of the device (`xdp-features`): hints, not truth. *MTU* is the largest with which a native
program is taken. *asks for* is what the driver refuses without, or what is good to know of it; a code leads to cause, sight and remedy.

| driver | since Linux | reports | MTU | asks for | source |
|---|---|---|---|---|---|
";

const CARDS: &str = "
## Cards that run programs themselves

Only these drivers take programs into the device. What of a program each takes is a [profile](guide/lint.md).

| driver | profile | what it is | rules from |
|---|---|---|---|
";

const WITHOUT: &str = "
## Without native XDP

These have no `ndo_bpf`: generic XDP, TC and the userspace engine remain.

| driver | source |
|---|---|
";

const LIVE: &str = "
## Held against live devices

What this page says of veth, tap, loopback, VLAN, bridge, macvlan and ifb devices is compared with those of the running kernel by
`cargo test -p hoist-hwtests --test devices`; of virtio_net and netdevsim by the same comparison in [virtual machines](guide/kernels.md).
What differs fails by name. Of the other drivers the source is the evidence: no card was at hand.
";

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn features(set: XdpFeatures) -> String {
    let names = set.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-"));
    names.collect::<Vec<_>>().join(" ")
}

fn reports(reports: &Reports) -> String {
    let mut parts = Vec::new();
    if !reports.always.is_empty() {
        parts.push(features(reports.always));
    }
    if !reports.attached.is_empty() {
        parts.push(format!("while attached: {}", features(reports.attached)));
    }
    match (reports.sometimes.is_empty(), reports.when) {
        (true, "") => {}
        (true, when) => parts.push(when.to_owned()),
        (false, when) => parts.push(format!("sometimes {} ({when})", features(reports.sometimes))),
    }
    parts.join("; ")
}

fn limits(limits: &[Limit]) -> String {
    let words = limits.iter().map(|limit| {
        let whose = if limit.whose == Whose::Peer { "peer: " } else { "" };
        let when = match limit.when {
            When::WithoutFrags => " without `xdp.frags`",
            When::WithFrags => " with",
            _ => "",
        };
        format!("{whose}{}{when}", limit.most)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn asks(entry: &Entry) -> String {
    let words = entry.asks.iter().map(|(code, words)| match *code {
        "" => words.clone(),
        code => format!("{words} ([{code}](refusals.md#{code}))"),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// The page.
fn page() -> String {
    let entries: Vec<Entry> = DRIVERS.iter().map(|driver| driver.entry()).collect();
    let mut text = format!("{HEAD}{NATIVE}");
    let source = |entry: &Entry| format!("`{}`", entry.source);
    for entry in &entries {
        let Some(since) = entry.since else { continue };
        let aliases: String = entry.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
        let cells = [
            format!("`{}`{aliases}", entry.name),
            since.to_owned(),
            reports(&entry.reports),
            limits(&entry.limits),
            asks(entry),
            source(entry),
        ];
        let _ = writeln!(text, "| {} |", cells.map(|text| cell(&text)).join(" | "));
    }
    text += CARDS;
    for driver in DRIVERS {
        if let Some(profile) = driver.profile() {
            let (name, about) = (&profile.name, &profile.about);
            let _ = writeln!(text, "| `{name}` | `{name}` | {about} | {} |", profile.source);
        }
    }
    text += WITHOUT;
    for entry in entries.iter().filter(|entry| entry.since.is_none()) {
        let _ = writeln!(text, "| `{}` | {} |", entry.name, source(entry));
    }
    text + LIVE
}

#[test]
fn the_page_of_devices_is_what_the_drivers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/devices.md");
    let now = page();
    if std::env::var_os("HOIST_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let stale = now.lines().filter(|line| !written.lines().any(|other| other == *line));
    assert!(
        written == now,
        "docs/devices.md is not what drivers/src/nic says; HOIST_BLESS=1 cargo test --test devices \
         writes it. Lines that it lacks:\n{}",
        stale.collect::<Vec<_>>().join("\n")
    );
}

/// A row says whether the driver has native XDP, and the driver's own word to a plan is the same.
#[test]
fn rows_name_the_drivers_that_they_are_of() {
    for driver in DRIVERS {
        let entry = driver.entry();
        assert_eq!(entry.name, driver.name());
        assert!(entry.source.ends_with(".c") || entry.source.contains(".c: "), "{}", entry.source);
        let reports = entry.reports.always | entry.reports.attached | entry.reports.sometimes;
        let native = reports.contains(XdpFeatures::BASIC) || entry.name == "netdevsim";
        assert_eq!(entry.since.is_some(), native, "{}", entry.name);
        assert_eq!(entry.profile, driver.profile().map(|profile| profile.name.as_str()));
    }
}
