//! Sending alone, for a receiver on another machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hoist_bpf::kernel::Kernel;
use hoist_hwtests::frame::Mac;
use hoist_hwtests::lab::{LabError, Namespace, Port};
use hoist_offload::Error;
use serde::Serialize;

use super::{seat, traffic};
use crate::generator::{Live, Options};
use crate::meter::{Reading, Traffic as _};
use crate::profile::{Ends, Frames, Profile};
use crate::trial::Order;

/// What is sent out of an interface of the calling thread's network namespace.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The interface.
    pub interface: &'a str,
    /// The hardware address that frames are sent to.
    pub to: Mac,
    /// Which frames.
    pub profile: &'a Profile,
    /// How many processors make them.
    pub cores: u32,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sending {
    /// Frames that the schedule called for.
    pub intended: u64,
    /// Frames handed to the interface.
    pub generated: u64,
    /// Frames that it sent, as the kernel counts them.
    pub transmitted: u64,
    /// The counter that says so.
    pub counter: String,
    /// From the first frame to the last.
    pub seconds: f64,
}

impl Sender<'_> {
    /// Sends as ordered, or until `stop` is set.
    ///
    /// # Errors
    /// There is no such interface, or the kernel's refusal.
    pub fn send(
        &self,
        kernel: &Arc<dyn Kernel>,
        order: Order,
        stop: &AtomicBool,
    ) -> Result<Sending, Error> {
        let lab = |error: LabError| seat::of_library(error.into());
        let here = Namespace::open(Path::new("/proc/thread-self/ns/net")).map_err(lab)?;
        let port = Port::find(&here, self.interface).map_err(lab)?;
        let input = |what: String| Error::Input { what, hint: None };
        let frames = Frames::of(self.profile, Ends::between(port.mac, self.to), true)
            .or_else(|_| Frames::of(self.profile, Ends::between(port.mac, self.to), false))
            .map_err(|error| input(error.to_string()))?;
        let cpus = traffic::processors(self.cores, &[])?;
        let options = Options { token: traffic::TOKEN, ..Options::on(&cpus) };
        let live = Live::new(Arc::clone(kernel), port.ifindex, frames, options);
        let mut live = live.map_err(|error| input(error.to_string()))?;
        let before = Reading::of(&port).map_err(seat::of_library)?;
        let sent = port.namespace.run(|| live.send(&order, stop)).map_err(seat::of_library)?;
        let more = Reading::of(&port).map_err(seat::of_library)?.since(&before);
        let count =
            more.queues("tx_queue_", "_xdp_xmit").unwrap_or_else(|| more.statistic("tx_packets"));
        Ok(Sending {
            intended: sent.intended,
            generated: sent.generated.packets,
            transmitted: count.packets,
            counter: count.counter,
            seconds: sent.seconds,
        })
    }
}
