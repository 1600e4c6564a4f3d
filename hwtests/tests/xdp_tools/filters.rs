//! The ten filters of xdp-filter: the same verdicts on the same frames, wherever they run.

use std::path::Path;
use std::sync::Arc;

use hoist_bpf::module::{MapId, Module};
use hoist_bpf::parse::Selector;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_fallback::userspace::executor::Executor;
use hoist_fallback::userspace::maps;
use hoist_fallback::userspace::ports::capture::{self, Capture};
use hoist_fallback::userspace::ports::{Batch, Port as _};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame as Run, Machine, Options};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::dut::{Dut, engines};
use hoist_hwtests::frame::{Frame, mac};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::wait;
use hoist_offload::attach::Stats;
use hoist_offload::plan::Wanted;
use hoist_offload::{AttachPolicy, Verdict};

use crate::{OBJECTS, installed, path};

/// The low bits of xdp-filter's map values, which say what to look at; the rest counts.
const EVERY_FLAG: u64 = 0x3f;
/// The port, and the last byte of the address and of the station that the filters are told of.
const PORT: u16 = 7000;
const STRANGER: [u8; 4] = [10, 0, 0, 3];
const STATION: u8 = 9;

/// Frames of which every filter drops some and passes others.
fn frames() -> Vec<Vec<u8>> {
    let (other, to) = ([10, 0, 0, 2], [10, 1, 1, 1]);
    let datagram = |station, from: [u8; 4], port: u16| {
        Frame::eth(mac(station), mac(1)).ipv4(from, to).udp(port, 53).payload(&[7; 30])
    };
    let segment = |port| Frame::eth(mac(2), mac(1)).ipv4(other, to).tcp(port, 53, 2);
    let frames = [
        datagram(2, other, 1),
        datagram(2, STRANGER, 1),
        datagram(2, other, PORT),
        datagram(STATION, other, 1),
        segment(1),
        segment(PORT),
        Frame::eth(mac(2), mac(1)).vlan(5).ipv4(STRANGER, to).udp(1, 53),
        Frame::eth(mac(2), mac(1)).next(0x88b5).pad_to(60),
    ];
    frames.iter().map(Frame::bytes).collect()
}

/// What each filter is told of, in those of these maps that it has.
fn keys() -> [(&'static str, Vec<u8>); 3] {
    [
        ("filter_ipv4", STRANGER.to_vec()),
        ("filter_ethernet", mac(STATION).to_vec()),
        ("filter_ports", u32::from(PORT.to_be()).to_ne_bytes().to_vec()),
    ]
}

/// The ten filters.
fn filters() -> impl Iterator<Item = &'static str> {
    OBJECTS.into_iter().map(|(object, _)| object).filter(|object| object.starts_with("xdpfilt_"))
}

/// What was counted between two looks, where that is one verdict.
fn counted(before: &Stats, after: &Stats) -> Verdict {
    let rose: Vec<Verdict> =
        Verdict::ALL.into_iter().filter(|v| after.of(*v) > before.of(*v)).collect();
    let [verdict] = rose[..] else { panic!("one frame, and counted were {rose:?}") };
    verdict
}

/// The verdict of a filter on each of [`frames`] as they come in over a wire, and the sums.
fn on_veth(object: &str, engine: Wanted) -> (Vec<Verdict>, Stats) {
    let bytes = std::fs::read(path(object)).unwrap();
    let lab = Lab::pair().unwrap();
    let dut = Dut::new(lab.near()).unwrap();
    let prepared = dut.prepare(&dut.job(object, &bytes, None).unwrap(), engine).unwrap();
    let value = EVERY_FLAG.to_ne_bytes().repeat(dut.kernel().possible_cpus().unwrap());
    for (name, key) in keys() {
        if let Some(map) = prepared.map(name) {
            map.update(&key, &value).unwrap();
        }
    }
    let running = dut.attach(prepared, &AttachPolicy::default()).unwrap();
    let sender = Sender::open(lab.far()).unwrap();
    let now = || running.stats().unwrap().expect("verdicts are counted");
    let each = |frame: &Vec<u8>| {
        let before = now();
        sender.send(frame).unwrap();
        assert!(wait::until(wait::PATIENCE, || now().total() > before.total()));
        counted(&before, &now())
    };
    (frames().iter().map(each).collect(), now())
}

/// The same on a capture file of [`frames`], by the userspace engine.
fn on_capture(object: &str, file: &Path, compile: When) -> (Vec<Verdict>, Stats) {
    const CPUS: u32 = 3;
    let module = Module::parse(object, &std::fs::read(path(object)).unwrap()).unwrap();
    let module = Arc::new(resolve(&module, &TargetBtf::none()).unwrap());
    let value = EVERY_FLAG.to_ne_bytes().repeat(CPUS as usize);
    let told = keys().into_iter().filter_map(|(name, key)| {
        let position = module.maps.iter().position(|map| map.name == name)?;
        Some((MapId(position as u32), vec![(key, value.clone())]))
    });
    let options = Options {
        maps: maps::Options { cpus: CPUS, ..maps::Options::default() },
        contents: told.collect(),
        compile,
        ..Options::default()
    };
    let program = module.select(&Selector::default()).unwrap();
    let mut machine = Machine::new(&module, program, &options).unwrap();
    if compile != When::Never {
        machine.wait_compiled().unwrap();
    }
    let mut executor = Executor::new(machine);
    let mut port = Capture::open(file, None, capture::Options::default()).unwrap();
    let mut verdicts = Vec::new();
    let mut judge = |frame: &mut Run<'_>, arrival: &Arrival| {
        let before = executor.stats();
        let action = executor.judge(frame, arrival);
        verdicts.push(counted(&before, &executor.stats()));
        action
    };
    while port.receive(&mut judge).unwrap() != Batch::End {}
    assert!(executor.faults().is_empty(), "{object}: {:#?}", executor.faults());
    (verdicts, executor.stats())
}

/// A capture file as tcpdump writes it: microseconds, link type Ethernet.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, u32::from_ne_bytes([2, 0, 4, 0]), 0, 0, 65535, 1];
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut bytes: Vec<u8> = words(&header);
    for (frame, second) in frames.iter().zip(1_700_000_000..) {
        let length = frame.len() as u32;
        bytes.extend::<Vec<u8>>(words(&[second, 0, length, length]));
        bytes.extend(frame);
    }
    bytes
}

/// The ten filters, each told of the same address, station and port, do the same to the same frames
/// wherever they run.
#[test]
fn every_filter_drops_the_same_frames_on_every_engine() {
    if !installed("every_filter_drops_the_same_frames_on_every_engine") {
        return;
    }
    let mut told_apart = 0;
    for object in filters() {
        let outcomes: Vec<_> = engines().map(|engine| on_veth(object, engine).0).collect();
        let native = &outcomes[0];
        assert!(outcomes.iter().all(|outcome| outcome == native), "{object}: {outcomes:?}");
        let kinds = |verdict| native.contains(&verdict);
        told_apart += usize::from(kinds(Verdict::Drop) && kinds(Verdict::Pass));
    }
    assert_eq!(told_apart, 10, "filters that drop some of the frames and pass others");
}

/// What a filter does on a wire in the kernel, it does on a capture file in hoist's own machine: each
/// frame's verdict, and the packets and bytes counted.
#[test]
fn every_filter_drops_the_same_frames_of_a_capture_as_on_veth() {
    if !installed("every_filter_drops_the_same_frames_of_a_capture_as_on_veth") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.pcap");
    std::fs::write(&file, pcap(&frames())).unwrap();
    let mut told_apart = 0;
    for object in filters() {
        let native = on_veth(object, engines().next().unwrap());
        for compile in [When::Never, When::First] {
            assert_eq!(on_capture(object, &file, compile), native, "{object}, {compile:?}");
        }
        let kinds = |verdict| native.0.contains(&verdict);
        told_apart += usize::from(kinds(Verdict::Drop) && kinds(Verdict::Pass));
    }
    assert_eq!(told_apart, 10, "filters that drop some of the frames and pass others");
}
