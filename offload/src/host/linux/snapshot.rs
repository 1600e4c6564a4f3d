//! Putting the sources together into a [`Device`].

use std::collections::BTreeMap;

use hoist_bpf::kernel::Kernel;
use hoist_bpf::kernel::ethtool::{DriverInfo, Ethtool};

use super::link::{Link, operstate};
use super::{attached, ethtool, netdev, pci, peer};
use crate::device::Device;
use crate::fact::Fact;

/// What was asked once, for one interface or for all.
#[derive(Debug)]
pub(super) struct Sources {
    ioctl: Result<Ethtool, String>,
    ethtool: Result<ethtool::Answers, String>,
    netdevs: netdev::Netdevs,
}

impl Sources {
    /// Asks about one interface.
    pub(super) fn one(link: &Link) -> Self {
        Self::ask(ethtool::Answers::ask(Some(&link.name)), netdev::Netdevs::one(link.ifindex))
    }

    /// Asks about every interface of the namespace at once.
    pub(super) fn all() -> Self {
        Self::ask(ethtool::Answers::ask(None), netdev::Netdevs::all())
    }

    fn ask(ethtool: Result<ethtool::Answers, String>, netdevs: netdev::Netdevs) -> Self {
        Self { ioctl: Ethtool::new().map_err(|e| e.to_string()), ethtool, netdevs }
    }

    /// The snapshot of one interface among all.
    pub(super) fn device(&self, kernel: &dyn Kernel, link: &Link, links: &[Link]) -> Device {
        let driver = self.driver(&link.name);
        let bus = link.parent.clone().or_else(|| {
            let address = &driver.value()?.bus;
            Some((pci::bus_of(address)?.to_owned(), address.clone()))
        });
        let ethtool = ethtool::of(&self.ethtool, &link.name);
        let channels = ethtool.channels.value();
        let attached = attached::attached(kernel, link);
        Device {
            name: link.name.clone(),
            ifindex: link.ifindex,
            link_type: link.link_type,
            kind: link.kind.clone(),
            firmware: driver.value().map(|d| d.firmware.clone()).filter(|f| is_told(f)),
            driver: driver.map(|d| d.driver),
            pci: bus.as_ref().and_then(|(bus, address)| pci::identity(bus, address)),
            bus: bus.map(|(_, address)| address),
            mac: link.mac.clone(),
            mtu_bytes: link.mtu_bytes,
            max_mtu_bytes: link.max_mtu_bytes,
            up: link.up,
            operstate: operstate(link.operstate).to_owned(),
            rx_queues: channels.map_or(link.rx_queues, |c| c.rx + c.combined),
            tx_queues: channels.map_or(link.tx_queues, |c| c.tx + c.combined),
            speed_mbps: ethtool.speed_mbps,
            channels: ethtool.channels,
            rings: ethtool.rings,
            features: ethtool.features,
            xdp: self.netdevs.get(link.ifindex),
            offload: BTreeMap::new(),
            offload_report: None,
            attached: attached.programs,
            attached_unknown: attached.unknown,
            master: link.master.and_then(|m| name_of(m, links)),
            upper: upper(link, links),
            lower: lower(link, links),
            peer: peer::peer(link, links),
        }
    }

    fn driver(&self, interface: &str) -> Fact<DriverInfo> {
        match &self.ioctl {
            Ok(ioctl) => match ioctl.driver_info(interface) {
                Ok(info) => Fact::kernel(info, "ETHTOOL_GDRVINFO"),
                Err(error) => Fact::unknown(format!("ETHTOOL_GDRVINFO: {}", error.cause())),
            },
            Err(why) => Fact::unknown(why.clone()),
        }
    }
}

/// Drivers that have nothing to say leave the field empty or write one of these.
fn is_told(text: &str) -> bool {
    !matches!(text.trim(), "" | "N/A" | "n/a")
}

fn name_of(ifindex: u32, links: &[Link]) -> Option<String> {
    links.iter().find(|l| l.ifindex == ifindex).map(|l| l.name.clone())
}

/// Whether `upper` sits on the device with this index, in this namespace (VLAN, macvlan ...).
fn sits_on(upper: &Link, ifindex: u32) -> bool {
    upper.link == Some(ifindex)
        && upper.ifindex != ifindex
        && upper.link_netnsid.is_none()
        && !upper.is_pair()
}

fn upper(link: &Link, links: &[Link]) -> Vec<String> {
    let above = |l: &&Link| sits_on(l, link.ifindex) || link.master == Some(l.ifindex);
    links.iter().filter(above).map(|l| l.name.clone()).collect()
}

fn lower(link: &Link, links: &[Link]) -> Vec<String> {
    let below = |l: &&Link| sits_on(link, l.ifindex) || l.master == Some(link.ifindex);
    links.iter().filter(below).map(|l| l.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(ifindex: u32, name: &str) -> Link {
        Link { ifindex, name: name.to_owned(), ..Link::default() }
    }

    /// A VLAN sits on its parent, a bridge on its ports, and a veth's `IFLA_LINK` is neither.
    #[test]
    fn stacking_is_read_from_both_ends() {
        let eth = Link { master: Some(5), ..link(2, "eth0") };
        let vlan = Link { link: Some(2), kind: Some("vlan".to_owned()), ..link(3, "eth0.7") };
        let veth = Link { link: Some(2), kind: Some("veth".to_owned()), ..link(4, "v0") };
        let bridge = Link { kind: Some("bridge".to_owned()), ..link(5, "br0") };
        // The parent of a VLAN moved here from another namespace has an index of that namespace.
        let foreign = Link { link_netnsid: Some(1), ..Link { ifindex: 6, ..vlan.clone() } };
        let links = [eth, vlan, veth, bridge, foreign];
        assert_eq!(upper(&links[0], &links), ["eth0.7", "br0"]);
        assert_eq!(lower(&links[1], &links), ["eth0"]);
        assert_eq!(lower(&links[2], &links), [""; 0]);
        assert_eq!(lower(&links[3], &links), ["eth0"]);
        assert_eq!(lower(&links[4], &links), [""; 0]);
    }
}
