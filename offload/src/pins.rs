//! Where programs that stay are pinned, and how they are found again.
//!
//! A bpffs holds nothing but objects and directories, and no name with a dot, so the layout itself
//! says what cannot be asked of the kernel (docs/decisions/0005-pin-layout.md):
//!
//! ```text
//! <bpffs>/hoist/<inode of the network namespace>/<ifindex>-<slot>/
//!     program      the program
//!     link         its link; absent where the interface itself holds the program (netlink, filters)
//!     qdisc/       an empty directory: hoist added the interface's clsact qdisc for the program
//!     maps/<name>  every map by its name in the object, dots written as underscores
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hoist_bpf::kernel::loader::pin_name;
use hoist_bpf::kernel::{Kernel, KernelError};

use crate::attach::MapHandle;
use crate::device::Slot;
use crate::error::Error;
use crate::kernel_map::KernelMap;

/// Directory under the bpffs.
pub const ROOT: &str = "hoist";

const ENODEV: i32 = 19;

/// Directory that says that hoist added the qdisc.
const QDISC: &str = "qdisc";

/// What a directory's name ends in while its pins are made; no engine is called so.
const ASIDE: &str = "-new";

/// A program that was told to stay, as its pins name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its directory.
    pub path: PathBuf,
    /// Inode number of the network namespace it was attached in.
    pub namespace: u64,
    /// Index of the interface in that namespace, when it was attached.
    pub ifindex: u32,
    /// Where it was attached.
    pub slot: Slot,
}

/// What became of a kept program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running {
        /// Program id.
        program_id: u32,
        /// Link id, if a link holds it.
        link_id: Option<u32>,
    },
    /// It runs nowhere: its interface is gone, or somebody detached or replaced it.
    Dead {
        /// How that is known.
        why: String,
    },
    /// It is held by the interface itself, in a network namespace that cannot be asked from here.
    Elsewhere,
    /// Its pins are being written, or the process that wrote them was killed. The next program that
    /// stays on the interface takes the directory over.
    Unfinished,
}

/// The directory for one program.
#[must_use]
pub fn directory(root: &Path, namespace: u64, ifindex: u32, slot: Slot) -> PathBuf {
    root.join(namespace.to_string()).join(format!("{ifindex}-{}", word(slot)))
}

/// What `--engine` calls a slot that programs are kept in.
const KEPT_IN: [(Slot, &str); 6] = [
    (Slot::Hw, "hw"),
    (Slot::Native, "native"),
    (Slot::Generic, "generic"),
    (Slot::TcxIngress, "tcx"),
    (Slot::ClsactIngress, "clsact"),
    (Slot::HwClsact, "hw-clsact"),
];

fn word(slot: Slot) -> &'static str {
    KEPT_IN.iter().find(|(s, _)| *s == slot).map_or("egress", |(_, word)| word)
}

/// Every kept program under `root`, of all network namespaces.
///
/// # Errors
/// The bpffs could not be read.
pub fn list(kernel: &dyn Kernel, root: &Path) -> Result<Vec<Kept>, Error> {
    let mut kept = Vec::new();
    for name in kernel.list_directory(root)? {
        let below = root.join(&name);
        for name in kernel.list_directory(&below)? {
            kept.extend(Kept::at(below.join(&name)));
        }
    }
    Ok(kept)
}

/// The kept programs of this network namespace that run.
///
/// # Errors
/// The bpffs could not be read.
pub fn running(kernel: &dyn Kernel, root: &Path) -> Result<Vec<(Kept, State)>, Error> {
    let here = kernel.network_namespace()?;
    let mut found = Vec::new();
    for kept in list(kernel, root)?.into_iter().filter(|k| k.namespace == here) {
        let state = kept.state(kernel)?;
        if matches!(state, State::Running { .. }) {
            found.push((kept, state));
        }
    }
    Ok(found)
}

/// Removes the pins of programs that run nowhere, and returns them.
///
/// # Errors
/// The bpffs could not be read or written.
pub fn sweep(kernel: &dyn Kernel, root: &Path) -> Result<Vec<Kept>, Error> {
    let mut swept = Vec::new();
    for kept in list(kernel, root)? {
        if matches!(kept.state(kernel)?, State::Dead { .. }) {
            remove(kernel, &kept.path)?;
            swept.push(kept);
        }
    }
    Ok(swept)
}

impl Kept {
    /// What a directory is about, by its name and its parent's; `None` where it is none of hoist's.
    #[must_use]
    pub fn at(path: PathBuf) -> Option<Self> {
        let (ifindex, word) = path.file_name()?.to_str()?.split_once('-')?;
        let ifindex = ifindex.parse().ok()?;
        let (slot, _) = *KEPT_IN.iter().find(|(_, kept_in)| *kept_in == word)?;
        let namespace = path.parent()?.file_name()?.to_str()?.parse().ok()?;
        Some(Self { path, namespace, ifindex, slot })
    }

    /// Path of the program's pin.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.path.join("program")
    }

    /// Path of the link's pin.
    #[must_use]
    pub fn link(&self) -> PathBuf {
        self.path.join("link")
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn state(&self, kernel: &dyn Kernel) -> Result<State, Error> {
        if let Some(link) = kernel.get_pinned(&self.link())? {
            let info = kernel.link_info(link.as_fd())?;
            return Ok(if info.ifindex == 0 {
                State::Dead { why: "its interface is gone, or the link was detached".to_owned() }
            } else {
                State::Running { program_id: info.program_id, link_id: Some(info.id) }
            });
        }
        let Some(program) = kernel.get_pinned(&self.program())? else {
            return Ok(State::Unfinished);
        };
        if self.namespace != kernel.network_namespace()? {
            return Ok(State::Elsewhere);
        }
        let program_id = match kernel.program_info(program.as_fd()) {
            // A program for a NIC that is gone: nothing can be asked of it, and nothing runs it.
            Err(error) if error.errno == ENODEV => {
                return Ok(State::Dead { why: "its NIC is gone".to_owned() });
            }
            info => info?.id,
        };
        let asked = match self.slot.mode() {
            Some(_) => kernel.query_xdp(self.ifindex).map(|slots| {
                [slots.hardware, slots.native, slots.generic].contains(&Some(program_id))
            }),
            None => kernel
                .filters(self.ifindex)
                .map(|filters| filters.iter().any(|f| f.program_id == Some(program_id))),
        };
        // An interface that is gone has no slots; one that came after it has other programs. Any other
        // error says nothing: the pins of a program that runs must not be swept.
        let there = match asked {
            Err(error) if error.errno == ENODEV => false,
            asked => asked?,
        };
        Ok(if there {
            State::Running { program_id, link_id: None }
        } else {
            State::Dead { why: format!("program {program_id} is no longer on the interface") }
        })
    }

    /// Its maps, by name.
    ///
    /// # Errors
    /// The pins could not be opened.
    pub fn maps(&self, kernel: &std::sync::Arc<dyn Kernel>) -> Result<Vec<MapHandle>, Error> {
        self.open_maps(&**kernel)?
            .into_iter()
            .map(|(name, fd)| KernelMap::found(kernel, fd, name).map(KernelMap::handle))
            .collect()
    }

    pub(crate) fn open_maps(&self, kernel: &dyn Kernel) -> Result<Vec<(String, OwnedFd)>, Error> {
        let directory = self.path.join("maps");
        let mut maps = Vec::new();
        for pin in kernel.list_directory(&directory)? {
            let Some(fd) = kernel.get_pinned(&directory.join(&pin))? else { continue };
            // The kernel keeps dots, but 15 bytes only; the pin keeps all bytes, but no dots.
            let named = kernel.map_info(fd.as_fd())?.name;
            let name = if pin_name(&named) == pin { named } else { pin };
            maps.push((name, fd));
        }
        Ok(maps)
    }
}

/// Whether the pins in a directory say that hoist added the interface's clsact qdisc.
pub(crate) fn made_qdisc(kernel: &dyn Kernel, directory: &Path) -> Result<bool, KernelError> {
    Ok(kernel.list_directory(directory)?.iter().any(|name| name == QDISC))
}

/// What is pinned of a program, its maps apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pins<'a> {
    pub(crate) program: BorrowedFd<'a>,
    pub(crate) link: Option<BorrowedFd<'a>>,
    /// hoist added the interface's clsact qdisc.
    pub(crate) qdisc: bool,
}

/// Pins a program with all that belongs to it, in place of whatever the directory held. The pins are
/// made aside and take the directory's name last, so that what is there stays whole if any of them is
/// refused.
pub(crate) fn write<'a>(
    kernel: &dyn Kernel,
    directory: &Path,
    pins: Pins<'_>,
    maps: impl Iterator<Item = &'a MapHandle>,
) -> Result<(), Error> {
    let mut aside = directory.as_os_str().to_owned();
    aside.push(ASIDE);
    let aside = PathBuf::from(aside);
    let pin = |object: BorrowedFd<'_>, name: PathBuf| kernel.pin(object, &aside.join(name));
    let all = || -> Result<(), KernelError> {
        kernel.remove_directory(&aside)?;
        kernel.make_directory(&aside.join("maps"))?;
        if pins.qdisc {
            kernel.make_directory(&aside.join(QDISC))?;
        }
        pin(pins.program, PathBuf::from("program"))?;
        for map in maps {
            let Some(id) = map.id() else { continue };
            let opened = kernel.open(hoist_bpf::kernel::ObjectKind::Map, id)?;
            if let Some(fd) = opened {
                pin(fd.as_fd(), Path::new("maps").join(pin_name(&map.def().name)))?;
            }
        }
        kernel.remove_directory(directory)?;
        kernel.rename_directory(&aside, directory)?;
        // Last: a link outlives this process from here on, and must be where it is looked for.
        pins.link.map_or(Ok(()), |link| kernel.pin(link, &directory.join("link")))
    };
    all().map_err(|error| {
        // What led here is the error to report; pins without a link hold nothing in a slot.
        drop(remove(kernel, &aside));
        refused_pin(error, directory)
    })
}

/// Removes a program's pins, and the namespace's directory with the last one.
pub(crate) fn remove(kernel: &dyn Kernel, directory: &Path) -> Result<(), KernelError> {
    kernel.remove_directory(directory)?;
    match directory.parent() {
        Some(parent) if kernel.list_directory(parent)?.is_empty() => {
            kernel.remove_directory(parent)
        }
        _ => Ok(()),
    }
}

fn refused_pin(error: KernelError, directory: &Path) -> Error {
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    if matches!(error.errno, EPERM | EACCES) {
        return Error::NotPermitted {
            what: format!("pinning under {}", directory.display()),
            capability: "write access to the bpffs".to_owned(),
            hint: "run as root, or name a directory of a bpffs that you own".to_owned(),
        };
    }
    Error::Kernel {
        error,
        hint: Some("a bpffs is mounted by: mount -t bpf bpf /sys/fs/bpf".to_owned()),
    }
}
