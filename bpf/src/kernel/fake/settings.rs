//! MTU, ethtool features and tcx hooks of the fake's interfaces.

use super::Event;
use super::books::Books;
use super::errno::{EINVAL, ENODEV, ENOENT, EOPNOTSUPP};
use crate::kernel::KernelError;

const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;
/// `ETH_MIN_MTU`.
const MIN_MTU: u32 = 68;

pub(super) fn query_tcx(
    books: &mut Books,
    ifindex: u32,
    attach_type: u32,
) -> Result<Vec<u32>, KernelError> {
    const OPERATION: &str = "BPF_PROG_QUERY";
    books.may(OPERATION)?;
    let object = format!("tcx on {}", books.name(ifindex));
    let refused = |errno| KernelError::new(OPERATION, object, errno);
    match (books.interfaces.get(&ifindex), attach_type) {
        _ if !books.tcx => Err(refused(EINVAL)),
        (Some(interface), TCX_INGRESS) => Ok(interface.given.tcx_ingress.clone()),
        (Some(interface), TCX_EGRESS) => Ok(interface.given.tcx_egress.clone()),
        (Some(_), _) => Err(refused(EINVAL)),
        (None, _) => Err(refused(ENODEV)),
    }
}

pub(super) fn set_mtu(books: &mut Books, ifindex: u32, mtu_bytes: u32) -> Result<(), KernelError> {
    const OPERATION: &str = "RTM_SETLINK";
    books.may(OPERATION)?;
    let object = format!("MTU {mtu_bytes} on {}", books.name(ifindex));
    let refused = |errno| KernelError::new(OPERATION, object, errno);
    let Some(interface) = books.interfaces.get_mut(&ifindex) else {
        return Err(refused(ENODEV));
    };
    if mtu_bytes < MIN_MTU {
        return Err(refused(EINVAL).saying("mtu less than device minimum"));
    }
    if mtu_bytes > interface.given.max_mtu_bytes {
        return Err(refused(EINVAL).saying("mtu greater than device maximum"));
    }
    interface.given.mtu_bytes = mtu_bytes;
    books.journal.push(Event::Mtu { ifindex, bytes: mtu_bytes });
    Ok(())
}

pub(super) fn set_feature(
    books: &mut Books,
    interface: &str,
    feature: &str,
    on: bool,
) -> Result<(), KernelError> {
    const OPERATION: &str = "ETHTOOL_MSG_FEATURES_SET";
    books.may(OPERATION)?;
    let object = format!("{feature} {} on {interface}", if on { "on" } else { "off" });
    let refused = |errno| KernelError::new(OPERATION, &*object, errno);
    let named = books.interfaces.values_mut().find(|i| i.given.name == interface);
    let features = &mut named.ok_or_else(|| refused(ENODEV))?.given.features;
    match features.get_mut(feature) {
        None => return Err(refused(EOPNOTSUPP).saying("bit name not found")),
        Some((now, false)) if *now != on => {
            let text = "the driver keeps this feature as it is";
            return Err(refused(EOPNOTSUPP).saying(text));
        }
        Some((now, _)) => *now = on,
    }
    let (interface, feature) = (interface.to_owned(), feature.to_owned());
    books.journal.push(Event::Feature { interface, feature, on });
    Ok(())
}

pub(super) fn feature(
    books: &mut Books,
    interface: &str,
    feature: &str,
) -> Result<bool, KernelError> {
    const OPERATION: &str = "ETHTOOL_MSG_FEATURES_GET";
    books.may(OPERATION)?;
    let named = books.interfaces.values().find(|i| i.given.name == interface);
    let gone = || KernelError::new(OPERATION, format!("{feature} on {interface}"), ENODEV);
    let features = &named.ok_or_else(gone)?.given.features;
    Ok(features.get(feature).is_some_and(|(on, _)| *on))
}

pub(super) fn set_threaded_napi(
    books: &mut Books,
    interface: &str,
    on: bool,
) -> Result<(), KernelError> {
    const OPERATION: &str = "write";
    books.may(OPERATION)?;
    let path = format!("/sys/class/net/{interface}/threaded");
    let named = books.interfaces.values_mut().find(|i| i.given.name == interface);
    let gone = || KernelError::new(OPERATION, path, ENOENT);
    named.ok_or_else(gone)?.given.threaded_napi = on;
    books.journal.push(Event::ThreadedNapi { interface: interface.to_owned(), on });
    Ok(())
}

pub(super) fn threaded_napi(books: &mut Books, interface: &str) -> Result<bool, KernelError> {
    const OPERATION: &str = "read";
    books.may(OPERATION)?;
    let path = format!("/sys/class/net/{interface}/threaded");
    let named = books.interfaces.values().find(|i| i.given.name == interface);
    Ok(named.ok_or_else(|| KernelError::new(OPERATION, path, ENOENT))?.given.threaded_napi)
}
