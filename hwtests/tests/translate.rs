//! Translation on the real verifier: programs load as XDP and, translated, for TC, and do the same
//! to every frame by test run: verdict, bytes, maps.
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, Loaded, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Kernel, Linux, TestRunSpec};
use hoist_bpf::module::{Function, Linkage, MapId, Module, ProgramId, Target};
use hoist_bpf::parse::Selector;
use hoist_bpf::passes::asm;
use hoist_bpf::programs;
use hoist_bpf::resolve::{Needs, TargetBtf, resolve};
use hoist_fallback::tc::translate::{
    Event, Globals, Merged, Offsets, Options, Translated, translate,
};
use hoist_hwtests::dut::tc_options;
use hoist_hwtests::require;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

const SCHED_CLS: u32 = 3;
/// `cb[4]` in `struct __sk_buff`.
const VERDICT: std::ops::Range<usize> = 64..68;
/// `sizeof(struct __sk_buff)`.
const CONTEXT: usize = 192;

fn ethernet(protocol: u16, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(protocol.to_be_bytes());
    frame.extend(rest);
    frame
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = 20 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0x66, 0xd6, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(payload);
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let udp = [0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let tcp = [&[0x30, 0x39, 0, 80][..], &[0; 56]].concat();
    let tag =
        |tci: [u8; 2], inner: u16, rest: &[u8]| [&tci[..], &inner.to_be_bytes(), rest].concat();
    vec![
        ("udp", ethernet(0x0800, &ipv4(17, &udp))),
        ("udp, long", ethernet(0x0800, &ipv4(17, &[&udp[..], &[0x5a; 1400]].concat()))),
        ("tcp", ethernet(0x0800, &ipv4(6, &tcp))),
        ("ipip", ethernet(0x0800, &ipv4(4, &ipv4(17, &udp)))),
        ("6in4", ethernet(0x0800, &ipv4(41, &ipv6(17, &udp)))),
        ("ipv6 udp", ethernet(0x86dd, &ipv6(17, &udp))),
        ("ipv6 nothing", ethernet(0x86dd, &ipv6(59, &[]))),
        ("arp", ethernet(0x0806, &[0; 28])),
        ("vlan udp", ethernet(0x8100, &tag([0, 7], 0x0800, &ipv4(17, &udp)))),
        ("vlan arp", ethernet(0x8100, &tag([0x60, 7], 0x0806, &[0; 28]))),
        ("vlan short", ethernet(0x8100, &tag([0, 7], 0x0800, &[0x45, 0, 0, 20]))),
        ("vlan 0", ethernet(0x8100, &tag([0, 0], 0x86dd, &ipv6(17, &udp)))),
        ("qinq", ethernet(0x88a8, &tag([0, 9], 0x8100, &tag([0, 7], 0x0800, &ipv4(6, &tcp))))),
        ("mpls", ethernet(0x8847, &[&[0, 1, 1, 64][..], &ipv4(17, &udp)].concat())),
        ("802.2", ethernet(38, &[0x42; 38])),
        ("unknown", ethernet(0x88b5, &[0xab; 1486])),
        ("14 bytes", ethernet(0x88b5, &[])),
        ("15 bytes", ethernet(0x88b5, &[1])),
        ("20 bytes", ethernet(0x88b5, &[7; 6])),
        ("34 bytes", ethernet(0x0800, &ipv4(17, &[]))),
        ("broadcast", [&[0xff; 6][..], &ethernet(0x0806, &[0; 46])[6..]].concat()),
    ]
}

struct Bench {
    kernel: Linux,
    target: Option<TargetBtf>,
}

impl Bench {
    fn new() -> Self {
        Self { kernel: Linux::new().unwrap(), target: None }
    }

    fn module(&mut self, name: &str, object: &[u8]) -> Module {
        let module = Module::parse(name, object).unwrap();
        if !Needs::of(&module).kernel_btf {
            return resolve(&module, &TargetBtf::none()).unwrap();
        }
        let kernel = &self.kernel;
        let target = self.target.get_or_insert_with(|| {
            let btf = kernel.kernel_btf().unwrap().unwrap();
            TargetBtf::parse((*btf).as_ref().to_vec()).unwrap()
        });
        resolve(&module, target).unwrap()
    }

    fn load(&self, module: &Module, program: ProgramId, kind: u32) -> Loaded {
        self.try_load(module, program, kind).unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// The program in the kernel, or what the verifier says in the end.
    fn try_load(&self, module: &Module, program: ProgramId, kind: u32) -> Result<Loaded, String> {
        let mut contents = BTreeMap::new();
        for (at, map) in module.maps.iter().enumerate() {
            if ["target", "ports", "others", "hashed", "cpus"].contains(&map.name.as_str()) {
                // Interface 1, or a queue of one frame.
                let mut value = vec![1, 0, 0, 0];
                value.resize(map.value_size as usize, 0);
                contents.insert(MapId(at as u32), vec![(vec![0; 4], value)]);
            }
        }
        let spec = LoadSpec {
            module,
            program,
            kind,
            attach_type: if kind == PROG_TYPE_XDP { ATTACH_TYPE_XDP } else { 0 },
            binding: None,
            pin_root: None,
            contents: &contents,
        };
        loader::load(&self.kernel, &spec).map_err(|error| {
            let log = match &error {
                loader::LoadError::Program { error, .. } => error.log.clone().unwrap_or_default(),
                _ => String::new(),
            };
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            format!("{} as {kind}: {error}\n{}", module.name, tail.join("\n"))
        })
    }

    /// Contents of a map, values of all CPUs added up.
    fn contents(&self, module: &Module, loaded: &Loaded, id: MapId) -> BTreeMap<Vec<u8>, Vec<u64>> {
        let map = module.map(id);
        let per_cpu = matches!(map.kind, 5 | 6 | 10 | 21);
        let each = (map.value_size as usize).next_multiple_of(8);
        let len = if per_cpu { each * self.kernel.possible_cpus().unwrap() } else { each };
        let fd = loaded.maps[&id].as_fd();
        let entries = match self.kernel.map_entries(fd, map.key_size as usize, len) {
            Ok(entries) => entries,
            Err(_) => return BTreeMap::new(),
        };
        let sums = |value: Vec<u8>| {
            let mut words = vec![0_u64; each / 8];
            for (at, word) in value.chunks(8).enumerate() {
                let mut bytes = [0; 8];
                bytes[..word.len()].copy_from_slice(word);
                let sum = &mut words[at % (each / 8)];
                *sum = sum.wrapping_add(u64::from_ne_bytes(bytes));
            }
            words
        };
        entries.into_iter().map(|(key, value)| (key, sums(value))).collect()
    }

    /// Runs both on a frame; the verdict, where the kernel lets both run.
    fn same(&self, native: &Loaded, at_tc: &Loaded, bytes: &[u8], at: &str) -> Option<u32> {
        let spec = TestRunSpec { data: bytes, repeat: 1, ..TestRunSpec::default() };
        let wanted = self.kernel.test_run(native.program.as_fd(), &spec).unwrap();
        let spec = TestRunSpec { context_out: CONTEXT, ..spec };
        // Socket buffers with less than an IP header behind the EtherType of IP are refused.
        let Ok(got) = self.kernel.test_run(at_tc.program.as_fd(), &spec) else {
            assert!(bytes.len() < 34, "{at}: is refused");
            return None;
        };
        let verdict = u32::from_ne_bytes(got.context[VERDICT].try_into().unwrap());
        // XDP returns codes that are no verdicts as they are.
        let known = if wanted.verdict > 4 { 0 } else { wanted.verdict };
        assert_eq!(verdict, known, "{at}: verdict");
        if verdict >= 2 {
            let mut untagged = wanted.data;
            if untagged.len() == got.data.len() + 4
                && matches!(untagged[12..14], [0x81, 0] | [0x88, 0xa8])
            {
                // The tag is beside the data, which test runs do not show.
                untagged.drain(12..16);
            }
            assert_eq!(hex(&got.data), hex(&untagged), "{at}: bytes");
        }
        Some(verdict)
    }

    fn compare(&self, module: &Module, program: ProgramId, translated: &Translated) {
        let name = format!("{} {}", module.name, module.program(program).name);
        let native = self.load(module, program, PROG_TYPE_XDP);
        let at_tc = self.load(&translated.module, translated.program, SCHED_CLS);
        for (frame, bytes) in frames() {
            self.same(&native, &at_tc, &bytes, &format!("{name} on {frame}"));
        }
        for &id in native.maps.keys() {
            let wanted = self.contents(module, &native, id);
            let got = self.contents(module, &at_tc, id);
            assert_eq!(got, wanted, "{name}: map {}", module.map(id).name);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Programs that come with hoist and cannot be test-run as XDP, or are refused.
const NOT_COMPARED: [&str; 3] = ["devmap_egress", "rx_hash", "meta"];

#[test]
fn programs_do_the_same_translated() {
    if !require::veth("programs_do_the_same_translated") {
        return;
    }
    let mut bench = Bench::new();
    for prebuilt in programs::LIST.iter().filter(|p| !NOT_COMPARED.contains(&p.name)) {
        let module = bench.module(prebuilt.name, prebuilt.object);
        let selector = Selector { program: Some(prebuilt.program()), section: None };
        let program = module.select(&selector).unwrap();
        for (count, globals) in [(false, Globals::Inline), (true, Globals::Keep)] {
            let options = Options { count, globals, ..tc_options() };
            let translated = translate(&module, program, &options)
                .unwrap_or_else(|gaps| panic!("{}: {gaps:#?}", prebuilt.name));
            bench.compare(&module, program, &translated);
        }
    }
}

/// Without `CAP_PERFMON` the verifier takes less. What it takes as XDP it must take translated.
#[test]
fn translated_programs_can_do_without_perfmon() {
    if !require::veth("translated_programs_can_do_without_perfmon") {
        return;
    }
    let mut bench = Bench::new();
    let mut modules = Vec::new();
    for prebuilt in programs::LIST.iter().filter(|p| !NOT_COMPARED.contains(&p.name)) {
        let module = bench.module(prebuilt.name, prebuilt.object);
        let selector = Selector { program: Some(prebuilt.program()), section: None };
        let program = module.select(&selector).unwrap();
        modules.push((module, program));
    }
    modules.push((bench.module("redirect", REDIRECT), ProgramId(0)));
    let tc = tc_options();
    let mut held = capabilities(None).unwrap();
    held.effective = CapabilitySet::BPF | CapabilitySet::NET_ADMIN;
    // Capabilities are a thread's own; this one ends with the test.
    set_capabilities(None, held).unwrap();
    let (mut refused, mut taken) = (Vec::new(), 0);
    for (module, program) in &modules {
        if let Err(said) = bench.try_load(module, *program, PROG_TYPE_XDP) {
            println!("not taken as XDP either: {}", said.lines().last().unwrap_or_default());
            continue;
        }
        for (count, merged) in [(false, Merged::Run), (true, Merged::Drop)] {
            let options = Options { count, merged, offsets: Offsets::Constant, ..tc };
            let translated = translate(module, *program, &options).unwrap();
            match bench.try_load(&translated.module, translated.program, SCHED_CLS) {
                Ok(_) => {
                    bench.compare(module, *program, &translated);
                    taken += 1;
                }
                Err(said) => refused.push(said),
            }
        }
    }
    assert!(refused.is_empty(), "{}: {}", refused.len(), refused.join("\n\n"));
    assert!(taken >= 24, "{taken}");
}

/// Compilers with the versions of the instruction set that they write.
const COMPILERS: [(&str, &str, &[u8]); 2] =
    [("clang-14", "llvm-strip-14", &[1, 2, 3]), ("clang-19", "llvm-strip-19", &[4])];

#[test]
fn every_instruction_set_is_translated() {
    let commands = COMPILERS.iter().flat_map(|(clang, strip, _)| [clang, strip]);
    for command in commands {
        if !require::veth_and_command("every_instruction_set_is_translated", command) {
            return;
        }
    }
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/programs/build.sh");
    let mut bench = Bench::new();
    for (clang, strip, versions) in COMPILERS {
        for version in versions {
            let directory = tempfile::tempdir().unwrap();
            let status = Command::new(&build)
                .arg("--into")
                .arg(directory.path())
                .env("CLANG", clang)
                .env("LLVM_STRIP", strip)
                .env("CPU", format!("v{version}"))
                .status()
                .unwrap();
            assert!(status.success(), "{clang} v{version}");
            for prebuilt in programs::LIST.iter().filter(|p| !NOT_COMPARED.contains(&p.name)) {
                let object = directory.path().join(format!("{}.bpf.o", prebuilt.name));
                let name = format!("{} v{version}", prebuilt.name);
                let module = bench.module(&name, &std::fs::read(object).unwrap());
                let selector = Selector { program: Some(prebuilt.program()), section: None };
                let program = module.select(&selector).unwrap();
                let translated = translate(&module, program, &tc_options())
                    .unwrap_or_else(|gaps| panic!("{name}: {gaps:#?}"));
                bench.compare(&module, program, &translated);
            }
        }
    }
}

/// Objects made for this test, in `fallback/tests/objects`.
const RESIZE: &[u8] = include_bytes!("../../fallback/tests/objects/resize.bpf.o");
const REDIRECT: &[u8] = include_bytes!("../../fallback/tests/objects/redirect.bpf.o");
const KFUNC: &[u8] = include_bytes!("../../fallback/tests/objects/kfunc.bpf.o");
const CONTEXT_WAYS: &[u8] = include_bytes!("../../fallback/tests/objects/context.bpf.o");

#[test]
fn every_way_of_the_context_and_of_redirects_is_translated() {
    if !require::veth("every_way_of_the_context_and_of_redirects_is_translated") {
        return;
    }
    let mut bench = Bench::new();
    for (name, object) in [("redirect", REDIRECT), ("context", CONTEXT_WAYS)] {
        let module = bench.module(name, object);
        for program in (0..module.programs.len() as u32).map(ProgramId) {
            // It uses all the stack there is, which older kernels count otherwise (`tc-stack`).
            if module.program(program).name == "xdp_deep" && !require::kernel(6, 12) {
                continue;
            }
            for globals in [Globals::Inline, Globals::Keep] {
                let options = Options { globals, ..tc_options() };
                let translated = translate(&module, program, &options)
                    .unwrap_or_else(|gaps| panic!("{name}: {gaps:#?}"));
                bench.compare(&module, program, &translated);
            }
        }
    }
}

/// Functions of the kernel that take the XDP context have twins that take a socket buffer.
#[test]
fn kernel_functions_are_exchanged_for_their_twins() {
    if !require::veth("kernel_functions_are_exchanged_for_their_twins") || !require::kernel(6, 4) {
        return;
    }
    let mut bench = Bench::new();
    let module = bench.module("kfunc", KFUNC);
    let mut translated = translate(&module, ProgramId(0), &tc_options()).unwrap();
    assert!(translated.resolve_again);
    translated.module = resolve(&translated.module, bench.target.as_ref().unwrap()).unwrap();
    bench.compare(&module, ProgramId(0), &translated);
}

/// `struct how` of resize.bpf.c.
fn how(head: i32, tail: i32, again: i32, destination: u32, protocol: u16) -> Vec<u8> {
    let mut value = Vec::new();
    for number in [head, tail, again, 2] {
        value.extend(number.to_ne_bytes());
    }
    value.extend(destination.to_ne_bytes());
    value.extend(protocol.to_be_bytes());
    value.extend([0, 0]);
    value
}

#[test]
fn frames_are_resized_alike() {
    if !require::veth("frames_are_resized_alike") {
        return;
    }
    let mut bench = Bench::new();
    let module = bench.module("resize", RESIZE);
    let translated = translate(&module, ProgramId(0), &tc_options()).unwrap();
    let native = bench.load(&module, ProgramId(0), PROG_TYPE_XDP);
    let at_tc = bench.load(&translated.module, translated.program, SCHED_CLS);
    let map = |name: &str| MapId(module.maps.iter().position(|m| m.name == name).unwrap() as u32);
    let heads = [
        0,
        -1,
        -2,
        -4,
        -8,
        -14,
        -20,
        -36,
        -40,
        -50,
        -100,
        -212,
        -216,
        -217,
        -300,
        i32::MIN,
        1,
        2,
        4,
        8,
        14,
        18,
        20,
        40,
        54,
        60,
        1486,
        1500,
        i32::MAX,
    ];
    let mut runs = 0;
    for head in heads {
        for (tail, again) in
            [(0, 0), (0, -4), (0, 4), (-8, 0), (33, -20), (4000, 20), (-1500, -216)]
        {
            for (destination, protocol) in [(0, 0), (1, 0x86dd)] {
                let value = how(head, tail, again, destination, protocol);
                for loaded in [&native, &at_tc] {
                    let fd = loaded.maps[&map("how")].as_fd();
                    bench.kernel.map_update(fd, &[0; 4], &value, 0).unwrap();
                }
                for (frame, bytes) in frames() {
                    let at = format!("{frame}: {head} {tail} {again} {protocol:x}");
                    let Some(got) = bench.same(&native, &at_tc, &bytes, &at) else { continue };
                    let said = bench.contents(&module, &native, map("said"));
                    assert_eq!(bench.contents(&module, &at_tc, map("said")), said, "{at}");
                    runs += u32::from(got >= 2);
                }
            }
        }
    }
    assert!(runs > 5000, "{runs} frames were resized");
}

/// `struct __sk_buff` with these words set.
fn context(words: &[(usize, u32)]) -> Vec<u8> {
    let mut context = vec![0; CONTEXT];
    for (offset, word) in words {
        context[*offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
    }
    context
}

/// How often each event was counted.
fn events(bench: &Bench, translated: &Translated, loaded: &Loaded) -> Vec<u64> {
    let counted = bench.contents(&translated.module, loaded, translated.events);
    let of = |event: &Event| counted[&(*event as u32).to_ne_bytes().to_vec()][0];
    Event::ALL.iter().map(of).collect()
}

#[test]
fn merged_frames_run_or_are_dropped_and_are_counted() {
    /// Offsets of `gso_segs` and `gso_size`.
    const SEGMENTS: usize = 164;
    const SIZE: usize = 176;
    if !require::veth("merged_frames_run_or_are_dropped_and_are_counted") {
        return;
    }
    let mut bench = Bench::new();
    let module = bench.module("pass", programs::get("pass").unwrap().object);
    for (merged, verdict) in [(Merged::Run, u32::MAX), (Merged::Drop, 2)] {
        let options = Options { merged, ..tc_options() };
        let translated = translate(&module, ProgramId(0), &options).unwrap();
        let loaded = bench.load(&translated.module, translated.program, SCHED_CLS);
        let frame = &ethernet(0x0800, &ipv4(17, &[0x5a; 1600]));
        for (words, wanted) in [(&[][..], u32::MAX), (&[(SEGMENTS, 2), (SIZE, 800)], verdict)] {
            let context = context(words);
            let spec =
                TestRunSpec { data: frame, context: &context, repeat: 1, ..TestRunSpec::default() };
            let run = bench.kernel.test_run(loaded.program.as_fd(), &spec).unwrap();
            assert_eq!(run.verdict, wanted, "{merged:?} {words:?}");
        }
        assert_eq!(events(&bench, &translated, &loaded), [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn codes_and_redirects_that_drop_are_counted() {
    if !require::veth("codes_and_redirects_that_drop_are_counted") {
        return;
    }
    let mut bench = Bench::new();
    for (object, name, expected) in [
        // 1 - 1 in the last byte of the source address: aborted.
        (CONTEXT_WAYS, "xdp_code", [0, 0, 0, 0, 1, 0, 0, 0]),
        (REDIRECT, "xdp_nowhere", [0, 0, 0, 0, 0, 0, 0, 1]),
        // Interface 1 is the loopback interface, which takes everything.
        (REDIRECT, "xdp_ifindex", [0; 8]),
    ] {
        let module = bench.module(name, object);
        let selector = Selector { program: Some(name.to_owned()), section: None };
        let program = module.select(&selector).unwrap();
        let translated = translate(&module, program, &tc_options()).unwrap();
        let loaded = bench.load(&translated.module, translated.program, SCHED_CLS);
        let (_, frame) = &frames()[0];
        let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
        bench.kernel.test_run(loaded.program.as_fd(), &spec).unwrap();
        assert_eq!(events(&bench, &translated, &loaded), expected, "{name}");
    }
}

/// Lets a program return what `bpf_csum_update` says after it: an error where the buffer holds no
/// sum that a NIC computed (any more).
fn returning_the_sum(translated: &Translated) -> Module {
    const CSUM_UPDATE: i32 = 40;
    let mut module = translated.module.clone();
    let main = module.program(translated.program).function;
    let mut f = Function::empty("main", Linkage::Static);
    for (insn, target) in [
        (asm::mov(6, 1), Target::None),
        (asm::call(), Target::Call(main)),
        (asm::mov(1, 6), Target::None),
        (asm::mov_imm(2, 0), Target::None),
        (asm::helper(CSUM_UPDATE), Target::None),
        (asm::exit(), Target::None),
    ] {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
    let main = module.add_function(f);
    module.programs[translated.program.0 as usize].function = main;
    module
}

/// The sum over a frame that the NIC computed is dropped when the program may have changed the
/// frame, and kept when it cannot have.
#[test]
fn sums_of_frames_that_may_have_changed_are_forgotten() {
    const ENOTSUPP: i32 = -524;
    if !require::veth("sums_of_frames_that_may_have_changed_are_forgotten")
        || !require::kernel(6, 17)
    {
        return;
    }
    let mut bench = Bench::new();
    // What goes back out is not looked at. The last one writes to the destination address.
    for (name, forgotten) in [("pass", false), ("acl", false), ("swap_tx", false), ("", true)] {
        let module = bench.module(name, programs::get(name).map_or(RESIZE, |p| p.object));
        let translated = translate(&module, ProgramId(0), &tc_options()).unwrap();
        let asking = returning_the_sum(&translated);
        let loaded = bench.load(&asking, translated.program, SCHED_CLS);
        if let Some(at) = module.maps.iter().position(|m| m.name == "how") {
            let fd = loaded.maps[&MapId(at as u32)].as_fd();
            bench.kernel.map_update(fd, &[0; 4], &how(0, 0, 0, 1, 0), 0).unwrap();
        }
        for (what, frame) in frames().into_iter().take(6) {
            let spec = TestRunSpec {
                data: &frame,
                repeat: 1,
                checksum_complete: true,
                ..TestRunSpec::default()
            };
            let run = bench.kernel.test_run(loaded.program.as_fd(), &spec).unwrap();
            assert_eq!(run.verdict.cast_signed() == ENOTSUPP, forgotten, "{name} on {what}");
        }
    }
}

fn directory() -> PathBuf {
    let multiarch = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let places = [multiarch.as_str(), "/usr/lib/bpf", "/usr/lib64/bpf"].map(PathBuf::from);
    places.iter().find(|p| p.is_dir()).unwrap_or(&places[0]).clone()
}

#[test]
fn the_filters_of_xdp_tools_do_the_same_translated() {
    let names = ["alw", "dny"].iter().flat_map(|policy| {
        ["all", "eth", "ip", "tcp", "udp"].map(|kind| format!("xdpfilt_{policy}_{kind}"))
    });
    let names: Vec<String> = names.collect();
    let paths: Vec<PathBuf> = names.iter().map(|n| directory().join(format!("{n}.o"))).collect();
    let files: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    if !require::veth_and_files("the_filters_of_xdp_tools_do_the_same_translated", &files) {
        return;
    }
    let mut bench = Bench::new();
    for (name, path) in names.iter().zip(&paths) {
        let module = bench.module(name, &std::fs::read(path).unwrap());
        let program = module.select(&Selector::default()).unwrap();
        let translated = translate(&module, program, &tc_options()).unwrap();
        bench.compare(&module, program, &translated);
    }
}
