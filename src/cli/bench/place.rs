//! Where it is measured, and what is never done to somebody's interfaces.

use std::fs;

use hoist_benches::scenario::{Place, apart, processors, queues_for};
use hoist_benches::trial::Severity;
use hoist_hwtests::lab::LabError;
use hoist_offload::{Device, Error};

use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure, Words};

/// `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const LOOPBACK: u16 = 772;

/// The place that the arguments mean.
///
/// # Errors
/// An interface that is not there, that nobody should use for this, or that lacks its other end.
pub(super) fn of(cx: &mut Context<'_>, args: &args::Bench) -> Result<Place, Failure> {
    let cores = args.cores.iter().copied().max().unwrap_or(1);
    let cpus = processors(if args.receive_only { 0 } else { cores }, &args.napi_cpus)?;
    let Some(near) = &args.interface else {
        return Ok(Place::made(queues_for(&cpus)).map_err(lab_error)?);
    };
    let device = cx.device(near)?;
    if args.receive_only {
        harmless(&device, args.force)?;
        return Ok(Place::given(near, None).map_err(lab_error)?);
    }
    let Some(far) = &args.peer else { return Err(no_sender(&device)) };
    let peer = cx.device(far)?;
    if peer.ifindex == device.ifindex {
        return Err(Failure::input(
            format!("{near} is given as both ends of the wire"),
            "--peer names the interface at the other end of the cable",
        ));
    }
    for device in [&device, &peer] {
        harmless(device, args.force)?;
    }
    match crowded([&device, &peer], &cpus) {
        Some((words, Severity::Invalid)) => return Err(Failure::Words(words, Exit::Usage)),
        Some((words, _)) => {
            cx.shell.warn(format_args!("{} [{}]", words.error, words.code.unwrap_or_default()));
            cx.shell.say(format_args!("  {}", words.next.unwrap_or_default()));
        }
        None => {}
    }
    Ok(Place::given(near, Some(far)).map_err(lab_error)?)
}

/// What speaks against generating with these processors from the second device into the first: a veth
/// counts frames wrongly when two processors share a queue of it, a NIC may take none from a
/// processor that has no transmit queue.
fn crowded([near, far]: [&Device; 2], cpus: &[u32]) -> Option<(Words, Severity)> {
    let veth = near.driver.value().is_some_and(|driver| driver == "veth");
    let words = |error: String, next: String| Words {
        code: Some("cores-share-queues".to_owned()),
        error,
        next: Some(next),
        log: None,
    };
    let many = cpus.len();
    if veth && !apart(cpus, near.rx_queues) {
        let needed = queues_for(cpus);
        let error = format!(
            "{many} processors would generate into the {} receive queues of {}, and veth loses count \
             where two share one",
            near.rx_queues, near.name
        );
        let next = format!(
            "ethtool -L {} rx {needed}, on a pair that was made with as many (ip link add ... \
             numrxqueues {needed}), or lower --cores",
            near.name
        );
        return Some((words(error, next), Severity::Invalid));
    }
    if !veth && cpus.len() > far.tx_queues as usize {
        let error = format!(
            "{many} processors would generate out of the {} transmit queues of {}: they share queues, \
             or the driver takes nothing from some",
            far.tx_queues, far.name
        );
        let next = format!("ethtool -L {} combined {many}, or lower --cores", far.name);
        return Some((words(error, next), Severity::Warning));
    }
    None
}

/// Nothing is sent out of an interface that nobody named.
fn no_sender(device: &Device) -> Failure {
    // The other end of a pair, where it is in sight.
    let peer = device.peer.as_ref().filter(|peer| peer.netns.is_none());
    let peer = peer.and_then(|peer| peer.info.value()).map(|info| &info.name);
    let name = &device.name;
    let next = match peer {
        Some(peer) => format!("--peer {peer} sends from the other end of this pair"),
        None => format!(
            "--peer IF2 sends out of IF2, which a cable joins to {name}; --receive-only measures what \
             another machine sends; without IF, a veth pair is made"
        ),
    };
    Failure::input(
        format!("{name}: hoist sends only out of interfaces that are named, and none is"),
        next,
    )
}

/// Refuses interfaces on which a flood, or a program that drops everything, cuts off whoever asks for it.
pub(super) fn harmless(device: &Device, force: bool) -> Result<(), Failure> {
    let name = &device.name;
    if device.link_type == LOOPBACK {
        return Err(Failure::input(
            format!("{name} is the loopback interface: it has no other end"),
            "leave IF away: a veth pair is made",
        ));
    }
    if !device.up {
        return Err(Failure::input(
            format!("{name} is down"),
            format!("ip link set dev {name} up"),
        ));
    }
    let routes = ["/proc/thread-self/net/route", "/proc/thread-self/net/ipv6_route"];
    let carries = routes.iter().any(|file| {
        let table = fs::read_to_string(file).unwrap_or_default();
        default_routes(&table).any(|interface| interface == *name)
    });
    if carries && !force {
        return Err(Failure::input(
            format!(
                "{name} carries the default route: what is measured there cuts this machine off"
            ),
            "use another interface, or say --force",
        ));
    }
    Ok(())
}

/// The interfaces of default routes, in either of the two tables: `route` has the interface first and the
/// destination second, `ipv6_route` the destination first, its length second and the interface last.
fn default_routes(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [interface, "00000000", _, _, _, _, _, "00000000", ..] => Some(*interface),
            [destination, "00", .., flags, interface]
                if destination.len() == 32
                    && destination.bytes().all(|b| b == b'0')
                    && !unreachable(flags) =>
            {
                Some(*interface)
            }
            _ => None,
        }
    })
}

/// `RTF_REJECT`.
fn unreachable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & 0x200 != 0)
}

pub(super) fn lab_error(error: LabError) -> Error {
    Error::Host {
        operation: "set up",
        object: error.object.clone(),
        source: std::io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hoist_offload::Fact;
    use hoist_offload::host::sample;

    use super::*;

    #[test]
    fn processors_that_share_a_queue_are_told_before_anything_is_sent() {
        let device = |driver: &str, queues| Device {
            driver: Fact::kernel(driver.to_owned(), "test"),
            rx_queues: queues,
            tx_queues: queues,
            ..sample::device("v0", 1)
        };
        use Severity::{Invalid, Warning};
        for (driver, queues, cpus, severity) in [
            ("veth", 1, &[0][..], None),
            ("veth", 1, &[0, 1], Some(Invalid)),
            ("veth", 2, &[0, 1], None),
            ("veth", 2, &[1, 3], Some(Invalid)),
            ("ice", 2, &[0, 1], None),
            ("ice", 1, &[0, 1], Some(Warning)),
        ] {
            let device = device(driver, queues);
            let found = crowded([&device, &device], cpus).map(|(_, severity)| severity);
            assert_eq!(found, severity, "{driver} {queues} {cpus:?}");
        }
    }

    #[test]
    fn default_routes_are_found_in_both_tables() {
        let four = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        let zeros = "0".repeat(32);
        let six = format!(
            "{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth2\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200       lo\n\
             fe80{} 40 {zeros} 00 {zeros} 00000100 1 0 00000001 eth3\n",
            "0".repeat(28)
        );
        assert_eq!(default_routes(four).collect::<Vec<_>>(), ["eth0"]);
        assert_eq!(default_routes(&six).collect::<Vec<_>>(), ["eth2"]);
    }
}
