//! What kernel and driver say of a program's own instructions and maps when it is loaded for a NIC, and
//! where such a program cannot go.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::kernel::{KernelError, MapSpec, ObjectKind, ProgramSpec};
use hoist_hwtests::require;

use crate::support::{Nic, PASS, XDP, kernel, program};

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PROG_ARRAY: u32 = 3;
const CPUMAP: u32 = 16;
const BOUND_ONLY: u32 = 1 << 6;
const EINVAL: i32 = 22;
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
const ENOMEM: i32 = 12;
/// `enum bpf_attach_type`.
const BPF_XDP_CPUMAP: u32 = 35;
const E2BIG: i32 = 7;

fn map(kind: u32, ifindex: u32) -> MapSpec<'static> {
    let name = "trial".to_owned();
    MapSpec {
        name,
        kind,
        key_size: 4,
        value_size: 8,
        max_entries: 2,
        ifindex,
        ..MapSpec::default()
    }
}

fn with(first: &[Insn]) -> Vec<Insn> {
    [first, &PASS].concat()
}

#[track_caller]
fn refused(what: &str, outcome: Result<OwnedFd, KernelError>, words: &str) {
    let error = outcome.expect_err(what);
    let log = error.log.clone().unwrap_or_default();
    assert!(log.contains(words), "{what}: {error}\n{log}");
}

#[test]
fn instructions_are_judged_by_where_they_run() {
    if !require::netdevsim("instructions_are_judged_by_where_they_run") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let load =
        |flags, ifindex, insns: &[Insn]| kernel.load_program(&program(XDP, flags, ifindex, insns));
    // The receive hash, by its function in the kernel.
    let types = Btf::parse((*kernel.kernel_btf().unwrap().unwrap()).as_ref()).unwrap();
    let hash = types.find("bpf_xdp_metadata_rx_hash", Kind::Func).unwrap().id();
    let kfunc = with(&[Insn::new(0x85, 0, 2, 0, hash.cast_signed())]);
    refused("a kfunc in a NIC", load(0, ifindex, &kfunc), "metadata kfuncs can't be offloaded");
    let host = load(0, 0, &kfunc);
    refused("a kfunc nowhere", host, "metadata kfuncs require device-bound program");

    // The address of a value: how C's globals are reached.
    let in_nic = kernel.create_map(&map(ARRAY, ifindex)).unwrap();
    let fd = in_nic.as_raw_fd();
    let globals = with(&[Insn::new(0x18, 1, 2, 0, fd), Insn::new(0, 0, 0, 0, 0)]);
    let words = "no direct value access support for this map type";
    refused("global data", load(0, ifindex, &globals), words);

    // *(u32 *)(ctx + 16) = 0: the queue that the NIC puts the frame into.
    let queue = with(&[Insn::new(0x62, 1, 0, 16, 0)]);
    load(0, ifindex, &queue).unwrap();
    refused("the queue, on the host", load(0, 0, &queue), "invalid bpf_context access");

    // Nowhere but at its hook: no tail calls, and not with the entries of other maps.
    let tails = kernel.create_map(&MapSpec { value_size: 4, ..map(PROG_ARRAY, 0) }).unwrap();
    let cpus = kernel.create_map(&map(CPUMAP, 0)).unwrap();
    let entry = |flags, ifindex| {
        let spec = ProgramSpec {
            expected_attach_type: BPF_XDP_CPUMAP,
            ..program(XDP, flags, ifindex, &PASS)
        };
        kernel.load_program(&spec).unwrap()
    };
    for (flags, ifindex, taken) in [(0, ifindex, false), (BOUND_ONLY, ifindex, false), (0, 0, true)]
    {
        let tail = load(flags, ifindex, &PASS).unwrap();
        let of_cpu = entry(flags, ifindex);
        let queue = [192_u32.to_ne_bytes(), of_cpu.as_raw_fd().to_ne_bytes()].concat();
        let outcomes = [
            kernel.map_update(tails.as_fd(), &[0; 4], &tail.as_raw_fd().to_ne_bytes(), 0),
            kernel.map_update(cpus.as_fd(), &[0; 4], &queue, 0),
        ];
        let errors = outcomes.map(|outcome| outcome.err().map(|error| error.errno));
        // `cpu_map_update_elem` has no other number for an entry that could not be made.
        let expected = if taken { [None, None] } else { [Some(EINVAL), Some(ENOMEM)] };
        assert_eq!(errors, expected, "{flags} {ifindex}");
    }
    drop(in_nic);
    nic.empty();
}

/// One type, `int`, as `BPF_BTF_LOAD` takes it.
fn int_type() -> Vec<u8> {
    let words: [u32; 6] = [0x0001_eb9f, 24, 0, 16, 16, 5];
    let int: [u32; 4] = [1, 1 << 24, 4, 32];
    let mut bytes: Vec<u8> = words.iter().chain(&int).flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend(b"\0int\0");
    bytes
}

#[test]
fn maps_in_a_nic_keep_the_rules_of_maps() {
    if !require::netdevsim("maps_in_a_nic_keep_the_rules_of_maps") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let hash = kernel.create_map(&map(HASH, ifindex)).unwrap();
    let map_fd = hash.as_fd();
    let key = |n: u32| n.to_ne_bytes();
    let put =
        |n: u32, flags| kernel.map_update(map_fd, &key(n), &[7; 8], flags).map_err(|e| e.errno);
    const NOEXIST: u64 = 1;
    const EXIST: u64 = 2;
    const LOCK: u64 = 4;
    assert_eq!(put(1, EXIST), Err(ENOENT));
    assert_eq!(put(1, NOEXIST), Ok(()));
    assert_eq!(put(1, NOEXIST), Err(EEXIST));
    assert_eq!(put(1, EXIST), Ok(()));
    assert_eq!(put(1, LOCK), Err(EINVAL));
    assert_eq!(put(1, 3), Err(EINVAL));
    assert_eq!(put(2, 0), Ok(()));
    if !require::netdevsim_is_card() {
        assert_eq!(put(3, 0), Err(E2BIG));
    }
    // A key that is not there begins anew.
    let next = |n: Option<u32>| {
        let key = n.map(key);
        kernel.map_next_key(map_fd, key.as_ref().map(<[u8; 4]>::as_slice), 4).unwrap()
    };
    let first = next(None).unwrap();
    assert_eq!(next(Some(77)), Some(first.clone()));
    let second = next(Some(u32::from_ne_bytes(first.as_slice().try_into().unwrap()))).unwrap();
    assert_eq!(next(Some(u32::from_ne_bytes(second.as_slice().try_into().unwrap()))), None);
    // Where there are no batches, entries are written one by one.
    let entries = [(key(1).to_vec(), vec![1; 8]), (key(2).to_vec(), vec![2; 8])];
    kernel.map_update_entries(map_fd, &entries).unwrap();
    let mut all = kernel.map_entries(map_fd, 4, 8).unwrap();
    all.sort();
    assert_eq!(all, entries);
    // Types are refused (`map_check_no_btf`), and done without.
    let btf = kernel.load_btf(&int_type()).unwrap();
    let typed = MapSpec { value_size: 4, btf: Some((btf.as_fd(), 1, 1)), ..map(ARRAY, ifindex) };
    let made = kernel.create_map(&typed).unwrap();
    let info = kernel.map_info(made.as_fd()).unwrap();
    assert_eq!((info.ifindex, info.btf_id), (ifindex, 0));
    let at_host = MapSpec { ifindex: 0, ..typed };
    let at_host = kernel.create_map(&at_host).unwrap();
    assert_ne!(kernel.map_info(at_host.as_fd()).unwrap().btf_id, 0);
    // Gone with the last descriptor.
    let id = kernel.map_info(map_fd).unwrap().id;
    drop((hash, made));
    crate::support::until("the map to go", || !kernel.ids(ObjectKind::Map).unwrap().contains(&id));
}
