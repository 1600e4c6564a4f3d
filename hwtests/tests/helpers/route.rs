//! Routes, rules and neighbours of every kind, and questions about them.

use std::net::IpAddr;
use std::process::Command;

use hoist_hwtests::lab::{Lab, Port};
use hoist_hwtests::wait;

use crate::bench::Bench;

const OBJECT: &[u8] = include_bytes!("objects/route.bpf.o");

/// `ip` commands, one after another; DEV is the interface.
const SETUP: &[&str] = &[
    "link set lo up",
    "addr add 10.50.0.1/24 dev DEV",
    "addr add 10.50.9.1/24 dev DEV",
    "-6 addr add fd00::1/64 dev DEV nodad",
    "neigh add 10.50.0.2 lladdr 02:00:00:00:00:02 dev DEV nud permanent",
    "neigh add 10.50.0.3 lladdr 02:00:00:00:00:03 dev DEV nud stale",
    "neigh add 10.50.0.4 dev DEV nud failed",
    "-6 neigh add fd00::2 lladdr 02:00:00:00:00:06 dev DEV nud permanent",
    "-6 neigh add fe80::9 lladdr 02:00:00:00:00:09 dev DEV nud permanent",
    "route add 10.1.0.0/16 via 10.50.0.2",
    "route add 10.1.2.0/24 via 10.50.0.3 metric 77",
    "route add 10.1.2.0/24 via 10.50.0.2 metric 7",
    "route add 10.1.2.3/32 via 10.50.0.9",
    "route add 10.2.0.0/16 via inet6 fe80::9 dev DEV",
    "route add 10.3.0.0/16 via 10.50.0.2 mtu 1000",
    "route add 10.4.0.0/16 via 10.50.0.2 mtu lock 1000",
    "route add 10.5.0.0/16 via 10.50.0.2 src 10.50.9.1",
    "route add blackhole 10.6.0.0/16",
    "route add unreachable 10.7.0.0/16",
    "route add prohibit 10.8.0.0/16",
    "route add throw 10.9.0.0/16",
    "route add 10.10.0.0/16 tos 0x10 via 10.50.0.2",
    "route add 10.10.0.0/16 via 10.50.0.3",
    "route add 10.11.0.0/16 nexthop via 10.50.0.2 nexthop via 10.50.0.2 weight 3",
    "route add 10.1.0.0/16 via 10.50.0.3 table 100",
    "route add blackhole 10.20.0.0/16 table 100",
    "-6 route add fd01::/64 via fd00::2",
    "-6 route add fd01:0:0:1::/64 via fd00::77",
    "-6 route add fd02::/64 via fd00::2 mtu 1300",
    "-6 route add fd03::/64 via fd00::2 mtu lock 1300",
    "-6 route add blackhole fd04::/64",
    "-6 route add unreachable fd05::/64",
    "-6 route add prohibit fd06::/64",
    "-6 route add fd07::/64 via fd00::2 metric 9",
    "-6 route add fd07::/64 via fd00::77 metric 5",
    "-6 route add fd08::/64 via fd00::2 table 100",
    "-6 route add throw fd09::/64",
];

/// Rules that the second round is asked under.
const RULES: &[&str] = &[
    "rule add from 10.99.0.0/16 lookup 100 pref 10",
    "rule add fwmark 7/0xf lookup 100 pref 20",
    "rule add to 10.30.0.0/16 blackhole pref 30",
    "rule add to 10.31.0.0/16 prohibit pref 31",
    "rule add to 10.32.0.0/16 unreachable pref 32",
    "rule add not from 10.0.0.0/8 lookup 100 pref 40",
    "rule add ipproto udp dport 5000-5010 lookup 100 pref 50",
    "rule add tos 0x10 lookup 100 pref 60",
    "rule add iif DEV to 10.1.7.0/24 lookup 100 pref 70",
    "rule add lookup main suppress_prefixlength 0 pref 80",
    "-6 rule add from fd99::/16 lookup 100 pref 10",
    "-6 rule add to fd30::/16 blackhole pref 30",
];

const DIRECT: u32 = 1;
const OUTPUT: u32 = 2;
const SKIP_NEIGH: u32 = 4;
const TBID: u32 = 8;
const SRC: u32 = 16;
const MARK: u32 = 32;

/// One question: from, to, flags, and changes of the rest: (offset, bytes).
type Question = (&'static str, &'static str, u32, &'static [(usize, &'static [u8])]);

const LENGTH: usize = 6;
const IFINDEX: usize = 8;
const TOS: usize = 12;
const TABLE: usize = 48;
const MARK_AT: usize = 52;

const QUESTIONS: &[Question] = &[
    ("10.5.5.5", "10.50.0.2", 0, &[]),
    ("10.5.5.5", "10.50.0.3", 0, &[]),
    ("10.5.5.5", "10.50.0.4", 0, &[]),
    ("10.5.5.5", "10.50.0.5", 0, &[]),
    ("10.5.5.5", "10.50.0.5", SKIP_NEIGH, &[]),
    ("10.5.5.5", "10.50.0.1", 0, &[]),
    ("10.5.5.5", "10.50.0.255", 0, &[]),
    ("10.5.5.5", "10.1.9.9", 0, &[]),
    ("10.5.5.5", "10.1.9.9", SRC, &[]),
    ("10.5.5.5", "10.1.9.9", OUTPUT, &[]),
    ("10.5.5.5", "10.1.9.9", DIRECT, &[]),
    ("10.5.5.5", "10.1.9.9", TBID, &[(TABLE, &100_u32.to_le_bytes())]),
    ("10.5.5.5", "10.1.9.9", DIRECT | TBID, &[(TABLE, &100_u32.to_le_bytes())]),
    ("10.5.5.5", "10.2.9.9", DIRECT | TBID, &[(TABLE, &100_u32.to_le_bytes())]),
    ("10.5.5.5", "10.20.9.9", DIRECT | TBID, &[(TABLE, &100_u32.to_le_bytes())]),
    ("10.5.5.5", "10.1.9.9", DIRECT | TBID, &[(TABLE, &4711_u32.to_le_bytes())]),
    ("10.5.5.5", "10.50.0.1", DIRECT, &[]),
    ("10.5.5.5", "10.1.2.9", 0, &[]),
    ("10.5.5.5", "10.1.2.3", 0, &[]),
    ("10.5.5.5", "10.1.2.3", SKIP_NEIGH | SRC, &[]),
    ("10.5.5.5", "10.1.7.3", 0, &[]),
    ("10.5.5.5", "10.2.9.9", 0, &[]),
    ("10.5.5.5", "10.2.9.9", SKIP_NEIGH, &[]),
    ("10.5.5.5", "10.3.9.9", 0, &[(LENGTH, &1200_u16.to_le_bytes())]),
    ("10.5.5.5", "10.3.9.9", 0, &[(LENGTH, &1501_u16.to_le_bytes())]),
    ("10.5.5.5", "10.4.9.9", 0, &[(LENGTH, &1001_u16.to_le_bytes())]),
    ("10.5.5.5", "10.4.9.9", 0, &[(LENGTH, &1000_u16.to_le_bytes())]),
    ("10.5.5.5", "10.5.9.9", SRC, &[]),
    ("10.5.5.5", "10.6.9.9", 0, &[]),
    ("10.5.5.5", "10.7.9.9", 0, &[]),
    ("10.5.5.5", "10.8.9.9", 0, &[]),
    ("10.5.5.5", "10.9.9.9", 0, &[]),
    ("10.5.5.5", "10.10.9.9", 0, &[]),
    ("10.5.5.5", "10.10.9.9", 0, &[(TOS, &[0x10])]),
    ("10.5.5.5", "10.10.9.9", 0, &[(TOS, &[0xb0])]),
    ("10.5.5.5", "10.10.9.9", 0, &[(TOS, &[0x14])]),
    ("10.5.5.5", "10.11.9.9", 0, &[]),
    ("10.5.5.5", "10.30.9.9", 0, &[]),
    ("10.5.5.5", "10.31.9.9", 0, &[]),
    ("10.5.5.5", "10.32.9.9", 0, &[]),
    ("10.5.5.5", "192.0.2.1", 0, &[]),
    ("10.99.5.5", "10.1.9.9", 0, &[]),
    ("192.0.2.9", "10.1.9.9", 0, &[]),
    ("10.5.5.5", "10.1.9.9", MARK, &[(MARK_AT, &[0x17, 0, 0, 0])]),
    ("10.5.5.5", "10.1.9.9", 0, &[(MARK_AT, &[0x17, 0, 0, 0])]),
    ("10.5.5.5", "10.1.9.9", 0, &[(1, &[17]), (4, &[0x13, 0x88])]),
    ("10.5.5.5", "10.1.9.9", 0, &[(1, &[6]), (4, &[0x13, 0x88])]),
    ("10.5.5.5", "10.1.9.9", 0, &[(TOS, &[0x10])]),
    ("10.5.5.5", "10.1.9.9", 0, &[(IFINDEX, &4711_u32.to_le_bytes())]),
    ("10.5.5.5", "10.1.9.9", 0, &[(IFINDEX, &1_u32.to_le_bytes())]),
    ("10.5.5.5", "10.1.9.9", 64, &[]),
    ("10.5.5.5", "10.1.9.9", 0, &[(0, &[7])]),
    ("fd05::5", "fd00::2", 0, &[]),
    ("fd05::5", "fd00::3", 0, &[]),
    ("fd05::5", "fd00::1", 0, &[]),
    ("fd05::5", "fd01::9", 0, &[]),
    ("fd05::5", "fd01::9", SRC, &[]),
    ("fd05::5", "fd01::9", OUTPUT, &[]),
    ("fd05::5", "fd01::9", DIRECT, &[]),
    ("fd05::5", "fd01:0:0:1::9", 0, &[]),
    ("fd05::5", "fd01:0:0:1::9", SKIP_NEIGH, &[]),
    ("fd05::5", "fd02::9", 0, &[(LENGTH, &1400_u16.to_le_bytes())]),
    ("fd05::5", "fd03::9", 0, &[(LENGTH, &1400_u16.to_le_bytes())]),
    ("fd05::5", "fd03::9", 0, &[(LENGTH, &1300_u16.to_le_bytes())]),
    ("fd05::5", "fd01::9", 0, &[(LENGTH, &1501_u16.to_le_bytes())]),
    ("fd05::5", "fd04::9", 0, &[]),
    ("fd05::5", "fd05::9", 0, &[]),
    ("fd05::5", "fd06::9", 0, &[]),
    ("fd05::5", "fd07::9", 0, &[]),
    ("fd05::5", "fd08::9", 0, &[]),
    ("fd05::5", "fd08::9", DIRECT | TBID, &[(TABLE, &100_u32.to_le_bytes())]),
    ("fd05::5", "fd09::9", 0, &[]),
    ("fd99::5", "fd08::9", 0, &[]),
    ("fd05::5", "fd30::9", 0, &[]),
    ("fd05::5", "2001:db8::1", 0, &[]),
    ("fd05::5", "fe80::9", 0, &[]),
    ("fe80::5", "fd01::9", 0, &[]),
    ("fd05::5", "ff02::1", 0, &[(IFINDEX, &4711_u32.to_le_bytes())]),
    ("fd05::5", "fd01::9", 0, &[(IFINDEX, &4711_u32.to_le_bytes())]),
    ("fd05::5", "fd01::9", 0, &[(IFINDEX, &1_u32.to_le_bytes())]),
];

fn frame((from, to, flags, changes): &Question, ifindex: u32) -> Vec<u8> {
    let mut question = [0; 64];
    let put = |question: &mut [u8; 64], at: usize, bytes: &[u8]| {
        question[at..at + bytes.len()].copy_from_slice(bytes);
    };
    for (at, address) in [(16, from), (32, to)] {
        match address.parse().unwrap() {
            IpAddr::V4(v4) => put(&mut question, at, &v4.octets()),
            IpAddr::V6(v6) => put(&mut question, at, &v6.octets()),
        }
    }
    question[0] = if to.contains(':') { 10 } else { 2 };
    put(&mut question, IFINDEX, &ifindex.to_ne_bytes());
    for (at, bytes) in *changes {
        put(&mut question, *at, bytes);
    }
    [&[0; 14], &flags.to_ne_bytes()[..], &question].concat()
}

fn ip(port: &Port, commands: &[&str]) {
    for command in commands {
        let command = command.replace("DEV", &port.name);
        let mut ip = Command::new("ip");
        ip.args(command.split_whitespace());
        let output = port.namespace.output(&mut ip, wait::PATIENCE).unwrap();
        assert!(output.status.success(), "ip {command}: {output:?}");
    }
}

fn set(port: &Port, settings: &[&str]) {
    let name = port.name.clone();
    port.namespace.run(|| {
        for setting in settings {
            let path = format!("/proc/sys/net/{}", setting.replace("DEV", &name));
            std::fs::write(&path, "1").unwrap_or_else(|e| panic!("{path}: {e}"));
        }
    });
}

/// Asks the kernel and the machine all questions, under plain routes and then under rules.
pub(crate) fn compare() {
    let lab = Lab::pair().unwrap();
    let port = lab.near();
    ip(port, SETUP);
    let mut wrong = ask(port, "not forwarding");
    set(port, &["ipv4/conf/DEV/forwarding", "ipv6/conf/DEV/forwarding"]);
    wrong.extend(ask(port, "plain"));
    ip(port, RULES);
    wrong.extend(ask(port, "rules"));
    set(port, &["ipv4/ip_forward_use_pmtu"]);
    wrong.extend(ask(port, "path MTU"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ask(port: &Port, round: &str) -> Vec<String> {
    let ifindex = port.ifindex;
    let round = round.to_owned();
    port.namespace.run(move || {
        let mut bench = Bench::new();
        let module = bench.module("route", OBJECT);
        let mut wrong = Vec::new();
        for question in QUESTIONS {
            let differences = bench.compare(&module, 0, &frame(question, ifindex));
            wrong.extend(differences.iter().map(|d| format!("{round}: {question:?}: {d}")));
        }
        wrong
    })
}
