//! What the parser makes of objects, against their C sources in `tests/objects`.

use hoist_bpf::image::Image;
use hoist_bpf::module::{
    DataSection, ExternKind, InitialSlot, Linkage, Map, Module, ProgramHint, ProgramId, Resolution,
    Target,
};
use hoist_bpf::resolve::{self, Needs, TargetBtf};
use hoist_bpf::{Insn, Selector};

const CORE: &[u8] = include_bytes!("objects/core.bpf.o");
const FUNCTIONS: &[u8] = include_bytes!("objects/functions.bpf.o");
const IPROUTE2: &[u8] = include_bytes!("objects/iproute2.bpf.o");
const KCONFIG: &[u8] = include_bytes!("objects/kconfig.bpf.o");
const KSYMS: &[u8] = include_bytes!("objects/ksyms.bpf.o");
const LEGACY: &[u8] = include_bytes!("objects/legacy.bpf.o");
const MAPS: &[u8] = include_bytes!("objects/maps.bpf.o");
const SECTIONS: &[u8] = include_bytes!("objects/sections.bpf.o");

fn parse(bytes: &[u8]) -> Module {
    Module::parse("object", bytes).expect("the object is whole")
}

fn map<'m>(module: &'m Module, name: &str) -> &'m Map {
    module.maps.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no map {name}"))
}

#[test]
fn selectors_pick_one_program_or_say_what_there_is() {
    type Case = (&'static [u8], Option<&'static str>, Option<&'static str>, Outcome);
    type Outcome = Result<&'static str, &'static str>;
    let cases: [Case; 13] = [
        (LEGACY, None, None, Ok("old")),
        (FUNCTIONS, Some("two"), None, Ok("two")),
        (FUNCTIONS, None, Some("xdp.frags/three"), Ok("three")),
        (FUNCTIONS, None, Some("action_of_mine"), Ok("five")),
        (FUNCTIONS, Some("one"), Some("xdp"), Ok("one")),
        (FUNCTIONS, None, None, Err("several programs that fit: one (section xdp)")),
        (FUNCTIONS, None, Some("xdp"), Err("one (section xdp), two (section xdp); choose")),
        (FUNCTIONS, Some("tow"), None, Err("no program 'tow'; it has two (section xdp)")),
        (FUNCTIONS, Some("one"), Some("tc"), Err("no program 'one'")),
        (FUNCTIONS, None, Some("xdpx"), Err("no program in section 'xdpx'")),
        (FUNCTIONS, Some("leaf"), None, Err("no program 'leaf'")),
        (FUNCTIONS, None, Some("tc"), Ok("four")),
        (IPROUTE2, None, None, Err("jumped_to (section 1/1), entry (section prog)")),
    ];
    for (bytes, program, section, expected) in cases {
        let module = parse(bytes);
        let selector =
            Selector { program: program.map(Into::into), section: section.map(Into::into) };
        match (module.select(&selector), expected) {
            (Ok(id), Ok(name)) => assert_eq!(module.program(id).name, name, "{selector:?}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{selector:?}: {error}");
            }
            (got, _) => panic!("{selector:?}: {got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn programs_functions_and_hints() {
    let module = parse(FUNCTIONS);
    let programs: Vec<_> =
        module.programs.iter().map(|p| (p.name.as_str(), p.hint, p.frags)).collect();
    assert_eq!(
        programs,
        [
            ("one", ProgramHint::Xdp, false),
            ("two", ProgramHint::Xdp, false),
            ("three", ProgramHint::Xdp, true),
            ("four", ProgramHint::Other, false),
            ("five", ProgramHint::Unknown, false),
        ]
    );
    let linkage = |name: &str| module.functions.iter().find(|f| f.name == name).map(|f| f.linkage);
    assert_eq!(linkage("global"), Some(Linkage::Global));
    assert_eq!(linkage("weak"), Some(Linkage::Global));
    assert_eq!(linkage("hidden"), Some(Linkage::Static));
    assert_eq!(linkage("leaf"), Some(Linkage::Static));
    assert_eq!(module.license, "GPL");
    let line = module.functions.iter().find(|f| f.name == "leaf").and_then(|f| f.code[0].line);
    let line = &module.lines[line.expect("line info") as usize];
    assert!(line.file.ends_with("functions.bpf.c"), "{line:?}");
    assert_eq!(line.text, "static __noinline int leaf(int x)");
}

#[test]
fn maps_declared_with_btf() {
    let module = parse(MAPS);
    let names: Vec<_> = module.maps.iter().map(|m| m.name.as_str()).collect();
    // In the order of their places in `.maps`, which is the order libbpf creates them in.
    assert_eq!(
        names,
        [
            "inner_one",
            "inner_two",
            "array_of_maps",
            "programs",
            "hash",
            "hash_of_maps",
            "on_node",
            "bloom",
            "ring",
            "events",
        ]
    );
    let hash = map(&module, "hash");
    assert_eq!((hash.kind, hash.key_size, hash.value_size, hash.max_entries), (1, 8, 16, 100));
    assert_eq!((hash.flags, hash.pin_by_name), (1, true));
    assert!(hash.key_type_id.is_some() && hash.value_type_id.is_some());
    assert_eq!(map(&module, "on_node").numa_node, Some(0));
    assert_eq!(map(&module, "bloom").extra, 3);
    let inner = map(&module, "hash_of_maps").inner.as_ref().expect("an inner map");
    assert_eq!((inner.kind, inner.key_size, inner.max_entries), (1, 8, 16));
    let id = |name| names.iter().position(|n| *n == name).expect(name) as u32;
    let slot =
        |slot, name| InitialSlot { slot, value: Target::Map(hoist_bpf::module::MapId(id(name))) };
    assert_eq!(map(&module, "array_of_maps").initial, [slot(1, "inner_one"), slot(5, "inner_two")]);
    assert_eq!(initial_programs(&module, "programs"), [(0, "second"), (3, "third")]);
}

fn initial_programs<'m>(module: &'m Module, name: &str) -> Vec<(u32, &'m str)> {
    let named = |slot: &InitialSlot| match slot.value {
        Target::FunctionAddress(id) => (slot.slot, module.function(id).name.as_str()),
        other => panic!("{other:?}"),
    };
    map(module, name).initial.iter().map(named).collect()
}

#[test]
fn maps_of_older_objects() {
    let module = parse(LEGACY);
    let flows = map(&module, "flows");
    assert_eq!((flows.kind, flows.key_size, flows.value_size), (9, 12, 4));
    assert_eq!((flows.max_entries, flows.flags, flows.pin_by_name), (1024, 2, false));

    let on_node = map(&module, "on_node");
    assert_eq!((on_node.numa_node, on_node.pin_by_name), (Some(1), false));
    let pinned = map(&module, "pinned");
    assert_eq!((pinned.numa_node, pinned.pin_by_name), (None, true));
    let packets = map(&module, "packets");
    assert!(packets.key_type_id.is_some() && packets.key_type_id != packets.value_type_id);
    assert_eq!(flows.key_type_id, None);

    let module = parse(IPROUTE2);
    assert!(map(&module, "shared").pin_by_name);
    assert_eq!(initial_programs(&module, "jumps"), [(1, "jumped_to")]);
    let outer = map(&module, "outer");
    assert_eq!(outer.inner.as_ref().map(|m| m.name.as_str()), Some("inner"));
    assert_eq!(outer.initial.len(), 1);
    assert_eq!(outer.initial[0].slot, 2);
}

#[test]
fn functions_of_compilers_that_did_not_type_them() {
    let whole = parse(LEGACY);
    let mut bytes = LEGACY.to_vec();
    // The one symbol with global binding and type function becomes untyped and without size.
    let typed = (0..bytes.len() - 24)
        .step_by(8)
        .find(|at| bytes[at + 4] == 0x12 && bytes[at + 5] == 0 && bytes[at + 8..at + 16] == [0; 8]);
    let at = typed.expect("a function symbol");
    bytes[at + 4] = 0x10;
    bytes[at + 16..at + 24].fill(0);
    let untyped = parse(&bytes);
    assert_eq!(untyped.programs, whole.programs);
    assert_eq!(untyped.functions[0].code, whole.functions[0].code);
}

#[test]
fn data_sections_are_maps() {
    let module = parse(FUNCTIONS);
    let expected = [
        (".rodata", DataSection::Rodata, 0x480),
        (".rodata.greeting", DataSection::Rodata, 0x480),
        (".data", DataSection::Data, 0x400),
        (".bss", DataSection::Bss, 0x400),
        (".data.special", DataSection::Data, 0x400),
        (".bss.quiet", DataSection::Bss, 0x400),
        (".rodata.str1.1", DataSection::Rodata, 0x80),
    ];
    for (name, section, flags) in expected {
        let map = map(&module, name);
        assert_eq!((map.section, map.flags), (Some(section), flags), "{name}");
        let stored = if section == DataSection::Bss { 0 } else { map.value_size as usize };
        assert_eq!(map.data.len(), stored, "{name}");
    }
    assert_eq!(map(&module, ".data.special").data, 0x0102_0304_u32.to_ne_bytes());
}

#[test]
fn subprograms_outside_text() {
    let module = parse(SECTIONS);
    for (program, callee) in [("caller", "beside"), ("calls_a_program", "called")] {
        let at = module.programs.iter().position(|p| p.name == program).expect(program);
        let image = Image::build(&module, ProgramId(at as u32)).expect("an image");
        let names: Vec<_> =
            image.functions.iter().map(|(id, _)| module.function(*id).name.as_str()).collect();
        assert_eq!(names, [program, callee]);
        let call = image.insns.iter().position(|i| i.is_call()).expect("a call");
        let to = call as i64 + 1 + i64::from(image.insns[call].imm);
        assert_eq!(to, image.functions[1].1 as i64, "{program}");
    }
}

#[test]
fn what_a_kernel_without_btf_means() {
    let none = TargetBtf::none();
    assert!(Needs::of(&parse(CORE)).kernel_btf);
    let error = resolve::resolve(&parse(CORE), &none).expect_err("no BTF").to_string();
    assert!(error.contains("CONFIG_DEBUG_INFO_BTF") && error.contains("net_device"), "{error}");

    assert_eq!(Needs::of(&parse(FUNCTIONS)), Needs::default());
    let module = parse(FUNCTIONS);
    assert_eq!(
        resolve::resolve(&module, &none).expect("nothing to do").functions,
        module.functions
    );

    assert!(Needs::of(&parse(KCONFIG)).kernel_config);
    let needs = Needs::of(&parse(KSYMS));
    assert!(needs.kernel_btf && needs.symbol_addresses && !needs.kernel_config);
    let module = resolve::resolve(&parse(KSYMS), &none).expect("unknown symbols are data");
    for external in module.externs.iter().filter(|e| e.kind != ExternKind::Ksym) {
        let expected = if external.weak { Resolution::Absent } else { Resolution::Unknown };
        assert_eq!(external.resolution, expected, "{}", external.name);
    }
    let image = Image::build(&module, ProgramId(0)).expect("an image");
    let pending = image.references.iter().filter(|r| matches!(r.to, Target::Extern(_))).count();
    assert_eq!(pending, 5, "two kfuncs, one variable, two untyped symbols");
    let poisoned = |i: &&Insn| i.is_call() && i.src() == 0 && i.imm >= 2_002_000_000;
    assert_eq!(image.insns.iter().filter(poisoned).count(), 1, "the weak kfunc that never was");
}

#[test]
fn kconfig_values_are_demanded_unless_weak() {
    let mut module = parse(KCONFIG);
    let empty = resolve::KernelConfig { version: 6 << 16, ..Default::default() };
    resolve::fill_kconfig(&mut module, &empty).expect("only virtual values are not weak");
    let version = module.externs.iter().find(|e| e.name == "LINUX_KERNEL_VERSION");
    let Some(ExternKind::Kconfig { offset, size: 4 }) = version.map(|e| e.kind) else {
        panic!("{version:?}")
    };
    let place = offset as usize..offset as usize + 4;
    assert_eq!(map(&module, ".kconfig").data[place], (6u32 << 16).to_ne_bytes());

    for external in &mut module.externs {
        external.weak = false;
    }
    let error = resolve::fill_kconfig(&mut module, &empty).expect_err("missing").to_string();
    assert!(error.contains("'CONFIG_") && error.contains("does not set it"), "{error}");
}
