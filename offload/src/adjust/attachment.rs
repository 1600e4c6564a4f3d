//! An attachment whose program relies on changed settings.

use std::collections::BTreeMap;

use crate::adjust::{Change, Grip};
use crate::attach::{Attachment, Effective, Fault, MapHandle, Stats};
use crate::engine::{EngineKind, Prepared};
use crate::error::Error;
use crate::plan::Warning;

/// A running program with a hold on settings of its device. The fields are dropped in this order: the
/// settings go back when no program needs them any more.
#[derive(Debug)]
pub(crate) struct Adjusted {
    inner: Box<dyn Attachment>,
    grip: Grip,
}

impl Adjusted {
    pub(crate) fn new(inner: Box<dyn Attachment>, grip: Grip) -> Self {
        Self { inner, grip }
    }
}

impl Attachment for Adjusted {
    fn effective(&self) -> Result<Effective, Error> {
        self.inner.effective()
    }

    fn engine(&self) -> EngineKind {
        self.inner.engine()
    }

    fn ifindex(&self) -> u32 {
        self.inner.ifindex()
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        self.inner.map(name)
    }

    fn maps(&self) -> Vec<MapHandle> {
        self.inner.maps()
    }

    fn stats(&self) -> Result<Option<Stats>, Error> {
        self.inner.stats()
    }

    fn events(&self) -> Result<BTreeMap<&'static str, u64>, Error> {
        self.inner.events()
    }

    fn readdress(&self, address: [u8; 6]) -> Result<(), Error> {
        self.inner.readdress(address)
    }

    fn adjusted(&self) -> Vec<Change> {
        self.grip.changes().to_vec()
    }

    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.inner.warnings();
        warnings.extend(self.grip.disturbed());
        warnings
    }

    fn faults(&self) -> Vec<Fault> {
        self.inner.faults()
    }

    fn replace(&mut self, next: Box<dyn Prepared>) -> Result<(), Error> {
        self.inner.replace(next)
    }

    fn detach(self: Box<Self>) -> Result<(), Error> {
        let Self { inner, mut grip } = *self;
        if let Err(error) = inner.detach() {
            // It may still run.
            grip.stay();
            return Err(error);
        }
        grip.release()
    }

    fn release(self: Box<Self>) {
        self.inner.release();
    }
}
