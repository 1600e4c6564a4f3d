//! Who else looks on: a packet capture on the device, its statistics, TC programs behind ours, the
//! kernel's tracepoint. Set up for the shots that ask for it alone, since a capture makes clones of
//! what it sees.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{FilterKey, Kernel, MapSpec, ProgramSpec, XdpMode};

use super::case::Onlookers;
use super::place::Place;
use crate::capture::{Capture, Captured, Destination};
use crate::dut::Failure;
use crate::frame::notation::Names;
use crate::frame::{Frame, dissect};

mod trace;

use trace::Trace;

const SCHED_CLS: u32 = 3;
const ARRAY: u32 = 2;
/// Behind every filter of hoist's.
const LAST: FilterKey = FilterKey { priority: 60_000, handle: 1 };
const NAME: &str = "hoist_onlooker";

/// Everybody who was asked to look on.
pub(super) struct Watch<'a> {
    place: &'a Place,
    tap: Option<Capture>,
    received: Option<u64>,
    later: Option<Later>,
    trace: Option<Trace>,
}

/// What they saw.
#[derive(Debug, Default)]
pub(super) struct Looked {
    tap: Option<Vec<Captured>>,
    received: Option<u64>,
    later: Option<u64>,
    hash: Option<u64>,
    traced: Option<usize>,
}

impl<'a> Watch<'a> {
    /// Sets up what a shot asks for. The second is why it cannot be had here.
    pub(super) fn open(
        place: &'a Place,
        asked: &Onlookers,
    ) -> Result<Result<Self, String>, Failure> {
        let near = place.dut.port();
        let trace = match asked.traced {
            Some(_) => match Trace::start(xdp_program(place)?) {
                Ok(trace) => Some(trace),
                Err(error) => return Ok(Err(format!("the kernel's tracing: {error}"))),
            },
            None => None,
        };
        let later = asked.later.or(asked.hash).map(|_| Later::attach(place)).transpose()?;
        let tap = asked.tap.is_some().then(|| Capture::both_ways(near)).transpose()?;
        let received = asked.received.map(|_| received(place)).transpose()?;
        Ok(Ok(Self { place, tap, received, later, trace }))
    }

    /// Takes it down again, and tells what was seen.
    pub(super) fn finish(self) -> Result<Looked, Failure> {
        let received = match self.received {
            Some(before) => Some(received(self.place)?.saturating_sub(before)),
            None => None,
        };
        let (later, hash) = match self.later.as_ref().map(Later::seen).transpose()? {
            Some((count, hash)) => (Some(count), Some(hash)),
            None => (None, None),
        };
        Ok(Looked {
            tap: self.tap.as_ref().map(Capture::rest).transpose()?,
            received,
            later,
            hash,
            traced: self.trace.map(Trace::events).transpose()?,
        })
    }
}

/// The program in the device's XDP slot; 0, which no program has, where TC runs it.
fn xdp_program(place: &Place) -> Result<u32, Failure> {
    let index = place.dut.port().ifindex;
    let dut = &place.dut;
    let slots = dut.inside(|| dut.kernel().query_xdp(index))?;
    let slot = |mode| slots.of(mode).unwrap_or(0);
    Ok(slot(XdpMode::Native).max(slot(XdpMode::Generic)))
}

/// What was seen against what must be seen.
pub(super) fn differences(
    asked: Option<&Onlookers>,
    looked: &Looked,
    sent: &[u8],
    names: &Names,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let Some(asked) = asked else { return Ok(found) };
    let mut count = |what: &str, wanted: Option<u32>, got: Option<u64>| {
        if let (Some(wanted), Some(got)) = (wanted, got)
            && u64::from(wanted) != got
        {
            found.push(format!("{what}: {got}, expected {wanted}"));
        }
    };
    count("packets in the interface's statistics", asked.received, looked.received);
    count("frames at a later TC program", asked.later, looked.later);
    count("the receive hash at a later TC program", asked.hash, looked.hash);
    count("events of xdp:xdp_exception", asked.traced, looked.traced.map(|n| n as u64));
    if let (Some(wanted), Some(got)) = (&asked.tap, &looked.tap) {
        let wanted: Vec<(bool, Vec<u8>)> =
            wanted.iter().map(|line| tapped(line, sent, names)).collect::<Result<_, _>>()?;
        let seen = |frame: &Captured| {
            (frame.destination == Destination::Outgoing, super::normalise::arrived(frame))
        };
        let seen: Vec<(bool, Vec<u8>)> = got.iter().map(seen).collect();
        if wanted != seen {
            let (seen, wanted) = (list(&seen), list(&wanted));
            found.push(format!("a capture on the device shows {seen}, expected {wanted}"));
        }
    }
    Ok(found)
}

fn list(frames: &[(bool, Vec<u8>)]) -> String {
    let line = |(out, bytes): &(bool, Vec<u8>)| {
        format!("{} {}", if *out { "out" } else { "in" }, dissect(bytes))
    };
    match frames {
        [] => "nothing".to_owned(),
        some => some.iter().map(line).collect::<Vec<_>>().join("; "),
    }
}

/// `in same`, `out eth ...`.
fn tapped(line: &str, sent: &[u8], names: &Names) -> Result<(bool, Vec<u8>), String> {
    let (way, frame) = line.split_once(' ').unwrap_or((line, "same"));
    let out = match way {
        "in" => false,
        "out" => true,
        _ => return Err(format!("tap '{line}': expected in or out, found '{way}'")),
    };
    let bytes = match frame {
        "same" => sent.to_vec(),
        line => Frame::parse(line, names).map_err(|e| format!("tap '{line}': {e}"))?.bytes(),
    };
    Ok((out, bytes))
}

/// Packets in the device's statistics.
fn received(place: &Place) -> Result<u64, Failure> {
    let name = &place.dut.port().name;
    // Of the namespace of the thread that reads it.
    let dut = &place.dut;
    let text = dut.inside(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:")));
    let packets = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    packets.ok_or_else(|| format!("{name} is not in /proc/net/dev").into())
}

/// A TC program behind ours that counts what reaches it, notes its receive hash and leaves it to the
/// next.
struct Later {
    kernel: Arc<dyn Kernel>,
    place_index: u32,
    inside: crate::lab::Namespace,
    map: OwnedFd,
    program: u32,
    clsact: bool,
}

impl Later {
    fn attach(place: &Place) -> Result<Self, Failure> {
        let (kernel, port) = (Arc::clone(place.dut.kernel()), place.dut.port());
        let map = kernel.create_map(&MapSpec {
            name: NAME.to_owned(),
            kind: ARRAY,
            key_size: 4,
            value_size: 16,
            max_entries: 1,
            ..MapSpec::default()
        })?;
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&map);
        let program = load(&*kernel, &counting(descriptor))?;
        let id = kernel.program_info(program.as_fd())?.id;
        let index = port.ifindex;
        let attach = || {
            let clsact = kernel.add_clsact(index)?;
            kernel.add_filter(index, LAST, program.as_fd(), NAME)?;
            Ok::<_, hoist_bpf::kernel::KernelError>(clsact)
        };
        let clsact = place.dut.inside(attach)?;
        let inside = port.namespace.clone();
        Ok(Self { kernel, place_index: index, inside, map, program: id, clsact })
    }

    /// How many frames, and the receive hash of the last.
    fn seen(&self) -> Result<(u64, u64), Failure> {
        let value = self.kernel.map_lookup(self.map.as_fd(), &[0; 4], 16)?.unwrap_or_default();
        let word = |at: usize| value.get(at..at + 8).and_then(|word| word.try_into().ok());
        let number = |at| word(at).map_or(0, u64::from_ne_bytes);
        Ok((number(0), number(8)))
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        let (kernel, index) = (&self.kernel, self.place_index);
        self.inside.run(|| {
            // What cannot be removed goes with the laboratory.
            let _ = kernel.remove_filter(index, LAST, self.program);
            if self.clsact {
                let _ = kernel.remove_clsact(index);
            }
        });
    }
}

/// Loads a TC program.
pub(super) fn load(kernel: &dyn Kernel, insns: &[Insn]) -> Result<OwnedFd, Failure> {
    Ok(kernel.load_program(&ProgramSpec {
        name: NAME.to_owned(),
        kind: SCHED_CLS,
        insns,
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    })?)
}

/// Adds 1 to the first half of a map's only value, puts `skb->hash` into the second where there is
/// one, and says "next".
fn counting(map: i32) -> [Insn; 15] {
    [
        Insn::new(0xbf, 6, 1, 0, 0),   // r6 = the buffer
        Insn::new(0x62, 10, 0, -4, 0), // *(u32 *)(r10 - 4) = 0
        Insn::new(0xbf, 2, 10, 0, 0),  // r2 = r10
        Insn::new(0x07, 2, 0, 0, -4),  // r2 += -4
        Insn::new(0x18, 1, 1, 0, map), // r1 = map
        Insn::new(0, 0, 0, 0, 0),      // the wide load's second half
        Insn::new(0x85, 0, 0, 0, 1),   // call bpf_map_lookup_elem
        Insn::new(0x15, 0, 0, 5, 0),   // if r0 == 0 goto +5
        Insn::new(0xb7, 1, 0, 0, 1),   // r1 = 1
        Insn::new(0xdb, 0, 1, 0, 0),   // lock *(u64 *)(r0 + 0) += r1
        Insn::new(0x61, 1, 6, 68, 0),  // r1 = __sk_buff.hash
        Insn::new(0x15, 1, 0, 1, 0),   // if r1 == 0 goto +1
        Insn::new(0x7b, 0, 1, 8, 0),   // *(u64 *)(r0 + 8) = r1
        Insn::new(0xb4, 0, 0, 0, -1),  // w0 = TC_ACT_UNSPEC
        Insn::new(0x95, 0, 0, 0, 0),   // exit
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(outgoing: bool, bytes: &[u8]) -> Captured {
        Captured {
            bytes: bytes.to_vec(),
            destination: if outgoing { Destination::Outgoing } else { Destination::Host },
            protocol: 0x0800,
            offloaded_vlan: None,
            checksum_partial: false,
        }
    }

    #[test]
    fn only_what_was_asked_is_compared_and_each_difference_is_told() {
        let names = Names::lab();
        let sent = Frame::parse("eth far > near / 'x'", &names).unwrap().bytes();
        let back = Frame::parse("eth near > far / 'x'", &names).unwrap().bytes();
        let looked = Looked {
            tap: Some(vec![captured(false, &sent), captured(true, &back)]),
            received: Some(1),
            later: None,
            hash: None,
            traced: Some(2),
        };
        let told = |asked: &Onlookers| differences(Some(asked), &looked, &sent, &names).unwrap();
        let tap = |lines: &[&str]| Some(lines.iter().map(|line| (*line).to_owned()).collect());
        let right = ["in same", "out eth near > far / 'x'"];
        let mut asked = Onlookers { tap: tap(&right), received: Some(1), ..Onlookers::default() };
        assert_eq!(told(&asked), [] as [String; 0]);
        asked.traced = Some(1);
        assert_eq!(told(&asked), ["events of xdp:xdp_exception: 2, expected 1"]);
        for wrong in [&["in same"][..], &["out same", "in same"], &[], &["in same", "in same"]] {
            let asked = Onlookers { tap: tap(wrong), ..Onlookers::default() };
            assert_eq!(told(&asked).len(), 1, "{wrong:?}");
        }
        let asked = Onlookers { tap: tap(&["up same"]), ..Onlookers::default() };
        let error = differences(Some(&asked), &looked, &sent, &names).unwrap_err();
        assert!(error.contains("expected in or out, found 'up'"), "{error}");
        assert_eq!(differences(None, &looked, &sent, &names).unwrap(), [] as [String; 0]);
    }
}
