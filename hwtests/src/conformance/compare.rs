//! What was seen against what must be seen: one sentence for each difference.

use std::collections::BTreeMap;

use hoist_offload::{EngineKind, Verdict};

use super::case::{At, Expect, How, PacketType, SocketExpect};
use super::expected::Expected;
use super::normalise;
use super::observe::Seen;
use super::send::Transport;
use super::shot::Shot;
use crate::capture::{Captured, Destination};
use crate::frame::{diff, dissect};

/// Compares real traffic. `foreign`: the interfaces are not the laboratory's own.
pub(super) fn traffic(
    shot: &Shot,
    expect: &Expect,
    expected: &Expected,
    seen: &Seen,
    foreign: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    if expect.unseen {
        found.extend(counted_though_unseen(seen, foreign));
    } else {
        found.extend(verdicts(shot, expected.verdict, seen, foreign));
    }
    let sent = shot.frame.bytes();
    let times = if expect.unseen { 0 } else { u64::from(shot.times) };
    let length = times * sent.len() as u64;
    let counted = seen.verdicts.is_some() && expected.verdict.is_some() && !foreign;
    // What is beside the data is no byte of it.
    let counted = counted && shot.how != How::TagBeside;
    if normalise::counts_frames(shot.how) && counted && seen.bytes != length {
        found.push(format!("{} bytes were counted, expected {length}", seen.bytes));
    }
    if normalise::counts_frames(shot.how) {
        let times = shot.times as usize;
        let at = |place: &[At]| if place.contains(&expected.at) { times } else { 0 };
        let stack = if expected.handed.is_some() { at(&[At::Stack]) } else { 0 };
        let handed = expected.handed.as_ref();
        let bytes = handed.map_or(&expected.frame, |h| &h.bytes);
        found.extend(place("stack", stack, bytes, &sent, &seen.stack, foreign));
        if let (1.., Some(handed)) = (stack, handed) {
            let ours = |f: &&Captured| !foreign || normalise::equal(bytes, &f.bytes);
            for frame in seen.stack.iter().filter(ours) {
                found.extend(for_whom(handed.packet_type, handed.protocol, frame));
            }
        }
        let peer = at(&[At::Peer, At::PeerAndThird]);
        found.extend(place("peer", peer, &expected.frame, &sent, &seen.peer, foreign));
        let third = at(&[At::Third, At::PeerAndThird]);
        found.extend(place("third", third, &expected.frame, &sent, &seen.third, foreign));
    }
    if let Some(socket) = &expect.socket {
        found.extend(sockets(socket, &sent, seen));
    }
    found.dedup();
    found
}

/// Compares a test run.
pub(super) fn test_run(
    engine: EngineKind,
    metadata: bool,
    expected: &Expected,
    verdict: Verdict,
    frame: &[u8],
) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(wanted) = expected.verdict
        && wanted != verdict
    {
        found.push(format!("verdict {}, expected {}", verdict.name(), wanted.name()));
    }
    let lives = matches!(verdict, Verdict::Pass | Verdict::Tx | Verdict::Redirect);
    if lives && !normalise::equal_in_test_run(engine, metadata, &expected.frame, frame) {
        found.push(format!("the frame: {}", changes(&expected.frame, frame)));
    }
    found
}

/// Others' frames may be counted on interfaces that are not the laboratory's own.
fn counted_though_unseen(seen: &Seen, foreign: bool) -> Option<String> {
    let all: u64 = seen.verdicts?.iter().sum();
    (all > 0 && !foreign).then(|| format!("the program saw {all} frames, expected none"))
}

fn verdicts(shot: &Shot, wanted: Option<Verdict>, seen: &Seen, foreign: bool) -> Option<String> {
    let (counts, wanted) = (seen.verdicts?, wanted?);
    let mine = counts[wanted as usize];
    let all: u64 = counts.iter().sum();
    let right = match normalise::counts_frames(shot.how) {
        true if foreign => mine >= u64::from(shot.times),
        true => mine == u64::from(shot.times) && all == mine,
        false => mine > 0 && all == mine,
    };
    if right {
        return None;
    }
    let counted: Vec<String> = Verdict::ALL
        .iter()
        .filter(|v| counts[**v as usize] > 0)
        .map(|v| format!("{} {}", counts[*v as usize], v.name()))
        .collect();
    let counted = if counted.is_empty() { "none".to_owned() } else { counted.join(", ") };
    Some(format!("verdicts: {counted}, expected {} {}", shot.times, wanted.name()))
}

fn place(
    name: &str,
    wanted: usize,
    expected: &[u8],
    sent: &[u8],
    got: &[Captured],
    foreign: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    if foreign {
        return among_others(name, wanted, expected, sent, got);
    }
    if wanted == 0 {
        found.extend(
            got.iter().map(|frame| format!("at the {name} arrived, unexpected: {frame}")).take(1),
        );
        return found;
    }
    if got.len() != wanted {
        found.push(format!("at the {name} arrived {} frames, expected {wanted}", got.len()));
    }
    for frame in got {
        let bytes = normalise::arrived(frame);
        if expected != bytes {
            found.push(format!("at the {name}: {}", changes(expected, &bytes)));
        }
    }
    found
}

/// Rule 4: looks for what is as expected, or as it was sent, among frames of others.
fn among_others(
    name: &str,
    wanted: usize,
    expected: &[u8],
    sent: &[u8],
    got: &[Captured],
) -> Vec<String> {
    let count =
        |what: &[u8]| got.iter().filter(|f| normalise::equal(what, &normalise::arrived(f))).count();
    let right = count(expected);
    if wanted == 0 {
        let leaked = if expected == sent { right } else { right + count(sent) };
        return (leaked > 0)
            .then(|| format!("at the {name} arrived {leaked} frames, unexpected"))
            .into_iter()
            .collect();
    }
    if right == wanted {
        return Vec::new();
    }
    let others = got.iter().map(normalise::arrived).find(|b| !normalise::equal(expected, b));
    let other = others.map(|bytes| format!(", but {}", changes(expected, &bytes)));
    let other = other.unwrap_or_default();
    vec![format!("at the {name} arrived {right} frames as expected, not {wanted}{other}")]
}

fn changes(expected: &[u8], got: &[u8]) -> String {
    let difference = diff(expected, got);
    let shown = difference.changes.iter().take(4).cloned().collect::<Vec<_>>().join("; ");
    format!("{shown} (is {}, expected {})", dissect(got), dissect(expected))
}

fn for_whom(packet_type: PacketType, protocol: u16, frame: &Captured) -> Vec<String> {
    let got = match frame.destination {
        Destination::Host => PacketType::Host,
        Destination::Broadcast => PacketType::Broadcast,
        Destination::Multicast => PacketType::Multicast,
        Destination::Other | Destination::Outgoing => PacketType::Other,
    };
    let mut found = Vec::new();
    if got != packet_type {
        found.push(format!("packet type {got:?}, expected {packet_type:?}").to_lowercase());
    }
    if frame.protocol != protocol {
        found.push(format!("protocol {:#06x}, expected {protocol:#06x}", frame.protocol));
    }
    found
}

fn sockets(socket: &SocketExpect, sent: &[u8], seen: &Seen) -> Vec<String> {
    let payload =
        || Transport::find(sent).map(|t| sent[t.payload()..].to_vec()).unwrap_or_default();
    let text = |bytes: &[u8]| match bytes.len() {
        ..80 => format!("'{}'", String::from_utf8_lossy(bytes)),
        length => format!("{length} bytes"),
    };
    let mut found = Vec::new();
    if let Some(port) = socket.udp {
        let got = seen.datagrams.get(&port).cloned().unwrap_or_default();
        let wanted: Vec<Vec<u8>> = socket.receives.iter().map(|t| t.clone().into_bytes()).collect();
        let right = if socket.whole { got.concat() == payload() } else { got == wanted };
        if !right {
            let list = |all: &[Vec<u8>]| match all {
                [] => "nothing".to_owned(),
                some => some.iter().map(|d| text(d)).collect::<Vec<_>>().join(", "),
            };
            let wanted = if socket.whole { vec![payload()] } else { wanted };
            found.push(format!(
                "UDP port {port} received {}, expected {}",
                list(&got),
                list(&wanted)
            ));
        }
    }
    if let Some(port) = socket.tcp {
        let got = seen.streams.get(&port).cloned().unwrap_or_default();
        let wanted = if socket.whole { payload() } else { socket.receives.concat().into_bytes() };
        if got != wanted {
            found.push(format!("TCP port {port} read {}, expected {}", text(&got), text(&wanted)));
        }
    }
    found
}

/// Datagrams and bytes that must come before a shot is over.
pub(super) fn wanted_by_sockets(shot: &Shot, expect: &Expect) -> (usize, usize) {
    let Some(socket) = &expect.socket else { return (0, 0) };
    let sent = shot.frame.bytes();
    let bytes = match socket.whole {
        true => Transport::find(&sent).map_or(0, |t| sent.len() - t.payload()),
        false => socket.receives.iter().map(String::len).sum(),
    };
    (socket.receives.len(), bytes)
}

/// Bytes that real sockets received.
pub(super) fn received(seen: &Seen) -> (usize, usize) {
    let datagrams = &seen.datagrams;
    let count = datagrams.values().map(Vec::len).sum();
    let of =
        |all: &BTreeMap<u16, Vec<Vec<u8>>>| all.values().flatten().map(Vec::len).sum::<usize>();
    (count, of(datagrams) + seen.streams.values().map(Vec::len).sum::<usize>())
}
