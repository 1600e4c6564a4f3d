//! From counters to stages: the places that frames pass, and who counts them there.
//!
//! On a veth everything is counted (`drivers/net/veth.c`): frames that the other end's ring took or
//! refused by `tx_queue_*_xdp_xmit` and `..._errors` of the sending end (`veth_xdp_xmit`), frames
//! taken out of it by `rx_queue_*_xdp_packets`, and what native XDP did with them by
//! `rx_queue_*_xdp_drops`, `..._xdp_tx`, `..._xdp_redirect` and `..._drops` (`veth_xdp_rcv`). On other
//! devices the interface's statistics stand for the driver's.

use std::collections::BTreeMap;

use hoist_bpf::passes::count::MAP_NAME;
use hoist_offload::Verdict;
use hoist_offload::attach::Stats;

use super::counters::Reading;
use super::dut::Path;
use super::receiver::Tally;
use super::traffic::{Injection, Sent};
use crate::trial::{Count, Entry, Fate, Ledger, Stage, Witness};

/// What was added to every counter in a trial.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// What the generator says; `None` for a remote one.
    pub sent: Option<(&'a Sent, Injection)>,
    /// The sending interface.
    pub sender: Option<&'a Reading>,
    /// The interface with the program.
    pub dut: &'a Reading,
    /// How frames come to the program.
    pub path: Path,
    /// What the program said; `None` where it does not count.
    pub verdicts: Option<Stats>,
    /// What else its engine counted.
    pub events: &'a BTreeMap<&'static str, u64>,
    /// Whether the program's namespace is its own.
    pub private: bool,
    /// Where redirected frames leave, and what came of them there.
    pub egress: Option<&'a Reading>,
    /// Where frames come back to, and what the program there counted.
    pub back: Option<Back<'a>>,
}

/// Where frames come back to.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// The interface.
    pub reading: &'a Reading,
    /// What the program there counted.
    pub tally: Tally,
}

/// The ledger of a trial.
#[must_use]
pub fn of(terms: &Terms<'_>) -> Ledger {
    let mut ledger = Ledger::default();
    let arrived = transmission(terms, &mut ledger);
    let judged = program(terms, arrived, &mut ledger);
    forwarding(terms, &judged, &mut ledger);
    witnesses(terms, &judged, &mut ledger);
    ledger
}

fn entry(fate: Fate, count: Count) -> Entry {
    Entry { fate, packets: count.packets, counter: count.counter }
}

fn stage(name: String, came: Count, out: impl IntoIterator<Item = (Fate, Count)>) -> Stage {
    let out = out.into_iter().map(|(fate, count)| entry(fate, count)).collect();
    Stage { name, came, out }
}

/// Frames that the interface took: by the ring that the driver fills for XDP frames.
fn taken(sender: &Reading) -> Option<(Count, Count)> {
    let took = sender.queues("tx_queue_", "_xdp_xmit")?;
    let refused = sender.queues("tx_queue_", "_xdp_xmit_errors")?;
    Some((took, refused))
}

/// Frames that an interface took out of its ring.
#[must_use]
pub fn arrivals(at: &Reading) -> Count {
    at.queues("rx_queue_", "_xdp_packets")
        .filter(|count| count.packets > 0)
        .unwrap_or_else(|| at.statistic("rx_packets"))
}

/// From the generator to where frames arrive; gives the counter of arrivals.
fn transmission(terms: &Terms<'_>, ledger: &mut Ledger) -> Count {
    let dut = terms.dut;
    let arrived = arrivals(dut);
    let (Some((sent, injection)), Some(sender)) = (terms.sent, terms.sender) else {
        return arrived;
    };
    let (took, refused) = match injection {
        Injection::Frames => taken(sender),
        Injection::Buffers => None,
    }
    .unwrap_or_else(|| (sender.statistic("tx_packets"), sender.statistic("tx_dropped")));
    let mut out = vec![(Fate::Onward, took.clone()), (Fate::Refused, refused)];
    out.extend(sent.refused.clone().map(|count| (Fate::Refused, count)));
    let name = format!("transmission by {}", sender.interface());
    ledger.stages.push(stage(name, sent.generated.clone(), out));
    let mut out = vec![(Fate::Onward, arrived.clone())];
    let missed = dut.statistic("rx_missed_errors");
    if missed.packets > 0 {
        out.push((Fate::RingDrop, missed));
    }
    ledger.stages.push(stage(format!("reception by {}", dut.interface()), took, out));
    arrived
}

/// What the program said, by its own counters or the driver's.
struct Judged {
    tx: Option<Count>,
    redirect: Option<Count>,
    pass: Option<Count>,
}

fn verdict_counts(stats: &Stats) -> impl Iterator<Item = (Fate, Count)> + '_ {
    Verdict::ALL.into_iter().map(|verdict| {
        let counter = format!("map {MAP_NAME}: {}", verdict.name());
        (Fate::from(verdict), Count { packets: stats.of(verdict), counter })
    })
}

fn program(terms: &Terms<'_>, arrived: Count, ledger: &mut Ledger) -> Judged {
    let dut = terms.dut;
    let lost = dut.queues("rx_queue_", "_drops").unwrap_or_else(|| dut.statistic("rx_dropped"));
    let mut came = arrived;
    let mut out: Vec<(Fate, Count)> = Vec::new();
    match terms.path {
        // The driver counts as lost what it could not forward, behind the program.
        Path::Native | Path::Hardware => {}
        Path::Buffers => out.push((Fate::RingDrop, lost.clone())),
        Path::AfXdp => {
            if let Some(onward) = dut.queues("rx_queue_", "_xdp_redirect") {
                let ways = [(Fate::Onward, onward.clone()), (Fate::SocketDrop, lost.clone())];
                let name = format!("redirect to the socket of {}", dut.interface());
                ledger.stages.push(stage(name, came, ways));
                came = onward;
            }
        }
        Path::AfPacket => out.push((Fate::SocketDrop, event(terms, "overrun"))),
    }
    if matches!(terms.path, Path::AfXdp | Path::AfPacket) {
        out.push((Fate::SocketDrop, event(terms, "unfit")));
    }
    let name = format!("program on {}", dut.interface());
    let Some(stats) = terms.verdicts else {
        return uncounted(terms, came, lost, name, ledger);
    };
    out.extend(verdict_counts(&stats));
    let of = |verdict: Verdict| {
        let counter = format!("map {MAP_NAME}: {}", verdict.name());
        Some(Count { packets: stats.of(verdict), counter })
    };
    ledger.stages.push(stage(name, came, out));
    Judged { tx: of(Verdict::Tx), redirect: of(Verdict::Redirect), pass: of(Verdict::Pass) }
}

fn event(terms: &Terms<'_>, name: &'static str) -> Count {
    let packets = terms.events.get(name).copied().unwrap_or(0);
    Count { packets, counter: format!("event of the engine: {name}") }
}

/// A program without counters: what the driver says of it, where it runs in the driver.
fn uncounted(
    terms: &Terms<'_>,
    came: Count,
    lost: Count,
    name: String,
    ledger: &mut Ledger,
) -> Judged {
    let dut = terms.dut;
    let unknown = Judged { tx: None, redirect: None, pass: None };
    let counters = ["_xdp_drops", "_xdp_tx", "_xdp_tx_errors", "_xdp_redirect"]
        .map(|end| dut.queues("rx_queue_", end));
    let (Path::Native, [Some(drops), Some(tx), Some(tx_errors), Some(redirect)]) =
        (terms.path, counters)
    else {
        return unknown;
    };
    let ways = [
        (Fate::Drop, drops),
        (Fate::Tx, tx.clone()),
        (Fate::NotForwarded, tx_errors),
        (Fate::Redirect, redirect.clone()),
        (Fate::NotForwarded, lost),
    ];
    ledger.stages.push(stage(name, came, ways));
    Judged { tx: Some(tx), redirect: Some(redirect), ..unknown }
}

/// What came of frames that the program sent on, and where they arrived.
fn forwarding(terms: &Terms<'_>, judged: &Judged, ledger: &mut Ledger) {
    let dut = terms.dut;
    let native = matches!(terms.path, Path::Native);
    // Uncounted programs have these in their stage.
    let counted = terms.verdicts.is_some();
    let mut onward = judged.tx.clone();
    if let Some(tx) = judged.tx.clone().filter(|tx| counted && tx.packets > 0) {
        let driver =
            dut.queues("rx_queue_", "_xdp_tx").zip(dut.queues("rx_queue_", "_xdp_tx_errors"));
        let (sent, errors) = driver
            .filter(|_| native)
            .unwrap_or_else(|| (dut.statistic("tx_packets"), dut.statistic("tx_dropped")));
        let mut ways = vec![(Fate::Onward, sent.clone()), (Fate::NotForwarded, errors)];
        if matches!(terms.path, Path::AfXdp | Path::AfPacket) {
            ways.push((Fate::NotForwarded, event(terms, "send-failed")));
        }
        ledger.stages.push(stage(format!("transmission by {}", dut.interface()), tx, ways));
        onward = Some(sent);
    }
    if let Some(redirect) = judged.redirect.clone().filter(|n| counted && n.packets > 0) {
        onward = redirected(terms, redirect, ledger);
    }
    let (Some(back), Some(onward)) = (terms.back, onward) else { return };
    let at = back.reading;
    let arrived =
        at.queues("rx_queue_", "_xdp_packets").unwrap_or_else(|| at.statistic("rx_packets"));
    let name = format!("reception by {}", at.interface());
    ledger.stages.push(stage(name, onward, [(Fate::Onward, arrived.clone())]));
    let map = |name: &str, packets| Count { packets, counter: format!("map receiver: {name}") };
    let ways = [
        (Fate::Received, map("ours", back.tally.ours)),
        (Fate::Foreign, map("foreign", back.tally.foreign)),
    ];
    ledger.stages.push(stage(format!("receiver on {}", at.interface()), arrived, ways));
}

/// The redirect itself, where the driver counts it, and the other interface's transmission.
fn redirected(terms: &Terms<'_>, redirect: Count, ledger: &mut Ledger) -> Option<Count> {
    let dut = terms.dut;
    let mut came = redirect;
    if terms.path == Path::Native
        && let (Some(done), Some(lost)) =
            (dut.queues("rx_queue_", "_xdp_redirect"), dut.queues("rx_queue_", "_drops"))
    {
        let ways = [(Fate::Onward, done.clone()), (Fate::NotForwarded, lost)];
        ledger.stages.push(stage(format!("redirect on {}", dut.interface()), came, ways));
        came = done;
    }
    let egress = terms.egress?;
    let (sent, refused) = Some(())
        .filter(|()| terms.path == Path::Native)
        .and_then(|()| taken(egress))
        .unwrap_or_else(|| (egress.statistic("tx_packets"), egress.statistic("tx_dropped")));
    let mut ways = vec![(Fate::Onward, sent.clone()), (Fate::NotForwarded, refused)];
    if matches!(terms.path, Path::AfXdp | Path::AfPacket) {
        ways.push((Fate::NotForwarded, event(terms, "send-failed")));
    }
    ledger.stages.push(stage(format!("transmission by {}", egress.interface()), came, ways));
    Some(sent)
}

/// What others say of the same frames.
fn witnesses(terms: &Terms<'_>, judged: &Judged, ledger: &mut Ledger) {
    let dut = terms.dut;
    let arrived = arrivals(dut);
    let mut confirm = |expected: &Count, witness: Count| {
        ledger.witnesses.push(Witness {
            counter: witness.counter,
            packets: witness.packets,
            confirms: expected.counter.clone(),
            expected: expected.packets,
        });
    };
    if arrived.counter.starts_with("ethtool") {
        confirm(&arrived, dut.statistic("rx_packets"));
    }
    if let Some(stats) = terms.verdicts.filter(|_| terms.path == Path::Native) {
        // The driver counts what it drops for the program, whichever of the two words it said.
        if let Some(drops) = dut.queues("rx_queue_", "_xdp_drops") {
            let packets = stats.of(Verdict::Drop) + stats.of(Verdict::Aborted);
            let counter = format!("map {MAP_NAME}: drop and aborted");
            confirm(&Count { packets, counter }, drops);
        }
    }
    if terms.path == Path::AfXdp
        && let Some(lost) = dut.queues("rx_queue_", "_drops").filter(|lost| lost.packets > 0)
    {
        confirm(&lost, event(terms, "overrun"));
    }
    if let (true, Some(pass)) = (terms.private, judged.pass.as_ref().filter(|n| n.packets > 0)) {
        let stack = ["snmp: Ip InReceives", "snmp6: Ip6InReceives"].map(|name| dut.protocol(name));
        if let Some(count) = stack.into_iter().find(|count| count.packets > 0) {
            confirm(pass, count);
        }
    }
}
