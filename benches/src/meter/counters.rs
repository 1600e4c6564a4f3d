//! What the kernel counts of one interface, by names under which anyone can read it.
//!
//! Three places are read, each kept by other code than the next: the driver's own counters
//! (`ethtool -S`), the interface's (`/sys/class/net/*/statistics`, by rtnetlink), and those of the
//! protocols of its network namespace (`/proc/net/snmp`, `/proc/net/snmp6`).

use std::collections::BTreeMap;
use std::fs;

use hoist_bpf::kernel::ethtool::Ethtool;
use hoist_bpf::kernel::netlink::{Attributes, route};
use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;

use crate::trial::Count;

const IFLA_STATS64: u16 = 23;
const IFLA_CARRIER: u16 = 33;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_MTU: u16 = 4;

/// The beginning of `struct rtnl_link_stats64` of `linux/if_link.h`, as sysfs names its members.
const STATISTICS: [&str; 24] = [
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "multicast",
    "collisions",
    "rx_length_errors",
    "rx_over_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_fifo_errors",
    "rx_missed_errors",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_window_errors",
    "rx_compressed",
    "tx_compressed",
    "rx_nohandler",
];

/// Every counter of an interface at one time, or what was added to each between two times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    interface: String,
    driver: BTreeMap<String, u64>,
    core: BTreeMap<&'static str, u64>,
    protocols: BTreeMap<String, u64>,
    /// Whether the link has a carrier; `None` where the kernel does not say.
    pub carrier: Option<bool>,
    /// How often that changed since the interface exists, or between two times.
    pub carrier_changes: u64,
    /// In bytes.
    pub mtu: u32,
}

impl Reading {
    /// Reads them now.
    ///
    /// # Errors
    /// The interface is gone. A driver without counters of its own is none.
    pub fn of(port: &Port) -> Result<Self, Failure> {
        port.namespace.run(|| Self::here(&port.name, port.ifindex))
    }

    fn here(interface: &str, ifindex: u32) -> Result<Self, Failure> {
        let driver = match Ethtool::new()?.statistics(interface) {
            Ok(counters) => counters.into_iter().collect(),
            Err(error) if error.errno == libc_eopnotsupp() => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        let message = route::get_link(ifindex)
            .map_err(|refusal| refusal.about("RTM_GETLINK", format!("{interface}: counters")))?;
        let attributes = Attributes::after(&message.payload, route::LINK_HEADER);
        let raw = attributes.get(IFLA_STATS64).map(|a| a.value).unwrap_or_default();
        let numbers = raw.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        let number = |kind| attributes.get(kind).and_then(|a| a.u32());
        let mut protocols = BTreeMap::new();
        for file in ["snmp", "snmp6"] {
            // A kernel without a protocol has no counters of it.
            let text = fs::read_to_string(format!("/proc/thread-self/net/{file}"));
            protocols.extend(protocol_counters(file, &text.unwrap_or_default()));
        }
        Ok(Self {
            interface: interface.to_owned(),
            driver,
            core: STATISTICS.into_iter().zip(numbers).collect(),
            protocols,
            carrier: attributes.get(IFLA_CARRIER).and_then(|a| a.u8()).map(|on| on != 0),
            carrier_changes: number(IFLA_CARRIER_CHANGES).map_or(0, u64::from),
            mtu: number(IFLA_MTU).unwrap_or(0),
        })
    }

    /// What was added since an earlier reading. Counters only grow; one that was reset counts from
    /// its new beginning.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let less = |now: u64, then: Option<&u64>| {
            now.checked_sub(then.copied().unwrap_or(0)).unwrap_or(now)
        };
        let mut more = self.clone();
        for (name, value) in &mut more.driver {
            *value = less(*value, earlier.driver.get(name));
        }
        for (name, value) in &mut more.core {
            *value = less(*value, earlier.core.get(name));
        }
        for (name, value) in &mut more.protocols {
            *value = less(*value, earlier.protocols.get(name));
        }
        more.carrier_changes = less(self.carrier_changes, Some(&earlier.carrier_changes));
        more
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// A counter of the driver's, over all queues: those called `<start><number><end>`. `None`
    /// where the driver has none of that name.
    #[must_use]
    pub fn queues(&self, start: &str, end: &str) -> Option<Count> {
        let of_queue = |name: &str| {
            name.strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(end))
                .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut values = self.driver.iter().filter(|(name, _)| of_queue(name)).peekable();
        values.peek()?;
        Some(Count {
            packets: values.map(|(_, packets)| packets).sum(),
            counter: format!("ethtool -S {}: {start}*{end}", self.interface),
        })
    }

    /// A counter that every interface has, by its name in `/sys/class/net/*/statistics`; 0 where the
    /// kernel has none of that name.
    #[must_use]
    pub fn statistic(&self, name: &str) -> Count {
        Count {
            packets: self.core.get(name).copied().unwrap_or(0),
            counter: format!("/sys/class/net/{}/statistics/{name}", self.interface),
        }
    }

    /// A counter of the namespace's protocols: file, protocol and name as in `snmp: Ip InReceives`,
    /// or `snmp6: Ip6InReceives`.
    #[must_use]
    pub fn protocol(&self, name: &str) -> Count {
        Count {
            packets: self.protocols.get(name).copied().unwrap_or(0),
            counter: format!("/proc/net/{name}"),
        }
    }
}

/// `EOPNOTSUPP`, which rustix knows by another type.
const fn libc_eopnotsupp() -> i32 {
    rustix::io::Errno::OPNOTSUPP.raw_os_error()
}

/// `/proc/net/snmp` has a line of names and a line of values for each protocol, `/proc/net/snmp6` a
/// name and a value on each line.
fn protocol_counters(file: &str, text: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut names: Option<(&str, &str)> = None;
    for line in text.lines() {
        match (line.split_once(':'), names) {
            (Some((protocol, values)), Some((named, titles))) if protocol == named => {
                let pairs = titles.split_whitespace().zip(values.split_whitespace());
                // Some, such as the default TTL, are no counters and may be negative.
                found.extend(pairs.filter_map(|(name, value)| {
                    Some((format!("{file}: {protocol} {name}"), value.parse().ok()?))
                }));
                names = None;
            }
            (Some(titles), _) => names = Some(titles),
            (None, _) => {
                let mut words = line.split_whitespace();
                if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
                {
                    found.push((format!("{file}: {name}"), value));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(driver: &[(&str, u64)]) -> Reading {
        let driver = driver.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Reading { interface: "v1".to_owned(), driver, ..Reading::default() }
    }

    #[test]
    fn a_counter_of_queues_is_their_sum_and_of_no_other_name() {
        let now = reading(&[
            ("tx_queue_0_xdp_xmit", 5),
            ("tx_queue_11_xdp_xmit", 7),
            ("tx_queue_0_xdp_xmit_errors", 100),
            ("tx_queue_x_xdp_xmit", 1000),
        ]);
        let count = now.queues("tx_queue_", "_xdp_xmit").unwrap();
        assert_eq!((count.packets, &*count.counter), (12, "ethtool -S v1: tx_queue_*_xdp_xmit"));
        assert_eq!(now.queues("tx_queue_", "_drops"), None);
    }

    #[test]
    fn what_was_added_is_the_difference_and_a_reset_starts_again() {
        let (then, now) =
            (reading(&[("a", 5), ("b", 9)]), reading(&[("a", 8), ("b", 2), ("c", 1)]));
        let more = now.since(&then);
        assert_eq!(more.driver, reading(&[("a", 3), ("b", 2), ("c", 1)]).driver);
    }

    #[test]
    fn protocols_are_read_in_both_forms() {
        let snmp = "Ip: Forwarding InReceives\nIp: 2 31\nUdp: NoPorts\nUdp: 4\n";
        let snmp6 = "Ip6InReceives                   \t12\n";
        let mut all = protocol_counters("snmp", snmp);
        all.extend(protocol_counters("snmp6", snmp6));
        let of = |name: &str| all.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        assert_eq!(of("snmp: Ip InReceives"), Some(31));
        assert_eq!(of("snmp: Udp NoPorts"), Some(4));
        assert_eq!(of("snmp6: Ip6InReceives"), Some(12));
    }
}
