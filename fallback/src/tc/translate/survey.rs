//! What is to be done to a program: every place that must change, and every reason against it.

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::analysis::{At, CallSite, Callee, ContextUse, Places};
use hoist_bpf::module::{ExternId, MapId, Module, ProgramHint, ProgramId, Target};
use hoist_bpf::names;
use hoist_bpf::requirements::ContextField;
use hoist_offload::Gap;
use hoist_offload::plan::Warning;

use super::helpers::{self, Helper, Kfunc, id};
use super::refuse::gap;
use super::runtime::{feature, name};

/// `enum bpf_map_type`.
const DEVMAP: u32 = 14;
const CPUMAP: u32 = 16;
const XSKMAP: u32 = 17;
const DEVMAP_HASH: u32 = 25;

/// `BPF_F_BROADCAST` of `bpf_redirect_map`.
const BROADCAST: u64 = 1 << 3;

/// Functions that may be live at once (`MAX_CALL_FRAMES`).
const MAX_FRAMES: u64 = 8;

/// Reasons that are listed for uses of the context, and again for calls: code that gives more is
/// written to give many.
const MOST_GAPS: usize = 100;

/// Instructions that the kernel takes (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MOST_SLOTS: usize = 1_000_000;

/// What is to be done to one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// A load of this field reads its counterpart.
    Field(ContextField),
    /// A call goes to this routine of the runtime.
    Routine(&'static str),
    /// A call becomes this result.
    Result(i32),
    /// A call becomes a load of the frame's length.
    Length,
    /// `bpf_redirect_map` on one of these maps.
    RedirectMap {
        /// Maps of interfaces, at least one.
        devmaps: Vec<MapId>,
        /// Maps of CPUs.
        cpumaps: Vec<MapId>,
    },
}

impl Edit {
    /// Slots that it may add.
    fn slots(&self) -> usize {
        match self {
            Self::Field(_) => 2,
            Self::RedirectMap { devmaps, cpumaps } => 4 * (devmaps.len() + cpumaps.len()),
            _ => 0,
        }
    }
}

/// What is to be done to a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Places that change.
    pub(super) edits: BTreeMap<At, Edit>,
    /// Kernel functions that are exchanged for others.
    pub(super) twins: BTreeMap<ExternId, &'static str>,
    /// Devmaps that the program may broadcast to: their place is their number.
    pub(super) broadcasts: Vec<MapId>,
    /// Maps that arrays take the place of.
    pub(super) cpumaps: BTreeSet<MapId>,
    /// Bits of [`feature`].
    pub(super) features: u32,
    /// Whether the verifier will want the types of all functions.
    pub(super) typed: bool,
    /// Whether another program may answer in this one's place.
    pub(super) tail_calls: bool,
    /// Reasons against it.
    pub(super) gaps: Vec<Gap>,
    /// What will differ.
    pub(super) warnings: Vec<Warning>,
}

impl Survey {
    /// Surveys a program whose places are known.
    pub(super) fn of(module: &Module, program: ProgramId, places: &Places) -> Self {
        let mut survey = Self::default();
        survey.entry(module, program, places);
        for (&at, &context) in &places.context {
            survey.context(module, at, context);
            if survey.gaps.len() >= MOST_GAPS {
                break;
            }
        }
        for (&at, call) in &places.calls {
            survey.call(module, at, call);
            if survey.gaps.len() >= 2 * MOST_GAPS {
                break;
            }
        }
        survey.length(module, places);
        if !places.packet_writes.is_empty() {
            survey.features |= feature::WRITES;
        }
        survey.typed |= !survey.broadcasts.is_empty()
            || places
                .functions
                .iter()
                .flat_map(|f| &module.function(*f).code)
                .any(|inst| matches!(inst.target, Target::FunctionAddress(_)));
        survey
    }

    fn entry(&mut self, module: &Module, program: ProgramId, places: &Places) {
        let program = module.program(program);
        if matches!(program.hint, ProgramHint::XdpDevmap | ProgramHint::XdpCpumap) {
            self.gaps.push(Gap::new(
                "missing-feature",
                format!(
                    "{} runs for the entries of a devmap or cpumap, which TC does not have",
                    program.name
                ),
            ));
        }
        let depth = places.call_depth + 1;
        if depth > MAX_FRAMES {
            self.gaps.push(Gap::new(
                "over-limit",
                format!(
                    "{}: {} functions call each other, and translated they are {depth} where the \
                     kernel takes {MAX_FRAMES}",
                    program.name, places.call_depth
                ),
            ));
        }
    }

    /// Code that grows beyond what the kernel takes would only cost memory.
    fn length(&mut self, module: &Module, places: &Places) {
        let code: usize = places.functions.iter().map(|f| module.function(*f).slots()).sum();
        let slots = code + self.edits.values().map(Edit::slots).sum::<usize>();
        if slots > MOST_SLOTS {
            self.gaps.push(Gap::new(
                "translation-too-large",
                format!(
                    "the translation has {slots} instructions, and the kernel takes {MOST_SLOTS}; \
                     split the program with tail calls"
                ),
            ));
        }
    }

    fn context(&mut self, module: &Module, at: At, context: ContextUse) {
        let (code, message) = match context {
            ContextUse::Field(ContextField::EgressIfindex) => (
                "missing-context-field",
                "egress_ifindex is for programs of devmap entries, which TC does not have",
            ),
            ContextUse::Field(field) => {
                self.edits.insert(at, Edit::Field(field));
                return;
            }
            ContextUse::Ambiguous => (
                "context-ambiguous",
                "it cannot be told whether this reads the context or something else",
            ),
            ContextUse::Misshapen => {
                ("context-misused", "the context is not read by four bytes at the start of a field")
            }
            ContextUse::Store => ("context-misused", "the context is written to"),
            ContextUse::Arithmetic => ("context-misused", "the pointer to the context is moved"),
        };
        self.gaps.push(gap(module, at, code, message));
    }

    fn call(&mut self, module: &Module, at: At, call: &CallSite) {
        match call.callee {
            Callee::Kfunc(id) => self.kfunc(module, at, id),
            Callee::Helper(id) => self.helper(module, at, id, call),
        }
    }

    fn kfunc(&mut self, module: &Module, at: At, id: ExternId) {
        let name = &module.external(id).name;
        match helpers::kfunc(name) {
            Kfunc::Same => {}
            Kfunc::Twin(twin) => {
                self.twins.insert(id, twin);
                // What is done with the handle is not followed.
                self.features |= feature::WRITES;
            }
            Kfunc::ReceiveMetadata => self.gaps.push(gap(
                module,
                at,
                "missing-feature",
                format!("{name} asks the driver about the frame, which TC programs cannot"),
            )),
            Kfunc::Cast => self.gaps.push(gap(
                module,
                at,
                "missing-kfunc",
                format!(
                    "{name} gives the kernel's struct xdp_buff, and TC has none behind a frame"
                ),
            )),
            Kfunc::XdpOnly => self.gaps.push(gap(
                module,
                at,
                "missing-kfunc",
                format!("{name} is for XDP programs alone and has no counterpart for TC"),
            )),
        }
    }

    fn helper(&mut self, module: &Module, at: At, id: u32, call: &CallSite) {
        if helpers::writes(id) {
            self.features |= feature::WRITES;
        }
        match id {
            id::XDP_STORE_BYTES if call.keeps_packet_pointer => self.gaps.push(gap(
                module,
                at,
                "store-bytes-pointers",
                "a packet pointer from before bpf_xdp_store_bytes is used after it, which the \
                 helper of TC makes invalid; read data and data_end again after the call",
            )),
            id::TAIL_CALL => {
                self.typed = true;
                self.tail_calls = true;
                // Programs that are put into the map later may do anything.
                self.features |= feature::WRITES;
                if names::license_is_gpl_compatible(&module.license) {
                    self.features |= feature::REDIRECTS;
                }
            }
            id::REDIRECT | id::REDIRECT_MAP => self.redirects(module, at, id),
            _ => {}
        }
        let edit = match helpers::helper(id) {
            Helper::Same => return,
            Helper::Routine(name) if id == id::XDP_ADJUST_HEAD => {
                Edit::Routine(adjust_head(call).unwrap_or(name))
            }
            Helper::Routine(name) => Edit::Routine(name),
            Helper::Result(value) => Edit::Result(value),
            Helper::Length => Edit::Length,
            Helper::RedirectMap => match self.redirect_map(module, at, call) {
                Some(edit) => edit,
                None => return,
            },
        };
        self.edits.insert(at, edit);
    }

    fn redirects(&mut self, module: &Module, at: At, id: u32) {
        self.features |= feature::REDIRECTS;
        if !names::license_is_gpl_compatible(&module.license) {
            self.gaps.push(gap(
                module,
                at,
                "redirect-needs-gpl",
                format!(
                    "the program calls {} under the licence '{}'; at TC the target's MTU is \
                     checked with a helper that the kernel lets only GPL-compatible programs call",
                    names::helper(id),
                    module.license
                ),
            ));
        }
    }

    fn redirect_map(&mut self, module: &Module, at: At, call: &CallSite) -> Option<Edit> {
        let [map, _, flags, ..] = &call.args;
        let before = self.gaps.len();
        if map.unknown_map || map.maps.is_empty() {
            self.gaps.push(gap(
                module,
                at,
                "redirect-map-unknown",
                "it cannot be told which map the frame is redirected through",
            ));
        }
        let broadcasts = flags.constants.as_ref().map(|c| c.iter().any(|f| f & BROADCAST != 0));
        for &id in &map.maps {
            let m = module.map(id);
            let refused = match m.kind {
                DEVMAP => None,
                CPUMAP => {
                    self.cpumap(id, &m.name);
                    None
                }
                DEVMAP_HASH if broadcasts == Some(true) => Some((
                    "broadcast-hash",
                    format!(
                        "map {} is a DEVMAP_HASH, whose entries a TC program cannot list to send \
                         a copy to each; use a DEVMAP",
                        m.name
                    ),
                )),
                DEVMAP_HASH => {
                    if broadcasts.is_none() {
                        self.perhaps_broadcast(&m.name);
                    }
                    None
                }
                XSKMAP => Some((
                    "missing-map-type",
                    format!(
                        "map {} is an XSKMAP: frames reach AF_XDP sockets from XDP only",
                        m.name
                    ),
                )),
                kind => Some((
                    "missing-map-type",
                    format!(
                        "map {} is a {}, which cannot be redirected through",
                        m.name,
                        names::map_type(kind)
                    ),
                )),
            };
            if let Some((code, message)) = refused {
                let mut gap = gap(module, at, code, message);
                gap.map = Some(m.name.clone());
                self.gaps.push(gap);
            }
        }
        if self.gaps.len() > before {
            return None;
        }
        let (cpumaps, devmaps): (Vec<_>, Vec<_>) =
            map.maps.iter().partition(|id| module.map(**id).kind == CPUMAP);
        if devmaps.is_empty() {
            return Some(Edit::Routine(name::REDIRECT_CPUMAP));
        }
        if broadcasts != Some(false) {
            for id in devmaps.iter().filter(|id| module.map(**id).kind == DEVMAP) {
                if !self.broadcasts.contains(id) {
                    self.broadcasts.push(*id);
                }
            }
        }
        Some(Edit::RedirectMap { devmaps, cpumaps })
    }

    /// The flags are not known before the call: without `BPF_F_BROADCAST` it is like any other.
    fn perhaps_broadcast(&mut self, name: &str) {
        let warning = Warning {
            code: "broadcast-hash".to_owned(),
            message: format!(
                "should the program broadcast over {name}, a DEVMAP_HASH, the frame is dropped: a TC \
                 program cannot list its entries"
            ),
            remedy: Some("use a DEVMAP, or flags that are constants".to_owned()),
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn cpumap(&mut self, id: MapId, name: &str) {
        if self.cpumaps.insert(id) {
            self.warnings.push(Warning {
                code: "cpumap-steering".to_owned(),
                message: format!(
                    "frames that the program sends to a CPU of {name} are passed on the CPU that \
                     received them"
                ),
                remedy: Some("spread the load with RPS or RSS".to_owned()),
            });
        }
    }
}

/// The routine for a start that always moves by so many bytes: it has fewer branches to take.
fn adjust_head(call: &CallSite) -> Option<&'static str> {
    let mut by = call.args[1].constants.as_ref()?.iter().map(|by| *by as i32);
    let first = by.next()?;
    let (routine, same): (_, fn(i32) -> bool) = match first {
        4 => ("hoist_adjust_head_cut_four", |by| by == 4),
        -4 => ("hoist_adjust_head_insert_four", |by| by == -4),
        5.. => ("hoist_adjust_head_cut_many", |by| by > 4),
        ..=-5 => ("hoist_adjust_head_insert_many", |by| by < -4),
        _ => return None,
    };
    by.all(same).then_some(routine)
}
