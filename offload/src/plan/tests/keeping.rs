//! Programs that stay, and what becomes of those they replace.

use std::path::PathBuf;

use hoist_bpf::kernel::{KernelError, XdpSlots};

use super::*;

const ENOSPC: i32 = 28;

fn no_room() -> KernelError {
    KernelError::new("BPF_OBJ_PIN", "it", ENOSPC)
}

/// A pin that cannot be made takes the program off again.
#[test]
fn keeping_is_all_or_nothing() {
    let (fake, kernel) = machine();
    let root = kernel.bpffs("hoist").unwrap();
    let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
    fake.fail_next(no_room());
    let error = try_attach(&fake, &nic(), &job("count_proto"), &policy).unwrap_err();
    assert!(error.to_string().contains("BPF_OBJ_PIN"), "{error}");
    assert_eq!(fake.slots(3), XdpSlots::default());
    assert_eq!(fake.pins(), Vec::<PathBuf>::new());

    let (_, kept) = try_attach(&fake, &nic(), &job("count_proto"), &policy).unwrap();
    let id = kept.effective().unwrap().program_id;
    kept.release();
    assert_eq!(fake.slots(3).native, Some(id));
    assert_eq!(crate::pins::running(&*kernel, &root).unwrap().len(), 1);
    fake.remove_interface(3);
    assert_eq!(crate::pins::running(&*kernel, &root).unwrap().len(), 0);
    assert_eq!(crate::pins::sweep(&*kernel, &root).unwrap().len(), 1);
    assert_eq!(fake.pins(), Vec::<PathBuf>::new());
}

/// Whoever cannot stay gives the slot back, with the pins of the program that was there.
#[test]
fn a_program_that_cannot_stay_replaces_nothing() {
    let (fake, kernel) = machine();
    let root = kernel.bpffs("hoist").unwrap();
    let keep = |replace| AttachPolicy { keep: Some(root.clone()), replace };
    let (_, first) = try_attach(&fake, &nic(), &job("count_proto"), &keep(None)).unwrap();
    let id = first.effective().unwrap().program_id;
    first.release();
    let pins = fake.pins();

    fake.fail_next(no_room());
    try_attach(&fake, &nic(), &job("drop"), &keep(Some(id))).unwrap_err();
    assert_eq!((fake.slots(3).native, fake.pins()), (Some(id), pins.clone()));

    let kept = crate::pins::running(&*kernel, &root).unwrap().remove(0).0;
    let mut adopted = crate::kernel_program::adopt(&kernel, &kept, &nic()).unwrap();
    let next = || NATIVE.prepare(&kernel, &nic(), &job("pass")).unwrap();
    fake.fail_next(no_room());
    adopted.replace(next()).unwrap_err();
    assert_eq!(adopted.effective().unwrap().program_id, id);
    assert_eq!((fake.slots(3).native, fake.pins()), (Some(id), pins));

    adopted.replace(next()).unwrap();
    let replaced = adopted.effective().unwrap().program_id;
    drop(adopted);
    assert_eq!(fake.slots(3).native, Some(replaced));
    assert_ne!(replaced, id);
    assert_eq!(crate::pins::running(&*kernel, &root).unwrap().len(), 1);
}
