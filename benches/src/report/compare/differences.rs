//! What between two reports can change rates by itself.

use std::collections::BTreeMap;

use crate::report::{Environment, Measurement, Search};

/// Facts about a machine that rates depend on. What only identifies it, or changes by the minute, is
/// not among them.
const MACHINE: [&str; 20] = [
    "architecture",
    "bpf_jit",
    "bpf_jit_harden",
    "bpf_stats",
    "clocksource",
    "cpu",
    "cpus",
    "cpus_isolated",
    "cpus_nohz_full",
    "dev_weight",
    "governor",
    "hypervisor",
    "hz",
    "microcode",
    "mitigations",
    "netdev_budget",
    "preempt",
    "smt",
    "tsc_hz",
    "turbo_off",
];

/// Facts about a device that are only its name or its state.
const APART: [&str; 2] = ["attached", "state"];

/// What differs between two environments, in words.
pub(super) fn between(before: &Environment, after: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: String, before: &str, after: &str| {
        if before != after {
            found.push(format!("{what}: {} before, {} after", shown(before), shown(after)));
        }
    };
    differ("kernel".to_owned(), &before.kernel, &after.kernel);
    let fact =
        |facts: &BTreeMap<String, String>, name: &str| facts.get(name).cloned().unwrap_or_default();
    for name in MACHINE {
        differ(name.to_owned(), &fact(&before.machine, name), &fact(&after.machine, name));
    }
    for (device, facts) in &before.devices {
        let Some(others) = after.devices.get(device) else { continue };
        let names = facts.keys().chain(others.keys().filter(|name| !facts.contains_key(*name)));
        for name in names.filter(|name| !APART.contains(&name.as_str())) {
            differ(format!("{device} {name}"), &fact(facts, name), &fact(others, name));
        }
    }
    found
}

/// A value, or that there is none.
fn shown(value: &str) -> &str {
    if value.is_empty() { "not known" } else { value }
}

/// What differs between the searches of a cell so that their results mean different things.
pub(super) fn of_search(before: &Measurement, after: &Measurement) -> Option<String> {
    if (before.frame_bytes - after.frame_bytes).abs() > 1e-6 {
        let (before, after) = (before.frame_bytes, after.frame_bytes);
        return Some(format!("frames of {before} bytes before, {after} after"));
    }
    match (&before.search, &after.search) {
        (Search::Mlr { goals: first, .. }, Search::Mlr { goals: second, .. }) => {
            let other = first.iter().zip(second).find(|(a, b)| a.goal != b.goal);
            other.map(|(a, _)| format!("the goal {} is not the same", a.goal.name))
        }
        (Search::Throughput { seconds: first, .. }, Search::Throughput { seconds: second, .. })
            if (first - second).abs() > 1e-9 =>
        {
            Some(format!("confirmed by trials of {first} s before, {second} s after"))
        }
        _ => None,
    }
}
