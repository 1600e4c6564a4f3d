//! A veth pair with a program that drops everything, and a generator at its other end.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use hoist_benches::ReceiveCounter;
use hoist_benches::generator::live::{Live, Options};
use hoist_benches::meter::Reading;
use hoist_benches::profile::{Ends, Frames, Profile};
use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec, XdpMode};
use hoist_hwtests::lab::{Lab, Port};

/// The pair; the link that holds the program.
pub(crate) struct Range {
    pub(crate) lab: Lab,
    kernel: Arc<dyn Kernel>,
    link: Option<OwnedFd>,
}

impl Range {
    /// With a program that answers with one verdict, in the driver.
    pub(crate) fn new(verdict: i32) -> Self {
        Self::with(&[Insn::new(0xb7, 0, 0, 0, verdict), Insn::new(0x95, 0, 0, 0, 0)])
    }

    /// With a program of these instructions.
    pub(crate) fn with(insns: &[Insn]) -> Self {
        let lab = Lab::with(|near| near.queues(2, 2), |far| far.queues(2, 2)).unwrap();
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
        let link = attach(&*kernel, lab.near(), insns);
        Self { lab, kernel, link: Some(link) }
    }

    /// Without the program: nobody polls for frames any more.
    pub(crate) fn detach(&mut self) {
        if let Some(link) = self.link.take() {
            self.kernel.link_detach(link.as_fd()).unwrap();
        }
    }

    pub(crate) fn kernel(&self) -> Arc<dyn Kernel> {
        self.kernel.clone()
    }

    pub(crate) fn ends(&self) -> Ends {
        Ends::between(self.lab.far().mac, self.lab.near().mac)
    }

    pub(crate) fn frames(&self, profile: &Profile, stamped: bool) -> Frames {
        Frames::of(profile, self.ends(), stamped).unwrap()
    }

    pub(crate) fn live(&self, profile: &Profile, stamped: bool, options: Options) -> Live {
        let frames = self.frames(profile, stamped);
        Live::new(self.kernel(), self.lab.far().ifindex, frames, options).unwrap()
    }

    /// Packets that arrived, as the kernel counts them.
    pub(crate) fn received(&self) -> u64 {
        let counter = self.lab.near().namespace.run(|| ReceiveCounter::open("v0"));
        counter.unwrap().packets().unwrap()
    }

    /// Packets for which the receiver's ring had no room: veth counts them as dropped by the sender.
    pub(crate) fn overflowed(&self) -> u64 {
        Reading::of(self.lab.far()).unwrap().statistic("tx_dropped").packets
    }
}

fn attach(kernel: &dyn Kernel, port: &Port, insns: &[Insn]) -> OwnedFd {
    let spec = ProgramSpec {
        name: "answer".to_owned(),
        kind: 6,
        expected_attach_type: 37,
        insns,
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    };
    port.namespace.run(|| {
        let program = kernel.load_program(&spec).expect("loaded");
        kernel.link_xdp(program.as_fd(), port.ifindex, XdpMode::Native).expect("attached")
    })
}
