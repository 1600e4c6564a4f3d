//! What is declared of an offload device, and whether its places are free: the part of the report that
//! loads nothing.

use std::collections::BTreeMap;

use hoist_bpf::kernel::netlink::filter::{self, Direction};

use super::{devlink, link};
use crate::capability::Answer;
use crate::device::{Device, Slot, XdpFeatures};
use crate::fact::{Evidence, Fact};
use crate::host::report::Finding;

/// `TCA_CLS_FLAGS_IN_HW`.
const IN_HW: u32 = 4;

/// What kernel, driver and firmware say of themselves.
pub(super) fn declared(device: &Device) -> BTreeMap<String, Fact<String>> {
    let mut declared = match link::links().map(|links| parent(&links, device.ifindex)) {
        Ok(Some((bus, name))) => devlink::versions(&bus, &name),
        Ok(None) | Err(_) => BTreeMap::new(),
    };
    let claims = |info: crate::device::XdpInfo| {
        let claims = info.features.contains(XdpFeatures::HW_OFFLOAD);
        if claims { "hw-offload" } else { "no hw-offload" }.to_owned()
    };
    declared.insert("xdp-features".to_owned(), device.xdp.clone().map(claims));
    let toggle = device.features.clone().map(|features| match features.get("hw-tc-offload") {
        Some(toggle) if toggle.on => "on".to_owned(),
        Some(toggle) if toggle.changeable => "off".to_owned(),
        Some(_) => "off, and cannot be switched on".to_owned(),
        None => "absent".to_owned(),
    });
    declared.insert("hw-tc-offload".to_owned(), toggle);
    if let Some(firmware) = &device.firmware {
        let fact = Fact::kernel(firmware.clone(), "ETHTOOL_GDRVINFO");
        declared.insert("firmware".to_owned(), fact);
    }
    declared
}

fn parent(links: &[link::Link], ifindex: u32) -> Option<(String, String)> {
    links.iter().find(|l| l.ifindex == ifindex)?.parent.clone()
}

/// Whether the device has a place left for an XDP and for a TC program: one or the other, never both.
pub(super) fn free(device: &Device) -> BTreeMap<String, Finding> {
    let finding = |answer, detail: String| Finding { answer, evidence: Evidence::kernel(detail) };
    let xdp = device
        .slot(Slot::Hw)
        .next()
        .map(|program| format!("program {} is in the NIC (IFLA_XDP_HW_PROG_ID)", program.id));
    let tc = filter::list(device.ifindex, Direction::Ingress).map(|filters| {
        filters
            .iter()
            .find(|f| f.flags & IN_HW != 0)
            .map(|f| format!("a {} filter is in the NIC ({}, in_hw)", f.kind, f.key))
    });
    let by_tc = tc.as_ref().ok().cloned().flatten();
    let xdp_free = match xdp.clone().or(by_tc) {
        Some(held) => finding(Answer::No, held),
        None => finding(Answer::Yes, "nothing is in the NIC".to_owned()),
    };
    let tc_free = match (xdp, tc) {
        (Some(held), _) | (None, Ok(Some(held))) => finding(Answer::No, held),
        (None, Ok(None)) => finding(Answer::Yes, "nothing is in the NIC".to_owned()),
        (None, Err(refusal)) => finding(Answer::Unknown, format!("RTM_GETTFILTER: {refusal}")),
    };
    BTreeMap::from([("xdp".to_owned(), xdp_free), ("tc".to_owned(), tc_free)])
}
