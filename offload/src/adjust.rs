//! Settings of a device that are changed for a program and put back after it.
//!
//! A [`Condition`](crate::Condition) may name settings that would make it hold. Where the user says
//! so ([`crate::plan::Wishes::adjust_device`]), those of the chosen engine are made before the
//! program is attached, and put back when the last program that relies on them is gone. What was
//! changed is noted before it is changed, together with who relies on it, so that the next start of
//! hoist ([`repair`]) puts back what a crash left. See docs/decisions/0041-adjusting-devices.md.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_bpf::kernel::{Kernel, KernelError};
use serde::{Deserialize, Serialize};

use crate::capability::{Adjustment, Answer, Capabilities};
use crate::device::Device;
use crate::engine::Job;
use crate::error::{Error, Gap};
use crate::plan::Warning;

mod attachment;
mod hold;
mod record;

pub(crate) use attachment::Adjusted;
pub use hold::Hold;
use record::{Holder, Place, Record};

/// The setting by which kernel threads poll an interface's NAPI, among ethtool's features: those have no
/// feature of that name.
pub const THREADED_NAPI: &str = "threaded-napi";

/// A setting that was changed, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// ethtool feature by the kernel's name, or [`THREADED_NAPI`].
    pub feature: String,
    /// What it was.
    pub before: bool,
    /// What the program relies on.
    pub set: bool,
}

impl Change {
    /// Whether the setting is on now.
    fn now(&self, kernel: &dyn Kernel, interface: &str) -> Result<bool, KernelError> {
        match self.feature.as_str() {
            THREADED_NAPI => kernel.threaded_napi(interface),
            feature => kernel.feature(interface, feature),
        }
    }

    /// Switches it.
    fn switch(&self, kernel: &dyn Kernel, interface: &str, on: bool) -> Result<(), KernelError> {
        match self.feature.as_str() {
            THREADED_NAPI => kernel.set_threaded_napi(interface, on),
            feature => kernel.set_feature(interface, feature, on),
        }
    }

    /// In words: `rx-gro is switched off (it was on)`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} is switched {} (it was {})", self.feature, word(self.set), word(self.before))
    }
}

const fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// What an earlier process left changed, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The interface, by the name it has now.
    pub interface: String,
    /// What was changed, and is as before now.
    pub changes: Vec<Change>,
}

/// Which settings a plan changes, and which it relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    /// To be changed, with the values they have now.
    pub(crate) changes: Vec<Change>,
    /// Those, and what is as it should be already.
    pub(crate) relied: Vec<Adjustment>,
}

impl Needed {
    /// Looks for settings in the conditions that concern a program. With `allowed`, conditions that
    /// changes can make hold count as holding from here on; without, their remedies mention that
    /// hoist can make the changes.
    pub(crate) fn find(
        capabilities: &mut Capabilities,
        device: &Device,
        job: &Job,
        allowed: bool,
    ) -> Self {
        let mut needed = Self::default();
        for condition in &mut capabilities.conditions {
            let adjustments = &condition.adjustments;
            if adjustments.is_empty() || !condition.when.concerns(&job.requirements) {
                continue;
            }
            if condition.holds == Answer::Yes {
                needed.relied.extend(adjustments.iter().cloned());
                continue;
            }
            let changes = adjustments.iter().filter_map(|wanted| change(device, wanted));
            let Ok(changes) = changes.collect::<Result<Vec<_>, Fixed>>() else { continue };
            if condition.holds != Answer::No || changes.is_empty() {
                continue;
            }
            if allowed {
                condition.holds = Answer::Yes;
                needed.relied.extend(adjustments.iter().cloned());
                needed.changes.extend(changes);
            } else {
                let offer = "let hoist do it while the program runs: --adjust-device";
                condition.remedy = Some(match condition.remedy.take() {
                    Some(remedy) => format!("{remedy}, or {offer}"),
                    None => offer.to_owned(),
                });
            }
        }
        needed.changes.sort_by(|a, b| a.feature.cmp(&b.feature));
        needed.changes.dedup_by(|a, b| a.feature == b.feature);
        needed
    }

    /// What the user should know of the changes.
    pub(crate) fn warning(&self, device: &Device) -> Option<Warning> {
        if self.changes.is_empty() {
            return None;
        }
        let words: Vec<String> = self.changes.iter().map(Change::words).collect();
        Some(Warning {
            code: "device-adjusted".to_owned(),
            message: format!("{}: {} while the program runs", device.name, words.join(", ")),
            remedy: None,
        })
    }
}

/// The device cannot change it.
struct Fixed;

/// The change that an adjustment takes; `None` where it is so already.
fn change(device: &Device, wanted: &Adjustment) -> Option<Result<Change, Fixed>> {
    let toggle = device.features.value().map(|features| features.get(&wanted.feature));
    let change = Change { feature: wanted.feature.clone(), before: !wanted.on, set: wanted.on };
    match toggle {
        // A feature that the kernel does not list is off.
        Some(None) if wanted.on => Some(Err(Fixed)),
        Some(None) => None,
        Some(Some(now)) if now.on == wanted.on => None,
        Some(Some(now)) if !now.changeable => Some(Err(Fixed)),
        // Where the features are not known, changing one will tell.
        Some(Some(_)) | None => Some(Ok(change)),
    }
}

/// A program's hold on the settings it relies on. Dropping it lets go of them, unless the program is
/// to stay.
#[derive(Debug)]
pub(crate) struct Grip {
    kernel: Arc<dyn Kernel>,
    place: Place,
    holders: Vec<Holder>,
    changes: Vec<Change>,
    /// Held for as long as this process relies on the settings.
    _alive: Option<OwnedFd>,
    /// Dropped, it leaves everything as it is.
    stays: bool,
}

impl Grip {
    /// Makes the changes and notes who relies on them. `None` where nothing that the program relies
    /// on was changed, now or for others before.
    pub(crate) fn take(
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        needed: &Needed,
        kept: Option<PathBuf>,
    ) -> Result<Option<Self>, Gap> {
        if needed.relied.is_empty() {
            return Ok(None);
        }
        let refused = |error: &KernelError| {
            Gap::kernel("device-not-adjusted", error)
                .remedy(format!("change it by hand: ethtool -K {}", device.name))
        };
        Self::make(kernel, device, needed, kept).map_err(|error| refused(&error))
    }

    fn make(
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        needed: &Needed,
        kept: Option<PathBuf>,
    ) -> Result<Option<Self>, KernelError> {
        let place = Place::of(&**kernel, device.ifindex)?;
        let _turn = record::turn(&**kernel)?;
        let found = Record::read(&**kernel, &place)?;
        let mut record = found.clone().unwrap_or_else(|| Record::new(&device.name));
        let noted = |wanted: &Adjustment| {
            record.changes.iter().any(|c| c.feature == wanted.feature && c.set == wanted.on)
        };
        if needed.changes.is_empty() && !needed.relied.iter().any(noted) {
            return Ok(None);
        }
        let (name, alive) = record::alive(&**kernel, &place)?;
        let mut holders = vec![Holder::Process { lock: name.clone() }];
        holders.extend(kept.map(|pins| Holder::Kept { pins }));
        record.holders.retain(|holder| !holders.contains(holder));
        record.holders.extend(holders.iter().cloned());
        let mut to_set = Vec::new();
        for wanted in &needed.changes {
            if wanted.now(&**kernel, &device.name)? == wanted.set {
                continue;
            }
            to_set.push(wanted);
            if !record.changes.iter().any(|c| c.feature == wanted.feature) {
                record.changes.push(wanted.clone());
            }
        }
        // The note comes first: what is not noted is never put back.
        record.write(&**kernel, &place)?;
        for (done, wanted) in to_set.iter().enumerate() {
            if let Err(error) = wanted.switch(&**kernel, &device.name, wanted.set) {
                let undo = |change: &&Change| change.switch(&**kernel, &device.name, change.before);
                // What led here is the error to report. What cannot be undone stays noted, without
                // anybody who lives: the next start tries again.
                if to_set[..done].iter().rev().copied().map(|c| undo(&c)).all(|r| r.is_ok()) {
                    drop(match found {
                        Some(found) => found.write(&**kernel, &place),
                        None => Record::remove(&**kernel, &place),
                    });
                }
                drop(kernel.remove_lock(&name));
                return Err(error);
            }
        }
        Ok(Some(Self {
            kernel: Arc::clone(kernel),
            changes: record.changes,
            stays: false,
            place,
            holders,
            _alive: Some(alive),
        }))
    }

    /// The hold of a program that an earlier process told to stay, if it has one.
    pub(crate) fn of_kept(
        kernel: &Arc<dyn Kernel>,
        ifindex: u32,
        pins: &std::path::Path,
    ) -> Result<Option<Self>, Error> {
        let place = Place::of(&**kernel, ifindex)?;
        let holder = Holder::Kept { pins: pins.to_owned() };
        let record = Record::read(&**kernel, &place)?.filter(|r| r.holders.contains(&holder));
        Ok(record.map(|record| Self {
            kernel: Arc::clone(kernel),
            changes: record.changes,
            stays: true,
            place,
            holders: vec![holder],
            _alive: None,
        }))
    }

    /// What was changed for the program.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Leaves the settings to a program that stays.
    pub(crate) const fn stay(&mut self) {
        self.stays = true;
    }

    /// What somebody else changed since.
    pub(crate) fn disturbed(&self) -> Vec<Warning> {
        // What cannot be asked any more is gone with its interface.
        disturbed(&*self.kernel, self.place.ifindex, &self.changes).unwrap_or_default()
    }

    /// Lets go: the settings are put back unless somebody else relies on them.
    pub(crate) fn release(mut self) -> Result<(), Error> {
        self.stays = true;
        let_go(&*self.kernel, &self.place, &self.holders)
    }
}

impl Drop for Grip {
    fn drop(&mut self) {
        if !self.stays {
            // Nobody is left to be told; what could not be put back is noted still.
            drop(let_go(&*self.kernel, &self.place, &self.holders));
        }
    }
}

/// Lets go of what these hold on an interface of this network namespace.
fn let_go(kernel: &dyn Kernel, place: &Place, gone: &[Holder]) -> Result<(), Error> {
    if Place::of(kernel, place.ifindex)? != *place {
        // Another namespace's interface has this index here; the next start there repairs.
        return Ok(());
    }
    let _turn = record::turn(kernel)?;
    let Some(record) = Record::read(kernel, place)? else { return Ok(()) };
    settle(kernel, place, record, gone).map(drop)
}

/// Takes holders who are gone out of a record, and puts the settings back with the last one; whether it
/// did.
fn settle(
    kernel: &dyn Kernel,
    place: &Place,
    mut record: Record,
    gone: &[Holder],
) -> Result<bool, Error> {
    record.holders = record::living(kernel, record.holders, gone);
    // Should a setting not go back, the note has no holders, and the next start tries again.
    record.write(kernel, place)?;
    if !record.holders.is_empty() {
        return Ok(false);
    }
    // An interface that is gone has taken its settings along.
    if let Some(interface) = kernel.interface_name(place.ifindex)? {
        for change in record.changes.iter().rev() {
            // What somebody else changed since is as it was before.
            if change.now(kernel, &interface)? == change.set {
                change.switch(kernel, &interface, change.before)?;
            }
        }
    }
    Record::remove(kernel, place)?;
    Ok(true)
}

/// Settings that are no longer as they were changed to: somebody else changed them back.
fn disturbed(
    kernel: &dyn Kernel,
    ifindex: u32,
    changes: &[Change],
) -> Result<Vec<Warning>, KernelError> {
    let Some(interface) = kernel.interface_name(ifindex)? else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    for change in changes {
        if change.now(kernel, &interface)? == change.set {
            continue;
        }
        let (feature, now, set) = (&change.feature, word(change.before), word(change.set));
        warnings.push(Warning {
            code: "setting-changed".to_owned(),
            message: format!(
                "{interface}: somebody else has switched {feature} {now}, which hoist had switched \
                 {set} for the program"
            ),
            remedy: Some(format!("ethtool -K {interface} {feature} {set}")),
        });
    }
    Ok(warnings)
}

/// Puts back what processes that are gone left changed on interfaces of this network namespace, where
/// nothing that lives relies on it.
///
/// # Errors
/// The notes could not be read, or a setting could not be put back; it stays noted.
pub fn repair(kernel: &dyn Kernel) -> Result<Vec<Repaired>, Error> {
    let mut repaired = Vec::new();
    for place in record::places(kernel)? {
        let _turn = record::turn(kernel)?;
        let Some(record) = Record::read(kernel, &place)? else { continue };
        let changes = record.changes.clone();
        let found = kernel.interface_name(place.ifindex)?;
        let interface = found.unwrap_or_else(|| record.interface.clone());
        if settle(kernel, &place, record, &[])? {
            repaired.push(Repaired { interface, changes });
        }
    }
    Ok(repaired)
}

/// What is changed on an interface of this network namespace for programs that run there.
///
/// # Errors
/// The note could not be read.
pub fn of(kernel: &dyn Kernel, ifindex: u32) -> Result<Vec<Change>, Error> {
    let record = Record::read(kernel, &Place::of(kernel, ifindex)?)?;
    Ok(record.map(|record| record.changes).unwrap_or_default())
}

#[cfg(test)]
mod tests;
