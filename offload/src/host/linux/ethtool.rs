//! ethtool facts over netlink. The `ethtool` crate is asynchronous; its runtime lives and dies
//! inside each call.

use std::collections::BTreeMap;

use ::ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolError, EthtoolFeatureAttr, EthtoolFeatureBit,
    EthtoolHandle, EthtoolHeader, EthtoolLinkModeAttr, EthtoolRingAttr,
};
use futures_util::{Stream, StreamExt, pin_mut};
use hoist_bpf::kernel::errno_text;

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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|e| format!("ethtool netlink: {e}"))?;
        runtime.block_on(async {
            let (connection, handle, _) =
                ::ethtool::new_connection().map_err(|e| format!("ethtool netlink: {e}"))?;
            tokio::spawn(connection);
            Ok(ask_all(handle, interface).await)
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

async fn ask_all(mut handle: EthtoolHandle, interface: Option<&str>) -> Answers {
    // The type of the messages has no name that `ethtool` re-exports, hence no function.
    macro_rules! ask {
        ($question:ident) => {{
            let replies = handle.$question().get(interface).execute().await;
            collect(replies.map(|stream| stream.map(|m| m.map(|m| m.payload.nlas)))).await
        }};
    }
    Answers {
        features: ask!(feature),
        rings: ask!(ring),
        channels: ask!(channel),
        link_modes: ask!(link_mode),
    }
}

async fn collect(
    replies: Result<impl Stream<Item = Result<Vec<EthtoolAttr>, EthtoolError>>, EthtoolError>,
) -> Answer {
    let replies = replies.map_err(|e| words(&e))?;
    pin_mut!(replies);
    let mut answers = BTreeMap::new();
    while let Some(attributes) = replies.next().await {
        let attributes = attributes.map_err(|e| words(&e))?;
        if let Some(name) = interface_of(&attributes) {
            answers.insert(name, attributes);
        }
    }
    Ok(answers)
}

fn words(error: &EthtoolError) -> String {
    match error {
        EthtoolError::NetlinkError(refusal) => {
            errno_text(refusal.code.map_or(0, |code| code.get().saturating_abs()))
        }
        other => other.to_string(),
    }
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
