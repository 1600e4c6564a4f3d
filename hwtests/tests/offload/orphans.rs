//! What is left of programs and maps when their NIC goes, and NICs that go while something is made or
//! attached (`__bpf_prog_offload_destroy`, `__bpf_map_offload_destroy`, kernel/bpf/offload.c).

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use hoist_bpf::kernel::{Expect, Kernel, MapSpec, ObjectKind, TestRunSpec, XdpMode};
use hoist_hwtests::require;
use hoist_offload::EngineKind;

use crate::support::{Nic, PASS, XDP, attach, job, kernel, only, program, refusal};

const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOLINK: i32 = 67;
const ENOTSUPP: i32 = 524;
const BOUND_ONLY: u32 = 1 << 6;

fn map(ifindex: u32) -> MapSpec<'static> {
    MapSpec {
        name: "orphan".to_owned(),
        kind: 1,
        key_size: 4,
        value_size: 8,
        max_entries: 2,
        ifindex,
        ..MapSpec::default()
    }
}

/// Pins and takes off again.
fn pins(kernel: &dyn Kernel, object: &impl AsFd, at: &Path) {
    kernel.pin(object.as_fd(), at).unwrap();
    assert!(kernel.get_pinned(at).unwrap().is_some());
    kernel.unpin(at).unwrap();
}

#[test]
fn orphans_can_be_held_and_named_and_nothing_else() {
    if !require::netdevsim("orphans_can_be_held_and_named_and_nothing_else") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let ifindex = nic.device().ifindex;
    let load = |flags| kernel.load_program(&program(XDP, flags, ifindex, &PASS)).unwrap();
    let (orphan, next, bound_only) = (load(0), load(0), load(BOUND_ONLY));
    let map = kernel.create_map(&map(ifindex)).unwrap();
    let id = kernel.program_info(orphan.as_fd()).unwrap().id;
    let map_id = kernel.map_info(map.as_fd()).unwrap().id;
    let link = kernel.link_xdp(orphan.as_fd(), ifindex, XdpMode::Hardware).unwrap();
    nic.unplug();
    // The same NIC once more is another NIC.
    let again = Nic::beside(1);
    let there = again.device().ifindex;

    let info = kernel.program_info(orphan.as_fd()).unwrap_err();
    assert_eq!(info.errno, ENODEV, "{info}");
    let run = TestRunSpec { data: &[0; 64], repeat: 1, ..TestRunSpec::default() };
    let ran = kernel.test_run(orphan.as_fd(), &run).unwrap_err();
    assert_eq!(ran.errno, ENOTSUPP, "{ran}");
    for (program, mode) in [(&orphan, XdpMode::Hardware), (&bound_only, XdpMode::Native)] {
        let set = kernel.netlink_xdp(there, Some(program.as_fd()), Some(mode), Expect::Anything);
        let error = set.unwrap_err();
        let words = "Program bound to different device";
        assert_eq!((error.errno, error.message.as_deref()), (EINVAL, Some(words)));
    }
    // One that runs on the host keeps what it says of itself.
    kernel.program_info(bound_only.as_fd()).unwrap();
    let swapped = kernel.link_update(link.as_fd(), next.as_fd(), orphan.as_fd()).unwrap_err();
    assert_eq!(swapped.errno, ENOLINK, "{swapped}");
    assert!(kernel.open(ObjectKind::Program, id).unwrap().is_some(), "its id is kept");
    assert!(kernel.ids(ObjectKind::Program).unwrap().contains(&id));
    assert!(kernel.open(ObjectKind::Map, map_id).unwrap().is_none(), "a map's id is free again");
    assert!(!kernel.ids(ObjectKind::Map).unwrap().contains(&map_id));

    let key = [0; 4];
    let outcomes = [
        ("lookup", kernel.map_lookup(map.as_fd(), &key, 8).map(drop)),
        ("update", kernel.map_update(map.as_fd(), &key, &[0; 8], 0)),
        ("delete", kernel.map_delete(map.as_fd(), &key).map(drop)),
        ("next key", kernel.map_next_key(map.as_fd(), None, 4).map(drop)),
        ("entries", kernel.map_entries(map.as_fd(), 4, 8).map(drop)),
        ("many", kernel.map_update_entries(map.as_fd(), &[(key.to_vec(), vec![0; 8])])),
        ("info", kernel.map_info(map.as_fd()).map(drop)),
    ];
    for (what, outcome) in outcomes {
        let error = outcome.expect_err(what);
        assert_eq!(error.errno, ENODEV, "{what}: {error}");
    }
    let root = kernel.bpffs("hoist-orphans").unwrap();
    pins(&*kernel, &orphan, &root.join("program"));
    pins(&*kernel, &map, &root.join("map"));
    drop((link, orphan, next, bound_only, map));
    again.empty();
    assert!(!kernel.ids(ObjectKind::Program).unwrap().contains(&id));
}

/// At any moment while maps are made: each is made or refused, and none stays.
#[test]
fn a_nic_may_go_while_maps_are_made() {
    if !require::netdevsim("a_nic_may_go_while_maps_are_made") {
        return;
    }
    let turn = Nic::new(1);
    let kernel = kernel();
    let before = kernel.ids(ObjectKind::Map).unwrap().len();
    for round in 0..10 {
        let nic = Nic::beside(1);
        let ifindex = nic.device().ifindex;
        let made = std::thread::scope(|scope| {
            let making = scope.spawn(|| {
                let mut made = Vec::new();
                loop {
                    match kernel.create_map(&map(ifindex)) {
                        Ok(map) => made.push(map),
                        Err(error) => return (made, error),
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(round));
            nic.unplug();
            making.join().unwrap()
        });
        let (maps, error) = made;
        assert!([EINVAL, ENODEV].contains(&error.errno), "{round}: {error}");
        for map in &maps {
            assert_eq!(kernel.map_info(map.as_fd()).unwrap_err().errno, ENODEV);
        }
        drop(maps);
    }
    let left = || kernel.ids(ObjectKind::Map).unwrap().len();
    crate::support::until("the maps to go", || left() <= before);
    drop(turn);
}

/// At any moment while `hoist run` attaches: an error that says so, or a program that is gone with its NIC.
#[test]
fn a_nic_may_go_while_a_program_is_attached() {
    if !require::netdevsim("a_nic_may_go_while_a_program_is_attached") {
        return;
    }
    let turn = Nic::new(1);
    let kernel = kernel();
    let before = kernel.ids(ObjectKind::Program).unwrap().len();
    for round in 0..12 {
        let nic = Nic::beside(1);
        let device = nic.device();
        let job = job("globals");
        let outcome = std::thread::scope(|scope| {
            let attaching = scope.spawn(|| attach(&device, &job, &only(EngineKind::Hw)));
            std::thread::sleep(Duration::from_millis(round * 3));
            nic.unplug();
            attaching.join().unwrap()
        });
        match outcome {
            Ok((_, attached)) => {
                let gone = attached.effective().unwrap_err().to_string();
                assert!(gone.contains("is gone"), "{round}: {gone}");
                attached.detach().unwrap();
            }
            Err(error) => {
                let (codes, words) = refusal(Err::<(), _>(error));
                let told = words.contains("is gone")
                    || words.contains("ENODEV")
                    || words.contains("has gone");
                assert!(told, "{round}: {codes:?}: {words}");
            }
        }
    }
    let left = || kernel.ids(ObjectKind::Program).unwrap().len();
    crate::support::until("the programs to go", || left() <= before);
    drop(turn);
}
