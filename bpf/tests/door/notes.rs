//! What hoist leaves itself between processes, and the settings that it leaves it for.

use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::{Fake, Kernel};

use crate::bench::{A, Bench};

/// What either kernel says.
fn noted(kernel: &dyn Kernel, directory: &str) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: String| told.push(what);
    tell(format!("{:?}", kernel.notes(directory)));
    tell(format!("{:?}", kernel.note(directory, "one")));
    tell(format!("{:?}", kernel.leave_note(directory, "one", None)));
    for content in ["first", "", "second"] {
        tell(format!("{:?}", kernel.leave_note(directory, "one", Some(content.as_bytes()))));
        tell(format!("{:?}", kernel.note(directory, "one")));
    }
    tell(format!("{:?}", kernel.leave_note(directory, "a", Some(b"x"))));
    tell(format!("{:?}", kernel.notes(directory)));
    for name in ["one", "a"] {
        tell(format!("{:?}", kernel.leave_note(directory, name, None)));
    }
    tell(format!("{:?}", kernel.notes(directory)));
    let held = kernel.try_lock(directory).unwrap();
    tell(format!("{} {}", held.is_some(), kernel.try_lock(directory).unwrap().is_none()));
    drop(held);
    tell(format!("{}", kernel.try_lock(directory).unwrap().is_some()));
    tell(format!("{:?}", kernel.remove_lock(directory)));
    tell(format!("{:?}", kernel.remove_lock(directory)));
    for ifindex in [A, 4711] {
        tell(format!("{:?}", kernel.interface_name(ifindex)));
    }
    tell(format!("{:?}", kernel.set_feature("a", "rx-gro", true)));
    tell(format!("{:?}", kernel.feature("a", "rx-gro")));
    tell(format!("{:?}", kernel.set_feature("a", "rx-gro", false)));
    tell(format!("{:?}", kernel.feature("a", "rx-gro")));
    tell(format!("{:?}", kernel.feature("a", "no-such-feature")));
    tell(format!("{:?}", kernel.feature("nonesuch", "rx-gro").map_err(|e| (e.errno, e.object))));
    told
}

#[test]
fn notes_locks_and_settings_are_read_back() {
    let Some(bench) = Bench::new("notes_locks_and_settings_are_read_back") else { return };
    let directory = format!("test-notes-{}", std::process::id());
    let real = noted(&bench.kernel, &directory);
    drop(std::fs::remove_dir(format!("/run/hoist/{directory}")));
    assert!(!std::fs::exists(format!("/run/hoist/lock/{directory}.lock")).unwrap());
    let fake = Fake::new();
    fake.add_interface(FakeInterface::new(A, "a"));
    assert_eq!(real, noted(&fake, &directory));
    let some = |what: &str| real.iter().any(|told| told == what);
    let expected =
        [r#"Ok(["a", "one"])"#, "Ok(None)", "Ok(true)", r#"Ok(Some("a"))"#, "true true", "true"];
    for expected in expected {
        assert!(some(expected), "{expected} is not among {real:#?}");
    }
}
