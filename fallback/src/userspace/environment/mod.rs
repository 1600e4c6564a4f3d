//! What a program finds around it: helpers, kernel functions, time, routes.
//!
//! Each helper does what the kernel's does, with its return codes in every case that a verified
//! program can bring about; the comments name the kernel's function. What the verifier would have
//! refused, such as an argument that is no pointer to what it should point to, is a fault.

use std::collections::VecDeque;
use std::sync::Arc;

use hoist_bpf::module::{Module, ProgramId};
use hoist_offload::Gap;

use super::maps::Maps;
use super::vm::Running;
use super::vm::fault::FaultKind;

mod argument;
mod checksum;
mod clock;
mod control;
mod dynptr;
mod events;
mod fib;
mod iterators;
mod lock;
mod machine;
mod map;
mod metadata;
mod missing;
mod packet;
mod probe;
mod random;
mod redirect;
pub mod routing;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use clock::Clock;
#[cfg(feature = "compiled")]
pub(in crate::userspace) use map::lookup_in;
pub use redirect::{Destination, Device};
pub use settings::Settings;
pub use table::{helper, kfunc};

use random::Random;
use redirect::Redirect;
use routing::Index;

/// A helper or kernel function: `r1` to `r5` in, `r0` out. A negative errno is a result; an error is
/// what the verifier would have refused.
pub type Helper = fn(&mut Running<'_>, [u64; 5]) -> Result<u64, FaultKind>;

/// The environment of one machine.
#[derive(Debug)]
pub struct Environment {
    clock: Clock,
    random: Random,
    routing: Arc<Index>,
    redirect: Redirect,
    messages: VecDeque<String>,
    scratch: map::Scratch,
    /// VM address of the spin lock that the program holds.
    lock: Option<u64>,
    /// VM addresses of the ring buffer records that the program holds.
    records: Vec<u64>,
    masks: iterators::Masks,
}

impl Environment {
    /// Most messages of `bpf_trace_printk` that are kept for whoever wants them; the oldest go.
    pub const MESSAGES: usize = 1024;

    /// The environment for a program of a module.
    ///
    /// # Errors
    /// The helpers and kernel functions that the program needs and this machine has not.
    pub fn new(module: &Module, program: ProgramId, settings: &Settings) -> Result<Self, Vec<Gap>> {
        let gaps = missing::gaps(module, program);
        if !gaps.is_empty() {
            return Err(gaps);
        }
        Ok(Self {
            clock: settings.clock,
            random: Random::new(settings.seed),
            routing: Arc::clone(&settings.routing),
            redirect: Redirect::default(),
            messages: VecDeque::new(),
            scratch: map::Scratch::default(),
            lock: None,
            records: Vec::new(),
            masks: iterators::Masks::default(),
        })
    }

    /// A run starts.
    #[inline]
    pub fn begin_run(&mut self) {
        self.redirect = Redirect::default();
        self.lock = None;
        self.masks.clear();
    }

    /// A run has ended: what the program still holds is taken from it.
    ///
    /// # Errors
    /// It held something that it must give back (`check_reference_leak` of the verifier).
    #[inline]
    pub fn end_run(&mut self, maps: &mut Maps) -> Result<(), FaultKind> {
        if self.records.is_empty() && self.lock.is_none() {
            return Ok(());
        }
        self.take_back(maps)
    }

    #[cold]
    fn take_back(&mut self, maps: &mut Maps) -> Result<(), FaultKind> {
        let held = !self.records.is_empty();
        for record in self.records.drain(..) {
            // It was reserved and not given back since, so it is there.
            let _ = maps.ringbuf_commit(record, true);
        }
        if self.lock.is_some() {
            return Err(FaultKind::SpinLockMisuse("the program ends while it holds a spin lock"));
        }
        if held {
            return Err(FaultKind::ReferenceMisuse(
                "the program ends without submitting or discarding a record",
            ));
        }
        Ok(())
    }

    /// Where the frame goes that the program redirected, if a helper said so in this run.
    pub fn take_redirect(&mut self) -> Option<Destination> {
        std::mem::take(&mut self.redirect).destination()
    }

    /// Interfaces, routes and neighbours.
    #[must_use]
    pub fn routing(&self) -> &Index {
        &self.routing
    }

    /// Puts another snapshot in place of the present one.
    pub fn set_routing(&mut self, routing: Arc<Index>) {
        self.routing = routing;
    }

    /// What the program said by `bpf_trace_printk` since the last call, a line each.
    pub fn take_messages(&mut self) -> Vec<String> {
        self.messages.drain(..).collect()
    }

    fn say(&mut self, message: String) {
        if self.messages.len() == Self::MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }
}
