//! A map with its types: the kernel's, or one of a program of the user engine.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use hoist_offload::attach::MapOps as _;
use hoist_offload::bpf::btf::Btf;
use hoist_offload::bpf::kernel::{Capability, Entries, Kernel, KernelError, MapInfo, ObjectKind};
use hoist_offload::bpf::names;
use hoist_offload::{Error, privilege};
use serde_json::Value;

use super::bad;
use crate::cli::context::Context;
use crate::session::codec::{Codec, FORMS, text_value};
use crate::session::contents::{Entry, per_cpu};
use crate::session::control::RemoteMap;
use crate::session::transfer::Side;

/// Map types whose keys are indices, typed or not.
const INDEXED: [&str; 8] = [
    "array",
    "percpu_array",
    "prog_array",
    "perf_event_array",
    "array_of_maps",
    "devmap",
    "cpumap",
    "xskmap",
];

/// Map types whose values are indices or ids of something else.
const REFERRING: [&str; 6] =
    ["prog_array", "array_of_maps", "hash_of_maps", "devmap", "devmap_hash", "cpumap"];

/// Where a map is.
#[derive(Debug)]
enum Cells {
    /// In the kernel.
    Kernel { kernel: Arc<dyn Kernel>, fd: OwnedFd },
    /// In a process that runs the user engine.
    Process(Box<RemoteMap>),
}

/// An open map.
#[derive(Debug)]
pub(super) struct TypedMap {
    cells: Cells,
    btf: Option<Btf>,
    /// What the kernel says of it.
    pub info: MapInfo,
    /// Its name as asked for, else the kernel's.
    pub name: String,
    /// Whether it holds one value for each possible CPU.
    pub per_cpu: bool,
    cpus: usize,
}

impl TypedMap {
    /// Reads the map's types.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn open(
        kernel: Arc<dyn Kernel>,
        fd: OwnedFd,
        info: MapInfo,
        name: String,
    ) -> Result<Self, Error> {
        let btf = match info.btf_id {
            0 => None,
            id => kernel.open(ObjectKind::Btf, id)?,
        };
        let btf = match btf {
            Some(btf) => Btf::from_vec(kernel.btf_bytes(btf.as_fd())?).ok(),
            None => None,
        };
        let per_cpu = names::is_per_cpu(info.kind);
        let cpus = if per_cpu { kernel.possible_cpus()? } else { 1 };
        Ok(Self { cells: Cells::Kernel { kernel, fd }, btf, info, name, per_cpu, cpus })
    }

    /// Reads the types of a map of a program in another process. It has no id.
    ///
    /// # Errors
    /// The process has gone.
    pub(super) fn of_process(map: RemoteMap, cpus: usize) -> Result<Self, Error> {
        let btf = Btf::from_vec(map.run().types()?).ok();
        let def = map.def().clone();
        let (key_type, value_type) = def.types.unwrap_or((0, 0));
        let info = MapInfo {
            kind: def.kind,
            name: def.name.clone(),
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags,
            btf_key_type_id: key_type,
            btf_value_type_id: value_type,
            ..MapInfo::default()
        };
        let per_cpu = names::is_per_cpu(def.kind);
        let cpus = if per_cpu { cpus } else { 1 };
        Ok(Self { cells: Cells::Process(Box::new(map)), btf, info, name: def.name, per_cpu, cpus })
    }

    /// The map type's name.
    pub(super) fn kind_name(&self) -> String {
        names::map_type(self.info.kind)
    }

    fn codec(&self, type_id: u32, size: u32) -> Codec<'_> {
        Codec::new(self.btf.as_ref().filter(|_| type_id != 0).map(|b| (b, type_id)), size)
    }

    fn key_codec(&self) -> Codec<'_> {
        let codec = self.codec(self.info.btf_key_type_id, self.info.key_size);
        if INDEXED.contains(&self.kind_name().as_str()) { codec.number() } else { codec }
    }

    fn value_codec(&self) -> Codec<'_> {
        let codec = self.codec(self.info.btf_value_type_id, self.info.value_size);
        if REFERRING.contains(&self.kind_name().as_str()) { codec.number() } else { codec }
    }

    /// The map as far as copying is concerned.
    pub(super) fn side(&self) -> Side<'_> {
        Side { name: &self.name, info: &self.info, btf: self.btf.as_ref() }
    }

    /// How many values an entry has.
    pub(super) const fn cpus(&self) -> usize {
        self.cpus
    }

    /// Whether both are the same map.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.cells, &other.cells) {
            (Cells::Kernel { .. }, Cells::Kernel { .. }) => self.info.id == other.info.id,
            (Cells::Process(one), Cells::Process(other)) => {
                one.run().pid == other.run().pid && one.def().name == other.def().name
            }
            _ => false,
        }
    }

    /// Bytes of a whole value: of all CPUs, for per-CPU maps.
    pub(super) fn value_len(&self) -> usize {
        match (self.per_cpu, self.info.value_size as usize) {
            (true, size) => size.next_multiple_of(8) * self.cpus,
            (false, size) => size,
        }
    }

    /// A key from a word.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn key(&self, text: &str) -> Result<Vec<u8>, Error> {
        if self.info.key_size == 0 {
            return Err(bad(&self.name, format!("a {} has no keys", self.kind_name()), None));
        }
        let key = text_value(text);
        self.key_codec()
            .from_json(&key)
            .map_err(|why| bad(&self.name, format!("key: {why}"), Some(FORMS.into())))
    }

    /// A key as a value.
    pub(super) fn key_json(&self, key: &[u8]) -> Value {
        self.key_codec().to_json(key)
    }

    /// A value as the kernel returns it; per-CPU maps have a list.
    pub(super) fn value_json(&self, value: &[u8]) -> Value {
        self.value_with(&self.value_codec(), value)
    }

    fn value_with(&self, codec: &Codec<'_>, value: &[u8]) -> Value {
        let size = self.info.value_size as usize;
        if !self.per_cpu {
            return codec.to_json(value);
        }
        let each = value.chunks(size.next_multiple_of(8).max(1));
        each.map(|v| codec.to_json(v.get(..size).unwrap_or(v))).collect()
    }

    /// All entries, as they are.
    ///
    /// # Errors
    /// The kernel's refusal, or a map that holds no entries by its nature.
    pub(super) fn raw_entries(&self) -> Result<Entries, Error> {
        if self.info.key_size == 0 {
            return Err(bad(&self.name, format!("a {} has no entries", self.kind_name()), None));
        }
        let key_len = self.info.key_size as usize;
        match &self.cells {
            Cells::Kernel { kernel, fd } => {
                Ok(kernel.map_entries(fd.as_fd(), key_len, self.value_len())?)
            }
            Cells::Process(map) => map.entries(),
        }
    }

    /// Writes entries, as they are.
    ///
    /// # Errors
    /// The kernel's refusal of the first that it does not take.
    pub(super) fn write(&self, entries: &Entries) -> Result<(), Error> {
        match &self.cells {
            Cells::Kernel { kernel, fd } => {
                let done = kernel.map_update_entries(fd.as_fd(), entries);
                done.map_err(|error| self.explain(error))
            }
            Cells::Process(map) => {
                entries.iter().try_for_each(|(key, value)| map.update(key, value))
            }
        }
    }

    /// One value, as it is.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn raw_get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match &self.cells {
            Cells::Kernel { kernel, fd } => {
                Ok(kernel.map_lookup(fd.as_fd(), key, self.value_len())?)
            }
            Cells::Process(map) => map.lookup(key),
        }
    }

    /// One value.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        Ok(self.raw_get(key)?.map(|value| self.value_json(&value)))
    }

    /// Entries in words, one after the other: a map may hold millions.
    pub(super) fn in_words<'a>(&'a self, entries: &'a Entries) -> impl Iterator<Item = Entry> {
        let (keys, values) = (self.key_codec(), self.value_codec());
        entries.iter().map(move |(key, value)| Entry {
            key: keys.to_json(key),
            value: self.value_with(&values, value),
        })
    }

    /// Inserts or replaces.
    ///
    /// # Errors
    /// A value that does not fit, or the kernel's refusal.
    pub(super) fn set(&self, cx: &Context<'_>, key: &[u8], value: &Value) -> Result<(), Error> {
        let does_not_fit = |why| bad(&self.name, format!("value: {why}"), Some(FORMS.into()));
        // Lives until the kernel has taken its own reference.
        let held = self.referred(value)?;
        let bytes = match (&held, self.interface(cx, value)?) {
            (Some(fd), _) => fd.as_raw_fd().to_ne_bytes().to_vec(),
            (None, Some(bytes)) => bytes,
            (None, None) if self.per_cpu => {
                per_cpu(&self.value_codec(), value, Some(self.cpus)).map_err(does_not_fit)?
            }
            (None, None) => self.value_codec().from_json(value).map_err(does_not_fit)?,
        };
        match &self.cells {
            Cells::Kernel { kernel, fd } => {
                let done = kernel.map_update(fd.as_fd(), key, &bytes, 0);
                done.map_err(|error| self.explain(error))
            }
            Cells::Process(map) => map.update(key, &bytes),
        }
    }

    /// Deletes; `false` when the key was absent.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        let (kernel, fd) = match &self.cells {
            Cells::Kernel { kernel, fd } => (kernel, fd),
            Cells::Process(map) => return map.delete(key),
        };
        kernel.map_delete(fd.as_fd(), key).map_err(|error| match error.errno {
            22 => {
                let hint = format!(
                    "entries of type {} cannot be deleted; set them to 0",
                    self.kind_name()
                );
                Error::Kernel { error, hint: Some(hint) }
            }
            _ => self.explain(error),
        })
    }

    /// For maps whose values are programs or maps: the object whose id the value is.
    fn referred(&self, value: &Value) -> Result<Option<OwnedFd>, Error> {
        let (kind, what) = match self.kind_name().as_str() {
            "prog_array" => (ObjectKind::Program, "program"),
            "array_of_maps" | "hash_of_maps" => (ObjectKind::Map, "map"),
            _ => return Ok(None),
        };
        let Cells::Kernel { kernel, .. } = &self.cells else {
            let why =
                format!("value: a {what} of the user engine is set before it runs: --maps FILE");
            return Err(bad(&self.name, why, None));
        };
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            let why = format!("value: expected the id of a {what}, not {value}");
            bad(&self.name, why, None)
        })?;
        let object = kernel.open(kind, id)?;
        object
            .map(Some)
            .ok_or_else(|| bad(&self.name, format!("value: there is no {what} with id {id}"), None))
    }

    /// In device maps an interface may be given by name: `struct bpf_devmap_val` begins with its
    /// index, and no program follows.
    fn interface(&self, cx: &Context<'_>, value: &Value) -> Result<Option<Vec<u8>>, Error> {
        match (self.kind_name().as_str(), value) {
            ("devmap" | "devmap_hash", Value::String(name)) if !name.starts_with("0x") => {
                let mut bytes = cx.host.device(name)?.ifindex.to_ne_bytes().to_vec();
                bytes.resize(self.info.value_size as usize, 0);
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }

    fn explain(&self, error: KernelError) -> Error {
        let hint = match error.errno {
            1 if privilege::missing(&[Capability::CapBpf]).is_empty() => {
                return bad(
                    &self.name,
                    format!("it is read-only: {error}"),
                    Some("constants are set before loading: --set VAR=VALUE".to_owned()),
                );
            }
            7 => Some(format!("the map holds {} entries, no more", self.info.max_entries)),
            _ => None,
        };
        Error::Kernel { error, hint }
    }
}
