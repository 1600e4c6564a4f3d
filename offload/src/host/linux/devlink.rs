//! The `devlink` generic netlink family: what runs in a device, in its driver's words.

use std::collections::BTreeMap;

use hoist_bpf::kernel::netlink::Attributes;
use hoist_bpf::kernel::netlink::generic::{Family, HEADER};

use crate::fact::Fact;

const DEVLINK_CMD_INFO_GET: u8 = 51;
const DEVLINK_ATTR_BUS_NAME: u16 = 1;
const DEVLINK_ATTR_DEV_NAME: u16 = 2;
const DEVLINK_ATTR_INFO_VERSION_FIXED: u16 = 100;
const DEVLINK_ATTR_INFO_VERSION_RUNNING: u16 = 101;
const DEVLINK_ATTR_INFO_VERSION_NAME: u16 = 103;
const DEVLINK_ATTR_INFO_VERSION_VALUE: u16 = 104;

/// Versions of the device's parts and firmware by devlink's names (`fw.app`, `fw.mgmt`, `board.id`);
/// without any, `versions` says why.
pub(super) fn versions(bus: &str, device: &str) -> BTreeMap<String, Fact<String>> {
    match ask(bus, device) {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => unknown("DEVLINK_CMD_INFO_GET names none"),
        Err(why) => unknown(&why),
    }
}

fn unknown(why: &str) -> BTreeMap<String, Fact<String>> {
    BTreeMap::from([("versions".to_owned(), Fact::unknown(why))])
}

fn ask(bus: &str, device: &str) -> Result<BTreeMap<String, Fact<String>>, String> {
    let family = Family::resolve("devlink", 1).map_err(|e| format!("devlink: {e}"))?;
    let mut family = family.ok_or("the kernel has no devlink netlink family")?;
    let reply = family
        .request(DEVLINK_CMD_INFO_GET, |b| {
            b.text(DEVLINK_ATTR_BUS_NAME, bus).text(DEVLINK_ATTR_DEV_NAME, device)
        })
        .map_err(|refusal| format!("DEVLINK_CMD_INFO_GET: {refusal}"))?;
    let mut found = BTreeMap::new();
    for message in &reply.messages {
        for attribute in Attributes::after(&message.payload, HEADER) {
            if !matches!(
                attribute.kind,
                DEVLINK_ATTR_INFO_VERSION_FIXED | DEVLINK_ATTR_INFO_VERSION_RUNNING
            ) {
                continue;
            }
            let inner = Attributes::after(attribute.value, 0);
            let text = |kind| inner.get(kind).and_then(|a| Some(a.text()?.to_owned()));
            if let (Some(name), Some(value)) =
                (text(DEVLINK_ATTR_INFO_VERSION_NAME), text(DEVLINK_ATTR_INFO_VERSION_VALUE))
            {
                found.insert(name, Fact::kernel(value, "DEVLINK_CMD_INFO_GET"));
            }
        }
    }
    Ok(found)
}
