//! A program and its lowered form, side by side on the kernel.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, Loaded, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Entries, Kernel as _, Linux, TestRunSpec};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::names;
use hoist_bpf::passes::lower::Lowered;
use hoist_hwtests::fuzz::lowered;

/// Maps that are compared: arrays, hashes and tries of every kind.
const TABLES: [u32; 7] = [1, 2, 5, 6, 9, 10, 11];

/// Both forms, loaded.
pub(crate) struct Pair {
    name: String,
    linux: Linux,
    original: Module,
    lowered: Lowered,
    sides: [Loaded; 2],
}

fn load(
    linux: &Linux,
    module: &Module,
    program: ProgramId,
    contents: &BTreeMap<MapId, Entries>,
) -> Result<Loaded, String> {
    let contents = lowered::contents(linux, module, contents).unwrap();
    let spec = LoadSpec {
        module,
        program,
        kind: PROG_TYPE_XDP,
        attach_type: ATTACH_TYPE_XDP,
        binding: None,
        pin_root: None,
        contents: &contents,
    };
    loader::load(linux, &spec).map_err(|error| {
        let log = match &error {
            loader::LoadError::Program { error, .. } => error.log.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let lines: Vec<&str> = log.lines().collect();
        format!("{error}\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    })
}

impl Pair {
    /// Loads both; `None` where the kernel refuses the original. The lowered form it must take.
    pub(crate) fn load(
        name: &str,
        original: &Module,
        program: ProgramId,
        lowered: Lowered,
        contents: &BTreeMap<MapId, Entries>,
    ) -> Option<Self> {
        let linux = Linux::new().unwrap();
        let first = load(&linux, original, program, contents).ok()?;
        let second = load(&linux, &lowered.module, lowered.program, contents)
            .unwrap_or_else(|log| panic!("{name}, lowered: {log}"));
        let sides = [first, second];
        Some(Self { name: name.to_owned(), linux, original: original.clone(), lowered, sides })
    }

    /// Runs both on a frame and wants the same; the verdict.
    pub(crate) fn agree(&self, frame: &[u8]) -> u32 {
        let [original, lowered] = self.sides.each_ref().map(|side| {
            let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
            let ran = self.linux.test_run(side.program.as_fd(), &spec);
            ran.map(|ran| (ran.verdict, ran.data)).map_err(|error| error.errno)
        });
        assert_eq!(lowered, original, "{} on {frame:02x?}", self.name);
        original.map_or(0, |(verdict, _)| verdict)
    }

    /// Wants the same in all maps, values of all CPUs added up.
    pub(crate) fn agree_on_maps(&self) {
        for &id in self.sides[1].maps.keys() {
            let map = self.original.map(id);
            let key = format!("{}: map {}", self.name, map.name);
            let wanted = self.contents(&self.original, &self.sides[0], id);
            let found = self.contents(&self.lowered.module, &self.sides[1], id);
            assert_eq!(found, wanted, "{key}");
        }
    }

    /// The words of a map's entries, as wide as counters are.
    fn contents(
        &self,
        module: &Module,
        side: &Loaded,
        id: MapId,
    ) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
        let map = module.map(id);
        if !TABLES.contains(&map.kind) {
            return None;
        }
        let plain = map.value_size as usize;
        let each = plain.next_multiple_of(8);
        let per_cpu = names::is_per_cpu(map.kind);
        let length = if per_cpu { each * self.linux.possible_cpus().unwrap() } else { plain };
        let fd = side.maps[&id].as_fd();
        let entries = self.linux.map_entries(fd, map.key_size as usize, length).unwrap();
        let merge = |value: Vec<u8>| {
            if !per_cpu {
                return value;
            }
            // Runs are made on one CPU: the others hold nothing.
            let mut merged = vec![0; plain];
            for copy in value.chunks(each) {
                for (sum, byte) in merged.iter_mut().zip(copy) {
                    assert!(*sum == 0 || *byte == 0, "{}: two CPUs counted", self.name);
                    *sum |= byte;
                }
            }
            merged
        };
        Some(entries.into_iter().map(|(key, value)| (key, merge(value))).collect())
    }
}

/// Keeps this thread on the first CPU, so that per-CPU values are those of one.
pub(crate) fn stay() {
    let mut set = rustix::thread::CpuSet::new();
    set.set(0);
    rustix::thread::sched_setaffinity(None, &set).unwrap();
}
