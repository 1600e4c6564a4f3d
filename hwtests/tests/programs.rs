//! Every program that comes with hoist does what it says, on native and on generic XDP, to real
//! packets: where they arrive, what they look like, which verdicts were counted, what the maps hold.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::{Ipv4Addr, Ipv6Addr};

use hoist_bpf::programs;
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::dut::{Dut, engines};
use hoist_hwtests::frame::{Frame, diff, dissect, mac, tcp};
use hoist_hwtests::lab::{End, Lab, Namespace, Veth};
use hoist_hwtests::{require, wait};
use hoist_offload::plan::{Choice, Wanted};
use hoist_offload::{AttachPolicy, Attachment, EngineKind, MapHandle};
use serial_test::file_serial;

/// Where a frame comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    /// The stack behind the device under test.
    Stack,
    /// The wire it came from.
    Back,
    /// The wire of another interface.
    Other,
}

/// One program, and what it must do.
struct Case {
    program: &'static str,
    /// Sets map entries before traffic; `(maps, index of the other interface)`.
    fill: fn(&Maps, u32),
    /// What is sent and where it comes out as what; `None`: nowhere.
    frames: Vec<(Frame, Option<(Out, Frame)>)>,
    /// Aborted, drop, pass, tx, redirect.
    verdicts: [u64; 5],
    /// What the maps must say afterwards.
    check: fn(&Maps),
}

/// A program's maps by name.
struct Maps(Vec<MapHandle>);

impl Maps {
    fn named(&self, name: &str) -> &MapHandle {
        self.0.iter().find(|m| m.def().name == name).unwrap()
    }

    fn set(&self, name: &str, key: &[u8], value: &[u8]) {
        self.named(name).update(key, value).unwrap();
    }

    /// Native-endian 64-bit words of one value, those of all CPUs added up.
    fn words(&self, name: &str, key: &[u8]) -> Vec<u64> {
        let map = self.named(name);
        let bytes = map.lookup(key).unwrap().unwrap();
        let words: Vec<u64> =
            bytes.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect();
        let each = (map.def().value_size as usize).div_ceil(8);
        (0..each).map(|i| words.iter().skip(i).step_by(each).sum()).collect()
    }
}

/// An address that nobody has, so that the stack has nothing to answer.
const TARGET: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);

/// The only key of a data section's map, and the first of an array.
const FIRST: [u8; 4] = 0_u32.to_ne_bytes();

fn eth() -> Frame {
    Frame::eth(mac(2), mac(1))
}

/// A datagram to the device under test.
fn datagram(port: u16) -> Frame {
    eth().ipv4(Lab::FAR, TARGET).udp(port, 53).payload(&[7; 80])
}

fn same(frame: Frame) -> (Frame, Option<(Out, Frame)>) {
    (frame.clone(), Some((Out::Stack, frame)))
}

fn becomes(frame: Frame, other: Frame) -> (Frame, Option<(Out, Frame)>) {
    (frame, Some((Out::Stack, other)))
}

fn nothing(_: &Maps) {}
fn untouched(_: &Maps, _: u32) {}

fn cases() -> Vec<Case> {
    let v6 = |n| Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]);
    let datagram6 = eth().ipv6(v6(2), v6(1)).udp(1, 2).payload(&[7; 80]);
    let passed = |program, frames: Vec<Frame>, check| Case {
        program,
        fill: untouched,
        verdicts: [0, 0, frames.len() as u64, 0, 0],
        frames: frames.into_iter().map(same).collect(),
        check,
    };
    let tunnelled = eth()
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2])
        .ipv4(Lab::FAR, TARGET)
        .udp(1, 53)
        .payload(&[7; 80]);
    let lower = eth().ipv4(Lab::FAR, TARGET).ttl(63).udp(1, 53).payload(&[7; 80]);
    let last = eth().ipv4(Lab::FAR, TARGET).ttl(1).udp(1, 53).payload(&[7; 80]);
    let back = Frame::eth(mac(1), mac(2)).ipv4(Lab::FAR, TARGET).udp(1, 53).payload(&[7; 80]);
    let shrunk = Frame::raw(&datagram(1).bytes()[..64]);
    let tagged = |id: u16| eth().vlan(id).ipv4(Lab::FAR, TARGET).udp(1, 53).payload(&[7; 80]);
    vec![
        Case {
            program: "acl",
            fill: |maps, _| {
                let (near, far) = (TARGET.octets(), Lab::FAR.octets());
                let ports = [4000_u16.to_be_bytes(), 53_u16.to_be_bytes()].concat();
                let key = [&far[..], &near, &ports, &[17, 0, 0, 0]].concat();
                let drop = [0_u64.to_ne_bytes(), 1_u64.to_ne_bytes()].concat();
                maps.set("rules", &key, &drop);
            },
            frames: vec![(datagram(4000), None), (datagram(4000), None), same(datagram(4001))],
            verdicts: [0, 2, 1, 0, 0],
            check: |maps| {
                let (key, _) = maps.named("rules").entries().unwrap().remove(0);
                assert_eq!(maps.words("rules", &key)[0], 2, "hits");
            },
        },
        Case {
            program: "bytes",
            fill: untouched,
            frames: vec![becomes(datagram(1), lower), (last, None), same(datagram6.clone())],
            verdicts: [0, 1, 2, 0, 0],
            check: nothing,
        },
        passed("count_proto", vec![datagram(1), datagram(2), datagram6.clone()], |maps| {
            assert_eq!(maps.words("protocols", &17_u32.to_ne_bytes()), [3, 122 * 2 + 142]);
        }),
        Case {
            program: "drop",
            fill: untouched,
            frames: vec![(datagram(1), None), (datagram6.clone(), None)],
            verdicts: [0, 2, 0, 0, 0],
            check: nothing,
        },
        passed("frags", vec![datagram(1)], |maps| {
            assert_eq!(maps.words(".bss", &FIRST), [0, 0], "one buffer holds it");
        }),
        Case {
            program: "globals",
            fill: |maps, _| maps.set(".data", &FIRST, &1_u32.to_ne_bytes()),
            frames: vec![(datagram(1), None)],
            verdicts: [0, 1, 0, 0, 0],
            check: |maps| assert_eq!(maps.words(".bss", &FIRST), [1, 0]),
        },
        Case {
            program: "ipip_decap",
            fill: untouched,
            frames: vec![becomes(tunnelled.clone(), datagram(1)), same(datagram(2))],
            verdicts: [0, 0, 2, 0, 0],
            check: nothing,
        },
        Case {
            program: "ipip_encap",
            fill: untouched,
            frames: vec![becomes(datagram(1), tunnelled), same(datagram6.clone())],
            verdicts: [0, 0, 2, 0, 0],
            check: nothing,
        },
        Case {
            program: "loop",
            fill: untouched,
            frames: vec![same(datagram(1)), (Frame::eth([0; 6], [0; 6]).next(0).pad_to(64), None)],
            verdicts: [0, 1, 1, 0, 0],
            check: nothing,
        },
        Case {
            program: "lpm_block",
            fill: |maps, _| {
                let prefix = |bits: u32, a: [u8; 4]| [bits.to_ne_bytes(), a].concat();
                maps.set("blocked", &prefix(8, [10, 0, 0, 0]), &1_u32.to_ne_bytes());
                maps.set("blocked", &prefix(32, Lab::FAR.octets()), &0_u32.to_ne_bytes());
            },
            frames: vec![
                same(datagram(1)),
                (eth().ipv4([10, 9, 9, 9], TARGET).udp(1, 2).payload(&[1; 20]), None),
            ],
            verdicts: [0, 1, 1, 0, 0],
            check: nothing,
        },
        passed("meta", vec![datagram(1)], nothing),
        passed("pass", vec![datagram(1), tagged(5), datagram6.clone()], nothing),
        Case {
            program: "redirect",
            fill: |maps, other| maps.set("target", &FIRST, &other.to_ne_bytes()),
            frames: vec![(datagram(1), Some((Out::Other, datagram(1))))],
            verdicts: [0, 0, 0, 0, 1],
            check: nothing,
        },
        Case {
            program: "redirect_devmap",
            fill: |maps, other| maps.set("ports", &FIRST, &other.to_ne_bytes()),
            frames: vec![(datagram(1), Some((Out::Other, datagram(1))))],
            verdicts: [0, 0, 0, 0, 1],
            check: nothing,
        },
        passed("ringbuf", vec![datagram(1)], |maps| {
            assert_eq!(maps.words(".bss", &FIRST), [0], "no event was lost");
        }),
        passed("rx_hash", vec![datagram(1)], |maps| {
            assert_eq!(maps.words(".bss", &FIRST).iter().sum::<u64>(), 1);
        }),
        passed("subprog", vec![datagram(1), datagram6.clone(), tagged(5)], |maps| {
            assert_eq!(maps.words(".bss", &FIRST), [0, 1, 1, 1]);
        }),
        Case {
            program: "swap_tx",
            fill: untouched,
            frames: vec![(datagram(1), Some((Out::Back, back)))],
            verdicts: [0, 0, 0, 1, 0],
            check: nothing,
        },
        Case {
            program: "tail_call",
            fill: untouched,
            frames: vec![same(datagram(1)), (datagram6, None), same(tagged(5))],
            verdicts: [0, 1, 2, 0, 0],
            check: |maps| {
                assert_eq!(maps.words("seen", &FIRST), [1]);
                assert_eq!(maps.words("seen", &1_u32.to_ne_bytes()), [1]);
            },
        },
        Case {
            program: "tail_shrink",
            fill: untouched,
            frames: vec![
                becomes(datagram(1), shrunk),
                same(eth().ipv4(Lab::FAR, TARGET).tcp(1, 2, tcp::SYN)),
            ],
            verdicts: [0, 0, 2, 0, 0],
            check: nothing,
        },
        Case {
            program: "vlan_pop",
            fill: untouched,
            frames: vec![becomes(tagged(5), datagram(1)), same(datagram(2))],
            verdicts: [0, 0, 2, 0, 0],
            check: nothing,
        },
        Case {
            program: "vlan_push",
            fill: untouched,
            frames: vec![becomes(datagram(1), tagged(7))],
            verdicts: [0, 0, 1, 0, 0],
            check: nothing,
        },
    ]
}

/// Programs and engines that do not go together, with the code of the gap that says so.
const REFUSED: [(&str, EngineKind, &[&str]); 6] = [
    ("devmap_egress", EngineKind::Native, &["missing-feature", "missing-context-field"]),
    ("devmap_egress", EngineKind::Generic, &["missing-feature", "missing-context-field"]),
    ("devmap_egress", EngineKind::Tc, &["missing-feature", "missing-context-field"]),
    ("rx_hash", EngineKind::Generic, &["missing-feature"]),
    ("rx_hash", EngineKind::Tc, &["missing-feature"]),
    ("meta", EngineKind::Tc, &["missing-feature"]),
];

/// The device under test, and another interface beside it to redirect to. What XDP transmits arrives
/// only where a native program runs, so the other ends of both wires have one that passes all.
struct Scene {
    lab: Lab,
    other: Veth,
    _receivers: [Box<dyn Attachment>; 2],
}

impl Scene {
    fn build() -> Self {
        let lab = Lab::pair().unwrap();
        let (here, there) = (&lab.near().namespace, Namespace::new().unwrap());
        let other = Veth::create((here, End::new("v2", 3)), (&there, End::new("v3", 4))).unwrap();
        let receivers = [lab.far(), &other.far].map(|port| {
            let dut = Dut::new(port).unwrap();
            let job = dut.prebuilt("pass").unwrap();
            dut.run(&job, Choice::only(EngineKind::Native)).unwrap().1
        });
        Self { lab, other, _receivers: receivers }
    }
}

// Keeps a processor busy: not at the same time as others that do.
#[file_serial(busy)]
#[test]
fn every_program_does_what_it_says_on_every_engine() {
    if !require::veth("every_program_does_what_it_says_on_every_engine") {
        return;
    }
    let mut covered = Vec::new();
    for case in cases() {
        // Metadata and programs bound to a device came with Linux 6.3.
        let too_old = case.program == "rx_hash" && !require::kernel(6, 3);
        for engine in engines() {
            let refused = |(p, e, _): &(&str, _, _)| (*p, *e) == (case.program, engine.kind);
            if !too_old && !REFUSED.iter().any(refused) {
                play(&case, engine);
            }
        }
        covered.push(case.program);
    }
    covered.extend(REFUSED.iter().map(|(program, ..)| *program));
    for program in programs::LIST {
        assert!(covered.contains(&program.name), "{} has no case", program.name);
    }
}

/// IPv4 and IPv6: what the cases let through to the stack.
const PROTOCOLS: [u16; 2] = [0x0800, 0x86dd];

/// What the handlers of a protocol get: the stack takes the tag off before.
fn without_tag(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [0x81, 0x00] {
        frame.drain(12..16);
    }
    frame
}

fn play(case: &Case, engine: Wanted) {
    let at = format!("{} on {engine}", case.program);
    let scene = Scene::build();
    let dut = Dut::new(scene.lab.near()).unwrap();
    let job = dut.prebuilt(case.program).unwrap_or_else(|e| panic!("{at}: {e}"));
    let prepared = dut.prepare(&job, engine).unwrap_or_else(|e| panic!("{at}: {e}"));
    let maps = Maps(prepared.maps());
    dut.inside(|| (case.fill)(&maps, scene.other.near.ifindex));
    let mut attached = dut.attach(prepared, &AttachPolicy::default()).unwrap();
    assert_eq!(dut.effective(&mut *attached).unwrap().engine, engine.kind, "{at}");

    // A capture of everything sees frames before TC does; the handlers of protocols come after it.
    let tc = engine.kind == EngineKind::Tc;
    let handlers = || PROTOCOLS.map(|p| Capture::of_protocol(scene.lab.near(), p).unwrap()).into();
    let outs: [(Out, Vec<Capture>); 3] = [
        (Out::Stack, if tc { handlers() } else { vec![Capture::open(scene.lab.near()).unwrap()] }),
        (Out::Back, vec![Capture::open(scene.lab.far()).unwrap()]),
        (Out::Other, vec![Capture::open(&scene.other.far).unwrap()]),
    ];
    let sender = Sender::open(scene.lab.far()).unwrap();
    for (frame, _) in &case.frames {
        sender.send(&frame.bytes()).unwrap();
    }
    let expected = |out: Out| -> Vec<Vec<u8>> {
        let results = case.frames.iter().filter_map(|(_, result)| result.as_ref());
        let frames = results.filter(|(at, _)| *at == out).map(|(_, frame)| frame.bytes());
        if !tc || out != Out::Stack {
            return frames.collect();
        }
        let mut untagged: Vec<Vec<u8>> = frames.map(without_tag).collect();
        untagged.sort_by_key(|frame| frame[12..14].to_vec());
        untagged
    };
    let due = |out, all: &[Capture]| if all.len() == 1 { expected(out).len() } else { 0 };
    let mut arrived =
        outs.each_ref().map(|(out, captures)| captures[0].wait_for(due(*out, captures)).unwrap());
    std::thread::sleep(wait::SILENCE);
    for ((out, captures), got) in outs.iter().zip(&mut arrived) {
        for capture in captures {
            got.extend(capture.rest().unwrap());
        }
        let shown: Vec<String> = got.iter().map(ToString::to_string).collect();
        let expected = expected(*out);
        assert_eq!(got.len(), expected.len(), "{at}: at {out:?} arrived {shown:#?}");
        for (expected, got) in expected.iter().zip(got) {
            let changed = diff(expected, &got.bytes).to_string();
            assert_eq!(changed, "", "{at}: at {out:?}, expected {}", dissect(expected));
        }
    }
    let stats = attached.stats().unwrap().unwrap_or_else(|| panic!("{at}: verdicts not counted"));
    assert_eq!(stats.packets, case.verdicts, "{at}");
    let sent: usize = case.frames.iter().map(|(frame, _)| frame.bytes().len()).sum();
    assert_eq!(stats.bytes.iter().sum::<u64>(), sent as u64, "{at}: bytes");
    (case.check)(&maps);
    dut.inside(|| attached.detach()).unwrap();
    assert_eq!(dut.device().unwrap().attached, [], "{at}: detached");
}

#[test]
fn what_an_engine_cannot_do_it_says() {
    if !require::veth("what_an_engine_cannot_do_it_says") {
        return;
    }
    let scene = Scene::build();
    let dut = Dut::new(scene.lab.near()).unwrap();
    for (program, engine, expected) in REFUSED {
        let job = dut.prebuilt(program).unwrap();
        let plan = dut.plan(&job, Choice::only(engine)).unwrap();
        let codes: Vec<&str> =
            plan.refusals.iter().flat_map(|r| &r.gaps).map(|g| g.code.as_str()).collect();
        assert_eq!((plan.engine, codes.as_slice()), (None, expected), "{program} on {engine}");
    }
}
