//! All ways of running one program, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options, Ran};

use crate::generate;
use crate::random::Random;

/// What one run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    ran: Ran,
    meta: u32,
    data: u32,
    end: u32,
    buffer: Vec<u8>,
    values: BTreeMap<MapId, Vec<u8>>,
}

fn outcome(machine: &mut Machine, packet: &[u8], arrival: &Arrival) -> Outcome {
    let mut buffer = vec![0; 1024];
    buffer[256..256 + packet.len()].copy_from_slice(packet);
    let mut frame = Frame::new(&mut buffer, packet.len() as u32);
    let ran = machine.run(&mut frame, arrival);
    let (meta, data, end) = (frame.meta, frame.data, frame.end);
    let maps = machine.maps();
    // The first values of each map: programs here use few, and those that are gone are no more.
    let values = maps.ids().filter_map(|map| {
        let region = maps.region(map)?;
        let value = |entry| maps.value(map, entry * region.stride, region.value_bytes.into());
        let values = (0..u64::from(region.entries.min(256))).filter_map(|entry| value(entry).ok());
        Some((map, values.flatten().copied().collect()))
    });
    let values = values.collect();
    Outcome { ran, meta, data, end, buffer, values }
}

/// The ways of running; the last checks even what is proven.
const WAYS: [(When, bool); 3] = [(When::Never, false), (When::First, false), (When::First, true)];

fn options((compile, paranoid): (When, bool)) -> Options {
    Options { fuel: 20_000, compile, paranoid, ..Options::default() }
}

/// Runs a program in all ways on some frames; returns the faults it met, `none` among them. None if the
/// machine has not what the program needs.
pub(crate) fn agree(
    module: &Module,
    program: ProgramId,
    frames: &[Vec<u8>],
) -> Option<Vec<&'static str>> {
    let name = &module.name;
    let module = Arc::new(module.clone());
    let mut machines = Vec::new();
    for way in WAYS {
        let mut machine = Machine::new(&module, program, &options(way)).ok()?;
        if way.0 == When::First {
            machine.wait_compiled().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        machines.push(machine);
    }
    let arrival = Arrival {
        ingress_ifindex: 7,
        rx_queue_index: 3,
        time_ns: Some(1_000_000),
        ..Arrival::default()
    };
    let mut faults = Vec::new();
    for frame in frames {
        let mut outcomes = machines.iter_mut().map(|machine| outcome(machine, frame, &arrival));
        let interpreted = outcomes.next()?;
        for compiled in outcomes {
            // Shorter to read, if it is that.
            assert_eq!(interpreted.ran, compiled.ran, "{name}");
            assert_eq!(interpreted, compiled, "{name}");
        }
        faults.push(interpreted.ran.fault.map_or("none", |fault| fault.kind.code()));
    }
    Some(faults)
}

/// How many random programs: enough to be quick, more where asked for.
fn programs() -> u64 {
    std::env::var("HOIST_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

#[test]
fn random_programs_run_alike() {
    let first = std::env::var("HOIST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in first..first + programs() {
        let mut random = Random(seed ^ 0xf00d);
        let frames: Vec<Vec<u8>> = (0..3)
            .map(|_| {
                let len = random.pick(&[0, 7, 14, 34, 60, 61, 128]);
                (0..len).map(|_| random.next() as u8).collect()
            })
            .collect();
        for fault in agree(&generate::module(seed), ProgramId(0), &frames).unwrap() {
            *seen.entry(fault).or_default() += 1;
        }
    }
    eprintln!("{seen:?}");
    // The programs are worth something only if they end in all the ways there are.
    for fault in [
        "none",
        "wild-address",
        "out-of-bounds",
        "context-access",
        "unaligned-atomic",
        "out-of-fuel",
        "call-depth",
        "invalid-instruction",
    ] {
        assert!(seen.contains_key(fault), "no program ended by {fault}: {seen:?}");
    }
}
