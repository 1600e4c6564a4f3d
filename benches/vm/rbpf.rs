//! rbpf: its interpreter, its own machine code (which checks nothing) and that of Cranelift (which
//! checks).
//!
//! Unmodified XDP programs run there if frame and context lie below 4 GiB, so that the 32-bit fields
//! of the context are pointers. One low mapping holds the context, the frame and the maps' values, and
//! is what rbpf is told to be the memory. Map handles are numbers of tables; `bpf_map_lookup_elem` is
//! a function that all three share.
#![expect(unsafe_code, reason = "low memory, and machine code that checks nothing")]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use criterion::BenchmarkGroup;
use hoist_bpf::image::Image;
use hoist_bpf::insn::Insn;
use hoist_bpf::module::{Module, Target};
use rbpf::EbpfVmRaw;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use crate::programs::{Program, TTL};
use crate::time::CpuTime;

/// Bytes of the mapping.
const ARENA: usize = 1 << 20;
/// Where the frame is in it.
const FRAME: usize = 4096;
/// Where values are.
const VALUES: usize = 65536;

/// One map as rbpf's programs see it.
struct Table {
    array: bool,
    key_size: usize,
    value_size: usize,
    entries: usize,
    start: usize,
    keys: hashbrown::HashMap<Vec<u8>, usize>,
}

thread_local! {
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

/// rbpf's machine code calls helpers with a stack that is not aligned.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
extern "C" fn aligned(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    std::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "and rsp, -16",
        "call {lookup}",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        lookup = sym lookup,
    )
}

/// The same as rbpf wants it: without an ABI, which on this processor is that of C for five numbers.
#[cfg(target_arch = "x86_64")]
fn helper() -> rbpf::Helper {
    // SAFETY: see above.
    unsafe { std::mem::transmute::<extern "C" fn(u64, u64, u64, u64, u64) -> u64, _>(aligned) }
}

extern "C" fn lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    TABLES.with_borrow(|tables| {
        let table = &tables[map as usize - 1];
        // SAFETY: programs of ours pass keys of the map's size.
        let key = unsafe { std::slice::from_raw_parts(key as *const u8, table.key_size) };
        if table.array {
            let index = u32::from_ne_bytes([key[0], key[1], key[2], key[3]]) as usize;
            return if index < table.entries {
                (table.start + index * table.value_size) as u64
            } else {
                0
            };
        }
        table.keys.get(key).map_or(0, |address| *address as u64)
    })
}

fn arena() -> &'static mut [u8] {
    static NEXT: AtomicUsize = AtomicUsize::new(0x1000_0000);
    let wish = NEXT.fetch_add(ARENA, Ordering::Relaxed);
    // SAFETY: a new private mapping, which is never unmapped; the address is a wish.
    unsafe {
        let start = mmap_anonymous(
            wish as *mut _,
            ARENA,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
        .expect("memory");
        std::slice::from_raw_parts_mut(start.cast::<u8>(), ARENA)
    }
}

/// The program as rbpf takes it: map handles and addresses of variables are numbers.
fn image(module: &Module, program: &Program, arena: &mut [u8]) -> Vec<u8> {
    let (_, id) = program.module();
    let mut image = Image::build(module, id).expect("a program of ours");
    let mut tables = Vec::new();
    let mut start = VALUES;
    for map in &module.maps {
        let base = arena.as_ptr() as usize + start;
        let stride = (map.value_size as usize).next_multiple_of(8);
        let array = matches!(map.kind, 2 | 6);
        let mut keys = hashbrown::HashMap::new();
        if !array {
            for (number, (key, _)) in program.flows.iter().enumerate() {
                keys.insert(key.clone(), base + number * stride);
            }
        }
        arena[start..start + map.data.len()].copy_from_slice(&map.data);
        let entries = map.max_entries as usize;
        tables.push(Table {
            array,
            key_size: map.key_size as usize,
            value_size: stride,
            entries,
            start: base,
            keys,
        });
        start += if array { stride * entries } else { stride * 16 };
    }
    for reference in &image.references {
        let insn = &mut image.insns[reference.insn];
        let value = match reference.to {
            Target::Map(map) => u64::from(map.0) + 1,
            Target::MapValue { map, offset } => {
                (tables[map.0 as usize].start + offset as usize) as u64
            }
            _ => 0,
        };
        *insn = Insn::new(insn.code, insn.dst(), 0, 0, value as i32);
        image.insns[reference.insn + 1].imm = 0;
    }
    TABLES.set(tables);
    image.insns.iter().flat_map(|insn| insn.to_ne_bytes()).collect()
}

pub(crate) fn run(group: &mut BenchmarkGroup<'_, CpuTime>, program: &Program) {
    let (module, _) = program.module();
    let arena = arena();
    let code = image(&module, program, arena);
    let low = |at: usize| (arena.as_ptr() as usize + at) as u32;
    let (data, end) = (low(FRAME), low(FRAME + program.frame.len()));
    arena[0..4].copy_from_slice(&data.to_ne_bytes());
    arena[4..8].copy_from_slice(&end.to_ne_bytes());
    arena[8..12].copy_from_slice(&data.to_ne_bytes());
    arena[FRAME..FRAME + program.frame.len()].copy_from_slice(&program.frame);
    let mut vm = match EbpfVmRaw::new(Some(&code)) {
        Ok(vm) => vm,
        Err(error) => return eprintln!("{}: rbpf does not take it: {error}", program.name),
    };
    vm.register_helper(1, helper()).expect("a helper");
    for (name, way) in [("rbpf interpreted", 0), ("rbpf machine code", 1), ("rbpf Cranelift", 2)] {
        // It panics on some programs.
        let ready = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match way {
            1 => vm.jit_compile().map_err(|error| error.to_string()),
            2 => vm.cranelift_compile().map_err(|error| error.to_string()),
            _ => Ok(()),
        }));
        if !matches!(ready, Ok(Ok(()))) {
            eprintln!("{}: {name} does not take it: {ready:?}", program.name);
            continue;
        }
        let memory = arena.as_mut_ptr();
        let once = || {
            // SAFETY: nothing else uses the mapping meanwhile, and the program stays within it.
            let arena = unsafe { std::slice::from_raw_parts_mut(memory, ARENA) };
            if program.forwards {
                arena[FRAME + TTL] = 64;
            }
            match way {
                0 => vm.execute_program(arena),
                // SAFETY: the program stays within its memory, as the checked ways show.
                1 => unsafe { vm.execute_program_jit(arena) },
                _ => vm.execute_program_cranelift(arena),
            }
        };
        let result = once().map(|code| hoist_offload::Verdict::from(code as u32));
        if result.as_ref().ok() != Some(&program.verdict) {
            eprintln!("{}: {name} says {result:?}", program.name);
            continue;
        }
        group.bench_function(name, |b| b.iter(|| black_box(once().ok())));
    }
}
