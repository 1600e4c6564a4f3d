//! From a resolved module to descriptors: maps created and filled, the program loaded.
//!
//! The order is that of libbpf, because verifiers have learnt to expect it: BTF, maps, initial
//! contents, freezing of constants, programs, and last the slots that hold programs. Only maps that
//! the program can reach are created, so an object's other programs cost nothing.
//!
//! Nothing that others can see happens before [`Loaded::commit`]: a map that is shared through a pin
//! is opened but not written to, and a new one is not pinned yet. So a program can be loaded just to
//! find out whether it loads.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::{Image, Reference};
use crate::insn::Insn;
use crate::kernel::{Entries, Kernel, KernelError, ProgramSpec};
use crate::module::{InitialSlot, MapId, Module, ProgramId, Target};

mod error;
mod maps;
mod place;
mod reach;

pub use error::LoadError;
pub use maps::pin_name;
pub use place::Place;

use reach::Reach;

/// `BPF_PROG_TYPE_XDP`.
pub const PROG_TYPE_XDP: u32 = 6;
/// `BPF_XDP`, the attach type of programs for an interface.
pub const ATTACH_TYPE_XDP: u32 = 37;
/// `BPF_F_XDP_HAS_FRAGS`.
const XDP_HAS_FRAGS: u32 = 1 << 5;
/// `BPF_F_XDP_DEV_BOUND_ONLY`.
const XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
/// `BPF_F_MMAPABLE`, which loaders set on maps of global data.
const MMAPABLE: u32 = 1 << 10;

/// How a program belongs to an interface, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// The host runs it, and it may call the interface's metadata functions
    /// (`BPF_F_XDP_DEV_BOUND_ONLY`).
    HostOnly(u32),
    /// The interface's NIC runs it. Its maps are the NIC's too, but for perf event arrays, into which
    /// the NIC's events come on the host (`bpf_map_offload_neutral`, include/linux/bpf.h).
    Offload(u32),
}

impl Binding {
    const fn ifindex(self) -> u32 {
        match self {
            Self::HostOnly(ifindex) | Self::Offload(ifindex) => ifindex,
        }
    }
}

/// What to load, and how.
#[derive(Clone, Copy, Debug)]
pub struct LoadSpec<'a> {
    /// The module, resolved against this kernel.
    pub module: &'a Module,
    /// Which of its programs.
    pub program: ProgramId,
    /// `enum bpf_prog_type`.
    pub kind: u32,
    /// `enum bpf_attach_type`.
    pub attach_type: u32,
    /// The interface that the program is bound to, and how.
    pub binding: Option<Binding>,
    /// Where maps that ask to be pinned by name are pinned; `None` ignores the wish.
    pub pin_root: Option<&'a Path>,
    /// Contents to write before the program can run.
    pub contents: &'a BTreeMap<MapId, Entries>,
}

/// A loaded program with its maps. Dropping it unloads what nobody else holds.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub program: OwnedFd,
    /// The maps it can reach.
    pub maps: BTreeMap<MapId, Arc<OwnedFd>>,
    commits: Vec<Commit>,
}

/// What must still be done to maps that others can see.
#[derive(Debug)]
enum Commit {
    /// Pin a new map.
    Pin { map: MapId, name: String, path: PathBuf },
    /// Write to a map that was there before.
    Write { map: MapId, name: String, entries: Entries },
}

/// Loads a program and everything it needs.
///
/// # Errors
/// The first step that failed, with the kernel's words. Nothing is left behind.
pub fn load(kernel: &dyn Kernel, spec: &LoadSpec<'_>) -> Result<Loaded, LoadError> {
    let module = spec.module;
    let reach = Reach::of(module, spec.program, spec.contents.keys().copied())?;
    let images: Vec<(ProgramId, Image)> = reach
        .programs
        .iter()
        .map(|&id| {
            let image = Image::build(module, id).map_err(|source| LoadError::Image {
                program: module.program(id).name.clone(),
                source,
            })?;
            Ok((id, image))
        })
        .collect::<Result<_, LoadError>>()?;
    // Image BTF differs between programs of one module in nothing the kernel looks at, so the
    // entry program's serves all of them.
    let btf = Btf::load(kernel, images.first().map_or(&[][..], |(_, image)| &image.btf));

    let mut created = maps::create(kernel, spec, &reach.maps, btf.fd())?;
    let mut loader = Programs { kernel, spec, maps: &created.fds, btf: &btf };
    let mut programs = BTreeMap::new();
    for (id, image) in images {
        programs.insert(id, loader.load(id, image)?);
    }
    fill_program_slots(
        kernel,
        module,
        &created.fds,
        &created.reused,
        &programs,
        &mut created.commits,
    )?;
    let program = programs.remove(&spec.program).ok_or_else(|| LoadError::Invalid {
        what: format!("program {} is not in its own module", spec.program.0),
    })?;
    Ok(Loaded { program, maps: created.fds, commits: created.commits })
}

impl Loaded {
    /// Does what others can see: pins new maps that ask for it, and writes to maps that were found
    /// pinned. Returns the pins it made, for [`withdraw`] should the attach fail.
    ///
    /// # Errors
    /// The step that failed; the pins made until then are withdrawn.
    pub fn commit(&mut self, kernel: &dyn Kernel) -> Result<Vec<PathBuf>, LoadError> {
        let mut pins = Vec::new();
        for commit in std::mem::take(&mut self.commits) {
            let done = match &commit {
                Commit::Pin { map, name, path } => {
                    pin(kernel, self.maps[map].as_fd(), path).map_err(|e| LoadError::map(name, e))
                }
                Commit::Write { map, name, entries } => {
                    maps::write(kernel, name, self.maps[map].as_fd(), entries)
                }
            };
            match (done, commit) {
                (Ok(()), Commit::Pin { path, .. }) => pins.push(path),
                (Ok(()), Commit::Write { .. }) => {}
                (Err(error), _) => {
                    withdraw(kernel, &pins);
                    return Err(error);
                }
            }
        }
        Ok(pins)
    }
}

/// Removes pins that [`Loaded::commit`] made. A pin that cannot be removed stays: the failure that
/// led here is the one to report.
pub fn withdraw(kernel: &dyn Kernel, pins: &[PathBuf]) {
    for pin in pins {
        drop(kernel.unpin(pin));
    }
}

fn pin(kernel: &dyn Kernel, map: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError> {
    if let Some(parent) = path.parent() {
        kernel.make_directory(parent)?;
    }
    kernel.pin(map, path)
}

/// The module's BTF in the kernel, or why it is not there. A program that does not need BTF loads
/// without it.
enum Btf {
    Loaded(OwnedFd),
    Absent(Option<KernelError>),
}

impl Btf {
    fn load(kernel: &dyn Kernel, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Absent(None);
        }
        match kernel.load_btf(bytes) {
            Ok(fd) => Self::Loaded(fd),
            Err(error) => Self::Absent(Some(error)),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Loaded(fd) => Some(fd.as_fd()),
            Self::Absent(_) => None,
        }
    }

    fn refusal(&self) -> Option<&KernelError> {
        match self {
            Self::Loaded(_) => None,
            Self::Absent(error) => error.as_ref(),
        }
    }
}

struct Programs<'a> {
    kernel: &'a dyn Kernel,
    spec: &'a LoadSpec<'a>,
    maps: &'a BTreeMap<MapId, Arc<OwnedFd>>,
    btf: &'a Btf,
}

impl Programs<'_> {
    fn load(&mut self, id: ProgramId, mut image: Image) -> Result<OwnedFd, LoadError> {
        let module = self.spec.module;
        let program = module.program(id);
        patch(module, self.maps, &mut image.insns, &image.references)?;
        let btf = self.btf.fd();
        let info = |records: &'_ [u8]| if btf.is_some() { records.to_vec() } else { Vec::new() };
        let (func_info, line_info) = (info(&image.func_info), info(&image.line_info));
        let mut flags = 0;
        if program.frags {
            flags |= XDP_HAS_FRAGS;
        }
        if let Some(Binding::HostOnly(_)) = self.spec.binding {
            flags |= XDP_DEV_BOUND_ONLY;
        }
        let spec = ProgramSpec {
            name: maps::object_name(&program.name),
            kind: self.spec.kind,
            expected_attach_type: self.spec.attach_type,
            insns: &image.insns,
            license: module.license.clone(),
            flags,
            ifindex: self.spec.binding.map_or(0, Binding::ifindex),
            btf,
            func_info: &func_info,
            line_info: &line_info,
            log_level: 1,
            ..ProgramSpec::default()
        };
        self.kernel.load_program(&spec).map_err(|error| LoadError::Program {
            program: program.name.clone(),
            place: Place::of(&error, module, &image).map(Box::new),
            btf: self.btf.refusal().cloned().map(Box::new),
            error,
        })
    }
}

/// Puts descriptors where the image refers to maps. The image's source registers already say what
/// kind of reference each is.
fn patch(
    module: &Module,
    fds: &BTreeMap<MapId, Arc<OwnedFd>>,
    insns: &mut [Insn],
    references: &[Reference],
) -> Result<(), LoadError> {
    for reference in references {
        match reference.to {
            Target::Map(map) | Target::MapValue { map, .. } => {
                let fd = fd_of(module, fds, map)?;
                let insn = insns.get_mut(reference.insn).ok_or_else(|| LoadError::Invalid {
                    what: format!("no instruction {} to refer to a map", reference.insn),
                })?;
                insn.imm = fd;
            }
            Target::Extern(id) => {
                return Err(LoadError::Unresolved { symbol: module.external(id).name.clone() });
            }
            Target::None | Target::Jump(_) | Target::Call(_) | Target::FunctionAddress(_) => {}
        }
    }
    Ok(())
}

fn fd_of(
    module: &Module,
    fds: &BTreeMap<MapId, Arc<OwnedFd>>,
    map: MapId,
) -> Result<i32, LoadError> {
    fds.get(&map).map(AsRawFd::as_raw_fd).ok_or_else(|| LoadError::Invalid {
        what: format!("map {} was not created", module.map(map).name),
    })
}

/// Fills the slots that the object initialises with programs.
fn fill_program_slots(
    kernel: &dyn Kernel,
    module: &Module,
    fds: &BTreeMap<MapId, Arc<OwnedFd>>,
    reused: &[MapId],
    programs: &BTreeMap<ProgramId, OwnedFd>,
    commits: &mut Vec<Commit>,
) -> Result<(), LoadError> {
    for (&id, fd) in fds {
        let map = module.map(id);
        for InitialSlot { slot, value } in &map.initial {
            let Target::FunctionAddress(function) = value else { continue };
            let program = reach::program_of(module, *function)
                .and_then(|p| programs.get(&p))
                .ok_or_else(|| reach::not_a_program(module, *function, &map.name))?;
            let entry = (slot.to_ne_bytes().to_vec(), program.as_raw_fd().to_ne_bytes().to_vec());
            if reused.contains(&id) {
                commits.push(Commit::Write {
                    map: id,
                    name: map.name.clone(),
                    entries: vec![entry],
                });
            } else {
                maps::write(kernel, &map.name, fd.as_fd(), &vec![entry])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
