//! The `netdev` generic netlink family (Linux 6.3 and later): XDP features as the driver claims them.

use std::collections::BTreeMap;

use hoist_bpf::kernel::netlink::generic::{Family, HEADER};
use hoist_bpf::kernel::netlink::{Attributes, Message, Refusal};

use crate::device::{RxMetadata, XdpFeatures, XdpInfo, XskFeatures};
use crate::fact::Fact;

const NETDEV_CMD_DEV_GET: u8 = 1;
const IFINDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;
const XDP_ZC_MAX_SEGS: u16 = 4;
const XDP_RX_METADATA_FEATURES: u16 = 5;
const XSK_FEATURES: u16 = 6;
const FAMILY: &str = "netdev";

/// XDP features by interface index, or why they are not known.
#[derive(Clone, Debug)]
pub(super) struct Netdevs(Result<BTreeMap<u32, XdpInfo>, String>);

impl Netdevs {
    /// Asks about one interface.
    pub(super) fn one(ifindex: u32) -> Self {
        Self::ask(|family| {
            let reply = family.request(NETDEV_CMD_DEV_GET, |b| b.u32(IFINDEX, ifindex))?;
            Ok(reply.messages)
        })
    }

    /// Asks about every interface.
    pub(super) fn all() -> Self {
        Self::ask(|family| family.dump(NETDEV_CMD_DEV_GET, |b| b))
    }

    fn ask(question: impl FnOnce(&mut Family) -> Result<Vec<Message>, Refusal>) -> Self {
        Self(match Family::resolve(FAMILY, 1) {
            Ok(Some(mut family)) => question(&mut family)
                .map(|messages| messages.iter().filter_map(parse).collect())
                .map_err(|refusal| format!("NETDEV_CMD_DEV_GET: {refusal}")),
            Ok(None) => Err("the kernel has no netdev netlink family; Linux 6.3 has".to_owned()),
            Err(refusal) => Err(format!("netdev netlink family: {refusal}")),
        })
    }

    /// What is known of one interface.
    pub(super) fn get(&self, ifindex: u32) -> Fact<XdpInfo> {
        match &self.0 {
            Ok(known) => match known.get(&ifindex) {
                Some(info) => Fact::kernel(*info, "NETDEV_CMD_DEV_GET"),
                None => Fact::unknown("NETDEV_CMD_DEV_GET does not list the interface"),
            },
            Err(why) => Fact::unknown(why.clone()),
        }
    }
}

fn parse(message: &Message) -> Option<(u32, XdpInfo)> {
    let attributes = Attributes::after(&message.payload, HEADER);
    let number = |kind| attributes.get(kind).and_then(|a| a.uint());
    let info = XdpInfo {
        features: XdpFeatures::from_bits_retain(number(XDP_FEATURES)?),
        zc_max_segs: attributes.get(XDP_ZC_MAX_SEGS).and_then(|a| a.u32()),
        rx_metadata: RxMetadata::from_bits_retain(number(XDP_RX_METADATA_FEATURES).unwrap_or(0)),
        xsk: XskFeatures::from_bits_retain(number(XSK_FEATURES).unwrap_or(0)),
    };
    Some((attributes.get(IFINDEX)?.u32()?, info))
}
