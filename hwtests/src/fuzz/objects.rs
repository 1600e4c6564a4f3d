//! The programs of any object files, whoever wrote them, in every form.
//!
//! Each program is loaded in the native form and another and run on the same frames by test run, first
//! with empty maps, then with maps that hold what the frames do: addresses, ports, small numbers.
//! Verdicts, bytes and maps are compared as the fuzzer compares them.

use std::collections::BTreeMap;
use std::error::Error;

use hoist_bpf::analysis::requirements;
use hoist_bpf::kernel::loader::LoadError;
use hoist_bpf::kernel::{Entries, Kernel, Linux};
use hoist_bpf::module::{MapId, Module, ProgramHint, ProgramId};
use hoist_bpf::names;
use hoist_bpf::requirements::{Feature, Need};
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_fallback::tc::translate::{Globals, Options, translate};

use super::compare::{self, Applied, Given};
use super::frames::Pool;
use super::machine::NotMade;
use super::run::{Form, Hook, NotLoaded, Place, Side, Way};
use super::{Random, bench, campaign, forms};

/// Helpers whose result differs from run to run: time, random numbers, addresses.
const MOODY: [&str; 7] = [
    "bpf_ktime_get_ns",
    "bpf_ktime_get_boot_ns",
    "bpf_ktime_get_coarse_ns",
    "bpf_ktime_get_tai_ns",
    "bpf_jiffies64",
    "bpf_get_prandom_u32",
    "bpf_get_smp_processor_id",
];

/// Entries that each map is given.
const FILLED: u32 = 16;

/// Maps that the kernel does not make without a size.
const SIZED: [&str; 8] =
    ["array", "percpu_array", "hash", "percpu_hash", "lru_hash", "cpumap", "devmap", "devmap_hash"];

/// What came of a program: a word to count by, and the rest.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `same`, `refused`, `differs`, `moody`, `not-for-xdp-here`, `unreadable` or `unresolved`.
    pub word: &'static str,
    /// In words.
    pub detail: String,
}

/// What programs are tried with.
#[derive(Debug)]
pub struct Trial {
    kernel: Linux,
    target: TargetBtf,
    frames: Vec<Vec<u8>>,
    seed: u64,
    place: Place,
    hook: Hook,
}

impl Trial {
    /// Prepares to compare the native form with that for `hook` on so many random frames.
    ///
    /// # Errors
    /// The kernel cannot be asked, or makes no namespace.
    pub fn new(hook: Hook, frames: usize, seed: u64) -> Result<Self, Box<dyn Error>> {
        let kernel = Linux::new()?;
        let target = match kernel.kernel_btf()? {
            Some(bytes) => TargetBtf::parse((*bytes).as_ref().to_vec())?,
            None => TargetBtf::none(),
        };
        let mut sent = Vec::new();
        campaign::frames(seed, 0, &Pool::default(), frames, &mut sent);
        Ok(Self { kernel, target, frames: sent, seed, place: Place::new()?, hook })
    }

    /// Every program of an object file that may be for XDP.
    #[must_use]
    pub fn object(&self, name: &str, bytes: &[u8]) -> Vec<(String, Outcome)> {
        let whole = |word, error: &dyn Error| {
            vec![("-".to_owned(), Outcome { word, detail: error.to_string() })]
        };
        let mut module = match Module::parse(name, bytes) {
            Ok(module) => module,
            Err(error) => return whole("unreadable", &error),
        };
        // Loaders of their own give these maps a size, often the number of CPUs or interfaces.
        for map in module.maps.iter_mut().filter(|map| map.max_entries == 0) {
            if SIZED.contains(&names::map_type(map.kind).as_str()) {
                map.max_entries = FILLED;
            }
        }
        let module = match resolve(&module, &self.target) {
            Ok(module) => module,
            Err(error) => return whole("unresolved", &error),
        };
        let programs = (0_u32..).map(ProgramId).zip(&module.programs);
        let programs = programs.filter(|(_, program)| program.hint != ProgramHint::Other);
        programs.map(|(id, program)| (program.name.clone(), self.program(&module, id))).collect()
    }

    fn program(&self, module: &Module, program: ProgramId) -> Outcome {
        let native = Form::native(module.clone(), program);
        let none = BTreeMap::new();
        let loaded = self.place.run(|| Side::load(&self.kernel, &native, &none).map(drop));
        let needs = requirements(module, program);
        let entered_elsewhere = module.program(program).hint != ProgramHint::Xdp
            && module.program(program).hint != ProgramHint::Unknown;
        if let (false, Err(error)) = (entered_elsewhere, loaded) {
            return Outcome { word: "not-for-xdp-here", detail: bench::reason(&error) };
        }
        let other = match self.other(module, program) {
            Ok(form) => form,
            Err(detail) => return Outcome { word: "refused", detail },
        };
        if self.hook == Hook::Tc && needs.uses(Feature::Metadata) {
            let detail = "missing-feature: bpf_xdp_adjust_meta".to_owned();
            return Outcome { word: "refused", detail };
        }
        let mut applied = Applied::new();
        let mut verdicts = [0_u32; 6];
        for contents in [none, self.filled(&native)] {
            let mut run = || self.both(&native, &other, &contents, &mut applied, &mut verdicts);
            let run = || {
                campaign::stay_on(0);
                run()
            };
            if let Err(detail) = self.place.run(run) {
                let moody = MOODY.iter().filter_map(|name| names::helper_id(name));
                let moody = moody.map(Need::Helper).any(|need| needs.get(&need).is_some());
                let word = if moody { "moody" } else { "differs" };
                return Outcome { word, detail };
            }
        }
        let applied: Vec<String> =
            applied.iter().map(|(rule, n)| format!("{} {n}", rule.name())).collect();
        let [aborted, drop, pass, tx, redirect, unknown] = verdicts;
        let detail = format!(
            "aborted {aborted}, drop {drop}, pass {pass}, tx {tx}, redirect {redirect}, \
             unknown {unknown}; {}",
            applied.join(", ")
        );
        Outcome { word: "same", detail }
    }

    fn other(&self, module: &Module, program: ProgramId) -> Result<Form, String> {
        if self.hook == Hook::Tc {
            return self.translated(module, program);
        }
        let form = Form { hook: self.hook, ..Form::native(module.clone(), program) };
        let load = || Side::load(&self.kernel, &form, &BTreeMap::new()).map(drop);
        match self.place.run(load) {
            Err(NotLoaded::Machine(NotMade::Gaps(gaps))) => {
                let told = gaps.iter().map(|gap| format!("{}: {}", gap.code, gap.message));
                Err(told.collect::<Vec<_>>().join("; "))
            }
            // Whatever else it is, comparing meets it again.
            _ => Ok(form),
        }
    }

    fn translated(&self, module: &Module, program: ProgramId) -> Result<Form, String> {
        let form = |globals| {
            let options = Options { globals, ..Options::default() };
            let mut translated = translate(module, program, &options).map_err(|gaps| {
                let told = gaps.iter().map(|gap| {
                    let line = gap.line.as_ref().map(|l| format!(" {}:{}", l.file, l.line));
                    let insn = gap.insn.as_deref().unwrap_or_default();
                    format!("{}: {} ({insn}{})", gap.code, gap.message, line.unwrap_or_default())
                });
                told.collect::<Vec<_>>().join("; ")
            })?;
            if translated.resolve_again {
                let again = resolve(&translated.module, &self.target);
                translated.module = again.map_err(|error| format!("missing-kfunc: {error}"))?;
            }
            Ok::<Form, String>(forms::of(translated))
        };
        let inline = form(Globals::Inline)?;
        let loaded = Side::load(&self.kernel, &inline, &BTreeMap::new()).map(drop);
        match loaded {
            // As the engine does: global functions may be too much to be followed from each caller.
            Err(NotLoaded::Kernel(LoadError::Program { error, .. }))
                if error.errno == libc::E2BIG =>
            {
                form(Globals::Keep)
            }
            _ => Ok(inline),
        }
    }

    fn both(
        &self,
        native: &Form,
        other: &Form,
        contents: &BTreeMap<MapId, Entries>,
        applied: &mut Applied,
        verdicts: &mut [u32; 6],
    ) -> Result<(), String> {
        let Ok(left) = Side::load(&self.kernel, native, contents) else {
            // The kernel takes no such entries; with none it took the program.
            return Ok(());
        };
        let right = Side::load(&self.kernel, other, contents).map_err(|e| bench::reason(&e))?;
        let steers = native.module.maps.iter().any(|m| names::map_type(m.kind) == "cpumap");
        for frame in &self.frames {
            let native = left.run(frame).map_err(|error| format!("native: {error}"))?;
            let mut other =
                right.run(frame).map_err(|error| format!("{}: {error}", self.hook.form()))?;
            // To another CPU on XDP, on this one at TC (`cpumap-steering`).
            if self.hook == Hook::Tc
                && steers
                && other.verdict == XDP_REDIRECT
                && other.returned == TC_ACT_UNSPEC
            {
                other.returned = TC_ACT_REDIRECT;
            }
            verdicts[native.verdict.min(5) as usize] += 1;
            // Where a program redirects to is not known here: both answers of TC are right.
            let left_by = if other.returned == TC_ACT_REDIRECT { Way::Open } else { Way::Nowhere };
            let given = Given { sent: frame, hook: self.hook, way: left_by };
            compare::runs(given, &native, &other, applied)
                .map_err(|difference| format!("{difference}; the frame was {frame:02x?}"))?;
        }
        let (a, b) = (left.tables(), right.tables());
        let (a, b) = (a.map_err(|e| e.to_string())?, b.map_err(|e| e.to_string())?);
        let named = |id| left.name_of(id).to_owned();
        compare::maps(&a, &b, named).map_err(|difference| difference.to_string())
    }

    /// Entries that the frames find.
    fn filled(&self, form: &Form) -> BTreeMap<MapId, Entries> {
        let cpus = self.kernel.possible_cpus().unwrap_or(1);
        let mut random = Random::new(self.seed, 1);
        let mut contents = BTreeMap::new();
        for (index, map) in (0_u32..).zip(&form.module.maps) {
            let (key, value) = (map.key_size as usize, map.value_size as usize);
            let most = if map.max_entries == 0 { FILLED } else { map.max_entries.min(FILLED) };
            let copies = if names::is_per_cpu(map.kind) { cpus } else { 1 };
            let mut small = |bytes: usize| -> Vec<u8> {
                let words = (0..bytes.div_ceil(4)).map(|_| random.below(4).to_ne_bytes());
                words.flatten().take(bytes).collect()
            };
            let mut entries = Entries::new();
            for n in 0..most {
                let frame = &self.frames[n as usize % self.frames.len()];
                let number = || n.to_ne_bytes().to_vec();
                let entry = match names::map_type(map.kind).as_str() {
                    _ if map.section.is_some() || !map.initial.is_empty() => continue,
                    "hash" | "lru_hash" | "percpu_hash" | "lru_percpu_hash" => {
                        (slice(frame, n, key), small(value))
                    }
                    "lpm_trie" if key > 4 => {
                        let bits = 8 * (1 + n % (key as u32 - 4));
                        let mut prefix = bits.to_ne_bytes().to_vec();
                        prefix.extend(slice(frame, n, key - 4));
                        (prefix, small(value))
                    }
                    "array" | "percpu_array" => (number(), small(value)),
                    "devmap" | "devmap_hash" => {
                        let mut target = (1 + n % 2).to_ne_bytes().to_vec();
                        target.resize(value, 0);
                        (number(), target)
                    }
                    "cpumap" if n < cpus as u32 => {
                        let mut queue = 192_u32.to_ne_bytes().to_vec();
                        queue.resize(value, 0);
                        (number(), queue)
                    }
                    _ => continue,
                };
                let value = if copies > 1 {
                    let mut value = entry.1;
                    value.resize(value.len().next_multiple_of(8), 0);
                    value.repeat(copies)
                } else {
                    entry.1
                };
                if entries.iter().all(|(key, _)| *key != entry.0) {
                    entries.push((entry.0, value));
                }
            }
            if !entries.is_empty() {
                contents.insert(MapId(index), entries);
            }
        }
        contents
    }
}

/// `XDP_REDIRECT`.
const XDP_REDIRECT: u32 = 4;
/// `TC_ACT_UNSPEC`.
const TC_ACT_UNSPEC: u32 = u32::MAX;
/// `TC_ACT_REDIRECT`.
const TC_ACT_REDIRECT: u32 = 7;

/// A field of a frame where programs look for keys, followed by zeroes.
fn slice(frame: &[u8], n: u32, bytes: usize) -> Vec<u8> {
    /// Offset and length of IPv4 addresses, Ethernet addresses, ports and the protocol.
    const FIELDS: [(usize, usize); 8] =
        [(26, 4), (30, 4), (6, 6), (36, 2), (34, 2), (23, 1), (26, 12), (22, 32)];
    let (at, length) = FIELDS[n as usize % FIELDS.len()];
    let length = length.max(if bytes == 16 { 16 } else { 0 }).min(bytes);
    let mut key: Vec<u8> = frame.iter().skip(at).take(length).copied().collect();
    key.resize(bytes, 0);
    key
}
