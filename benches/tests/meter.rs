//! The meter on a veth pair: on every engine, every packet is accounted for.

use std::sync::Arc;

use hoist_benches::Generator;
use hoist_benches::meter::{Dut, Tester};
use hoist_benches::search::Bench as _;
use hoist_benches::trial::{Order, Trial};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::dut::{self, engines};
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::plan::{Choice, Wanted};
use hoist_offload::{EngineKind, Hook};

fn generator(lab: &Lab) -> Box<Generator> {
    let frame = Frame::eth(lab.near().mac, lab.far().mac)
        .ipv4(Lab::FAR.octets(), Lab::NEAR.octets())
        .udp(4000, 9)
        .bytes();
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
    let far = lab.far();
    Box::new(far.namespace.run(|| Generator::new(kernel, far.ifindex, frame)).unwrap())
}

fn show(trial: &Trial) -> String {
    let mut text = format!("generated {} received {}\n", trial.generated, trial.received);
    for stage in &trial.ledger.stages {
        text += &format!("{}: came {} [{}]\n", stage.name, stage.came.packets, stage.came.counter);
        for e in &stage.out {
            text += &format!("    {:?} {} [{}]\n", e.fate, e.packets, e.counter);
        }
        text += &format!("    residual {}\n", stage.residual());
    }
    for w in &trial.ledger.witnesses {
        text += &format!("witness {} {} of {} {}\n", w.counter, w.packets, w.confirms, w.expected);
    }
    text
}

#[test]
fn every_packet_is_accounted_for_on_every_engine() {
    if !require::veth("every_packet_is_accounted_for_on_every_engine") {
        return;
    }
    let user =
        [Wanted::at(EngineKind::User, Hook::AfXdp), Wanted::at(EngineKind::User, Hook::AfPacket)];
    for program in ["drop", "pass", "swap_tx"] {
        for wanted in engines().chain(user) {
            let lab = Lab::with(|near| near.gro(true), |far| far.gro(true)).unwrap();
            let device = dut::Dut::new(lab.near()).unwrap();
            let job = device.prebuilt(program).unwrap();
            let attachment = match device.run(&job, Choice::only(wanted)) {
                Ok((_, attachment)) => attachment,
                Err(error) => {
                    println!("== {program} {wanted}: {error}");
                    continue;
                }
            };
            let under_test = Dut::new(lab.near(), attachment).unwrap().private();
            let mut tester = Tester::new(lab.far(), generator(&lab), under_test);
            let trial = tester.trial(Order { load: None, seconds: 0.1 }).unwrap();
            println!(
                "== {program} {wanted} balanced {}\n{}",
                trial.ledger.balanced(),
                show(&trial)
            );
        }
    }
}
