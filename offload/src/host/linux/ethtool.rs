//! ethtool facts over netlink: the `ethtool` crate's messages over our own socket, which needs no
//! runtime. Asking about all interfaces at once takes one request a question.

use std::collections::BTreeMap;

use ::ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolFeatureAttr, EthtoolFeatureBit, EthtoolHeader,
    EthtoolLinkModeAttr, EthtoolMessage, EthtoolRingAttr,
};
use hoist_bpf::kernel::netlink::Message;
use hoist_bpf::kernel::netlink::generic::{Family, HEADER};
use netlink_packet_core::{Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;

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

type Answer = Result<BTreeMap<String, Vec<EthtoolAttr>>, String>;

impl Answers {
    /// Asks about one interface, or about all of the calling thread's network namespace.
    pub(super) fn ask(interface: Option<&str>) -> Result<Self, String> {
        let family = Family::resolve("ethtool", 1).map_err(|e| format!("ethtool netlink: {e}"))?;
        let mut family =
            family.ok_or("the kernel has no ethtool netlink family; Linux 5.6 has".to_owned())?;
        let mut ask = |question| ask(&mut family, &question, interface.is_none());
        Ok(Self {
            features: ask(EthtoolMessage::new_feature_get(interface)),
            rings: ask(EthtoolMessage::new_ring_get(interface)),
            channels: ask(EthtoolMessage::new_channel_get(interface)),
            link_modes: ask(EthtoolMessage::new_link_mode_get(interface)),
        })
    }

    /// What was answered about one interface.
    pub(super) fn of(&self, interface: &str) -> Ethtool {
        Ethtool {
            features: fact(&self.features, interface, "ETHTOOL_MSG_FEATURES_GET", features),
            rings: fact(&self.rings, interface, "ETHTOOL_MSG_RINGS_GET", rings),
            channels: fact(&self.channels, interface, "ETHTOOL_MSG_CHANNELS_GET", channels),
            speed_mbps: fact(&self.link_modes, interface, "ETHTOOL_MSG_LINKMODES_GET", speed),
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

fn ask(family: &mut Family, question: &EthtoolMessage, all: bool) -> Answer {
    let mut attributes = vec![0; question.buffer_len()];
    question.emit(&mut attributes);
    let command = question.cmd.into();
    let replies = if all {
        family.dump(command, |b| b.encoded(&attributes))
    } else {
        family.request(command, |b| b.encoded(&attributes)).map(|reply| reply.messages)
    };
    let mut answers = BTreeMap::new();
    for reply in replies.map_err(|refusal| refusal.to_string())? {
        let attributes = decode(&reply)?;
        if let Some(name) = interface_of(&attributes) {
            answers.insert(name, attributes);
        }
    }
    Ok(answers)
}

fn decode(reply: &Message) -> Result<Vec<EthtoolAttr>, String> {
    let (Some(&[cmd, version, ..]), Some(attributes)) =
        (reply.payload.first_chunk::<HEADER>(), reply.payload.get(HEADER..))
    else {
        return Err("a reply shorter than its header".to_owned());
    };
    let message = EthtoolMessage::parse_with_param(attributes, GenlHeader { cmd, version });
    message.map(|m| m.nlas).map_err(|e| e.to_string())
}

fn interface_of(attributes: &[EthtoolAttr]) -> Option<String> {
    let header = attributes.iter().find_map(|a| match a {
        EthtoolAttr::Feature(EthtoolFeatureAttr::Header(h))
        | EthtoolAttr::Ring(EthtoolRingAttr::Header(h))
        | EthtoolAttr::Channel(EthtoolChannelAttr::Header(h))
        | EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Header(h)) => Some(h),
        _ => None,
    })?;
    header.iter().find_map(|h| match h {
        EthtoolHeader::DevName(name) => Some(name.clone()),
        _ => None,
    })
}

fn fact<T>(
    answer: &Answer,
    interface: &str,
    question: &str,
    read: impl FnOnce(&[EthtoolAttr]) -> Option<T>,
) -> Fact<T> {
    match answer {
        Ok(answers) => match answers.get(interface).and_then(|a| read(a)) {
            Some(value) => Fact::kernel(value, question),
            None => Fact::unknown(format!("{question}: the driver does not report it")),
        },
        Err(why) => Fact::unknown(format!("{question}: {why}")),
    }
}

fn features(attributes: &[EthtoolAttr]) -> Option<BTreeMap<String, Toggle>> {
    let (mut changeable, mut active, mut fixed) = (None, None, None);
    for attribute in attributes {
        match attribute {
            EthtoolAttr::Feature(EthtoolFeatureAttr::Hw(bits)) => changeable = Some(bits),
            EthtoolAttr::Feature(EthtoolFeatureAttr::Active(bits)) => active = Some(bits),
            EthtoolAttr::Feature(EthtoolFeatureAttr::NoChange(bits)) => fixed = Some(bits),
            _ => {}
        }
    }
    let has = |bits: Option<&Vec<EthtoolFeatureBit>>, name: &str| {
        bits.is_some_and(|bits| bits.iter().any(|bit| bit.name == name && bit.value))
    };
    // The kernel lists every feature it knows in the changeable set, with or without the bit.
    let known = changeable?;
    let toggles = FEATURES.iter().filter(|name| known.iter().any(|bit| bit.name == **name));
    let toggle = |name: &str| Toggle {
        on: has(active, name),
        changeable: has(changeable, name) && !has(fixed, name),
    };
    Some(toggles.map(|name| ((*name).to_owned(), toggle(name))).collect())
}

fn rings(attributes: &[EthtoolAttr]) -> Option<Rings> {
    let mut rings = Rings::default();
    for attribute in attributes {
        let EthtoolAttr::Ring(attribute) = attribute else { continue };
        match attribute {
            EthtoolRingAttr::Rx(n) => rings.rx = *n,
            EthtoolRingAttr::Tx(n) => rings.tx = *n,
            EthtoolRingAttr::RxMax(n) => rings.rx_max = *n,
            EthtoolRingAttr::TxMax(n) => rings.tx_max = *n,
            _ => {}
        }
    }
    Some(rings)
}

fn channels(attributes: &[EthtoolAttr]) -> Option<Channels> {
    let mut channels = Channels::default();
    for attribute in attributes {
        let EthtoolAttr::Channel(attribute) = attribute else { continue };
        match attribute {
            EthtoolChannelAttr::RxCount(n) => channels.rx = *n,
            EthtoolChannelAttr::TxCount(n) => channels.tx = *n,
            EthtoolChannelAttr::CombinedCount(n) => channels.combined = *n,
            EthtoolChannelAttr::RxMax(n) => channels.rx_max = *n,
            EthtoolChannelAttr::TxMax(n) => channels.tx_max = *n,
            EthtoolChannelAttr::CombinedMax(n) => channels.combined_max = *n,
            _ => {}
        }
    }
    Some(channels)
}

fn speed(attributes: &[EthtoolAttr]) -> Option<u32> {
    attributes.iter().find_map(|attribute| match attribute {
        EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Speed(mbps)) => {
            Some(*mbps).filter(|mbps| *mbps != SPEED_UNKNOWN && *mbps != 0)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(name: &str, value: bool) -> EthtoolFeatureBit {
        EthtoolFeatureBit { index: 1, name: name.to_owned(), value }
    }

    /// A feature is changeable when the driver lets it be changed and nothing pins it.
    #[test]
    fn feature_sets_are_combined() {
        let attributes = [
            EthtoolFeatureAttr::Hw(vec![
                bit("rx-gro", true),
                bit("rx-lro", false),
                bit("rx-checksum", true),
                bit("netns-local", true),
            ]),
            EthtoolFeatureAttr::Active(vec![bit("rx-gro", true), bit("netns-local", true)]),
            EthtoolFeatureAttr::NoChange(vec![bit("rx-checksum", true)]),
        ]
        .map(EthtoolAttr::Feature);
        let expected = [
            ("rx-checksum", Toggle { on: false, changeable: false }),
            ("rx-gro", Toggle { on: true, changeable: true }),
            ("rx-lro", Toggle { on: false, changeable: false }),
        ]
        .map(|(name, toggle)| (name.to_owned(), toggle));
        assert_eq!(features(&attributes), Some(BTreeMap::from(expected)));
    }

    #[test]
    fn an_unknown_speed_is_not_a_number() {
        let with = |mbps| speed(&[EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Speed(mbps))]);
        assert_eq!((with(25_000), with(SPEED_UNKNOWN)), (Some(25_000), None));
    }
}
