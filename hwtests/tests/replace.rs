//! Replacing a running program: no packet slips through between the two, and nobody else's program
//! is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{ObjectKind, ProgramSpec};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::dut::{Dut, engines};
use hoist_hwtests::frame::{Frame, mac};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};
use hoist_offload::plan::Choice;
use hoist_offload::{AttachPolicy, EngineKind, Error, Hook, MapHandle};
use serial_test::file_serial;

// Keeps a processor busy: not at the same time as others that do.
#[file_serial(busy)]
#[test]
fn under_traffic_every_frame_meets_one_program_or_the_other() {
    if !require::veth("under_traffic_every_frame_meets_one_program_or_the_other") {
        return;
    }
    const REPLACEMENTS: usize = 15;
    for engine in engines() {
        let lab = Lab::pair().unwrap();
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt("count_proto").unwrap();
        let counters = |prepared: &dyn hoist_offload::Prepared| prepared.map("protocols").unwrap();
        let first = dut.prepare(&job, engine).unwrap();
        let mut maps = vec![counters(&*first)];
        let mut running = dut.attach(first, &AttachPolicy::default()).unwrap();

        let frame = Frame::eth(mac(2), mac(1)).ipv4([1; 4], [2; 4]).udp(1, 2).pad_to(60).bytes();
        let stop = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let traffic = scope.spawn(|| {
                let sender = Sender::open(lab.far()).unwrap();
                let mut sent = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    sender.send(&frame).unwrap();
                    sent += 1;
                }
                sent
            });
            for _ in 0..REPLACEMENTS {
                let next = dut.prepare_replacement(&job, engine);
                // Without this, a failure would leave the traffic running.
                let next = next.inspect_err(|_| stop.store(true, Ordering::Relaxed)).unwrap();
                maps.push(counters(&*next));
                let replaced = dut.inside(|| running.replace(next));
                replaced.inspect_err(|_| stop.store(true, Ordering::Relaxed)).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            traffic.join().unwrap()
        });
        let counted = || maps.iter().map(udp_packets).sum::<u64>();
        wait::until(wait::SILENCE, || counted() >= sent);
        assert_eq!(counted(), sent, "{engine}: frames counted, frames sent");
        let busy = maps.iter().filter(|map| udp_packets(map) > 0).count();
        assert!(busy > REPLACEMENTS / 2, "{engine}: only {busy} programs saw traffic");
    }
}

/// Packets that `count_proto` counted, on all CPUs.
fn udp_packets(map: &MapHandle) -> u64 {
    let value = map.lookup(&17_u32.to_ne_bytes()).unwrap().unwrap();
    value.chunks_exact(16).map(|c| u64::from_ne_bytes(c[..8].try_into().unwrap())).sum()
}

#[test]
fn a_program_that_somebody_swapped_meanwhile_is_not_replaced() {
    if !require::veth("a_program_that_somebody_swapped_meanwhile_is_not_replaced") {
        return;
    }
    for engine in engines() {
        let lab = Lab::pair().unwrap();
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt("pass").unwrap();
        let (_, mut running) = dut.run(&job, Choice::only(engine)).unwrap();
        let ours = dut.effective(&mut *running).unwrap();

        // Passes: r0 = XDP_PASS or TC_ACT_OK; exit
        let tc = engine.kind == EngineKind::Tc;
        let pass = if tc { 0 } else { 2 };
        let insns = [Insn::new(0xb7, 0, 0, 0, pass), Insn::new(0x95, 0, 0, 0, 0)];
        let spec = ProgramSpec {
            name: "theirs".to_owned(),
            kind: if tc { 3 } else { 6 },
            expected_attach_type: if tc { 0 } else { 37 },
            insns: &insns,
            license: "GPL".to_owned(),
            ..ProgramSpec::default()
        };
        let kernel = dut.kernel();
        let theirs = kernel.load_program(&spec).unwrap();
        let ifindex = lab.near().ifindex;
        if let Some(id) = ours.link_id {
            let link = kernel.open(ObjectKind::Link, id).unwrap().unwrap();
            let old = kernel.open(ObjectKind::Program, ours.program_id).unwrap().unwrap();
            kernel.link_update(link.as_fd(), theirs.as_fd(), old.as_fd()).unwrap();
        } else {
            dut.inside(|| {
                let key = kernel.filters(ifindex).unwrap()[0].key;
                kernel.replace_filter(ifindex, key, ours.program_id, theirs.as_fd(), "theirs")
            })
            .unwrap();
        }

        let next = dut.prepare_replacement(&job, engine).unwrap();
        let error = dut.inside(|| running.replace(next)).unwrap_err();
        let Error::Refused { refusals, .. } = &error else { panic!("{engine}: {error:?}") };
        let codes: Vec<&str> =
            refusals.iter().flat_map(|r| &r.gaps).map(|g| g.code.as_str()).collect();
        assert_eq!(codes, ["replace-mismatch"], "{engine}");
        let attached = dut.device().unwrap().attached;
        let there: Vec<u32> = attached.iter().map(|program| program.id).collect();
        assert_eq!(there, [kernel.program_info(theirs.as_fd()).unwrap().id], "{engine}");
        // Whoever took it over keeps it.
        dut.inside(|| running.detach()).unwrap();
        let left = usize::from(engine.hook == Some(Hook::Clsact));
        assert_eq!(dut.device().unwrap().attached.len(), left, "{engine}");
    }
}
