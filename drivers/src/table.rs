//! What the files of [`crate::nic`] know, as rows: docs/devices.md is made from them, and live devices
//! are held against them.

use hoist_bpf::requirements::Feature;
use hoist_offload::device::XdpFeatures;
use hoist_offload::{Driver, When};

use crate::rules::{Nic, Offloading, Rule};

/// A driver that docs/devices.md lists.
pub trait Listed: Driver {
    /// Its row.
    fn entry(&self) -> Entry;
}

/// One row. Numbers are those of Linux 6.12 on x86-64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the driver, as `ethtool -i` prints it.
    pub name: &'static str,
    /// Other names of the same code.
    pub aliases: &'static [&'static str],
    /// The kernel that brought native XDP; `None` where there is none.
    pub since: Option<&'static str>,
    /// File and function of the kernel's source.
    pub source: &'static str,
    /// What its devices report.
    pub reports: Reports,
    /// The largest MTU, where it is known.
    pub limits: Vec<Limit>,
    /// What else it asks for, and what is worth knowing: code, words.
    pub asks: Vec<(&'static str, String)>,
    /// Name of the profile of its cards.
    pub profile: Option<&'static str>,
}

/// `xdp-features` of the netdev family: hints, not truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Always there.
    pub always: XdpFeatures,
    /// Added while a native program is attached.
    pub attached: XdpFeatures,
    /// There on some devices, or with some settings.
    pub sometimes: XdpFeatures,
    /// On which, or when; also when what is always there is not.
    pub when: &'static str,
}

impl Reports {
    /// Nothing at all.
    pub const NONE: Self = Self::always(&[]);

    /// These, and never another.
    #[must_use]
    pub const fn always(features: &[XdpFeatures]) -> Self {
        let none = XdpFeatures::empty();
        Self { always: all(features), attached: none, sometimes: none, when: "" }
    }

    /// These too while a native program is attached.
    #[must_use]
    pub const fn attached(self, features: &[XdpFeatures]) -> Self {
        Self { attached: all(features), ..self }
    }

    /// These too on some devices.
    #[must_use]
    pub const fn sometimes(self, features: &[XdpFeatures], when: &'static str) -> Self {
        Self { sometimes: all(features), when, ..self }
    }
}

const fn all(features: &[XdpFeatures]) -> XdpFeatures {
    let mut set = XdpFeatures::empty();
    let mut rest = features;
    while let [first, others @ ..] = rest {
        set = set.union(*first);
        rest = others;
    }
    set
}

/// The largest MTU with which a native program is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Whose MTU.
    pub whose: Whose,
    /// Bytes.
    pub most: u32,
    /// For which programs.
    pub when: When,
}

/// Whose MTU a driver looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The device's.
    Own,
    /// That of the other end of the pair.
    Peer,
}

impl Listed for Nic {
    fn entry(&self) -> Entry {
        let limits = self.rules.iter().filter_map(|rule| match *rule {
            Rule::Mtu(most, when) => Some(Limit { whose: Whose::Own, most, when }),
            _ => None,
        });
        Entry {
            name: self.name,
            aliases: self.aliases,
            since: Some(self.since),
            source: self.source,
            reports: self.reports,
            limits: limits.collect(),
            asks: self.rules.iter().filter_map(|rule| asks(*rule)).collect(),
            profile: None,
        }
    }
}

impl Listed for Offloading {
    fn entry(&self) -> Entry {
        Entry { profile: Some((self.profile)().name.as_str()), ..self.nic.entry() }
    }
}

/// A rule in words; `None` for limits, which have a column of their own.
fn asks(rule: Rule) -> Option<(&'static str, String)> {
    const CHANNELS: &str = "not-enough-queues";
    const MERGING: &str = "receive-merging-on";
    let dev = |text: &str| text.replace("{dev}", "DEV");
    Some(match rule {
        Rule::Mtu(..) => return None,
        Rule::Unmerged(feature) => (MERGING, format!("`{feature}` off")),
        Rule::Releasable(feature) => {
            (MERGING, format!("`{feature}` off, or one that the guest can switch off"))
        }
        Rule::CombinedChannels => {
            ("channels-not-combined", "combined channels (`ethtool -L DEV combined N`)".to_owned())
        }
        Rule::HalfOfChannels => {
            (CHANNELS, "at most half of the channels in use, the rest for XDP".to_owned())
        }
        Rule::PairedQueues => {
            (CHANNELS, "as many receive as transmit queues, and as many again for XDP".to_owned())
        }
        Rule::Untold(code, must, remedy) => {
            (code, format!("{must}; the device does not tell (`{}`)", dev(remedy)))
        }
        Rule::Note(code, text, _) | Rule::OffloadNote(code, text) => (code, text.to_owned()),
        Rule::Lacks(feature) => ("", format!("no {}", named(feature))),
        Rule::Has(feature) => ("", format!("has {}", named(feature))),
        Rule::NeverExecutes(why) => {
            ("", format!("never runs what it takes into the device: {why}"))
        }
    })
}

/// A feature in words of XDP.
fn named(feature: Feature) -> &'static str {
    match feature {
        Feature::Redirect => "`XDP_REDIRECT`",
        Feature::Metadata => "`bpf_xdp_adjust_meta`",
        Feature::Tx => "`XDP_TX`",
        Feature::Frags => "multi-buffer frames",
        _ => "that ability",
    }
}
