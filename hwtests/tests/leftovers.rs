//! A test that fails leaves nothing: this binary starts itself as a process that builds a laboratory
//! and then panics, aborts or is killed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hoist_hwtests::lab::{self, Lab, Namespace};
use hoist_hwtests::{require, wait};

/// Tells the child how to end.
const ENDING: &str = "HOIST_LAB_ENDING";

/// The child. As a test of its own, without the variable, it has nothing to do.
#[test]
fn child() {
    let Ok(ending) = std::env::var(ENDING) else { return };
    let names = ["near", "far"].map(|label| Namespace::named(label).unwrap());
    let _lab = Lab::between(&names[0], &names[1], |near| near, |far| far).unwrap();
    let anonymous = Lab::pair().unwrap();
    for namespace in [&names[0], &names[1], &anonymous.near().namespace] {
        // Inode of the namespace, and its name if it has one.
        let own = namespace.run(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap());
        println!("lab {} {}", own.display(), namespace.name().unwrap_or("-"));
    }
    println!("lab ready -");
    match ending.as_str() {
        "panic" => panic!("on purpose"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(1),
        _ => std::thread::sleep(wait::PATIENCE * 4),
    }
}

/// A running child, the namespaces it made and their names.
struct World {
    child: Child,
    inodes: Vec<PathBuf>,
    names: Vec<String>,
}

fn start(ending: &str) -> World {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(ENDING, ending)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut world = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        // The harness may write before the first line.
        let Some((_, words)) = line.split_once("lab ") else { continue };
        match words.split_once(' ').unwrap() {
            ("ready", _) => break,
            (inode, name) => {
                world.0.push(PathBuf::from(inode));
                world.1.extend((name != "-").then(|| name.to_owned()));
            }
        }
    }
    assert_eq!((world.0.len(), world.1.len()), (3, 2), "the child did not build its laboratory");
    World { child, inodes: world.0, names: world.1 }
}

/// Whether any process, thread or mount on the machine still holds the namespace.
fn held(inode: &Path) -> bool {
    let number: String = inode.display().to_string().chars().filter(char::is_ascii_digit).collect();
    let namespaces = Command::new("lsns").args(["-t", "net", "-n", "-o", "NS"]).output().unwrap();
    let listed = String::from_utf8(namespaces.stdout).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    listed.lines().any(|l| l.trim() == number) || mounts.contains(&format!("net:[{number}]"))
}

#[test]
fn nothing_is_left_however_a_test_ends() {
    let name = "nothing_is_left_however_a_test_ends";
    if !require::veth_and_command(name, "lsns") {
        return;
    }
    for ending in ["panic", "abort", "exit", "kill"] {
        let mut world = start(ending);
        if ending == "kill" {
            // While it lives, all is there, and sweeping does not touch it.
            assert!(world.inodes[..2].iter().all(|inode| held(inode)));
            lab::sweep().unwrap();
            assert!(world.names.iter().all(|n| Path::new("/run/netns").join(n).exists()));
            world.child.kill().unwrap();
        }
        assert!(!world.child.wait().unwrap().success());
        lab::sweep().unwrap();
        for name in &world.names {
            for dir in ["/run/netns", "/run/hoist-lab"] {
                let path = Path::new(dir).join(name);
                assert!(!path.exists(), "after {ending}: {} is left", path.display());
            }
        }
        for inode in &world.inodes {
            let gone = wait::until(wait::PATIENCE, || !held(inode));
            assert!(gone, "after {ending}: {} is left", inode.display());
        }
        let links = Command::new("ip").args(["-o", "link"]).output().unwrap();
        let links = String::from_utf8(links.stdout).unwrap();
        assert!(!links.contains(": v0@") && !links.contains(": v1@"), "after {ending}: {links}");
    }
}

#[test]
fn a_dropped_namespace_is_gone_with_its_name() {
    if !require::veth_and_command("a_dropped_namespace_is_gone_with_its_name", "ip") {
        return;
    }
    let namespace = Namespace::named("drop").unwrap();
    let name = namespace.name().unwrap().to_owned();
    let inside = Command::new("ip").args(["netns", "exec", &name, "ip", "-o", "link"]).output();
    let inside = String::from_utf8(inside.unwrap().stdout).unwrap();
    assert_eq!(inside.lines().count(), 1, "{inside}");
    let list = || {
        let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(list().contains(&name));
    drop(namespace);
    assert!(!list().contains(&name));
}
