//! The generator and the meter on a veth pair.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hoist_benches::meter::Length;
use hoist_benches::{Generator, ReceiveCounter, measure};
use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec, XdpMode};
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;

/// Attaches `return XDP_DROP` to the near device.
fn drop_everything(kernel: &dyn Kernel, lab: &Lab, mode: XdpMode) -> OwnedFd {
    let insns = [Insn::new(0xb7, 0, 0, 0, 1), Insn::new(0x95, 0, 0, 0, 0)];
    let spec = ProgramSpec {
        name: "drop".to_owned(),
        kind: 6,
        expected_attach_type: 37,
        insns: &insns,
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    };
    lab.near().namespace.run(|| {
        let program = kernel.load_program(&spec).expect("loaded");
        kernel.link_xdp(program.as_fd(), lab.near().ifindex, mode).expect("attached")
    })
}

fn frame(lab: &Lab) -> Vec<u8> {
    Frame::eth(lab.near().mac, lab.far().mac)
        .ipv4(Lab::FAR.octets(), Lab::NEAR.octets())
        .udp(4000, 9)
        .bytes()
}

#[test]
fn what_is_sent_is_counted_where_it_arrives() {
    if !require::veth("what_is_sent_is_counted_where_it_arrives") {
        return;
    }
    for (mode, gro) in [(XdpMode::Native, false), (XdpMode::Generic, true)] {
        let lab = Lab::with(|near| near.gro(gro), |far| far).unwrap();
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
        let _link = drop_everything(&*kernel, &lab, mode);
        let counter = lab.near().namespace.run(|| ReceiveCounter::open("v0")).unwrap();
        let trial = lab.far().namespace.run(|| {
            let generator = Generator::new(kernel, lab.far().ifindex, frame(&lab)).unwrap();
            let length =
                Length { warm_up: Duration::from_millis(20), window: Duration::from_millis(50) };
            let mut counter = counter;
            measure(&generator, length, &AtomicBool::new(false), || counter.packets()).unwrap()
        });
        assert!(trial.sent > 0, "{mode:?}: {trial:?}");
        assert_eq!(trial.lost(), 0, "{mode:?}: {trial:?}");
        assert!(trial.pps > 0.0, "{mode:?}: {trial:?}");
    }
}

/// The trap that the meter exists for: without NAPI on the receiving end nothing arrives, although
/// the kernel reports every frame as sent.
#[test]
fn frames_nobody_polls_for_are_reported_as_lost() {
    if !require::veth("frames_nobody_polls_for_are_reported_as_lost") {
        return;
    }
    let lab = Lab::with(|near| near.gro(false), |far| far).unwrap();
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
    let _link = drop_everything(&*kernel, &lab, XdpMode::Generic);
    let mut counter = lab.near().namespace.run(|| ReceiveCounter::open("v0")).unwrap();
    let before = counter.packets().unwrap();
    lab.far().namespace.run(|| {
        let generator = Generator::new(kernel, lab.far().ifindex, frame(&lab)).unwrap();
        generator.send(1000).unwrap();
    });
    assert_eq!(counter.packets().unwrap(), before);
}
