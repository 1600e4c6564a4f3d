//! libbpf is the yardstick: for every object it opens, our image is instruction for instruction
//! what libbpf would load, and maps, BTF, function and line information are the same.
#![expect(unsafe_code, reason = "libbpf-rs has no safe call for bpf_object__prepare")]

mod corpus;
mod running;
mod yardstick;

use hoist_bpf::image::Image;
use hoist_bpf::module::{DataSection, ExternKind, Map, Module, ProgramId, Target};

use hoist_bpf::{Insn, btf};
use running::Running;
use yardstick::Yardstick;

/// Objects libbpf 1.x does not take, by the end of their label, and the step it stops at.
const REFUSED: [(&str, &str); 3] =
    [("/legacy.bpf.o", "open"), ("/iproute2.bpf.o", "open"), ("/sections.bpf.o", "open")];

#[test]
fn images_equal_what_libbpf_loads() {
    if !running::privileged("images_equal_what_libbpf_loads") {
        return;
    }
    let kernel = Running::read();
    let (mut objects, mut programs) = (0, 0);
    for object in corpus::all() {
        let label = &object.label;
        let refused = REFUSED.iter().find(|(end, _)| label.ends_with(end));
        match (yardstick::prepare(&object.bytes), refused) {
            (Ok(yardstick), None) => {
                programs += compare(label, &object.bytes, &yardstick, &kernel);
                objects += 1;
            }
            (Err(refusal), Some((_, step))) => {
                assert_eq!(refusal.step, *step, "{label}: {}", refusal.words);
                Module::parse(label, &object.bytes).unwrap_or_else(|e| panic!("{label}: {e}"));
            }
            (Ok(_), Some(_)) => panic!("{label}: libbpf takes it now"),
            (Err(refusal), None) => panic!("{label}: {}: {}", refusal.step, refusal.words),
        }
    }
    println!("compared {programs} programs of {objects} objects");
    assert!(programs >= 10, "only {programs} programs were compared");
}

/// Compares one object; gives the number of programs.
fn compare(label: &str, bytes: &[u8], yardstick: &Yardstick, kernel: &Running) -> usize {
    let module = Module::parse(label, bytes).unwrap_or_else(|e| panic!("{label}: {e}"));
    let module = kernel.fit(&module);
    compare_maps(label, &module, yardstick);
    for expected in &yardstick.programs {
        let at = module.programs.iter().position(|p| p.name == expected.name);
        let at = at.unwrap_or_else(|| panic!("{label}: no program {}", expected.name));
        assert_eq!(module.programs[at].section, expected.section, "{label}");
        let what = format!("{label}, {}", expected.name);
        let image = Image::build(&module, ProgramId(at as u32));
        let image = image.unwrap_or_else(|e| panic!("{what}: {e}"));
        let insns = with_descriptors(&image, yardstick, &what);
        for (slot, (ours, theirs)) in insns.iter().zip(&expected.insns).enumerate() {
            assert_eq!(ours, theirs, "{what}: slot {slot}");
        }
        assert_eq!(insns.len(), expected.insns.len(), "{what}: length");
        assert_eq!(image.func_info, expected.func_info, "{what}: func_info");
        let slots = insns.len();
        let (ours, theirs) = (&image.line_info, &expected.line_info);
        assert_eq!(line_by_slot(ours, slots), line_by_slot(theirs, slots), "{what}: line_info");
        assert!(
            image.btf == yardstick.btf,
            "{what}: {}",
            btf_difference(&image.btf, &yardstick.btf)
        );
    }
    yardstick.programs.len()
}

/// Our instructions with libbpf's map descriptors in place of references.
fn with_descriptors(image: &Image, yardstick: &Yardstick, what: &str) -> Vec<Insn> {
    let mut insns = image.insns.clone();
    for reference in &image.references {
        let map = match reference.to {
            Target::Map(map) | Target::MapValue { map, .. } => map,
            other => panic!("{what}: slot {} still refers to {other:?}", reference.insn),
        };
        insns[reference.insn].imm = yardstick.maps[map.0 as usize].fd;
    }
    insns
}

/// The line in effect at each slot: a record may be repeated without meaning anything else.
fn line_by_slot(records: &[u8], slots: usize) -> Vec<[u32; 3]> {
    let words: Vec<u32> =
        records.as_chunks::<4>().0.iter().map(|w| u32::from_ne_bytes(*w)).collect();
    let mut lines = vec![[0; 3]; slots];
    for record in words.as_chunks::<4>().0 {
        lines[record[0] as usize..].fill([record[1], record[2], record[3]]);
    }
    lines
}

fn compare_maps(label: &str, module: &Module, yardstick: &Yardstick) {
    let ours: Vec<_> = module.maps.iter().map(plain).collect();
    let theirs: Vec<_> = yardstick.maps.iter().map(plain_yardstick).collect();
    assert_eq!(ours, theirs, "{label}: maps");
    for (map, expected) in module.maps.iter().zip(&yardstick.maps) {
        // libbpf shortens the names of data sections and puts the object's name before them.
        let tail = map.name.get(..expected.name.len().min(map.name.len())).unwrap_or_default();
        let named = map.name == expected.name
            || map.section.is_some() && expected.name.contains(&tail[..tail.len().min(7)]);
        assert!(named, "{label}: {} is not {}", map.name, expected.name);
        if let Some(data) = &expected.data {
            let zeroes = vec![0; map.value_size as usize];
            let ours = if map.section == Some(DataSection::Bss) { &zeroes } else { &map.data };
            assert!(ours == data, "{label}: contents of {}", map.name);
        }
    }
    let kconfig = module.externs.iter().any(|e| matches!(e.kind, ExternKind::Kconfig { .. }));
    assert_eq!(kconfig, module.maps.iter().any(|m| m.section == Some(DataSection::Kconfig)));
}

type Plain = (u32, u32, u32, u32, u32, u64, u32);

/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`: with 0 entries, libbpf fills in the number of CPUs.
const PERF_EVENT_ARRAY: u32 = 4;

fn plain(map: &Map) -> Plain {
    let entries = if map.kind == PERF_EVENT_ARRAY { 0 } else { map.max_entries };
    let node = map.numa_node.unwrap_or_default();
    (map.kind, map.key_size, map.value_size, entries, map.flags, map.extra, node)
}

fn plain_yardstick(map: &yardstick::Map) -> Plain {
    let entries = if map.kind == PERF_EVENT_ARRAY { 0 } else { map.max_entries };
    (map.kind, map.key_size, map.value_size, entries, map.flags, map.extra, map.numa_node)
}

/// The first type that differs, in words.
fn btf_difference(ours: &[u8], theirs: &[u8]) -> String {
    let parse = |bytes| btf::Btf::parse(bytes).expect("BTF");
    let (a, b) = (parse(ours), parse(theirs));
    for (x, y) in a.types().zip(b.types()) {
        let show = |t: btf::Type<'_>| {
            let variables: Vec<_> = t.variables().collect();
            let kind = t.kind();
            format!("{kind:?} {} {} {variables:?} {:?}", t.name(), t.size_or_type(), t.linkage())
        };
        if show(x) != show(y) {
            return format!("type [{}]: {} but libbpf has {}", x.id(), show(x), show(y));
        }
    }
    format!("{} types, libbpf has {}", a.type_count(), b.type_count())
}
