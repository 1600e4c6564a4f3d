use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::errno::*;
use super::*;
use crate::kernel::{Kernel, MapSpec, ObjectKind};

const DROP: [Insn; 2] = [Insn::new(0xb7, 0, 0, 0, 1), Insn::new(0x95, 0, 0, 0, 0)];

fn spec<'a>(name: &str, insns: &'a [Insn]) -> ProgramSpec<'a> {
    let (name, license) = (name.to_owned(), "GPL".to_owned());
    ProgramSpec { name, license, kind: 6, expected_attach_type: 37, insns, ..Default::default() }
}

fn fake() -> (Fake, OwnedFd) {
    let fake = Fake::new();
    fake.add_interface(FakeInterface::new(3, "eth0"));
    let program = fake.load_program(&spec("drop", &DROP)).unwrap();
    (fake, program)
}

#[test]
fn a_link_detaches_with_its_last_holder() {
    let (fake, program) = fake();
    let id = fake.program_info(program.as_fd()).unwrap().id;
    let link = fake.link_xdp(program.as_fd(), 3, XdpMode::Native).unwrap();
    drop(program);
    let copy = link.try_clone().unwrap();
    drop(link);
    assert_eq!(fake.slots(3).native, Some(id));
    let path = fake.bpffs("hoist").unwrap().join("link");
    fake.pin(copy.as_fd(), &path).unwrap();
    drop(copy);
    assert_eq!(fake.slots(3).native, Some(id), "a pin holds");
    assert_eq!(fake.ids(ObjectKind::Program).unwrap(), [id], "a link holds its program");
    fake.unpin(&path).unwrap();
    assert_eq!(fake.slots(3), XdpSlots::default());
    assert!(fake.ids(ObjectKind::Program).unwrap().is_empty());
    let link_id = id + 1;
    let expected = [
        Event::Loaded { name: "drop".to_owned(), program: id },
        Event::Attached { ifindex: 3, mode: XdpMode::Native, program: id, link: Some(link_id) },
        Event::Pinned(path.clone()),
        Event::Unpinned(path),
        Event::Detached { ifindex: 3, mode: XdpMode::Native, program: id },
    ];
    assert_eq!(fake.journal(), expected);
}

#[test]
fn a_link_outlives_its_interface_as_a_wreck() {
    let (fake, program) = fake();
    let link = fake.link_xdp(program.as_fd(), 3, XdpMode::Generic).unwrap();
    fake.remove_interface(3);
    assert_eq!(fake.link_info(link.as_fd()).unwrap().ifindex, 0);
    let update = fake.link_update(link.as_fd(), program.as_fd(), program.as_fd());
    assert_eq!(update.unwrap_err().errno, ENOLINK);
}

#[test]
fn programs_hold_maps_and_maps_hold_programs() {
    let (fake, program) = fake();
    let array = |kind| MapSpec {
        name: "jumps".to_owned(),
        kind,
        key_size: 4,
        value_size: 4,
        max_entries: 2,
        ..Default::default()
    };
    let jumps = fake.create_map(&array(3)).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&program).to_ne_bytes();
    fake.map_update(jumps.as_fd(), &[0; 4], &number, 0).unwrap();
    let id = fake.program_info(program.as_fd()).unwrap().id;
    drop(program);
    let stored = fake.map_lookup(jumps.as_fd(), &[0; 4], 4).unwrap();
    assert_eq!(stored, Some(id.to_ne_bytes().to_vec()));
    let bad = fake.map_update(jumps.as_fd(), &[1, 0, 0, 0], &(-1_i32).to_ne_bytes(), 0);
    assert_eq!(bad.unwrap_err().errno, EBADF);

    let map_fd = std::os::fd::AsRawFd::as_raw_fd(&jumps);
    let code = [Insn::new(0x18, 1, 1, 0, map_fd), Insn::default(), DROP[0], DROP[1]];
    let user = fake.load_program(&spec("user", &code)).unwrap();
    let map_id = fake.map_info(jumps.as_fd()).unwrap().id;
    drop(jumps);
    assert_eq!(fake.program_info(user.as_fd()).unwrap().map_ids, [map_id]);
    assert_eq!(fake.ids(ObjectKind::Map).unwrap(), [map_id]);
    drop(user);
    assert!(fake.ids(ObjectKind::Map).unwrap().is_empty());
}

#[test]
fn failures_come_when_ordered() {
    let (fake, program) = fake();
    let busy = KernelError::new("BPF_LINK_CREATE", "XDP on eth0", EBUSY).saying("not now");
    fake.fail_next(busy.clone());
    assert_eq!(fake.link_xdp(program.as_fd(), 3, XdpMode::Native).unwrap_err(), busy);
    fake.link_xdp(program.as_fd(), 3, XdpMode::Native).unwrap();
    fake.verify_with(|spec| match spec.name.as_str() {
        "bad" => Err(KernelError::new("BPF_PROG_LOAD", "program bad", EINVAL)),
        _ => Ok(()),
    });
    assert!(fake.load_program(&spec("bad", &DROP)).is_err());
    assert!(fake.load_program(&spec("good", &DROP)).is_ok());
    let run = TestRunSpec { data: &[1; 14], repeat: 1, ..Default::default() };
    assert_eq!(fake.test_run(program.as_fd(), &run).unwrap().verdict, 1);
    fake.run_with(|_, _| Ok(TestRun { verdict: 3, ..Default::default() }));
    assert_eq!(fake.test_run(program.as_fd(), &run).unwrap().verdict, 3);
}

#[test]
fn rules_that_need_special_devices_and_programs() {
    let (fake, program) = fake();
    fake.add_interface(FakeInterface {
        card: Some(Card::default()),
        ..FakeInterface::new(4, "nic")
    });
    let refusal = Some((95, Some("driver says no".to_owned())));
    fake.add_interface(FakeInterface { native_refusal: refusal, ..FakeInterface::new(5, "old") });
    fake.add_interface(FakeInterface { upper: vec![3], ..FakeInterface::new(6, "port") });
    let load = |expected_attach_type, flags, ifindex| {
        let spec = ProgramSpec { expected_attach_type, flags, ifindex, ..spec("x", &DROP) };
        fake.load_program(&spec).unwrap()
    };
    let (devmap, offloaded, bound) = (load(33, 0, 0), load(37, 0, 4), load(37, 1 << 6, 4));
    let _below = fake.link_xdp(program.as_fd(), 3, XdpMode::Native).unwrap();
    let cases = [
        (&devmap, 4, XdpMode::Native, "BPF_XDP_DEVMAP programs can not be attached to a device"),
        (&offloaded, 4, XdpMode::Native, "Using offloaded program without HW_MODE flag"),
        (&bound, 5, XdpMode::Native, "Program bound to different device"),
        (&bound, 4, XdpMode::Generic, "Can't attach device-bound programs in generic mode"),
        (&program, 5, XdpMode::Native, "driver says no"),
        (&program, 6, XdpMode::Native, "Cannot attach when an upper device already has a program"),
        (&program, 9, XdpMode::Native, "No such device"),
    ];
    for (program, ifindex, mode, text) in cases {
        let error = fake.link_xdp(program.as_fd(), ifindex, mode).unwrap_err();
        assert!(error.to_string().contains(text), "{error} is not {text}");
    }
    // Slots in the NIC and in the host are independent.
    let _hardware = fake.link_xdp(offloaded.as_fd(), 4, XdpMode::Hardware).unwrap();
    let _native = fake.link_xdp(bound.as_fd(), 4, XdpMode::Native).unwrap();
    let slots = fake.slots(4);
    assert!(slots.hardware.is_some() && slots.native.is_some());
}

#[test]
fn settings_and_pins_keep_their_rules() {
    let (fake, program) = fake();
    fake.with_interface(3, |i| i.features.extend([("tso".to_owned(), (true, false))]));
    let errors = [
        (fake.set_mtu(3, 9001), "mtu greater than device maximum"),
        (fake.set_mtu(9, 1500), "No such device"),
        (fake.set_feature("eth0", "nonesuch", true), "bit name not found"),
        (fake.set_feature("eth0", "tso", false), "keeps this feature"),
        (fake.pin(program.as_fd(), Path::new("/sys/fs/bpf/none/x")), "No such file"),
        (fake.make_directory(Path::new("/sys/fs/bpf/a.b")), "not permitted"),
    ];
    for (outcome, text) in errors {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(text), "{error} is not {text}");
    }
    fake.set_feature("eth0", "rx-gro", false).unwrap();
    let directory = fake.bpffs("hoist/ns/eth0").unwrap();
    fake.pin(program.as_fd(), &directory.join("link")).unwrap();
    let taken = fake.pin(program.as_fd(), &directory.join("link")).unwrap_err();
    assert_eq!(taken.errno, EEXIST);
    assert_eq!(fake.list_directory(Path::new("/sys/fs/bpf/hoist")).unwrap(), ["ns"]);
    fake.remove_directory(Path::new("/sys/fs/bpf/hoist")).unwrap();
    assert!(fake.pins().is_empty());
    assert!(fake.list_directory(Path::new("/sys/fs/bpf")).unwrap().is_empty());
}

const KEY: FilterKey = FilterKey { priority: 1, handle: 1 };

fn classifier(fake: &Fake) -> (OwnedFd, u32) {
    let spec = ProgramSpec { kind: 3, expected_attach_type: 0, ..spec("cls", &DROP) };
    let program = fake.load_program(&spec).unwrap();
    let id = fake.program_info(program.as_fd()).unwrap().id;
    (program, id)
}

#[test]
fn a_watcher_removes_its_owners_filter_and_no_other() {
    for (clsact_too, neighbour, dismissed) in
        [(true, false, false), (true, true, false), (false, false, false), (true, false, true)]
    {
        let (fake, _) = fake();
        let (program, id) = classifier(&fake);
        fake.add_clsact(3).unwrap();
        fake.add_filter(3, KEY, program.as_fd(), "ours").unwrap();
        if neighbour {
            let key = FilterKey { handle: 2, ..KEY };
            fake.add_filter(3, key, program.as_fd(), "theirs").unwrap();
        }
        drop(program);
        let owner = fake.watch_filter(3, KEY, id, clsact_too).unwrap();
        let copy = owner.try_clone().unwrap();
        drop(owner);
        assert_eq!(fake.filters(3).unwrap().len(), 1 + usize::from(neighbour));
        match dismissed {
            true => fake.unwatch_filter(copy).unwrap(),
            false => drop(copy),
        }
        let left = fake.filters(3).unwrap().len();
        assert_eq!(left, usize::from(neighbour) + usize::from(dismissed));
        let gone = clsact_too && left == 0;
        assert_eq!(fake.add_clsact(3).unwrap(), gone);
        assert_eq!(fake.journal().contains(&Event::ClsactRemoved { ifindex: 3 }), gone);
        let held = fake.ids(ObjectKind::Program).unwrap().contains(&id);
        assert_eq!(held, left > 0, "a filter holds its program");
    }
}

#[test]
fn a_watcher_leaves_a_successor() {
    let (fake, _) = fake();
    let ((first, old), (second, new)) = (classifier(&fake), classifier(&fake));
    fake.add_clsact(3).unwrap();
    fake.add_filter(3, KEY, first.as_fd(), "x").unwrap();
    let owner = fake.watch_filter(3, KEY, old, true).unwrap();
    fake.replace_filter(3, KEY, old, second.as_fd(), "x").unwrap();
    drop(owner);
    assert_eq!(fake.filters(3).unwrap()[0].program_id, Some(new));
}

#[test]
fn a_lock_is_released_by_its_last_holder() {
    let fake = Fake::new();
    let held = fake.lock("x").unwrap();
    let _other = fake.lock("y").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fake.lock("x").map(drop));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!waiting.is_finished());
        drop(held);
        waiting.join().unwrap().unwrap();
    });
}
