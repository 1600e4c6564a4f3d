//! What drivers ask of a device's settings before they take a native XDP program, as data.
//!
//! A driver refuses with an error number and, often, with words in the kernel log only. Its rules
//! foresee the refusal, with the numbers and with a command that helps.

use hoist_bpf::requirements::{Feature, Need};
use hoist_offload::capability::{Answer, Capabilities, Condition, Severity, When};
use hoist_offload::host::{Finding, OffloadReport};
use hoist_offload::{Adjustment, Device, Driver, EngineKind, Evidence, Profile};

use crate::table::Reports;

/// A driver with native XDP.
#[derive(Clone, Copy, Debug)]
pub struct Nic {
    /// Name of the driver as `ethtool -i` prints it.
    pub name: &'static str,
    /// Other names under which the same code appears: variants for virtual functions, other buses.
    pub aliases: &'static [&'static str],
    /// First kernel whose driver has native XDP.
    pub since: &'static str,
    /// File and function of the kernel source that the rules come from.
    pub source: &'static str,
    /// What its devices report of themselves.
    pub reports: Reports,
    /// What it asks for.
    pub rules: &'static [Rule],
}

/// One thing a driver asks for.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// An MTU of at most this many bytes, for the programs concerned. Limits that follow from the
    /// page size are given for pages of 4 KiB.
    Mtu(u32, When),
    /// An ethtool feature that is off, because it merges packets before XDP sees them.
    Unmerged(&'static str),
    /// Channels that receive and transmit (`ethtool -L combined`), none of one direction alone.
    CombinedChannels,
    /// At most half of the channels in use: the other half carries XDP's transmit queues.
    HalfOfChannels,
    /// As many receive as transmit queues, and transmit queues left for XDP.
    PairedQueues,
    /// A receive queue merging feature that cannot be switched off by the driver itself.
    Releasable(&'static str),
    /// Something of which the driver tells nobody: code, what must be so, a command.
    Untold(&'static str, &'static str, &'static str),
    /// An ability that the driver lacks although it may say otherwise.
    Lacks(Feature),
    /// An ability that it has.
    Has(Feature),
    /// It takes programs into the device and never runs them there: why.
    NeverExecutes(&'static str),
    /// Something worth knowing for the programs concerned: code, sentence.
    Note(&'static str, &'static str, When),
    /// Something worth knowing of programs that run in the NIC: code, sentence.
    OffloadNote(&'static str, &'static str),
}

impl Nic {
    /// Evidence that cites the driver's source.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence::driver(format!("{} (native XDP since Linux {})", self.source, self.since))
    }

    fn condition(&self, rule: Rule, device: &Device) -> Option<Condition> {
        let dev = &device.name;
        let new = |code: &str, holds, message: String| {
            Condition::new(code, holds, message, self.evidence())
        };
        Some(match rule {
            Rule::Mtu(most, when) => mtu(self, device, most, when),
            Rule::Unmerged(feature) => {
                let on = device.feature(feature);
                new("receive-merging-on", not(on), merging(device, feature, on))
                    .remedy(format!("ethtool -K {dev} {} off", short(feature)))
                    .adjustments(vec![Adjustment { feature: feature.to_owned(), on: false }])
            }
            Rule::Releasable(feature) => {
                let toggle = device.features.value().and_then(|f| f.get(feature));
                let stuck = toggle.map(|t| t.on && !t.changeable);
                new(
                    "receive-merging-on",
                    not(stuck),
                    merging(device, feature, toggle.map(|t| t.on)),
                )
                .remedy("switch the offload off at the hypervisor")
            }
            Rule::CombinedChannels => {
                let channels = device.channels.value();
                let split = channels.map(|c| c.rx > 0 || c.tx > 0);
                let message = match channels {
                    Some(c) => format!(
                        "{} wants combined channels for XDP; {dev} has {} combined, {} rx, {} tx",
                        self.name, c.combined, c.rx, c.tx
                    ),
                    None => format!("{} wants combined channels; {dev}'s are not known", self.name),
                };
                let count = channels.map_or(1, |c| c.combined.max(c.rx).max(1));
                new("channels-not-combined", not(split), message)
                    .remedy(format!("ethtool -L {dev} rx 0 tx 0 combined {count}"))
            }
            Rule::HalfOfChannels => {
                let channels = device.channels.value();
                let message = match channels {
                    Some(c) => format!(
                        "{} needs half of the channels for XDP: {dev} uses {} of {}",
                        self.name, c.combined, c.combined_max
                    ),
                    None => {
                        format!("{} needs half of the channels; {dev}'s are not known", self.name)
                    }
                };
                let too_many = channels.map(|c| c.combined > c.combined_max / 2);
                let half = channels.map_or(1, |c| (c.combined_max / 2).max(1));
                new("not-enough-queues", not(too_many), message)
                    .remedy(format!("ethtool -L {dev} combined {half}"))
            }
            Rule::PairedQueues => {
                let most = device.channels.value().map(|c| c.tx_max.max(c.combined_max));
                let bad = most.map(|most| {
                    device.rx_queues != device.tx_queues || 2 * device.tx_queues > most
                });
                let message = format!(
                    "{} wants as many rx as tx queues, and as many again for XDP: {dev} has {} rx, {} tx, \
                     at most {}",
                    self.name,
                    device.rx_queues,
                    device.tx_queues,
                    most.map_or_else(|| "an unknown number".to_owned(), |m| m.to_string()),
                );
                let half = most.map_or(1, |m| (m / 2).max(1));
                new("not-enough-queues", not(bad), message)
                    .remedy(format!("ethtool -L {dev} rx {half} tx {half}"))
            }
            Rule::Untold(code, must, remedy) => {
                new(code, Answer::Unknown, format!("{}: {must}; {dev} does not tell", self.name))
                    .remedy(remedy.replace("{dev}", dev))
            }
            Rule::Note(code, sentence, when) => new(code, Answer::No, format!("{dev}: {sentence}"))
                .when(when)
                .severity(Severity::Warns),
            Rule::OffloadNote(code, sentence) => {
                new(code, Answer::No, format!("{dev}: {sentence}")).severity(Severity::Warns)
            }
            Rule::Lacks(_) | Rule::Has(_) | Rule::NeverExecutes(_) => return None,
        })
    }
}

impl Driver for Nic {
    fn name(&self) -> &'static str {
        self.name
    }

    fn claims(&self, device: &Device) -> bool {
        let name = device.driver_name();
        name == self.name || self.aliases.contains(&name)
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        let of_nic = |rule: &&Rule| matches!(rule, Rule::OffloadNote(..));
        if capabilities.engine == EngineKind::Hw && capabilities.usable() != Answer::No {
            let notes = self.rules.iter().filter(of_nic);
            let notes: Vec<Condition> =
                notes.filter_map(|&rule| self.condition(rule, device)).collect();
            capabilities.conditions.extend(notes);
        }
        if capabilities.engine != EngineKind::Native {
            return;
        }
        for &rule in self.rules {
            match rule {
                Rule::Lacks(f) => {
                    capabilities.set(Need::Feature(f), Answer::No, self.evidence());
                }
                Rule::Has(f) => {
                    capabilities.set(Need::Feature(f), Answer::Yes, self.evidence());
                }
                Rule::OffloadNote(..) => {}
                _ => capabilities.conditions.extend(self.condition(rule, device)),
            }
        }
        settle_support(device, capabilities, self.evidence());
    }

    fn refine_offload(&self, _: &Device, report: &mut OffloadReport) {
        for rule in self.rules {
            if let Rule::NeverExecutes(why) = rule {
                let evidence = Evidence::driver(format!("{}: {why}", self.source));
                report.executes = Finding { answer: Answer::No, evidence };
            }
        }
    }
}

/// Decides `no-native-support` for a driver that has native XDP. Several drivers report no
/// xdp-features while a precondition fails; then that precondition is the reason to give.
pub fn settle_support(device: &Device, capabilities: &mut Capabilities, evidence: Evidence) {
    let reason = capabilities.conditions.iter().any(|c| {
        c.code != "no-native-support"
            && c.evidence.kind == evidence.kind
            && c.severity == Severity::Refuses
            && c.holds == Answer::No
    });
    let driver = device.driver_name();
    for support in capabilities.conditions.iter_mut().filter(|c| c.code == "no-native-support") {
        (support.holds, support.message) = match support.holds {
            Answer::Yes => continue,
            Answer::Unknown => (Answer::Yes, format!("{driver} has native XDP")),
            Answer::No if reason => (
                Answer::Yes,
                format!(
                    "{driver} has native XDP, though not with {}'s present settings",
                    device.name
                ),
            ),
            Answer::No => (
                Answer::Unknown,
                format!(
                    "{driver} has native XDP, but {} reports none now; attaching will tell",
                    device.name
                ),
            ),
        };
        support.evidence = evidence.clone();
    }
}

/// A driver whose cards take programs too.
#[derive(Clone, Copy, Debug)]
pub struct Offloading {
    /// What is known of native XDP.
    pub nic: Nic,
    /// What the cards take.
    pub profile: fn() -> &'static Profile,
}

impl Driver for Offloading {
    fn name(&self) -> &'static str {
        self.nic.name()
    }

    fn claims(&self, device: &Device) -> bool {
        self.nic.claims(device)
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        self.nic.refine(device, capabilities);
    }

    fn refine_offload(&self, device: &Device, report: &mut OffloadReport) {
        self.nic.refine_offload(device, report);
    }

    fn profile(&self) -> Option<&'static Profile> {
        Some((self.profile)())
    }
}

fn mtu(nic: &Nic, device: &Device, most: u32, when: When) -> Condition {
    let who = match when {
        When::WithoutFrags => "programs that do not declare multi-buffer support",
        _ => "XDP programs",
    };
    let remedy = match when {
        When::WithoutFrags => format!(
            "ip link set dev {} mtu {most}, or build the program for SEC(\"xdp.frags\")",
            device.name
        ),
        _ => format!("ip link set dev {} mtu {most}", device.name),
    };
    Condition::new(
        "mtu-too-large",
        if device.mtu_bytes <= most { Answer::Yes } else { Answer::No },
        format!(
            "{} takes {who} up to an MTU of {most} bytes; {} has {}",
            nic.name, device.name, device.mtu_bytes
        ),
        nic.evidence(),
    )
    .when(when)
    .remedy(remedy)
}

fn merging(device: &Device, feature: &str, on: Option<bool>) -> String {
    let state = match on {
        Some(true) => "on",
        Some(false) => "off",
        None => "not known",
    };
    format!("{feature} merges packets before XDP sees them; on {} it is {state}", device.name)
}

/// The answer to "does it hold" when `bad` says whether it fails.
const fn not(bad: Option<bool>) -> Answer {
    match bad {
        Some(true) => Answer::No,
        Some(false) => Answer::Yes,
        None => Answer::Unknown,
    }
}

/// The word `ethtool -K` takes for a kernel feature.
fn short(feature: &str) -> &str {
    match feature {
        "rx-lro" => "lro",
        other => other,
    }
}
