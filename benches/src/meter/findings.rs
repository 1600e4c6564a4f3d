//! Whether a trial may be believed, judged by everything that was observed beside its result.
//!
//! Every code has a section in docs/refusals.md. A trial with a finding that makes it invalid gives no
//! number; one with a warning gives none without it.

use std::collections::BTreeMap;

use super::counters::Reading;
use super::receiver::Tally;
use crate::trial::{Cpu, Fate, Finding, Ledger, Severity, Stage, Trial};

/// From which part of a processor's time on it matters what else it did, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Work of other processes that is worth a warning.
    pub foreign_warning: f64,
    /// Work of other processes that makes a trial invalid.
    pub foreign_invalid: f64,
    /// Time taken by the hypervisor that is worth a warning.
    pub steal_warning: f64,
    /// Time taken by the hypervisor that makes a trial invalid.
    pub steal_invalid: f64,
    /// Least part of the intended frames that has to be sent.
    pub least_offered: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            foreign_warning: 0.06,
            foreign_invalid: 0.5,
            steal_warning: 0.01,
            steal_invalid: 0.2,
            least_offered: 0.999,
        }
    }
}

/// What was observed beside what the trial itself says.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Longest frame, in bytes without FCS.
    pub frame_bytes: usize,
    /// The interfaces that frames passed, with what was added to their counters.
    pub interfaces: &'a [Reading],
    /// What came back.
    pub back: Option<Tally>,
    /// Frames per second that the generator makes when nobody takes them, where that was measured.
    pub floor: Option<f64>,
    /// Whether the kernel timed every run of a BPF program.
    pub bpf_stats: bool,
}

/// Everything that speaks against a trial, or should be known with it.
#[must_use]
pub fn of(trial: &Trial, facts: &Facts<'_>, limits: &Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    link(facts, &mut found);
    balance(trial, facts, &mut found);
    losses(trial, &mut found);
    offer(trial, facts, limits, &mut found);
    machine(trial, facts, limits, &mut found);
    found
}

fn finding(code: &str, severity: Severity, message: String, advice: &str) -> Finding {
    Finding { code: code.to_owned(), severity, message, advice: Some(advice.to_owned()) }
}

/// Of an Ethernet header and a VLAN tag, in bytes.
const HEADERS: usize = 18;

fn link(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    for at in facts.interfaces {
        if at.carrier_changes > 0 || at.carrier == Some(false) {
            let message = format!(
                "{}: the link came or went {} times during the trial and has {} carrier now",
                at.interface(),
                at.carrier_changes,
                if at.carrier == Some(false) { "no" } else { "a" }
            );
            let advice = "look after cable, peer and whoever sets the interface down; then repeat";
            found.push(finding("link-changed", Severity::Invalid, message, advice));
        }
        if facts.frame_bytes > at.mtu as usize + HEADERS {
            let message = format!(
                "frames of {} bytes and FCS do not fit the MTU of {}, which is {}",
                facts.frame_bytes,
                at.interface(),
                at.mtu
            );
            let advice = "raise the MTU at both ends, or send smaller frames";
            found.push(finding("frame-exceeds-mtu", Severity::Invalid, message, advice));
        }
    }
}

fn balance(trial: &Trial, facts: &Facts<'_>, found: &mut Vec<Finding>) {
    for (at, stage) in trial.ledger.stages.iter().enumerate() {
        let residual = stage.residual();
        // What a link that is down or a short MTU explains needs no other explanation.
        let explained =
            found.iter().any(|f| ["frame-exceeds-mtu", "link-changed"].contains(&&*f.code));
        let refused = at == 0 && trial.generated > 0 && nothing_left(stage);
        if residual > 0 && refused && !explained {
            let message = format!(
                "{}: the driver took none of {} frames and counts none as refused, as a veth does \
                 whose other end has no NAPI",
                stage.name, stage.came.packets
            );
            let advice = "attach a native XDP program at the other end, or switch GRO on there";
            found.push(finding("peer-without-napi", Severity::Invalid, message, advice));
        } else if residual > 0 {
            let message = format!(
                "{residual} packets vanished at '{}', between {} ({}) and {}",
                stage.name,
                stage.came.counter,
                stage.came.packets,
                counters_of(stage)
            );
            let advice =
                "nobody counts this loss: look at the driver's statistics and drop reasons";
            found.push(finding("packets-vanished", Severity::Invalid, message, advice));
        } else if residual < 0 {
            let message = format!(
                "{} packets more than were sent came to '{}': {} says {}, {} more",
                -residual,
                stage.name,
                stage.came.counter,
                stage.came.packets,
                counters_of(stage)
            );
            let advice = "silence whoever else sends on this wire, then repeat";
            found.push(finding("foreign-traffic", Severity::Invalid, message, advice));
        }
    }
    for witness in trial.ledger.witnesses.iter().filter(|w| w.packets != w.expected) {
        let message = format!(
            "{} says {}, and {} says {} of the same packets",
            witness.confirms, witness.expected, witness.counter, witness.packets
        );
        let advice = "silence other traffic; if they go on to disagree, one of them is wrong";
        found.push(finding("counters-disagree", Severity::Invalid, message, advice));
    }
    if let Some(back) = facts.back.filter(|back| back.foreign > 0) {
        let message = format!(
            "{} frames without the trial's token came to the receiver beside {} of the trial",
            back.foreign, back.ours
        );
        let advice = "they took room in rings: silence whoever else sends on this wire";
        let code = "foreign-traffic";
        if !found.iter().any(|f| f.code == code) {
            found.push(finding(code, Severity::Warning, message, advice));
        }
    }
}

fn nothing_left(stage: &Stage) -> bool {
    stage.out.iter().all(|entry| entry.packets == 0)
}

fn counters_of(stage: &Stage) -> String {
    let names: Vec<&str> = stage.out.iter().map(|entry| entry.counter.as_str()).collect();
    names.join(", ")
}

/// Losses of a kind, by counter.
fn lost(ledger: &Ledger, fate: Fate) -> Option<(u64, String)> {
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in ledger.stages.iter().flat_map(|s| &s.out) {
        if entry.fate == fate && entry.packets > 0 {
            *by.entry(&entry.counter).or_default() += entry.packets;
        }
    }
    let names: Vec<&str> = by.keys().copied().collect();
    let all: u64 = by.values().sum();
    (all > 0).then(|| (all, names.join(", ")))
}

fn losses(trial: &Trial, found: &mut Vec<Finding>) {
    let kinds: [(&[Fate], &str, &str, &str); 4] = [
        (
            &[Fate::Refused, Fate::RingDrop],
            "ring-overflow",
            "found no room in the receiver's ring or were refused at transmission",
            "lower the load, lengthen the ring, or give the receiver a processor of its own",
        ),
        (
            &[Fate::SocketDrop],
            "socket-overflow",
            "found no room in the engine's socket",
            "lower the load; what is counted beyond this is how much the engine takes under overload",
        ),
        (
            &[Fate::Aborted],
            "program-aborts",
            "were aborted by the program, or got a verdict that is none",
            "the rate is that of the program's failing path: see what it wants of a frame, and send that",
        ),
        (
            &[Fate::NotForwarded],
            "not-forwarded",
            "were sent on by the program and could not be carried on",
            "look whether the other end polls (NAPI) and its ring is long enough",
        ),
    ];
    for (fates, code, words, advice) in kinds {
        for (packets, counters) in fates.iter().filter_map(|fate| lost(&trial.ledger, *fate)) {
            let message = format!("{packets} of {} frames {words} ({counters})", trial.generated);
            found.push(finding(code, Severity::Warning, message, advice));
        }
    }
}

/// Fates that mean that somebody was too slow for what was sent.
const OVERLOAD: [Fate; 4] = [Fate::Refused, Fate::RingDrop, Fate::SocketDrop, Fate::NotForwarded];

/// How near to its own limit a generator is at it.
const AT_THE_FLOOR: f64 = 0.9;

fn offer(trial: &Trial, facts: &Facts<'_>, limits: &Limits, found: &mut Vec<Finding>) {
    if trial.generated == 0 {
        let message = "the generator sent nothing".to_owned();
        let advice = "see whether the interface is up and takes XDP frames";
        found.push(finding("nothing-sent", Severity::Invalid, message, advice));
        return;
    }
    let overload = OVERLOAD.iter().any(|fate| trial.ledger.of(*fate) > 0);
    let part = trial.generated as f64 / trial.intended.max(1) as f64;
    if let Some(load) = trial.order.load.filter(|_| part < limits.least_offered) {
        let message = format!(
            "{:.2} % of the intended {load:.0} frames per second were offered; what was not sent \
             counts as lost",
            part * 100.0
        );
        let advice = "lower the load, or let more processors generate";
        found.push(finding("generator-too-slow", Severity::Warning, message, advice));
    }
    if trial.order.load.is_none() && !overload && trial.seconds > 0.0 {
        let rate = trial.pps();
        let at_floor = facts.floor.is_some_and(|floor| rate >= floor * AT_THE_FLOOR);
        let (severity, message) = if at_floor {
            let words = "the generator was the limit: it makes no more even when nobody takes them";
            (Severity::Warning, words.to_owned())
        } else {
            let words = "nothing was lost at full speed: the rate is that of generator and program \
                         together, and the program alone may take more";
            (Severity::Note, words.to_owned())
        };
        let advice =
            "let more processors generate, give the receiver one of its own, or see 'bounce'";
        found.push(finding("generator-was-the-limit", severity, message, advice));
    }
}

fn machine(trial: &Trial, facts: &Facts<'_>, limits: &Limits, found: &mut Vec<Finding>) {
    // Where roles are known, the others' processors matter less: but memory and turbo are shared.
    let any_role = trial.cpus.iter().any(|cpu| !cpu.role.is_empty());
    let cpus = || trial.cpus.iter().filter(|cpu| !any_role || !cpu.role.is_empty());
    let most = |of: fn(&Cpu) -> f64| cpus().max_by(|a, b| of(a).total_cmp(&of(b)));
    let judged = |value: f64, warning: f64, invalid: f64| match value {
        value if value >= invalid => Some(Severity::Invalid),
        value if value >= warning => Some(Severity::Warning),
        _ => None,
    };
    if let Some(cpu) = most(|cpu| cpu.foreign)
        && let Some(severity) = judged(cpu.foreign, limits.foreign_warning, limits.foreign_invalid)
    {
        let message = format!(
            "other processes took {:.0} % of processor {}{}",
            cpu.foreign * 100.0,
            cpu.cpu,
            in_role(cpu)
        );
        let advice = "end or move what else runs here, then repeat; on a machine that is never idle, \
                      --busy takes such trials with a warning";
        found.push(finding("busy-machine", severity, message, advice));
    }
    if let Some(cpu) = most(|cpu| cpu.steal)
        && let Some(severity) = judged(cpu.steal, limits.steal_warning, limits.steal_invalid)
    {
        let message = format!(
            "the hypervisor took {:.0} % of processor {}{}",
            cpu.steal * 100.0,
            cpu.cpu,
            in_role(cpu)
        );
        let advice = "repeat when the host is idle, or on processors that are not shared";
        found.push(finding("processor-stolen", severity, message, advice));
    }
    if facts.bpf_stats {
        let message =
            "kernel.bpf_stats_enabled is on: it adds some 60 ns to every run of a program";
        let advice = "sysctl -w kernel.bpf_stats_enabled=0";
        found.push(finding("bpf-stats-on", Severity::Warning, message.to_owned(), advice));
    }
}

fn in_role(cpu: &Cpu) -> String {
    if cpu.role.is_empty() { String::new() } else { format!(" ({})", cpu.role) }
}
