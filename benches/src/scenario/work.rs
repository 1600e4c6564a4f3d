//! A program at work, and who sends to it: a generator of ours, or somebody else.

use std::sync::Arc;

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;

use super::{Mix, Tools};
use crate::meter::{Dut, Limits, Receiver, Remote, Tester, Traffic};
use crate::search::{Bench as _, Halt};
use crate::trial::{Fate, Order, Trial};

/// Trials of one program.
#[derive(Debug)]
pub(super) enum Work {
    /// Frames are ours.
    Local(Box<Tester>),
    /// Frames come from elsewhere.
    Remote(Remote),
}

impl Work {
    /// A program to which `traffic` is sent; what it sends back is received by `receiver`.
    pub(super) fn local(
        far: &Port,
        traffic: Box<dyn Traffic>,
        dut: Dut,
        receiver: Option<Receiver>,
        mix: &Mix<'_>,
        tools: &Tools<'_>,
    ) -> Self {
        let mut tester = Tester::new(far, traffic, dut)
            .stop_on(Arc::clone(tools.stop))
            .limits(limits(mix.shared));
        for cpu in mix.cpus {
            tester = tester.role(*cpu, "generator");
        }
        for cpu in mix.napi_cpus {
            tester = tester.role(*cpu, "napi");
        }
        if let Some(pps) = mix.floor {
            tester = tester.floor(pps);
        }
        if let Some(receiver) = receiver {
            tester = tester.receiving(receiver);
        }
        Self::Local(Box::new(tester))
    }

    pub(super) fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        match self {
            Self::Local(tester) => tester.trial(order),
            Self::Remote(remote) => remote.trial(order),
        }
    }

    /// What is left to take off.
    pub(super) fn end(self) -> Dut {
        match self {
            Self::Local(tester) => tester.into_parts().1,
            Self::Remote(remote) => remote.into_dut(),
        }
    }
}

/// How much of the machine others may use.
pub(super) fn limits(shared: bool) -> Limits {
    let limits = Limits::default();
    if !shared {
        return limits;
    }
    Limits { foreign_invalid: f64::INFINITY, steal_invalid: f64::INFINITY, ..limits }
}

/// Whether the program sends most frames back to where they came from.
pub(super) fn returns(trial: &Trial) -> bool {
    trial.ledger.of(Fate::Tx) > trial.generated / 2
}

/// Receives at the far end.
pub(super) fn receiver(far: &Port) -> Result<Receiver, Failure> {
    Receiver::attach(far)
}
