//! Runs a program on the kernel and on the userspace machine, and says what differs.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Entries, Kernel, Linux, TestRunSpec};
use hoist_bpf::module::{Map, MapId, Module, ProgramId};
use hoist_bpf::names::is_per_cpu;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_fallback::userspace::environment::Settings;
use hoist_fallback::userspace::environment::routing::{Index, Routing};
use hoist_fallback::userspace::maps::Options as MapOptions;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options};

/// What a test run starts from, unless a case says otherwise.
pub(crate) const FRAME: [u8; 60] = {
    let mut frame = [0; 60];
    let mut at = 0;
    while at < frame.len() {
        frame[at] = (at * 7 + 3) as u8;
        at += 1;
    }
    frame
};

/// Bytes from the hard start to the hard end of a test run's buffer: a page without what the kernel
/// keeps at its end.
const BUFFER: usize = 4096 - 320;

/// Kinds of map that are not read key by key.
const UNREAD: [u32; 7] = [4, 16, 17, 22, 23, 27, 30];

pub(crate) struct Bench {
    kernel: Linux,
    target: TargetBtf,
    cpus: u32,
    /// With the routes of the namespace that the bench was made in.
    options: Options,
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    verdict: u32,
    /// From the metadata to the end of the frame.
    bytes: Vec<u8>,
    maps: BTreeMap<String, Entries>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let kernel = Linux::new().unwrap();
        let btf = kernel.kernel_btf().unwrap().unwrap();
        let target = TargetBtf::parse((*btf).as_ref().to_vec()).unwrap();
        let cpus = kernel.possible_cpus().unwrap() as u32;
        // Values of per-CPU maps are compared CPU by CPU.
        let mut first = rustix::thread::CpuSet::new();
        first.set(0);
        rustix::thread::sched_setaffinity(None, &first).unwrap();
        let routing = Arc::new(Index::new(&Routing::take().unwrap()));
        let options = Options {
            environment: Settings { routing, ..Settings::default() },
            maps: MapOptions { cpus, ..MapOptions::default() },
            ..Options::default()
        };
        Self { kernel, target, cpus, options }
    }

    pub(crate) fn module(&self, name: &str, bytes: &[u8]) -> Arc<Module> {
        let module = Module::parse(name, bytes).unwrap();
        Arc::new(resolve(&module, &self.target).unwrap())
    }

    /// Runs on both, and gives what differs, note by note.
    pub(crate) fn compare(&mut self, module: &Arc<Module>, at: usize, frame: &[u8]) -> Vec<String> {
        let program = ProgramId(at as u32);
        let mut machine = match Machine::new(module, program, &self.options) {
            Ok(machine) => machine,
            Err(gaps) => return vec![format!("{gaps:?}")],
        };
        let mut contents = contents(module);
        contents.retain(|map, _| machine.maps().ids().any(|id| id == *map));
        let kernel = self.on_kernel(module, program, &contents, frame);
        let ours = on_machine(&mut machine, &contents, frame);
        let (kernel, ours) = match (kernel, ours) {
            (Ok(kernel), Ok(ours)) => (kernel, ours),
            (kernel, ours) => return kernel.err().into_iter().chain(ours.err()).collect(),
        };
        let mut differences = Vec::new();
        if kernel.verdict != ours.verdict {
            differences.push(format!("verdict: kernel {}, ours {}", kernel.verdict, ours.verdict));
        }
        if kernel.bytes != ours.bytes {
            let at = kernel.bytes.iter().zip(&ours.bytes).position(|(a, b)| a != b);
            let (theirs, our) = (kernel.bytes.len(), ours.bytes.len());
            differences.push(format!("frame: kernel {theirs} bytes, ours {our}, first at {at:?}"));
        }
        for (name, entries) in &kernel.maps {
            let Some(our) = ours.maps.get(name) else {
                differences.push(format!("map {name}: the kernel's only"));
                continue;
            };
            if entries == our {
                continue;
            }
            if name.ends_with(".bss") {
                differences.extend(notes(&entries[0].1, &our[0].1));
            } else {
                differences.push(format!("map {name}: kernel {entries:?}, ours {our:?}"));
            }
        }
        differences
    }

    fn on_kernel(
        &self,
        module: &Module,
        program: ProgramId,
        contents: &BTreeMap<MapId, Entries>,
        frame: &[u8],
    ) -> Result<Left, String> {
        let spec = LoadSpec {
            module,
            program,
            kind: PROG_TYPE_XDP,
            attach_type: ATTACH_TYPE_XDP,
            binding: None,
            pin_root: None,
            contents,
        };
        let loaded = loader::load(&self.kernel, &spec).map_err(|e| e.to_string())?;
        let run = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
        let run = self.kernel.test_run(loaded.program.as_fd(), &run).unwrap();
        let mut maps = BTreeMap::new();
        for (id, fd) in &loaded.maps {
            let map = module.map(*id);
            if !UNREAD.contains(&map.kind) {
                let length = self.value_bytes(map);
                let entries = self.kernel.map_entries(fd.as_fd(), map.key_size as usize, length);
                maps.insert(map.name.clone(), sorted(entries.unwrap()));
            }
        }
        Ok(Left { verdict: run.verdict, bytes: run.data, maps })
    }

    fn value_bytes(&self, map: &Map) -> usize {
        if is_per_cpu(map.kind) {
            map.value_size.next_multiple_of(8) as usize * self.cpus as usize
        } else {
            map.value_size as usize
        }
    }
}

fn on_machine(
    machine: &mut Machine,
    contents: &BTreeMap<MapId, Entries>,
    frame: &[u8],
) -> Result<Left, String> {
    for (map, entries) in contents {
        for (key, value) in entries {
            machine.maps_mut().user().update(*map, key, value, 0).unwrap();
        }
    }
    let mut buffer = vec![0; BUFFER];
    let start = Frame::HEADROOM as usize;
    buffer[start..start + frame.len()].copy_from_slice(frame);
    let mut running = Frame::new(&mut buffer, frame.len() as u32);
    let arrival = Arrival { ingress_ifindex: 1, ..Arrival::default() };
    let ran = machine.run(&mut running, &arrival);
    if let Some(fault) = ran.fault {
        return Err(format!("fault: {fault}"));
    }
    let bytes = running.buffer[running.meta as usize..running.end as usize].to_vec();
    let mut maps = BTreeMap::new();
    let ids: Vec<MapId> = machine.maps().ids().collect();
    for id in ids {
        let map = machine.module().map(id).clone();
        if !UNREAD.contains(&map.kind) {
            maps.insert(map.name, entries(machine, id));
        }
    }
    Ok(Left { verdict: ran.code as u32, bytes, maps })
}

/// What maps start with: programs that redirect need somewhere to redirect to.
fn contents(module: &Module) -> BTreeMap<MapId, Entries> {
    let first = |value: &[u32]| {
        let value: Vec<u8> = value.iter().flat_map(|word| word.to_ne_bytes()).collect();
        vec![(vec![0; 4], value)]
    };
    let entries = |map: &Map| match map.name.as_str() {
        "devices" => Some(first(&[1, 0])),
        "hashed" => Some(first(&[1])),
        "cpus" => Some(first(&[8, 0])),
        _ => None,
    };
    let maps = module.maps.iter().enumerate();
    maps.filter_map(|(at, map)| Some((MapId(at as u32), entries(map)?))).collect()
}

fn entries(machine: &mut Machine, map: MapId) -> Entries {
    let mut entries = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    while let Some(key) = machine.maps_mut().user().next_key(map, last.as_deref()).unwrap() {
        // An array has keys for slots that are empty.
        if let Ok(value) = machine.maps_mut().user().lookup(map, &key, 0) {
            entries.push((key.clone(), value));
        }
        last = Some(key);
    }
    sorted(entries)
}

fn sorted(mut entries: Entries) -> Entries {
    entries.sort();
    entries
}

/// Which notes differ.
fn notes(kernel: &[u8], ours: &[u8]) -> Vec<String> {
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
    let pairs = kernel.chunks_exact(8).zip(ours.chunks_exact(8)).enumerate();
    let differ = pairs.filter(|(_, (theirs, our))| theirs != our);
    differ
        .map(|(at, (theirs, our))| {
            let (theirs, our) = (word(theirs), word(our));
            format!("note {at}: kernel {theirs:#x}, ours {our:#x}")
        })
        .collect()
}
