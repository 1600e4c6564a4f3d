//! The counting pass on the real verifier: every program that comes with hoist loads with it, does
//! to every frame what it did without, and the counters say so.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use hoist_bpf::kernel::loader::{self, Binding, LoadSpec, Loaded};
use hoist_bpf::kernel::{Kernel, TestRunSpec};
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::parse::Selector;
use hoist_bpf::passes::count::{self, Length};
use hoist_bpf::programs::{self, Prebuilt};
use hoist_bpf::resolve::{TargetBtf, resolve};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::bench::{A, BPF_XDP, Bench, XDP, runs};

const BPF_XDP_DEVMAP: u32 = 33;

fn frames() -> Vec<Vec<u8>> {
    let ethernet = |protocol: u16| {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(protocol.to_be_bytes());
        frame
    };
    let ipv4 = |protocol: u8, payload: &[u8]| {
        let mut frame = ethernet(0x0800);
        frame.extend([0x45, 0, 0, 20 + payload.len() as u8, 0, 1, 0, 0, 64, protocol, 0x66, 0xd6]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(payload);
        frame
    };
    let with = |mut frame: Vec<u8>, tail: &[u8]| {
        frame.extend(tail);
        frame
    };
    vec![
        ipv4(17, &[0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]),
        ipv4(6, &[0; 60]),
        ipv4(4, &ipv4(17, &[0; 8])[14..]),
        with(
            ethernet(0x86dd),
            &[
                0x60, 0, 0, 0, 0, 0, 59, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        ),
        with(ethernet(0x8100), &[0, 7, 8, 0, 0x45, 0, 0, 20]),
        ethernet(0x0806),
        with(ethernet(0x88b5), &[0xab; 1486]),
    ]
}

/// A module fitted to the running kernel, and the program to enter.
fn module(bench: &Bench, prebuilt: &Prebuilt) -> (Module, ProgramId) {
    let module = Module::parse(prebuilt.name, prebuilt.object).unwrap();
    let target = match bench.kernel.kernel_btf().unwrap() {
        Some(btf) => TargetBtf::parse((*btf).as_ref().to_vec()).unwrap(),
        None => TargetBtf::none(),
    };
    let selector = Selector { program: Some(prebuilt.program()), section: None };
    let id = module.select(&selector).unwrap();
    (resolve(&module, &target).unwrap(), id)
}

fn without_btf(module: &Module) -> Module {
    let mut module = module.clone();
    module.btf.clear();
    for function in &mut module.functions {
        function.btf_type_id = None;
    }
    for map in &mut module.maps {
        (map.key_type_id, map.value_type_id) = (None, None);
    }
    module
}

fn load(bench: &Bench, module: &Module, program: ProgramId) -> Loaded {
    let contents = match module.maps.iter().position(|m| m.name == "target") {
        Some(map) => {
            let entry = (0_u32.to_ne_bytes().to_vec(), 1_u32.to_ne_bytes().to_vec());
            BTreeMap::from([(MapId(map as u32), vec![entry])])
        }
        None => BTreeMap::new(),
    };
    let spec = LoadSpec {
        module,
        program,
        kind: XDP,
        attach_type: if module.name == "devmap_egress" { BPF_XDP_DEVMAP } else { BPF_XDP },
        binding: (module.name == "rx_hash").then_some(Binding::HostOnly(A)),
        pin_root: None,
        contents: &contents,
    };
    loader::load(&bench.kernel, &spec).unwrap_or_else(|e| panic!("{}: {e:?}", module.name))
}

/// Packets and bytes by verdict, summed over CPUs.
fn counters(bench: &Bench, loaded: &Loaded, map: MapId) -> [(u64, u64); 5] {
    let cpus = bench.kernel.possible_cpus().unwrap();
    std::array::from_fn(|verdict| {
        let key = (verdict as u32).to_ne_bytes();
        let len = cpus * count::VALUE_BYTES as usize;
        let value = bench.kernel.map_lookup(loaded.maps[&map].as_fd(), &key, len).unwrap().unwrap();
        let words: Vec<u64> =
            value.chunks(8).map(|w| u64::from_ne_bytes(w.try_into().unwrap())).collect();
        (words.iter().step_by(2).sum(), words.iter().skip(1).step_by(2).sum())
    })
}

fn compare(bench: &Bench, module: &Module, program: ProgramId, length: Length) {
    let name = &module.name;
    if name == "rx_hash" && !runs(6, 3) {
        return; // Programs are bound to devices since then.
    }
    let counted = count::apply_with(module, program, length).unwrap();
    let plain = load(bench, module, program);
    let counting = load(bench, &counted.module, counted.program);
    // BPF_PROG_TEST_RUN takes neither programs for devmaps nor programs bound to a device.
    if matches!(name.as_str(), "devmap_egress" | "rx_hash") {
        return;
    }
    let mut frames = frames();
    if module.program(program).frags {
        frames.push(vec![0x55; 6000]);
    }
    let mut expected = [(0, 0); 5];
    for frame in &frames {
        let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
        let without = bench.kernel.test_run(plain.program.as_fd(), &spec).unwrap();
        let with = bench.kernel.test_run(counting.program.as_fd(), &spec).unwrap();
        assert_eq!(with.verdict, without.verdict, "{name}: verdict on {frame:02x?}");
        assert_eq!(with.data, without.data, "{name}: what becomes of {frame:02x?}");
        let (packets, bytes) = &mut expected[without.verdict as usize];
        *packets += 1;
        *bytes += frame.len() as u64;
    }
    assert_eq!(counters(bench, &counting, counted.counters), expected, "{name}");
}

#[test]
fn counting_changes_nothing_but_the_counters() {
    let Some(bench) = Bench::new("counting_changes_nothing_but_the_counters") else { return };
    for prebuilt in programs::LIST {
        let (module, program) = module(&bench, prebuilt);
        compare(&bench, &module, program, Length::Difference);
        compare(&bench, &module, program, Length::Helper);
    }
}

#[test]
fn counting_works_without_btf() {
    let Some(bench) = Bench::new("counting_works_without_btf") else { return };
    // The last one needs BTF made for it: tail calls from a subprogram.
    for name in ["drop", "acl", "frags", "subprog", "tail_call"] {
        let (module, program) = module(&bench, programs::get(name).unwrap());
        compare(&bench, &without_btf(&module), program, Length::Difference);
    }
}

/// The verifier refuses the difference of pointers to those without `CAP_PERFMON`, not the helper.
#[test]
fn counting_can_do_without_perfmon() {
    let Some(bench) = Bench::new("counting_can_do_without_perfmon") else { return };
    let (module, program) = module(&bench, programs::get("acl").unwrap());
    let mut held = capabilities(None).unwrap();
    held.effective = CapabilitySet::BPF | CapabilitySet::NET_ADMIN;
    // Capabilities are a thread's own; this one ends with the test.
    set_capabilities(None, held).unwrap();
    compare(&bench, &module, program, Length::Helper);
    let counted = count::apply_with(&module, program, Length::Difference).unwrap();
    let spec = LoadSpec {
        module: &counted.module,
        program: counted.program,
        kind: XDP,
        attach_type: BPF_XDP,
        binding: None,
        pin_root: None,
        contents: &BTreeMap::new(),
    };
    let refused = format!("{:?}", loader::load(&bench.kernel, &spec).unwrap_err());
    assert!(refused.contains("pointer -= pointer prohibited"), "{refused}");
}
