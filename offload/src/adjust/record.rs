//! The notes of what was changed, where, and who relies on it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hoist_bpf::kernel::{Kernel, KernelError};
use serde::{Deserialize, Serialize};

use crate::adjust::Change;
use crate::pins::{self, Kept, State};

/// Directory of the notes, and name of the lock under which they change.
const NOTES: &str = "adjusted";
const SCHEMA: &str = "hoist.adjusted.v1";
const EBADMSG: i32 = 74;
const EMFILE: i32 = 24;
/// More processes than this do not rely on the settings of one interface.
const MOST_PROCESSES: u32 = 4096;

/// An interface, told apart from all that have had its index and its namespace's inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Inode number of the network namespace.
    namespace: u64,
    /// Number of the network namespace that no other has.
    cookie: u64,
    pub(super) ifindex: u32,
}

impl Place {
    pub(super) fn of(kernel: &dyn Kernel, ifindex: u32) -> Result<Self, KernelError> {
        let namespace = kernel.network_namespace()?;
        Ok(Self { namespace, cookie: kernel.network_namespace_cookie()?, ifindex })
    }

    fn name(self) -> String {
        format!("{}-{}-{}", self.namespace, self.cookie, self.ifindex)
    }

    fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.split('-');
        let place = Self {
            namespace: numbers.next()?.parse().ok()?,
            cookie: numbers.next()?.parse().ok()?,
            ifindex: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(place)
    }
}

/// The interfaces of this network namespace that have a note. Notes of a namespace whose inode number
/// this one has by now are removed: it is gone, and its interfaces with it.
pub(super) fn places(kernel: &dyn Kernel) -> Result<Vec<Place>, KernelError> {
    let names = kernel.notes(NOTES)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let here = Place::of(kernel, 0)?;
    let mut found = Vec::new();
    for place in names.iter().filter_map(|name| Place::parse(name)) {
        if place.namespace != here.namespace {
            continue;
        }
        if place.cookie == here.cookie {
            found.push(place);
        } else {
            Record::remove(kernel, &place)?;
        }
    }
    Ok(found)
}

/// Who relies on the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Holder {
    /// A process, for as long as it holds this lock.
    Process { lock: String },
    /// A program that stays, for as long as it runs.
    Kept { pins: PathBuf },
}

impl Holder {
    /// Whether it still relies on them. Who cannot be asked about is taken to live.
    fn lives(&self, kernel: &dyn Kernel) -> bool {
        match self {
            Self::Process { lock } => !matches!(kernel.try_lock(lock), Ok(Some(_))),
            Self::Kept { pins } => {
                let runs = |path: PathBuf| {
                    let state = Kept::at(path).map(|kept| kept.state(kernel));
                    !matches!(state, None | Some(Ok(State::Dead { .. } | State::Unfinished)))
                };
                runs(pins.clone()) || elsewhere(kernel, pins).is_none_or(runs)
            }
        }
    }
}

/// Leaves of the holders those who live. Must be called in [`turn`]: what dead processes and `gone`
/// ones leave of their locks is removed, which nobody may be about to take.
pub(super) fn living(kernel: &dyn Kernel, holders: Vec<Holder>, gone: &[Holder]) -> Vec<Holder> {
    let (living, dead): (Vec<_>, Vec<_>) =
        holders.into_iter().partition(|holder| !gone.contains(holder) && holder.lives(kernel));
    for holder in dead {
        if let Holder::Process { lock } = holder {
            // A file that stays is found free and taken again.
            drop(kernel.remove_lock(&lock));
        }
    }
    living
}

/// The same pins by the bpffs that is in sight: it depends on how hoist was started. `None` where none
/// can be had.
fn elsewhere(kernel: &dyn Kernel, pins: &Path) -> Option<PathBuf> {
    let root = kernel.bpffs(pins::ROOT).ok()?;
    Some(root.join(pins.parent()?.file_name()?).join(pins.file_name()?))
}

/// What was changed on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    schema: String,
    /// Its name then, for whoever reads the note.
    pub(super) interface: String,
    /// In the order in which they were made.
    pub(super) changes: Vec<Change>,
    pub(super) holders: Vec<Holder>,
}

impl Record {
    pub(super) fn new(interface: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            interface: interface.to_owned(),
            changes: Vec::new(),
            holders: Vec::new(),
        }
    }

    pub(super) fn read(kernel: &dyn Kernel, place: &Place) -> Result<Option<Self>, KernelError> {
        let name = place.name();
        let Some(content) = kernel.note(NOTES, &name)? else { return Ok(None) };
        serde_json::from_slice(&content).map(Some).map_err(|error| {
            KernelError::new("read", format!("/run/hoist/{NOTES}/{name}"), EBADMSG)
                .saying(format!("not a note of hoist's: {error}"))
        })
    }

    pub(super) fn write(&self, kernel: &dyn Kernel, place: &Place) -> Result<(), KernelError> {
        let content = serde_json::to_vec(self).map_err(|error| {
            KernelError::new("write", place.name(), EBADMSG).saying(error.to_string())
        })?;
        kernel.leave_note(NOTES, &place.name(), Some(&content))
    }

    pub(super) fn remove(kernel: &dyn Kernel, place: &Place) -> Result<(), KernelError> {
        kernel.leave_note(NOTES, &place.name(), None)
    }
}

/// Waits until nobody else changes notes or what they are about.
pub(super) fn turn(kernel: &dyn Kernel) -> Result<OwnedFd, KernelError> {
    kernel.lock(NOTES)
}

/// A lock that nobody holds: its name, and the lock.
pub(super) fn alive(kernel: &dyn Kernel, place: &Place) -> Result<(String, OwnedFd), KernelError> {
    for number in 0..MOST_PROCESSES {
        let name = format!("{NOTES}-{}-{number}", place.name());
        if let Some(lock) = kernel.try_lock(&name)? {
            return Ok((name, lock));
        }
    }
    Err(KernelError::new("flock", format!("{NOTES}-{}", place.name()), EMFILE))
}
