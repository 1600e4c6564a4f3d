//! Where the tests measure, and with what.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hoist_benches::Generator;
use hoist_benches::meter::{Dut, Injection, Marks, Sent, Tester, Traffic};
use hoist_benches::search::Bench as _;
use hoist_benches::stamp::Stamp;
use hoist_benches::trial::{Order, Trial};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::dut::{self, Failure};
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::{Lab, Port};
use hoist_offload::plan::{Choice, Wanted};
use hoist_offload::{EngineKind, Hook};

/// As fast as it goes, for a tenth of a second.
pub(crate) const SHORT: Order = Order { load: None, seconds: 0.1 };

pub(crate) const USER: [Wanted; 2] =
    [Wanted::at(EngineKind::User, Hook::AfXdp), Wanted::at(EngineKind::User, Hook::AfPacket)];

/// The token of the tests' frames.
pub(crate) const TOKEN: u16 = 0x7e57;

/// Both ends poll, whatever is attached to them.
pub(crate) fn lab() -> Lab {
    Lab::with(|near| near.gro(true), |far| far.gro(true)).unwrap()
}

pub(crate) fn kernel() -> Arc<dyn Kernel> {
    Arc::new(Linux::new().unwrap())
}

/// From the far end to the near one, of 60 bytes and more, with a stamp.
pub(crate) fn frame(lab: &Lab, stamp: Stamp, payload: usize) -> Vec<u8> {
    let frame = Frame::eth(lab.far().mac, lab.near().mac);
    let frame = frame.ipv4(Lab::FAR.octets(), Lab::NEAR.octets()).udp(4000, 9);
    let mut bytes = frame.payload(&vec![0; payload]).bytes();
    stamp.put(&mut bytes);
    bytes
}

pub(crate) fn generator(lab: &Lab) -> Box<Generator> {
    generator_of(lab, frame(lab, Stamp { token: TOKEN, ..Stamp::default() }, 18))
}

pub(crate) fn generator_of(lab: &Lab, frame: Vec<u8>) -> Box<Generator> {
    let far = lab.far();
    Box::new(far.namespace.run(|| Generator::new(kernel(), far.ifindex, frame)).unwrap())
}

/// A program that comes with hoist, on an engine at the near end; `None` where the engine refuses it.
pub(crate) fn under_test(lab: &Lab, program: &str, wanted: impl Into<Wanted>) -> Option<Dut> {
    let device = dut::Dut::new(lab.near()).unwrap();
    let job = device.prebuilt(program).unwrap();
    let (_, attachment) = device.run(&job, Choice::only(wanted.into())).ok()?;
    Some(Dut::new(lab.near(), attachment).unwrap().private())
}

pub(crate) fn trial(lab: &Lab, dut: Dut) -> Trial {
    Tester::new(lab.far(), generator(lab), dut).trial(SHORT).unwrap()
}

/// Codes of what was found.
pub(crate) fn codes(trial: &Trial) -> Vec<&str> {
    trial.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// A generator with a fault.
pub(crate) struct Faulty<F> {
    pub(crate) inner: Box<Generator>,
    /// Called when half was sent; may change what is said of it.
    pub(crate) fault: F,
}

impl<F: FnMut(&mut Sent) + Send> Traffic for Faulty<F> {
    fn send(&mut self, order: &Order, stop: &AtomicBool) -> Result<Sent, Failure> {
        let half = Order { seconds: order.seconds / 2.0, ..*order };
        let mut sent = Traffic::send(&mut *self.inner, &half, stop)?;
        (self.fault)(&mut sent);
        let more = Traffic::send(&mut *self.inner, &half, stop)?;
        sent.generated.packets += more.generated.packets;
        sent.intended += more.intended;
        Ok(sent)
    }

    fn injection(&self) -> Injection {
        self.inner.injection()
    }

    fn frame_bytes(&self) -> usize {
        self.inner.frame_bytes()
    }

    fn marks(&self) -> Marks {
        self.inner.marks()
    }
}

/// Runs a command at a port and wants it to succeed.
pub(crate) fn run(port: &Port, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let output = port.namespace.output(&mut command, std::time::Duration::from_secs(20)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
