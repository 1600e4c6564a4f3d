//! What libbpf makes of an object: everything up to, but without, loading programs.

use std::ffi::c_void;
use std::sync::Mutex;

use hoist_bpf::Insn;
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{AsRawLibbpf, ObjectBuilder, OpenObject, PrintLevel};

/// One object as libbpf prepared it.
pub(crate) struct Yardstick {
    pub(crate) programs: Vec<Program>,
    pub(crate) maps: Vec<Map>,
    /// The object's BTF as libbpf hands it to the kernel.
    pub(crate) btf: Vec<u8>,
}

/// One relocated program.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) section: String,
    pub(crate) insns: Vec<Insn>,
    /// `struct bpf_func_info` records, raw.
    pub(crate) func_info: Vec<u8>,
    /// `struct bpf_line_info` records, raw.
    pub(crate) line_info: Vec<u8>,
}

/// One map.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) name: String,
    pub(crate) fd: i32,
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
    pub(crate) extra: u64,
    pub(crate) numa_node: u32,
    /// Contents of data maps.
    pub(crate) data: Option<Vec<u8>>,
}

/// Why libbpf would not: at which step, and its words.
pub(crate) struct Refusal {
    pub(crate) step: &'static str,
    pub(crate) words: String,
}

/// libbpf's warnings about the object at hand.
static WARNINGS: Mutex<String> = Mutex::new(String::new());

fn keep_warning(_: PrintLevel, text: String) {
    WARNINGS.lock().expect("nobody panics with it").push_str(&text);
}

pub(crate) fn prepare(bytes: &[u8]) -> Result<Yardstick, Refusal> {
    libbpf_rs::set_print(Some((PrintLevel::Warn, keep_warning)));
    WARNINGS.lock().expect("nobody panics with it").clear();
    let open = ObjectBuilder::default().name("yardstick").and_then(|b| b.open_memory(bytes));
    let object = open.map_err(|e| Refusal { step: "open", words: e.to_string() })?;
    for map in object.maps() {
        // Pinning is not what is compared, and would leave traces.
        // SAFETY: the map lives as long as `object`; a null path means "do not pin".
        unsafe { sys::bpf_map__set_pin_path(map.as_libbpf_object().as_ptr(), std::ptr::null()) };
    }
    // SAFETY: the object is open and not shared; preparing happens once.
    let status = unsafe { sys::bpf_object__prepare(object.as_libbpf_object().as_ptr()) };
    if status != 0 {
        let words = WARNINGS.lock().expect("nobody panics with it").clone();
        return Err(Refusal { step: "prepare", words });
    }
    Ok(Yardstick { programs: programs(&object), maps: maps(&object), btf: btf(&object) })
}

fn programs(object: &OpenObject) -> Vec<Program> {
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    object
        .progs()
        .filter(|program| program.autoload())
        .map(|program| {
            let raw = program.as_libbpf_object().as_ptr();
            // SAFETY: the program lives as long as `object`; the records are copied at once.
            let (func_info, line_info) = unsafe {
                let funcs = 8 * sys::bpf_program__func_info_cnt(raw) as usize;
                let lines = 16 * sys::bpf_program__line_info_cnt(raw) as usize;
                (
                    copy(sys::bpf_program__func_info(raw).cast(), funcs),
                    copy(sys::bpf_program__line_info(raw).cast(), lines),
                )
            };
            Program {
                name: text(program.name()),
                section: text(program.section()),
                insns: program
                    .insns()
                    .iter()
                    .map(|i| Insn::new(i.code, i.dst_reg(), i.src_reg(), i.off, i.imm))
                    .collect(),
                func_info,
                line_info,
            }
        })
        .collect()
}

fn maps(object: &OpenObject) -> Vec<Map> {
    object
        .maps()
        .map(|map| {
            let raw = map.as_libbpf_object().as_ptr();
            // SAFETY: the map lives as long as `object`; these are plain getters.
            let (fd, extra, numa_node) = unsafe {
                (sys::bpf_map__fd(raw), sys::bpf_map__map_extra(raw), sys::bpf_map__numa_node(raw))
            };
            // SAFETY: as above; libbpf reports the size of what it points to.
            let data = unsafe {
                let mut size = 0;
                let data = sys::bpf_map__initial_value(raw, &raw mut size);
                (!data.is_null()).then(|| copy(data, size as usize))
            };
            Map {
                name: map.name().to_string_lossy().into_owned(),
                fd,
                kind: map.map_type().into(),
                key_size: map.key_size(),
                value_size: map.value_size(),
                max_entries: map.max_entries(),
                flags: map.map_flags(),
                extra,
                numa_node,
                data,
            }
        })
        .collect()
}

fn btf(object: &OpenObject) -> Vec<u8> {
    // SAFETY: the BTF belongs to `object`; its bytes are copied at once.
    unsafe {
        let btf = sys::bpf_object__btf(object.as_libbpf_object().as_ptr());
        if btf.is_null() {
            return Vec::new();
        }
        let mut size = 0;
        let data = sys::btf__raw_data(btf, &raw mut size);
        copy(data, size as usize)
    }
}

/// Copies `len` bytes.
///
/// # Safety
/// `data` must point to `len` readable bytes, or be null.
unsafe fn copy(data: *const c_void, len: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches for the pointer and the length.
    unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) }.to_vec()
}
