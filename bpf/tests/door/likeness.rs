//! The fake kernel against the running one: the same orders must have the same outcomes.

use std::os::fd::{AsFd, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::{Expect, Fake, Kernel, KernelError, MapSpec, ProgramSpec, XdpMode};

use crate::bench::{A, B, Bench, exit, mov, runs, spec};

/// Loopback: an interface whose driver has no native XDP.
const LO: u32 = 1;

fn fake() -> Fake {
    let fake = Fake::new();
    let veth =
        |index, name| FakeInterface { max_mtu_bytes: 65535, ..FakeInterface::new(index, name) };
    fake.add_interface(veth(A, "a"));
    fake.add_interface(veth(B, "b"));
    fake.add_interface(FakeInterface { native: false, ..FakeInterface::new(LO, "lo") });
    fake
}

/// An outcome as it is compared: errors in full.
fn told<T: std::fmt::Debug>(outcome: Result<T, KernelError>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

fn attaching(kernel: &dyn Kernel) -> Vec<String> {
    let code: [Insn; 2] = [mov(0, 2), exit()];
    let load = |name| kernel.load_program(&spec(name, &code)).unwrap();
    let (one, two) = (load("one"), load("two"));
    let mut told_all = Vec::new();
    let mut links = Vec::new();
    let modes = [XdpMode::Native, XdpMode::Generic, XdpMode::Hardware];
    // Every pair of a first and a second attach, each by either way, and what becomes of the first.
    for interface in [A, LO] {
        for first_mode in modes {
            for second_mode in modes {
                for by_link in [(true, true), (true, false), (false, true), (false, false)] {
                    let mut attach = |by_link, mode, program: &OwnedFd, expect| {
                        let program = program.as_fd();
                        let outcome = if by_link {
                            kernel.link_xdp(program, interface, mode).map(|l| links.push(l))
                        } else {
                            kernel
                                .netlink_xdp(interface, Some(program), Some(mode), expect)
                                .map(drop)
                        };
                        told_all.push(format!(
                            "{interface} {first_mode:?} {second_mode:?} {by_link}: {}",
                            told(outcome)
                        ));
                    };
                    attach(by_link.0, first_mode, &one, Expect::Empty);
                    attach(by_link.1, second_mode, &two, Expect::Empty);
                    attach(false, second_mode, &two, Expect::Program(two.as_fd()));
                    attach(false, second_mode, &two, Expect::Program(one.as_fd()));
                    let slots = kernel.query_xdp(interface).unwrap();
                    let held = modes.map(|mode| slots.of(mode).is_some());
                    let off = kernel.netlink_xdp(interface, None, None, Expect::Anything);
                    told_all.push(format!("{held:?}, off: {}", told(off)));
                    // Closing is not enough: a test that starts a process has a copy for a moment.
                    for link in links.drain(..) {
                        kernel.link_detach(link.as_fd()).unwrap();
                    }
                    for mode in modes {
                        drop(kernel.netlink_xdp(interface, None, Some(mode), Expect::Anything));
                    }
                    let slots = kernel.query_xdp(interface).unwrap();
                    assert_eq!(modes.map(|mode| slots.of(mode)), [None; 3]);
                }
            }
        }
    }
    told_all
}

fn linking(kernel: &dyn Kernel) -> Vec<String> {
    let code: [Insn; 2] = [mov(0, 2), exit()];
    let load = |spec: &ProgramSpec<'_>| kernel.load_program(spec).unwrap();
    let (one, two) = (load(&spec("one", &code)), load(&spec("two", &code)));
    let devmap = load(&ProgramSpec { expected_attach_type: 33, ..spec("devmap", &code) });
    let other = load(&ProgramSpec { kind: 3, expected_attach_type: 0, ..spec("cls", &code) });
    let link = kernel.link_xdp(one.as_fd(), A, XdpMode::Native).unwrap();
    let swap = |new: &OwnedFd, old: &OwnedFd| {
        // Names of links hold their ids, which differ.
        kernel.link_update(link.as_fd(), new.as_fd(), old.as_fd()).map_err(|e| (e.errno, e.message))
    };
    let held = || kernel.link_info(link.as_fd()).unwrap().ifindex;
    let slots = || kernel.query_xdp(A).unwrap().native.is_some();
    let path = kernel.bpffs("hoist-likeness").unwrap().join("link");
    let told_all = vec![
        format!("{:?}", swap(&two, &two)),
        format!("{:?}", swap(&two, &one)),
        format!("{:?}", swap(&two, &two)),
        format!("{:?}", swap(&devmap, &two)),
        format!("{:?}", swap(&other, &two)),
        told(kernel.link_xdp(devmap.as_fd(), B, XdpMode::Native).map(drop)),
        told(kernel.link_xdp(other.as_fd(), B, XdpMode::Native).map(drop)),
        told(kernel.link_xdp(one.as_fd(), 4711, XdpMode::Native).map(drop)),
        format!("{} {}", held(), slots()),
        format!("{:?}", kernel.pin(link.as_fd(), &path).is_ok()),
        format!("{:?}", kernel.get_pinned(&path).unwrap().is_some()),
        format!("{:?}", kernel.link_detach(link.as_fd()).is_ok()),
        format!("{} {}", held(), slots()),
        format!("{:?}", swap(&one, &two)),
        format!("{:?}", kernel.link_detach(link.as_fd()).is_ok()),
        format!("{:?}", kernel.unpin(&path).is_ok()),
        format!("{:?}", kernel.get_pinned(&path).unwrap().is_some()),
    ];
    kernel.remove_directory(path.parent().unwrap()).unwrap();
    told_all
}

fn mapping(kernel: &dyn Kernel) -> Vec<String> {
    let mut told_all = Vec::new();
    let cpus = kernel.possible_cpus().unwrap();
    // Kind, key size, value size, flags.
    let kinds =
        [(1, 4, 8, 0), (2, 4, 8, 0), (5, 4, 8, 0), (6, 4, 8, 0), (9, 4, 8, 0), (11, 8, 8, 1)];
    for (kind, key_size, value_size, flags) in kinds {
        let name = format!("kind{kind}");
        let map = kernel.create_map(&MapSpec {
            name,
            kind,
            key_size,
            value_size,
            max_entries: 2,
            flags,
            ..Default::default()
        });
        let map = map.unwrap();
        let map = map.as_fd();
        let whole = if [5, 6].contains(&kind) { 8 * cpus } else { 8 };
        let value = vec![7; whole];
        let key = |i: u32| match kind {
            11 => [(8 * i).to_ne_bytes(), [10, 0, 0, 0]].concat(),
            _ => i.to_ne_bytes().to_vec(),
        };
        let short = |found: Option<Vec<u8>>| found.map(|value| value[..8].to_vec());
        let mut tell =
            |what: &str, outcome: String| told_all.push(format!("{kind} {what}: {outcome}"));
        tell("absent", told(kernel.map_lookup(map, &key(0), whole).map(short)));
        for (i, flags) in [(0, 2), (0, 1), (0, 1), (0, 0), (1, 0), (0, 3)] {
            tell("update", told(kernel.map_update(map, &key(i), &value, flags)));
        }
        tell("first", told(kernel.map_lookup(map, &key(1), whole).map(short)));
        if kind != 9 {
            // The kernel's LRU map evicts earlier than at its size.
            tell("full", told(kernel.map_update(map, &key(2), &value, 0)));
            tell("outside", told(kernel.map_lookup(map, &key(3), whole).map(short)));
            let entries = kernel.map_entries(map, key_size as usize, whole);
            let mut entries = entries.unwrap();
            entries.iter_mut().for_each(|entry| entry.1.truncate(8));
            entries.sort();
            tell("entries", format!("{entries:?}"));
        }
        tell("delete", told(kernel.map_delete(map, &key(1))));
        tell("again", told(kernel.map_delete(map, &key(1))));
        tell("freeze", told(kernel.map_freeze(map)));
        tell("again", told(kernel.map_freeze(map)));
        tell("frozen", told(kernel.map_update(map, &key(0), &value, 0)));
        tell("frozen", told(kernel.map_delete(map, &key(0))));
    }
    let bad =
        [(1, 0, 8, 2, 0), (1, 4, 8, 0, 0), (2, 8, 8, 2, 0), (11, 8, 8, 2, 0), (11, 4, 8, 2, 1)];
    for (kind, key_size, value_size, max_entries, flags) in bad {
        let name = format!("bad{kind}");
        let spec =
            MapSpec { name, kind, key_size, value_size, max_entries, flags, ..Default::default() };
        told_all.push(told(kernel.create_map(&spec).map(drop)));
    }
    told_all
}

/// Whether this is a difference between the kernel that the fake is like and older ones: these look
/// for the driver's support before they look into the other mode's slot, have no tracepoint, and find
/// a map busy that is frozen twice.
fn is_of_old(real: &str, imagined: &str) -> bool {
    const OTHER_ORDER: [&str; 2] = [
        "Underlying driver does not support XDP in native mode (EOPNOTSUPP)",
        "Native and generic XDP can't be active at the same time (EEXIST)",
    ];
    const REPLAYED: [&str; 2] =
        ["XDP program already attached", "Can't replace active XDP program with BPF link"];
    const FROZEN: [&str; 2] =
        ["Device or resource busy (EBUSY)", "Operation not permitted (EPERM)"];
    let differ = |[old, new]: [&str; 2]| real.replace(old, new) == imagined;
    let frozen = real.contains("BPF_MAP_FREEZE") && differ(FROZEN);
    (!runs(6, 18) && differ(OTHER_ORDER))
        || (!runs(6, 12) && frozen)
        || (!runs(6, 6) && differ(REPLAYED))
}

#[test]
fn the_fake_does_as_the_kernel_does() {
    let Some(bench) = Bench::new("the_fake_does_as_the_kernel_does") else { return };
    for scenario in [mapping, attaching, linking] {
        let (real, imagined) = (scenario(&bench.kernel), scenario(&fake()));
        assert_eq!(real.len(), imagined.len());
        let differing: Vec<_> =
            real.iter().zip(&imagined).filter(|(r, f)| r != f && !is_of_old(r, f)).collect();
        assert!(differing.is_empty(), "{} differ (kernel, fake): {differing:#?}", differing.len());
    }
}
