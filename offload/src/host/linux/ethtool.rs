//! ethtool facts over netlink. Asking about all interfaces at once takes one request a question.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::kernel::netlink::generic::{Family, HEADER};
use hoist_bpf::kernel::netlink::{Attributes, Builder, Message, Refusal};

use crate::device::{Channels, Rings, Toggle};
use crate::fact::Fact;

/// Features that bear on XDP: they change what a program sees, or whether one may be attached.
const FEATURES: [&str; 20] = [
    "hw-tc-offload",
    "loopback",
    "rx-checksum",
    "rx-gro",
    "rx-gro-hw",
    "rx-gro-list",
    "rx-hashing",
    "rx-lro",
    "rx-ntuple-filter",
    "rx-udp-gro-forwarding",
    "rx-vlan-filter",
    "rx-vlan-hw-parse",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv4",
    "tx-checksum-ipv6",
    "tx-generic-segmentation",
    "tx-nocache-copy",
    "tx-tcp-segmentation",
    "tx-udp-segmentation",
    "tx-vlan-hw-insert",
];

/// `SPEED_UNKNOWN` of `linux/ethtool.h`.
const SPEED_UNKNOWN: u32 = u32::MAX;

// `linux/ethtool_netlink.h`: a header is the first attribute of every request and reply.
const HEADER_NEST: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;
const LINKMODES_SPEED: u16 = 5;
const FEATURES_HW: u16 = 2;
const FEATURES_ACTIVE: u16 = 4;
const FEATURES_NOCHANGE: u16 = 5;
const RINGS_RX_MAX: u16 = 2;
const RINGS_TX_MAX: u16 = 5;
const RINGS_RX: u16 = 6;
const RINGS_TX: u16 = 9;
const CHANNELS_RX_MAX: u16 = 2;
const CHANNELS_TX_MAX: u16 = 3;
const CHANNELS_COMBINED_MAX: u16 = 5;
const CHANNELS_RX_COUNT: u16 = 6;
const CHANNELS_TX_COUNT: u16 = 7;
const CHANNELS_COMBINED_COUNT: u16 = 9;
const BITSET_NOMASK: u16 = 1;
const BITSET_BITS: u16 = 3;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;

/// A question: its command, and its name.
type Question = (u8, &'static str);

const LINK_MODES: Question = (4, "ETHTOOL_MSG_LINKMODES_GET");
const FEATURES_OF: Question = (11, "ETHTOOL_MSG_FEATURES_GET");
const RINGS: Question = (15, "ETHTOOL_MSG_RINGS_GET");
const CHANNELS: Question = (17, "ETHTOOL_MSG_CHANNELS_GET");

/// What is known of one interface.
#[derive(Clone, Debug)]
pub(super) struct Ethtool {
    pub(super) features: Fact<BTreeMap<String, Toggle>>,
    pub(super) rings: Fact<Rings>,
    pub(super) channels: Fact<Channels>,
    pub(super) speed_mbps: Fact<u32>,
}

impl Ethtool {
    fn unknown(why: &str) -> Self {
        Self {
            features: Fact::unknown(why),
            rings: Fact::unknown(why),
            channels: Fact::unknown(why),
            speed_mbps: Fact::unknown(why),
        }
    }
}

/// The answers to the four questions, by interface; a question may fail as a whole.
#[derive(Debug)]
pub(super) struct Answers {
    features: Answer,
    rings: Answer,
    channels: Answer,
    link_modes: Answer,
}

type Answer = Result<BTreeMap<String, Message>, String>;

impl Answers {
    /// Asks about one interface, or about all of the calling thread's network namespace.
    pub(super) fn ask(interface: Option<&str>) -> Result<Self, String> {
        let family = Family::resolve("ethtool", 1).map_err(|e| format!("ethtool netlink: {e}"))?;
        let mut family =
            family.ok_or("the kernel has no ethtool netlink family; Linux 5.6 has".to_owned())?;
        let mut ask = |question| ask(&mut family, question, interface).map_err(|e| e.to_string());
        Ok(Self {
            features: ask(FEATURES_OF),
            rings: ask(RINGS),
            channels: ask(CHANNELS),
            link_modes: ask(LINK_MODES),
        })
    }

    /// What was answered about one interface.
    pub(super) fn of(&self, interface: &str) -> Ethtool {
        Ethtool {
            features: fact(&self.features, interface, FEATURES_OF, features),
            rings: fact(&self.rings, interface, RINGS, |a| Some(rings(a))),
            channels: fact(&self.channels, interface, CHANNELS, |a| Some(channels(a))),
            speed_mbps: fact(&self.link_modes, interface, LINK_MODES, speed),
        }
    }
}

/// The facts of one interface, each unknown for the same reason when nothing could be asked.
pub(super) fn of(answers: &Result<Answers, String>, interface: &str) -> Ethtool {
    match answers {
        Ok(answers) => answers.of(interface),
        Err(why) => Ethtool::unknown(why),
    }
}

fn ask(
    family: &mut Family,
    (command, _): Question,
    interface: Option<&str>,
) -> Result<BTreeMap<String, Message>, Refusal> {
    let messages = match interface {
        Some(name) => {
            let header = Builder::default().text(HEADER_DEV_NAME, name);
            family.request(command, |b| b.nest(HEADER_NEST, header))?.messages
        }
        None => family.dump(command, |b| b.nest(HEADER_NEST, Builder::default()))?,
    };
    Ok(messages.into_iter().filter_map(|m| Some((interface_of(&m)?, m))).collect())
}

fn interface_of(message: &Message) -> Option<String> {
    let header = Attributes::after(&message.payload, HEADER).get(HEADER_NEST)?;
    Some(header.nested().get(HEADER_DEV_NAME)?.text()?.to_owned())
}

fn fact<T>(
    answer: &Answer,
    interface: &str,
    (_, question): Question,
    read: impl FnOnce(Attributes<'_>) -> Option<T>,
) -> Fact<T> {
    let read = |message: &Message| read(Attributes::after(&message.payload, HEADER));
    match answer {
        Ok(answers) => match answers.get(interface).and_then(read) {
            Some(value) => Fact::kernel(value, question),
            None => Fact::unknown(format!("{question}: the driver does not report it")),
        },
        Err(why) => Fact::unknown(format!("{question}: {why}")),
    }
}

fn features(attributes: Attributes<'_>) -> Option<BTreeMap<String, Toggle>> {
    let set = |kind| attributes.get(kind).map(|bitset| Bits::of(bitset.nested()));
    // The kernel lists every feature it knows in the changeable set, with or without the bit.
    let changeable = set(FEATURES_HW)?;
    let [active, fixed] =
        [FEATURES_ACTIVE, FEATURES_NOCHANGE].map(|kind| set(kind).unwrap_or_default());
    let toggle = |name: &str| Toggle {
        on: active.set.contains(name),
        changeable: changeable.set.contains(name) && !fixed.set.contains(name),
    };
    let known = FEATURES.iter().filter(|name| changeable.listed.contains(**name));
    Some(known.map(|name| ((*name).to_owned(), toggle(name))).collect())
}

/// A bitset written out by names.
#[derive(Debug, Default)]
struct Bits<'a> {
    /// The bits it speaks of.
    listed: BTreeSet<&'a str>,
    /// Those that are set.
    set: BTreeSet<&'a str>,
}

impl<'a> Bits<'a> {
    fn of(bitset: Attributes<'a>) -> Self {
        // A set without a mask lists only the bits that are set, and does not say so again at each.
        let unmasked = bitset.get(BITSET_NOMASK).is_some();
        let (mut listed, mut set) = (BTreeSet::new(), BTreeSet::new());
        for bit in bitset.get(BITSET_BITS).into_iter().flat_map(|bits| bits.nested()) {
            let Some(name) = bit.nested().get(BIT_NAME).and_then(|n| n.text()) else { continue };
            listed.insert(name);
            if unmasked || bit.nested().get(BIT_VALUE).is_some() {
                set.insert(name);
            }
        }
        Self { listed, set }
    }
}

fn rings(attributes: Attributes<'_>) -> Rings {
    let number = |kind| attributes.get(kind).and_then(|a| a.u32()).unwrap_or(0);
    Rings {
        rx: number(RINGS_RX),
        tx: number(RINGS_TX),
        rx_max: number(RINGS_RX_MAX),
        tx_max: number(RINGS_TX_MAX),
    }
}

fn channels(attributes: Attributes<'_>) -> Channels {
    let number = |kind| attributes.get(kind).and_then(|a| a.u32()).unwrap_or(0);
    Channels {
        rx: number(CHANNELS_RX_COUNT),
        tx: number(CHANNELS_TX_COUNT),
        combined: number(CHANNELS_COMBINED_COUNT),
        rx_max: number(CHANNELS_RX_MAX),
        tx_max: number(CHANNELS_TX_MAX),
        combined_max: number(CHANNELS_COMBINED_MAX),
    }
}

fn speed(attributes: Attributes<'_>) -> Option<u32> {
    let mbps = attributes.get(LINKMODES_SPEED)?.u32()?;
    Some(mbps).filter(|mbps| *mbps != SPEED_UNKNOWN && *mbps != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitset(bits: &[(&str, bool)]) -> Builder {
        let bits = bits.iter().fold(Builder::default(), |bits, (name, value)| {
            let bit = Builder::default().text(BIT_NAME, name);
            bits.nest(1, if *value { bit.flag(BIT_VALUE) } else { bit })
        });
        Builder::default().nest(BITSET_BITS, bits)
    }

    /// A feature is changeable when the driver lets it be changed and nothing pins it.
    #[test]
    fn feature_sets_are_combined() {
        let changeable = bitset(&[
            ("rx-gro", true),
            ("rx-lro", false),
            ("rx-checksum", true),
            ("netns-local", true),
        ]);
        let unmasked = |names: &[&str]| {
            let bits: Vec<_> = names.iter().map(|name| (*name, false)).collect();
            bitset(&bits).flag(BITSET_NOMASK)
        };
        let reply = Builder::default()
            .nest(FEATURES_HW, changeable)
            .nest(FEATURES_ACTIVE, unmasked(&["rx-gro", "netns-local"]))
            .nest(FEATURES_NOCHANGE, unmasked(&["rx-checksum"]))
            .build();
        let expected = [
            ("rx-checksum", Toggle { on: false, changeable: false }),
            ("rx-gro", Toggle { on: true, changeable: true }),
            ("rx-lro", Toggle { on: false, changeable: false }),
        ]
        .map(|(name, toggle)| (name.to_owned(), toggle));
        assert_eq!(features(Attributes::new(&reply)), Some(BTreeMap::from(expected)));
    }

    #[test]
    fn an_unknown_speed_is_not_a_number() {
        let with =
            |mbps| speed(Attributes::new(&Builder::default().u32(LINKMODES_SPEED, mbps).build()));
        assert_eq!((with(25_000), with(SPEED_UNKNOWN), with(0)), (Some(25_000), None, None));
    }
}
