//! What is changed on the devices before anything is measured: planned, printed, made, and put back.
//!
//! Settings are held by [`hoist_offload::adjust`]: they go back when this is dropped, whatever ends the
//! run, and after a kill by the next start of hoist in that network namespace.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_offload::adjust::{Change, Hold, THREADED_NAPI};
use hoist_offload::{Device, Error, Host};

use super::Place;
use crate::report::Step;

mod napi;

/// ethtool's name of generic receive offload.
const GRO: &str = "rx-gro";

/// What the devices shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Processors on which kernel threads poll the device under test; empty leaves polling to whoever
    /// raised it, which on a veth is the generator.
    pub napi_cpus: Vec<u32>,
}

/// The changes that are needed, in order.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// As the report has them.
    pub steps: Vec<Step>,
    changes: Vec<Change>,
    napi_cpus: Vec<u32>,
}

impl Recipe {
    /// Plans, and changes nothing.
    ///
    /// # Errors
    /// The devices could not be asked.
    pub fn plan(place: &Place, host: &dyn Host, wanted: &Wanted) -> Result<Self, Error> {
        let near = &place.near;
        let device = near.namespace.run(|| host.device(&near.name))?;
        let mut recipe = Self { napi_cpus: wanted.napi_cpus.clone(), ..Self::default() };
        recipe.steps.extend(made(place));
        let polls = device.feature(GRO) == Some(true);
        if device.kind.as_deref() == Some("veth") && !polls {
            let why = "a veth takes redirected frames only while its other end polls; GRO makes it";
            recipe.change(&device, GRO, "gro on", why);
        }
        if !wanted.napi_cpus.is_empty() {
            recipe.threads(&device);
        }
        Ok(recipe)
    }

    fn change(&mut self, device: &Device, feature: &str, words: &str, why: &str) {
        self.changes.push(Change { feature: feature.to_owned(), before: false, set: true });
        self.steps.push(Step {
            command: format!("ethtool -K {} {words}", device.name),
            why: why.to_owned(),
            before: Some("off".to_owned()),
        });
    }

    /// Kernel threads poll the device, on processors of their own.
    fn threads(&mut self, device: &Device) {
        self.changes.push(Change { feature: THREADED_NAPI.to_owned(), before: false, set: true });
        self.steps.push(Step {
            command: format!("echo 1 > /sys/class/net/{}/threaded", device.name),
            why: "the device under test gets processors of its own".to_owned(),
            before: Some("0".to_owned()),
        });
        let cpus: Vec<String> = self.napi_cpus.iter().map(u32::to_string).collect();
        self.steps.push(Step {
            command: format!("taskset -p -c {} <threads of napi/{}>", cpus.join(","), device.name),
            why: "threads that wander disturb their neighbours and themselves".to_owned(),
            before: None,
        });
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// A change was refused; those before it are undone.
    pub fn apply(
        self,
        place: &Place,
        host: &dyn Host,
        kernel: &Arc<dyn Kernel>,
    ) -> Result<Prepared, Error> {
        let near = place.near.clone();
        let Self { steps, changes, napi_cpus } = self;
        let hold = near.namespace.run(|| {
            let device = host.device(&near.name)?;
            let refused = |gap: hoist_offload::Gap| Error::Input {
                what: format!("{}: {}", near.name, gap.message),
                hint: Some("--no-prepare measures it as it is".to_owned()),
            };
            let hold = match changes.is_empty() {
                true => None,
                false => Hold::take(kernel, &device, changes).map_err(refused)?,
            };
            if !napi_cpus.is_empty() {
                for thread in napi::threads(&device.name, device.ifindex) {
                    kernel.pin_thread(thread, &napi_cpus)?;
                }
            }
            Ok::<_, Error>(hold)
        })?;
        Ok(Prepared { near, hold, steps })
    }
}

/// What making the pair comes to, in words that can be typed.
fn made(place: &Place) -> Vec<Step> {
    let Some(far) = place.far.as_ref().filter(|_| place.is_made()) else { return Vec::new() };
    let near = &place.near;
    let step = |command: String, why: &str| Step { command, why: why.to_owned(), before: None };
    vec![
        step(
            format!("ip link add {} type veth peer name {}", near.name, far.name),
            "a wire that nobody else uses, each end in a network namespace of its own",
        ),
        step(
            format!("ethtool -K {} gro on", near.name),
            "a veth takes redirected frames only while its other end polls; GRO makes it",
        ),
        step(
            format!("ethtool -K {} tx off; ethtool -K {} tx off", near.name, far.name),
            "checksums are finished, as on a wire",
        ),
    ]
}

/// Devices as they shall be, until this is dropped.
#[derive(Debug)]
pub struct Prepared {
    near: hoist_hwtests::lab::Port,
    hold: Option<Hold>,
    /// What was done.
    pub steps: Vec<Step>,
}

impl Prepared {
    /// Puts everything back, and says whether that worked.
    ///
    /// # Errors
    /// A setting could not be put back; the next start of hoist tries again.
    pub fn restore(mut self) -> Result<(), Error> {
        match self.hold.take() {
            Some(hold) => self.near.namespace.run(|| hold.release()),
            None => Ok(()),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            // Nobody is left to be told; what could not be put back is noted still.
            drop(self.near.namespace.run(|| hold.release()));
        }
    }
}
