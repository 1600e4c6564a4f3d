//! The intermediate form: what one object file holds, with every reference symbolic.
//!
//! A [`Module`] is plain data. Functions are lists of [`Inst`]; an instruction that refers to
//! something else (a jump target, a function, a map, a variable, a kernel symbol) carries the
//! reference in [`Inst::target`] instead of a number, so that a pass can insert and remove
//! instructions without touching offsets. [`crate::insn::Insn::off`] of a jump and
//! [`crate::insn::Insn::imm`] of a call or wide load with a target are meaningless until an image is
//! built.

use serde::{Deserialize, Serialize};

use crate::insn::Insn;

/// Index into [`Module::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionId(pub u32);

/// Index into [`Module::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MapId(pub u32);

/// Index into [`Module::externs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternId(pub u32);

/// Index into [`Module::programs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProgramId(pub u32);

/// Names one instruction within its function for as long as the function lives, whatever is
/// inserted before it. Ids are unique within a function and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstId(pub u32);

/// Everything one object file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Module {
    /// Where the module came from, for messages: usually the file name.
    pub name: String,
    /// The `license` section, without the trailing NUL; empty when the object has none.
    pub license: String,
    /// Entry programs, in the order of their sections and offsets.
    pub programs: Vec<Program>,
    /// Every function, entry programs included.
    pub functions: Vec<Function>,
    /// Declared maps first, in the order libbpf creates them, then the data sections' maps.
    pub maps: Vec<Map>,
    /// Kernel symbols, kfuncs and Kconfig values the object asks the loader for.
    pub externs: Vec<Extern>,
    /// The `.BTF` section, completed with what only the ELF file knows: sizes of data sections,
    /// offsets in them, static linkage of hidden functions. Empty when the object has none.
    #[serde(skip)]
    pub btf: Vec<u8>,
    /// CO-RE relocations not yet applied, by function. Empty after `resolve`.
    pub core_relocations: Vec<CoreRelocation>,
    /// Source lines and file names, referred to by [`Inst::line`].
    pub lines: Vec<SourceLine>,
}

/// One entry point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Symbol name, for example `xdp_drop`.
    pub name: String,
    /// ELF section, for example `xdp` or `xdp.frags/devmap`.
    pub section: String,
    /// The function that is entered.
    pub function: FunctionId,
    /// What the section name says the program is. A hint only: any name may hold an XDP program.
    pub hint: ProgramHint,
    /// Whether the section asks for multi-buffer frames (`xdp.frags...`, `BPF_F_XDP_HAS_FRAGS`).
    pub frags: bool,
}

/// What a section name suggests, following libbpf's `section_defs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramHint {
    /// `xdp`, `xdp.frags`, `xdp/...` or a name libbpf does not know.
    Xdp,
    /// `xdp/devmap`, `xdp.frags/devmap`, `xdp_devmap/...`: runs per devmap entry.
    XdpDevmap,
    /// `xdp/cpumap`, `xdp.frags/cpumap`, `xdp_cpumap/...`: runs per cpumap entry.
    XdpCpumap,
    /// A section libbpf knows as another program type (`tc`, `classifier`, `kprobe/...`).
    Other,
    /// A name that says nothing (`prog`, `xdp_filter`, `.text` entry): could be XDP.
    Unknown,
}

/// How a function's symbol is visible, which decides how the verifier treats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// Verified inline at each call site.
    Static,
    /// Verified once, on its own, from its BTF types.
    Global,
}

/// One function: an entry program or a subprogram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Symbol name.
    pub name: String,
    /// ELF section the code came from.
    pub section: String,
    /// Byte offset of the function within that section.
    pub section_offset: u64,
    /// Visibility.
    pub linkage: Linkage,
    /// BTF type id of the `BTF_KIND_FUNC`, when the object has BTF.
    pub btf_type_id: Option<u32>,
    /// The code.
    pub code: Vec<Inst>,
    /// The next unused [`InstId`].
    pub next_id: u32,
}

/// One instruction of the intermediate form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inst {
    /// Its name within the function.
    pub id: InstId,
    /// The encoded instruction (first slot).
    pub insn: Insn,
    /// Second slot's immediate for wide instructions, else `None`.
    pub wide_imm: Option<i32>,
    /// What the instruction refers to.
    pub target: Target,
    /// Slot offset from the start of the *function* in the object file; `None` for instructions a
    /// pass inserted.
    pub origin: Option<u32>,
    /// Index into [`Module::lines`], where the object has line information.
    pub line: Option<u32>,
}

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "to", content = "what")]
pub enum Target {
    /// Nothing: the instruction is complete as it stands.
    None,
    /// A jump to another instruction of the same function.
    Jump(InstId),
    /// A bpf-to-bpf call (`BPF_PSEUDO_CALL`).
    Call(FunctionId),
    /// A wide load of a function's address, for callbacks (`BPF_PSEUDO_FUNC`).
    FunctionAddress(FunctionId),
    /// A wide load of a map (`BPF_PSEUDO_MAP_FD`).
    Map(MapId),
    /// A wide load of an address inside a single-value map (`BPF_PSEUDO_MAP_VALUE`): global data.
    MapValue {
        /// The data map.
        map: MapId,
        /// Byte offset within its value.
        offset: u32,
    },
    /// A kfunc call or a wide load of a kernel symbol or Kconfig value.
    Extern(ExternId),
}

/// A source line, from `.BTF.ext`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceLine {
    /// File name as the compiler wrote it.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Column number, from 1.
    pub column: u32,
    /// The source text of the line, trimmed; empty when the object does not carry it.
    pub text: String,
    /// Offsets of file name and text in the string section of [`Module::btf`], for the kernel's
    /// own line information; `None` for lines that a pass made up.
    #[serde(skip)]
    pub strings: Option<(u32, u32)>,
}

/// One map as the object declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Name in the object (for data sections, libbpf's name of the section: `.rodata`, `.bss` ...).
    pub name: String,
    /// `enum bpf_map_type` of `linux/bpf.h`.
    pub kind: u32,
    /// Bytes per key.
    pub key_size: u32,
    /// Bytes per value.
    pub value_size: u32,
    /// Most entries it can hold; 0 means "the loader decides" (number of CPUs for perf arrays).
    pub max_entries: u32,
    /// `BPF_F_*` creation flags.
    pub flags: u32,
    /// `map_extra` of `BPF_MAP_CREATE`.
    pub extra: u64,
    /// NUMA node, when the object asks for one.
    pub numa_node: Option<u32>,
    /// Whether the map asks to be pinned by its name (`LIBBPF_PIN_BY_NAME`, iproute2 `pinning`).
    pub pin_by_name: bool,
    /// BTF type ids of key and value, when declared.
    pub key_type_id: Option<u32>,
    /// See [`Map::key_type_id`].
    pub value_type_id: Option<u32>,
    /// The definition of the inner map of a map-in-map, when declared.
    pub inner: Option<Box<Map>>,
    /// Static initialisers: what slot (key) holds which function or map.
    pub initial: Vec<InitialSlot>,
    /// Contents for data-section maps: the section's bytes. Empty for declared maps, and for
    /// `.bss`, which starts out as zeroes.
    pub data: Vec<u8>,
    /// For data-section maps, which section; else `None`.
    pub section: Option<DataSection>,
}

/// Which kind of data section a map stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSection {
    /// `.rodata*`: frozen after its initial contents are written.
    Rodata,
    /// `.data*`.
    Data,
    /// `.bss*`.
    Bss,
    /// `.kconfig`: filled by the loader from the kernel's configuration, then frozen.
    Kconfig,
}

/// One statically initialised slot of a prog array or map-in-map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialSlot {
    /// The key, as an array index.
    pub slot: u32,
    /// What it holds: [`Target::Map`] or [`Target::FunctionAddress`].
    pub value: Target,
}

/// Something the object expects the loader to provide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extern {
    /// Symbol name.
    pub name: String,
    /// What kind of symbol.
    pub kind: ExternKind,
    /// Whether the program tolerates its absence (`__weak`).
    pub weak: bool,
    /// BTF type id of the declaration in the object.
    pub btf_type_id: Option<u32>,
    /// What `resolve` found.
    #[serde(default)]
    pub resolution: Resolution,
}

/// What became of an [`Extern`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// Nobody has looked yet.
    #[default]
    Pending,
    /// Found in vmlinux BTF under this type id.
    KernelBtf(u32),
    /// Found in the kernel's symbol table at this address.
    Address(u64),
    /// The Kconfig value has been written to the `.kconfig` map.
    Value,
    /// Not in vmlinux BTF; a kernel module may have it, which is not looked into.
    Unknown,
    /// The kernel does not have it and the declaration is weak: the address reads as 0, a call is
    /// replaced by one that the verifier refuses if it can be reached.
    Absent,
}

/// Kinds of [`Extern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExternKind {
    /// A kernel function callable from BPF.
    Kfunc,
    /// A typed kernel variable (`__ksym` with a BTF type).
    KsymTyped,
    /// An untyped kernel symbol's address (`__ksym` of type `void`).
    Ksym,
    /// A value of the kernel's configuration (`__kconfig`); lives in the `.kconfig` map at this
    /// byte offset.
    Kconfig {
        /// Byte offset within the `.kconfig` map.
        offset: u32,
        /// Bytes.
        size: u32,
    },
}

/// One CO-RE relocation, `struct bpf_core_relo` of `linux/bpf.h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreRelocation {
    /// The function that holds the instruction.
    pub function: FunctionId,
    /// The instruction that is patched.
    pub inst: InstId,
    /// Root type in the object's BTF.
    pub type_id: u32,
    /// Access path, for example `0:1:2`.
    pub access: String,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

impl Inst {
    /// Instruction slots it takes: 2 for a wide instruction, else 1.
    #[must_use]
    pub const fn slots(&self) -> usize {
        if self.wide_imm.is_some() { 2 } else { 1 }
    }
}

impl Function {
    /// Where the instruction of this id is in [`Function::code`].
    #[must_use]
    pub fn position(&self, id: InstId) -> Option<usize> {
        // As parsed, ids rise; passes insert ids out of order.
        let guess = self.code.binary_search_by_key(&id, |inst| inst.id).ok();
        guess.or_else(|| self.code.iter().position(|inst| inst.id == id))
    }
}

impl Module {
    /// Whether the verifier judges a function by its types alone, whatever its callers pass: a global
    /// one with BTF (`btf_check_subprog_call` in `kernel/bpf/btf.c`). An id of no function is not one.
    #[must_use]
    pub fn judged_alone(&self, id: FunctionId) -> bool {
        let function = self.functions.get(id.0 as usize);
        !self.btf.is_empty()
            && function.is_some_and(|f| f.linkage == Linkage::Global && f.btf_type_id.is_some())
    }

    /// The function an id names.
    ///
    /// # Panics
    /// The id is another module's.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0 as usize]
    }

    /// The map an id names.
    ///
    /// # Panics
    /// The id is another module's.
    #[must_use]
    pub fn map(&self, id: MapId) -> &Map {
        &self.maps[id.0 as usize]
    }

    /// The program an id names.
    ///
    /// # Panics
    /// The id is another module's.
    #[must_use]
    pub fn program(&self, id: ProgramId) -> &Program {
        &self.programs[id.0 as usize]
    }

    /// The extern an id names.
    ///
    /// # Panics
    /// The id is another module's.
    #[must_use]
    pub fn external(&self, id: ExternId) -> &Extern {
        &self.externs[id.0 as usize]
    }
}
