//! ethtool settings, over the `ethtool` netlink family.

use crate::kernel::KernelError;
use crate::kernel::netlink::generic::{Family, HEADER};
use crate::kernel::netlink::{Attributes, Builder};

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_MSG_FEATURES_SET_REPLY: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

pub(super) fn set(interface: &str, feature: &str, on: bool) -> Result<(), KernelError> {
    const OPERATION: &str = "ETHTOOL_MSG_FEATURES_SET";
    let object = format!("{feature} {} on {interface}", if on { "on" } else { "off" });
    let mut family = family(OPERATION, &object)?;
    let mut bit = Builder::default().text(ETHTOOL_A_BITSET_BIT_NAME, feature);
    if on {
        bit = bit.flag(ETHTOOL_A_BITSET_BIT_VALUE);
    }
    let bits = Builder::default().nest(ETHTOOL_A_BITSET_BITS_BIT, bit);
    let bitset = Builder::default().nest(ETHTOOL_A_BITSET_BITS, bits);
    let header = Builder::default().text(ETHTOOL_A_HEADER_DEV_NAME, interface);
    let reply = family
        .request(ETHTOOL_MSG_FEATURES_SET, |request| {
            request.nest(ETHTOOL_A_FEATURES_HEADER, header).nest(ETHTOOL_A_FEATURES_WANTED, bitset)
        })
        .map_err(|refusal| refusal.about(OPERATION, &*object))?;
    // The kernel grants the request even where the driver kept the old setting; the reply lists
    // what was wanted and not done.
    let ignored = reply.messages.iter().any(|message| {
        message.payload.first() == Some(&ETHTOOL_MSG_FEATURES_SET_REPLY)
            && Attributes::after(&message.payload, HEADER)
                .get(ETHTOOL_A_FEATURES_WANTED)
                .is_some_and(|wanted| names(wanted.nested(), feature))
    });
    if ignored {
        let error = KernelError::new(OPERATION, &*object, libc::EOPNOTSUPP);
        return Err(error.saying("the driver keeps this feature as it is"));
    }
    Ok(())
}

pub(super) fn get(interface: &str, feature: &str) -> Result<bool, KernelError> {
    const OPERATION: &str = "ETHTOOL_MSG_FEATURES_GET";
    let object = format!("{feature} on {interface}");
    let header = Builder::default().text(ETHTOOL_A_HEADER_DEV_NAME, interface);
    let reply = family(OPERATION, &object)?
        .request(ETHTOOL_MSG_FEATURES_GET, |request| {
            request.nest(ETHTOOL_A_FEATURES_HEADER, header)
        })
        .map_err(|refusal| refusal.about(OPERATION, &*object))?;
    // Without a mask the bits that are listed are those that are on.
    Ok(reply.messages.iter().any(|message| {
        Attributes::after(&message.payload, HEADER)
            .get(ETHTOOL_A_FEATURES_ACTIVE)
            .is_some_and(|active| names(active.nested(), feature))
    }))
}

fn family(operation: &str, object: &str) -> Result<Family, KernelError> {
    Family::resolve("ethtool", 1)
        .map_err(|refusal| refusal.about(operation, object))?
        .ok_or_else(|| KernelError::new(operation, object, libc::EOPNOTSUPP))
}

/// Whether a verbose bitset mentions a feature.
fn names(bitset: Attributes<'_>, feature: &str) -> bool {
    let Some(bits) = bitset.get(ETHTOOL_A_BITSET_BITS) else { return false };
    bits.nested().any(|bit| {
        bit.nested().get(ETHTOOL_A_BITSET_BIT_NAME).and_then(|n| n.text()) == Some(feature)
    })
}
