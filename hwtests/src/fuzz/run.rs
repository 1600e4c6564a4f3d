//! One form of a program, loaded with its own maps, run on frames: by the kernel or by the userspace
//! engine's machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use hoist_bpf::kernel::loader::{self, LoadError, LoadSpec, Loaded};
use hoist_bpf::kernel::{Entries, Kernel, KernelError, TestRunSpec};
use hoist_bpf::module::{DataSection, MapId, Module, ProgramId};
use hoist_bpf::names;
use hoist_bpf::passes::lower::Rewrite;
use hoist_fallback::userspace::vm::Fault;

use super::generate::INTERFACES;
use super::lowered;
use super::machine::{Machine, NotMade};
use super::model::Model;
use super::render::{self, FIRST_MAP};
use crate::lab::{Lab, LabError};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const PROG_TYPE_SCHED_CLS: u32 = 3;
/// `offsetof(struct __sk_buff, cb[4])`.
const CB4: usize = 64;
/// `sizeof(struct __sk_buff)`.
const SK_BUFF_BYTES: usize = 192;

/// MTU of the second interface, in bytes: some frames exceed it.
const SMALL_MTU: u32 = 600;
/// An Ethernet header and a VLAN tag, by which frames may exceed the MTU.
const FRAMING: usize = 14 + 4;
/// Lets `bpf_fib_lookup` find routes.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Map types that a program cannot write to, whose values differ between forms, or whose entries
/// cannot be listed.
const FIXED: [u32; 17] = [3, 4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 24, 25, 27, 29, 31, 33];
/// Queues and stacks: read by taking out.
const QUEUES: [u32; 2] = [22, 23];

/// Which hook a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `BPF_PROG_TYPE_XDP`.
    Xdp,
    /// `BPF_PROG_TYPE_XDP`, lowered for a card.
    Lowered,
    /// `BPF_PROG_TYPE_SCHED_CLS`, with the XDP verdict left in `cb[4]`.
    Tc,
    /// The userspace engine's machine, interpreting.
    Interpreter,
    /// The userspace engine's machine, by machine code that it generated.
    Compiled,
    /// The same with every check, proven or not.
    Paranoid,
}

impl Hook {
    /// The name of the form: `native`, `lowered`, `tc`, `vm`, `compiled` or `paranoid`.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Xdp => "native",
            Self::Lowered => "lowered",
            Self::Tc => "tc",
            Self::Interpreter => "vm",
            Self::Compiled => "compiled",
            Self::Paranoid => "paranoid",
        }
    }
}

/// Why a form could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// The kernel would not.
    #[error(transparent)]
    Kernel(#[from] LoadError),
    /// The kernel does not say how many CPUs there are.
    #[error(transparent)]
    Cpus(#[from] KernelError),
    /// The userspace engine would not.
    #[error(transparent)]
    Machine(#[from] NotMade),
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The kernel would not run it, or not read a map.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The machine's run ended in a fault, which no program does that the verifier takes.
    #[error("{0}")]
    Fault(Box<Fault>),
}

/// A form of a program: what a pass or the translator made of it. Maps keep their ids.
#[derive(Clone, Debug)]
pub struct Form {
    /// The module.
    pub module: Module,
    /// Its program.
    pub program: ProgramId,
    /// Where it runs.
    pub hook: Hook,
    /// The map in which it counts packets and bytes by verdict, if it does.
    pub counters: Option<MapId>,
    /// The map in which the TC runtime counts what happens off the plain path.
    pub events: Option<MapId>,
    /// What lowering did.
    pub rewrites: Vec<Rewrite>,
}

impl Form {
    /// A program for the XDP hook.
    #[must_use]
    pub const fn native(module: Module, program: ProgramId) -> Self {
        Self {
            module,
            program,
            hook: Hook::Xdp,
            counters: None,
            events: None,
            rewrites: Vec::new(),
        }
    }
}

/// What a run gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The XDP verdict, as the program returned it on XDP, 0 to 4 on TC.
    pub verdict: u32,
    /// The return value of the test run.
    pub returned: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// A loaded form.
#[derive(Debug)]
pub struct Side<'a> {
    kernel: &'a dyn Kernel,
    hook: Hook,
    runner: Runner,
    /// Maps that are compared: name, type, key and value bytes.
    tables: BTreeMap<MapId, Shape>,
}

/// Who runs it.
#[derive(Debug)]
enum Runner {
    Kernel(Loaded),
    Machine(Box<RefCell<Machine>>),
}

#[derive(Clone, Debug)]
struct Shape {
    name: String,
    queue: bool,
    key: usize,
    value: usize,
}

/// What becomes of a redirected frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It leaves.
    Open,
    /// It is longer than the interface's MTU allows.
    TooNarrow,
    /// There is no such interface.
    Absent,
    /// The program named no interface, or all of a map.
    Nowhere,
}

/// A network namespace in which the interfaces that programs redirect to are there.
#[derive(Debug)]
pub struct Place {
    lab: Lab,
}

impl Place {
    /// A new one.
    ///
    /// # Errors
    /// The kernel would not make it.
    pub fn new() -> Result<Self, LabError> {
        let lab = Lab::pair()?;
        let index = lab.near().ifindex;
        if index != INTERFACES[1] {
            let cause = format!("has index {index} where programs redirect to {}", INTERFACES[1]);
            return Err(LabError::new("RTM_NEWLINK", &lab.near().name, cause));
        }
        lab.near().set_mtu(SMALL_MTU)?;
        let forward = || std::fs::write(FORWARDING, "1");
        let forward = lab.near().namespace.run(forward);
        forward.map_err(|error| LabError::new("write", FORWARDING, error))?;
        Ok(Self { lab })
    }

    /// What becomes of a frame of this length that is redirected to an interface
    /// (`xdp_ok_fwd_dev`); 0 stands for none.
    #[must_use]
    pub const fn way(interface: u64, length: usize) -> Way {
        match interface {
            0 => Way::Nowhere,
            1 => Way::Open,
            2 if length <= SMALL_MTU as usize + FRAMING => Way::Open,
            2 => Way::TooNarrow,
            _ => Way::Absent,
        }
    }

    /// Does something inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.lab.near().namespace.run(work)
    }
}

/// What the model's maps hold at first, for the loader.
///
/// # Errors
/// The kernel cannot say how many CPUs there are.
pub fn contents(
    kernel: &dyn Kernel,
    model: &Model,
) -> Result<BTreeMap<MapId, Entries>, KernelError> {
    let cpus = kernel.possible_cpus()?;
    let mut contents = BTreeMap::new();
    for (index, table) in model.maps.iter().enumerate() {
        if table.kind == 3 || table.initial.is_empty() {
            continue;
        }
        let copies = if names::is_per_cpu(table.kind) { cpus } else { 1 };
        let entries = table.initial.iter().map(|&(key, value)| {
            let mut bytes = key.to_ne_bytes().to_vec();
            if table.kind == 11 {
                // The prefix length, then the bytes it is of.
                bytes.extend(key.to_ne_bytes());
            }
            bytes.resize(table.key_size as usize, 0);
            let value = value.to_ne_bytes().into_iter().cycle();
            (bytes, value.take(table.value_size as usize * copies).collect())
        });
        contents.insert(MapId(FIRST_MAP + index as u32), entries.collect());
    }
    Ok(contents)
}

impl<'a> Side<'a> {
    /// Loads a form with maps of its own.
    ///
    /// # Errors
    /// The loader's, with the verifier's log; what the machine has not.
    pub fn load(
        kernel: &'a dyn Kernel,
        form: &Form,
        contents: &BTreeMap<MapId, Entries>,
    ) -> Result<Self, NotLoaded> {
        let (kind, attach_type) = match form.hook {
            Hook::Xdp | Hook::Lowered => (loader::PROG_TYPE_XDP, loader::ATTACH_TYPE_XDP),
            Hook::Tc => (PROG_TYPE_SCHED_CLS, 0),
            Hook::Interpreter | Hook::Compiled | Hook::Paranoid => {
                let machine = Machine::new(kernel, form, contents)?;
                let tables = shapes(kernel, form, machine.maps());
                let runner = Runner::Machine(Box::new(RefCell::new(machine)));
                return Ok(Self { kernel, hook: form.hook, runner, tables });
            }
        };
        let fitted = match form.hook {
            Hook::Lowered => lowered::contents(kernel, &form.module, contents)?,
            _ => contents.clone(),
        };
        let spec = LoadSpec {
            module: &form.module,
            program: form.program,
            kind,
            attach_type,
            binding: None,
            pin_root: None,
            contents: &fitted,
        };
        let loaded = loader::load(kernel, &spec)?;
        let tables = shapes(kernel, form, loaded.maps.keys().copied());
        Ok(Self { kernel, hook: form.hook, runner: Runner::Kernel(loaded), tables })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// The kernel's refusal, or a fault.
    pub fn run(&self, frame: &[u8]) -> Result<Observed, Failure> {
        let loaded = match &self.runner {
            Runner::Kernel(loaded) => loaded,
            Runner::Machine(machine) => return machine.borrow_mut().run(frame),
        };
        let mut spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
        if self.hook == Hook::Tc {
            spec.context_out = SK_BUFF_BYTES;
        }
        let run = self.kernel.test_run(loaded.program.as_fd(), &spec)?;
        let verdict = match self.hook {
            Hook::Tc => {
                let bytes = run.context.get(CB4..CB4 + 4).and_then(|b| b.try_into().ok());
                bytes.map_or(u32::MAX, u32::from_ne_bytes)
            }
            _ => run.verdict,
        };
        Ok(Observed { verdict, returned: run.verdict, frame: run.data })
    }

    /// The contents of every map that programs can write to, in an order that does not depend on
    /// the map. Queues are emptied by reading.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn tables(&self) -> Result<BTreeMap<MapId, Entries>, KernelError> {
        let mut all = BTreeMap::new();
        for (&id, shape) in &self.tables {
            let mut entries = if shape.queue { Entries::new() } else { self.listed(id, shape)? };
            entries.sort();
            all.insert(id, entries);
        }
        Ok(all)
    }

    /// What the entries of maps say on this CPU alone, where another form has one value for all.
    #[must_use]
    pub fn on_this_cpu(
        &self,
        mut tables: BTreeMap<MapId, Entries>,
        other: &Self,
    ) -> BTreeMap<MapId, Entries> {
        let cpu = rustix::thread::sched_getcpu();
        for (id, entries) in &mut tables {
            let (Some(here), Some(there)) = (self.tables.get(id), other.tables.get(id)) else {
                continue;
            };
            if here.value > there.value {
                let from = cpu * there.value.next_multiple_of(8);
                for (_, value) in entries.iter_mut() {
                    *value = value[from..from + there.value].to_vec();
                }
                entries.sort();
            }
        }
        tables
    }

    /// A word that the last run left in the trace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn noted(&self, offset: u32) -> Result<u64, KernelError> {
        let (key, bytes) = (0_u32.to_ne_bytes(), render::TRACE_BYTES as usize);
        let trace = match &self.runner {
            Runner::Kernel(loaded) => match loaded.maps.get(&render::TRACE) {
                Some(map) => self.kernel.map_lookup(map.as_fd(), &key, bytes)?.unwrap_or_default(),
                None => Vec::new(),
            },
            Runner::Machine(machine) => machine.borrow_mut().value(render::TRACE, &key),
        };
        let at = offset as usize;
        let word = trace.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        Ok(word.map_or(0, u64::from_ne_bytes))
    }

    /// A map's name.
    #[must_use]
    pub fn name_of(&self, id: MapId) -> &str {
        self.tables.get(&id).map_or("", |shape| &shape.name)
    }

    /// One map's contents.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn entries(&self, id: MapId) -> Result<Entries, KernelError> {
        self.tables.get(&id).map_or_else(|| Ok(Entries::new()), |shape| self.listed(id, shape))
    }

    fn listed(&self, id: MapId, shape: &Shape) -> Result<Entries, KernelError> {
        match &self.runner {
            Runner::Kernel(loaded) => {
                self.kernel.map_entries(loaded.maps[&id].as_fd(), shape.key, shape.value)
            }
            Runner::Machine(machine) => Ok(machine.borrow_mut().entries(id)),
        }
    }

    /// The words of a per-CPU array's values, summed over the CPUs; `None` when the program does not
    /// refer to the map.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn sums(&self, id: MapId, words: usize) -> Result<Option<Vec<u64>>, KernelError> {
        if !self.tables.contains_key(&id) {
            return Ok(None);
        }
        let mut sums = Vec::new();
        for (_, value) in self.entries(id)? {
            let at = sums.len();
            sums.resize(at + words, 0);
            for (index, word) in value.chunks_exact(8).enumerate() {
                sums[at + index % words] += word.try_into().map_or(0, u64::from_ne_bytes);
            }
        }
        Ok(Some(sums))
    }
}

fn shapes(
    kernel: &dyn Kernel,
    form: &Form,
    ids: impl Iterator<Item = MapId>,
) -> BTreeMap<MapId, Shape> {
    ids.filter_map(|id| Some((id, shape(kernel, form, id)?))).collect()
}

/// How a map is read; `None` for those that are not compared.
fn shape(kernel: &dyn Kernel, form: &Form, id: MapId) -> Option<Shape> {
    let map = form.module.map(id);
    if FIXED.contains(&map.kind) || map.section == Some(DataSection::Rodata) {
        return None;
    }
    let copies = if names::is_per_cpu(map.kind) { kernel.possible_cpus().ok()? } else { 1 };
    let value = map.value_size as usize;
    Some(Shape {
        name: map.name.clone(),
        queue: QUEUES.contains(&map.kind),
        key: map.key_size as usize,
        value: if copies > 1 { value.next_multiple_of(8) * copies } else { value },
    })
}
