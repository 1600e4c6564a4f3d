//! Pins must be seen whichever way hoist was started.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;

use hoist_bpf::kernel::{Kernel, Linux, MapSpec};

use crate::bench::Bench;

const TEST: &str = "ways::every_way_in_sees_the_same_pins";
/// Set for the copies of this test that run inside: the pin to make.
const INSIDE: &str = "HOIST_TEST_PIN";

/// A named namespace and a directory of pins, removed at the end.
struct Named {
    name: String,
    directory: PathBuf,
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
        drop(Linux::new().and_then(|kernel| kernel.remove_directory(&self.directory)));
    }
}

fn pin(directory: &str, name: &str) {
    let kernel = Linux::new().unwrap();
    let spec =
        MapSpec { kind: 2, key_size: 4, value_size: 4, max_entries: 1, ..Default::default() };
    let map = kernel.create_map(&spec).unwrap();
    kernel.pin(map.as_fd(), &kernel.bpffs(directory).unwrap().join(name)).unwrap();
}

#[test]
fn every_way_in_sees_the_same_pins() {
    if let Ok(inside) = std::env::var(INSIDE) {
        let (directory, name) = inside.split_once('/').unwrap();
        return pin(directory, name);
    }
    let Some(bench) = Bench::new(TEST) else { return };
    let name = format!("hoist-ways-{}", std::process::id());
    let directory = bench.kernel.bpffs(&name).unwrap();
    let named = Named { name: name.clone(), directory };
    assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
    // With a /run of its own a process inherits no mount that others made there.
    const HIDDEN: &str = "mount -t tmpfs tmpfs /run; exec \"$@\"";
    const PRIVATE: &str = "mount -t tmpfs tmpfs /run; mount -t bpf bpf /sys/fs/bpf; exec \"$@\"";
    let target = format!("--net=/run/netns/{name}");
    let ways: [(&str, &[&str]); 5] = [
        ("exec", &["ip", "netns", "exec", &name]),
        ("hidden", &["ip", "netns", "exec", &name, "sh", "-c", HIDDEN, "sh"]),
        ("nsenter", &["nsenter", &target]),
        ("private", &["unshare", "--mount", "sh", "-c", PRIVATE, "sh"]),
        ("unshare", &["unshare", "--mount"]),
    ];
    let own = std::env::current_exe().unwrap();
    for (way, command) in ways {
        let inside = Command::new(command[0])
            .args(&command[1..])
            .arg(&own)
            .args(["--exact", TEST, "--nocapture"])
            .env(INSIDE, format!("{name}/{way}"))
            .output()
            .unwrap();
        assert!(inside.status.success(), "{way}: {}", String::from_utf8_lossy(&inside.stdout));
    }
    let seen = bench.kernel.list_directory(&named.directory).unwrap();
    assert_eq!(seen, ["exec", "hidden", "nsenter", "private", "unshare"]);
}
