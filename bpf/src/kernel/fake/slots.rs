//! Interfaces and the rules of `dev_xdp_attach` (net/core/dev.c), in its order and words.

use std::collections::BTreeMap;

use super::books::{Books, Object, Place};
use super::errno::{EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP};
use super::{Event, FakeInterface};
use crate::kernel::tc::SKIP_SW;
use crate::kernel::{KernelError, ObjectKind, XdpMode, XdpSlots};

const BPF_XDP_DEVMAP: u32 = 33;
const BPF_XDP_CPUMAP: u32 = 35;
const XDP: u32 = 6;

/// What sits in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupant {
    pub(super) program: u32,
    pub(super) link: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Interface {
    pub(super) given: FakeInterface,
    pub(super) slots: BTreeMap<XdpMode, Occupant>,
}

impl Interface {
    /// The programs it keeps alive.
    pub(super) fn programs(&self) -> Vec<Object> {
        let xdp = self.slots.values().map(|occupant| occupant.program);
        let tcx = self.given.tcx_ingress.iter().chain(&self.given.tcx_egress).copied();
        let filters = self.given.filters.iter().filter_map(|filter| filter.program_id);
        xdp.chain(tcx).chain(filters).map(|id| (ObjectKind::Program, id)).collect()
    }

    pub(super) fn xdp(&self) -> XdpSlots {
        let of = |mode| self.slots.get(&mode).map(|occupant| occupant.program);
        XdpSlots {
            hardware: of(XdpMode::Hardware),
            native: of(XdpMode::Native),
            generic: of(XdpMode::Generic),
        }
    }
}

/// A request to change a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) ifindex: u32,
    /// `None` detaches.
    pub(super) program: Option<u32>,
    pub(super) link: Option<u32>,
    pub(super) mode: Option<XdpMode>,
    /// `XDP_FLAGS_UPDATE_IF_NOEXIST`.
    pub(super) only_empty: bool,
    /// `XDP_FLAGS_REPLACE` with this program.
    pub(super) expected: Option<u32>,
}

/// An error number and what the kernel says to it.
type Refusal = (i32, Option<String>);

fn refuse<T>(errno: i32, text: &str) -> Result<T, Refusal> {
    Err((errno, Some(text.to_owned())))
}

impl Books {
    pub(super) fn interface(&self, ifindex: u32) -> Result<&Interface, Refusal> {
        self.interfaces.get(&ifindex).ok_or((ENODEV, None))
    }

    /// Attaches, replaces or detaches; returns the mode it came to.
    pub(super) fn change(
        &mut self,
        operation: &str,
        change: Change,
    ) -> Result<XdpMode, KernelError> {
        self.decide(change).map_err(|(errno, message)| KernelError {
            message,
            ..KernelError::new(operation, format!("XDP on {}", self.name(change.ifindex)), errno)
        })
    }

    fn decide(&mut self, change: Change) -> Result<XdpMode, Refusal> {
        let interface = self.interface(change.ifindex)?;
        let slots = &interface.slots;
        if change.mode.is_none() && slots.len() > 1 {
            return refuse(EINVAL, "More than one program loaded, unset mode is ambiguous");
        }
        let usual = if interface.given.native { XdpMode::Native } else { XdpMode::Generic };
        let mode = change.mode.unwrap_or(usual);
        let current = slots.get(&mode).copied();
        if current.is_some_and(|occupant| occupant.link.is_some()) {
            return refuse(EBUSY, "Can't replace active BPF XDP link");
        }
        let uppers = interface.given.upper.iter().filter_map(|i| self.interfaces.get(i));
        if uppers.into_iter().any(|upper| !upper.slots.is_empty()) {
            return refuse(EEXIST, "Cannot attach when an upper device already has a program");
        }
        let running = current.map(|occupant| occupant.program);
        if change.link.is_some() && running.is_some() {
            return refuse(EBUSY, "Can't replace active XDP program with BPF link");
        }
        if change.expected.is_some() && change.expected != running {
            return refuse(EEXIST, "Active program does not match expected");
        }
        if let Some(program) = change.program {
            if change.only_empty && running.is_some() {
                return refuse(EBUSY, "XDP program already attached");
            }
            self.suits(program, mode, interface)?;
        }
        if change.program != running {
            drives(interface, mode, change.program)?;
            self.runs(interface, mode, change.program)?;
        }
        self.put(change, mode, running);
        Ok(mode)
    }

    /// Whether a program may go into a slot of an interface at all.
    fn suits(&self, id: u32, mode: XdpMode, interface: &Interface) -> Result<(), Refusal> {
        let program = self.programs.get(&id).ok_or((EINVAL, None))?;
        let offload = mode == XdpMode::Hardware;
        let other = if mode == XdpMode::Generic { XdpMode::Native } else { XdpMode::Generic };
        if !offload && interface.slots.contains_key(&other) {
            return refuse(EEXIST, "Native and generic XDP can't be active at the same time");
        }
        let bound = program.info.ifindex != 0;
        let offloaded = program.offloaded();
        if program.info.kind != XDP || (offloaded && mode == XdpMode::Generic) {
            return Err((EINVAL, None));
        }
        if !offload && offloaded {
            return refuse(EINVAL, "Using offloaded program without HW_MODE flag is not supported");
        }
        let here = match offloaded {
            true => {
                !program.orphaned && self.same_card(program.info.ifindex, interface.given.ifindex)
            }
            false => program.info.ifindex == interface.given.ifindex,
        };
        if bound && !here {
            return refuse(EINVAL, "Program bound to different device");
        }
        if bound && mode == XdpMode::Generic {
            return refuse(EINVAL, "Can't attach device-bound programs in generic mode");
        }
        match program.expected_attach_type {
            BPF_XDP_DEVMAP => {
                refuse(EINVAL, "BPF_XDP_DEVMAP programs can not be attached to a device")
            }
            BPF_XDP_CPUMAP => {
                refuse(EINVAL, "BPF_XDP_CPUMAP programs can not be attached to a device")
            }
            _ => Ok(()),
        }
    }

    /// What the driver of a NIC says to a program for it: only of programs that were loaded for it,
    /// and only one on a port, be it XDP or a classifier (`nsim_xdp_offload_prog`).
    fn runs(
        &self,
        interface: &Interface,
        mode: XdpMode,
        program: Option<u32>,
    ) -> Result<(), Refusal> {
        let (XdpMode::Hardware, Some(card)) = (mode, &interface.given.card) else { return Ok(()) };
        if let Some((errno, words)) = &card.refuses_xdp {
            return Err((*errno, Some(words.clone())));
        }
        let Some(program) = program.and_then(|id| self.programs.get(&id)) else { return Ok(()) };
        if !program.offloaded() {
            return refuse(EINVAL, "netdevsim: xdpoffload of non-bound program");
        }
        if interface.given.filters.iter().any(|filter| filter.flags & SKIP_SW != 0) {
            return refuse(EBUSY, "netdevsim: TC program is already loaded");
        }
        Ok(())
    }

    fn put(&mut self, change: Change, mode: XdpMode, running: Option<u32>) {
        let Change { ifindex, link, .. } = change;
        let Some(interface) = self.interfaces.get_mut(&ifindex) else { return };
        match (change.program, running) {
            (Some(program), _) => {
                interface.slots.insert(mode, Occupant { program, link });
                if running != change.program {
                    self.journal.push(Event::Attached { ifindex, mode, program, link });
                }
            }
            (None, Some(program)) => {
                interface.slots.remove(&mode);
                self.journal.push(Event::Detached { ifindex, mode, program });
            }
            (None, None) => {}
        }
    }

    /// Takes a link's program off its interface.
    pub(super) fn release(&mut self, id: u32) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (ifindex, place, program) = (link.ifindex, link.place, link.program);
        link.ifindex = 0;
        let Place::Xdp(mode) = place else {
            if ifindex != 0 {
                self.release_tcx(ifindex, program);
            }
            return;
        };
        if let Some(interface) = self.interfaces.get_mut(&ifindex) {
            interface.slots.remove(&mode);
            self.journal.push(Event::Detached { ifindex, mode, program });
        }
    }

    /// The name an error gives an interface.
    pub(super) fn name(&self, ifindex: u32) -> String {
        let known = self.interfaces.get(&ifindex).map(|interface| interface.given.name.clone());
        known.unwrap_or_else(|| format!("interface {ifindex}"))
    }
}

/// What the driver says.
fn drives(interface: &Interface, mode: XdpMode, program: Option<u32>) -> Result<(), Refusal> {
    let given = &interface.given;
    match mode {
        XdpMode::Generic => Ok(()),
        XdpMode::Hardware if given.card.is_some() => Ok(()),
        _ if !given.native => {
            refuse(EOPNOTSUPP, "Underlying driver does not support XDP in native mode")
        }
        XdpMode::Hardware => Err((EINVAL, None)),
        XdpMode::Native if program.is_some() => match &given.native_refusal {
            Some((errno, text)) => Err((*errno, text.clone())),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}
