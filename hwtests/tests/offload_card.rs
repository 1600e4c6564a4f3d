//! The simulated card itself: each knob refuses what it says, with the words and the error number of
//! a real driver, and nothing that it takes is lost. Runs in the netdevsim machine of tests/vm.rs.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel as _, KernelError, Linux, MapSpec, ProgramSpec};
use hoist_hwtests::{require, wait};

/// `enum bpf_map_type`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_HASH: u32 = 5;

/// Error numbers.
const NO_MEMORY: i32 = 12;
const INVALID: i32 = 22;
const TOO_BIG: i32 = 7;
const NOT_SUPPORTED: i32 = 95;

const BUS: &str = "/sys/bus/netdevsim";

/// A device with one port, of this test's own.
struct Card {
    id: u32,
    ifindex: u32,
    kernel: Linux,
}

impl Card {
    fn new() -> Self {
        let id = 7000;
        fs::write(format!("{BUS}/new_device"), format!("{id} 1")).unwrap();
        let net = PathBuf::from(format!("{BUS}/devices/netdevsim{id}/net"));
        let port = || fs::read_dir(&net).ok()?.next()?.ok();
        assert!(wait::until(wait::PATIENCE, || port().is_some()), "no interface");
        let index = fs::read_to_string(port().unwrap().path().join("ifindex")).unwrap();
        Self { id, ifindex: index.trim().parse().unwrap(), kernel: Linux::new().unwrap() }
    }

    fn knob(&self, name: &str) -> PathBuf {
        let folder = format!("/sys/kernel/debug/netdevsim/netdevsim{}/card", self.id);
        Path::new(&folder).join(name)
    }

    fn set(&self, name: &str, value: &str) {
        fs::write(self.knob(name), value).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.knob(name)).unwrap().trim().to_owned()
    }

    fn map(&self, kind: u32, key: u32, value: u32, entries: u32) -> Result<OwnedFd, KernelError> {
        self.kernel.create_map(&MapSpec {
            name: "m".to_owned(),
            kind,
            key_size: key,
            value_size: value,
            max_entries: entries,
            ifindex: self.ifindex,
            ..MapSpec::default()
        })
    }

    fn load(&self, insns: &[Insn]) -> Result<OwnedFd, KernelError> {
        self.kernel.load_program(&ProgramSpec {
            name: "p".to_owned(),
            kind: 6,
            insns,
            license: "GPL".to_owned(),
            ifindex: self.ifindex,
            log_level: 2,
            log_bytes: 4096,
            ..ProgramSpec::default()
        })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // A test that fails must not fail once more.
        let _ = fs::write(format!("{BUS}/del_device"), self.id.to_string());
    }
}

/// What the kernel's log says since the last call.
fn messages() -> String {
    let output = std::process::Command::new("dmesg").arg("-c").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `r0 = 1; exit`: drop.
fn drop_all() -> [Insn; 2] {
    [Insn::new(0xb7, 0, 0, 0, 1), Insn::new(0x95, 0, 0, 0, 0)]
}

#[test]
fn programs_are_refused_as_the_knobs_say() {
    if !require::netdevsim_card("programs_are_refused_as_the_knobs_say") {
        return;
    }
    let card = Card::new();
    let random = [Insn::new(0x85, 0, 0, 0, 7), Insn::new(0xb7, 0, 0, 0, 1), drop_all()[1]];
    // r0 = 1; *(u64 *)(r10 - 128) = r0; exit
    let stack = [drop_all()[0], Insn::new(0x7b, 10, 0, -128, 0), drop_all()[1]];
    for (program, knob, value, open, errno, text, in_log) in [
        (
            &random[..],
            "helpers_refused",
            "7",
            "\n",
            NOT_SUPPORTED,
            "unsupported function id: 7",
            true,
        ),
        (&random, "opcodes_refused", "183", "\n", INVALID, "instruction 0xb7 not supported", true),
        (&stack, "stack_max", "64", "4096", NOT_SUPPORTED, "program 128B > FW stack 64B", true),
        (&random, "insns_max", "2", "4096", INVALID, "instruction limit reached (2 NFP", false),
        (
            &random,
            "translate_accept",
            "N",
            "Y",
            INVALID,
            "Translation failed with error -95",
            false,
        ),
    ] {
        card.load(program).unwrap();
        drop(messages());
        card.set(knob, value);
        let error = card.load(program).unwrap_err();
        card.set(knob, open);
        assert_eq!(error.errno, errno, "{knob}: {error}");
        let log = error.log.unwrap_or_default();
        assert_eq!(log.contains(text), in_log, "{knob}, log: {log}");
        let said = messages();
        assert_eq!(said.contains(text), !in_log, "{knob}, kernel: {said}");
        card.load(program).unwrap();
    }
}

#[test]
fn maps_are_refused_as_the_knobs_say() {
    if !require::netdevsim_card("maps_are_refused_as_the_knobs_say") {
        return;
    }
    let card = Card::new();
    for (knob, value, open, kind, errno, text) in [
        ("map_types", "1", "1-2", ARRAY, NOT_SUPPORTED, "map type not supported"),
        ("map_key_max", "3", "64", HASH, NO_MEMORY, "map key size 4, FW max is 3"),
        ("map_value_max", "15", "64", HASH, NO_MEMORY, "map value size 16, FW max is 15"),
        ("map_element_max", "23", "99", HASH, NO_MEMORY, "elements too large: 24"),
        ("map_entries_max", "9", "99", HASH, NO_MEMORY, "too many elements: 10, left: 9"),
        ("map_entries_left", "9", "99", ARRAY, NO_MEMORY, "too many elements: 10, left: 9"),
        ("maps_max", "0", "9", ARRAY, NO_MEMORY, "too many maps for a device"),
    ] {
        drop(messages());
        card.set(knob, value);
        let error = card.map(kind, 4, 16, 10).unwrap_err();
        card.set(knob, open);
        assert_eq!(error.errno, errno, "{knob}: {error}");
        let said = messages();
        assert!(said.contains(text), "{knob}, kernel: {said}");
        drop(card.map(kind, 4, 16, 10).unwrap());
    }
    assert!(card.map(PERCPU_HASH, 4, 16, 10).is_err());
    assert!(wait::until(wait::PATIENCE, || card.get("maps") == "0"), "{} maps", card.get("maps"));
    assert_eq!(card.get("map_entries_left"), "99");
}

/// A real card's driver takes atomic additions to map values and no other stores.
#[test]
fn stores_to_map_values_are_refused_as_the_knob_says() {
    if !require::netdevsim_card("stores_to_map_values_are_refused_as_the_knob_says") {
        return;
    }
    let card = Card::new();
    let map = card.map(ARRAY, 4, 8, 1).unwrap();
    // r0 = lookup(map, &0); if r0: *(u64 *)r0 = 1, or an atomic addition of r6.
    let program = |store| {
        [
            Insn::new(0xb7, 6, 0, 0, 1),
            Insn::new(0x62, 10, 0, -4, 0),
            Insn::new(0xbf, 2, 10, 0, 0),
            Insn::new(0x07, 2, 0, 0, -4),
            Insn::new(0x18, 1, 1, 0, map.as_raw_fd()),
            Insn::new(0, 0, 0, 0, 0),
            Insn::new(0x85, 0, 0, 0, 1),
            Insn::new(0x15, 0, 0, 1, 0),
            store,
            Insn::new(0xb7, 0, 0, 0, 2),
            Insn::new(0x95, 0, 0, 0, 0),
        ]
    };
    let (store, atomic) = (Insn::new(0x7a, 0, 0, 0, 1), Insn::new(0xdb, 0, 6, 0, 0));
    for (accept, insn, taken) in
        [("Y", store, true), ("N", store, false), ("N", atomic, true), ("Y", atomic, true)]
    {
        card.set("map_store_accept", accept);
        match card.load(&program(insn)) {
            Ok(_) => assert!(taken, "{accept}: {insn:?}"),
            Err(error) => {
                assert_eq!((taken, error.errno), (false, NOT_SUPPORTED), "{accept}: {error}");
                let log = error.log.unwrap_or_default();
                assert!(log.contains("[netdevsim] map writes not supported"), "{log}");
            }
        }
    }
}

/// A hash map is compared with one of the standard library's over many operations.
#[test]
fn large_maps_keep_what_they_are_given() {
    if !require::netdevsim_card("large_maps_keep_what_they_are_given") {
        return;
    }
    const ENTRIES: u32 = 500;
    let card = Card::new();
    let map = card.map(HASH, 4, 8, ENTRIES).unwrap();
    let mut model = std::collections::BTreeMap::new();
    let mut random = 1_u32;
    for round in 0..4000_u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let key = (random >> 16) % 700;
        let bytes = key.to_ne_bytes();
        if random & 0x300 == 0 {
            let deleted = card.kernel.map_delete(map.as_fd(), &bytes).unwrap();
            assert_eq!(deleted, model.remove(&key).is_some());
            continue;
        }
        let value = u64::from(round).to_ne_bytes();
        match card.kernel.map_update(map.as_fd(), &bytes, &value, 0) {
            Ok(()) => drop(model.insert(key, value.to_vec())),
            Err(error) => {
                assert_eq!(error.errno, TOO_BIG, "{error}");
                assert!(model.len() == ENTRIES as usize && !model.contains_key(&key));
            }
        }
    }
    let mut found = std::collections::BTreeMap::new();
    let mut key: Option<Vec<u8>> = None;
    while let Some(next) = card.kernel.map_next_key(map.as_fd(), key.as_deref(), 4).unwrap() {
        let value = card.kernel.map_lookup(map.as_fd(), &next, 8).unwrap().unwrap();
        let number = u32::from_ne_bytes(next[..].try_into().unwrap());
        assert_eq!(found.insert(number, value), None, "{number} twice");
        key = Some(next);
    }
    assert_eq!(found, model);
}
