//! The watcher removes a filter when its owner is gone, however it went, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use hoist_bpf::kernel::{FilterKey, Kernel, Linux};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{A, Bench, settles};
use crate::tc::{classifier, id, key};

/// Set for the process that is killed.
const CHILD: &str = "HOIST_TEST_CHILD";
const KILLED: &str = "watch::a_filter_goes_when_its_owner_is_killed";
const KEY: FilterKey = key(1, 1);

/// A filter with clsact around it; its program's id.
fn filter(kernel: &Linux) -> u32 {
    let program = classifier(kernel, -1);
    kernel.add_clsact(A).unwrap();
    kernel.add_filter(A, KEY, program.as_fd(), "watched").unwrap();
    id(kernel, &program)
}

fn filters(kernel: &Linux) -> usize {
    kernel.filters(A).unwrap().len()
}

/// The processes that watch in this thread's network namespace.
fn watchers() -> Vec<Pid> {
    let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let watches = fs::read_to_string(path.join("comm")).ok()? == "hoist-watcher\n";
        let here = fs::read_link(path.join("ns/net")).ok()? == own;
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Pid::from_raw(number).filter(|_| watches && here)
    });
    processes.collect()
}

/// Whether this process has a child that has ended and was not waited for.
fn zombies() -> usize {
    let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let listed = fs::read_dir("/proc/self/task").unwrap().map(|task| children(task.unwrap()));
    let pids = listed.filter_map(Result::ok).collect::<Vec<_>>().join(" ");
    let named = |pid: &&str| {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|s| s.contains("State:\tZ") && s.contains("hoist-watcher"))
    };
    pids.split_whitespace().filter(named).count()
}

#[test]
fn a_filter_goes_with_its_descriptor_and_clsact_if_told() {
    let test = "a_filter_goes_with_its_descriptor_and_clsact_if_told";
    for clsact_too in [true, false] {
        let Some(bench) = Bench::new(test) else { return };
        let kernel = &bench.kernel;
        let program = filter(kernel);
        let owner = kernel.watch_filter(A, KEY, program, clsact_too).unwrap();
        let copy = owner.try_clone().unwrap();
        drop(owner);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(filters(kernel), 1, "a copy of the descriptor keeps the filter");
        drop(copy);
        assert!(settles(|| filters(kernel) == 0));
        assert!(settles(|| watchers().is_empty()));
        assert_eq!(zombies(), 0);
        assert_eq!(kernel.add_clsact(A).unwrap(), clsact_too, "clsact_too {clsact_too}");
    }
}

/// Everything that must stay, does.
#[test]
fn what_is_not_the_owners_stays() {
    let Some(bench) = Bench::new("what_is_not_the_owners_stays") else { return };
    let kernel = &bench.kernel;
    let ended = |owner: OwnedFd| {
        drop(owner);
        assert!(settles(|| watchers().is_empty()));
    };
    let program = filter(kernel);
    let owner = kernel.watch_filter(A, KEY, program, true).unwrap();
    kernel.unwatch_filter(owner).unwrap();
    assert!(settles(|| watchers().is_empty()));
    assert_eq!(filters(kernel), 1, "a filter that is to stay");

    let owner = kernel.watch_filter(A, KEY, program, true).unwrap();
    let successor = classifier(kernel, 2);
    kernel.replace_filter(A, KEY, program, successor.as_fd(), "successor").unwrap();
    ended(owner);
    assert_eq!(filters(kernel), 1, "a successor");

    let successor = id(kernel, &successor);
    let owner = kernel.watch_filter(A, KEY, successor, true).unwrap();
    let neighbour = classifier(kernel, 0);
    kernel.add_filter(A, key(1, 2), neighbour.as_fd(), "neighbour").unwrap();
    ended(owner);
    let left = kernel.filters(A).unwrap();
    let names: Vec<_> = left.iter().map(|f| f.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["neighbour"], "a neighbour");

    // Gone already: nothing to do but the qdisc, once it is empty.
    let owner = kernel.watch_filter(A, KEY, successor, true).unwrap();
    assert!(kernel.remove_filter(A, key(1, 2), id(kernel, &neighbour)).unwrap());
    ended(owner);
    assert!(kernel.add_clsact(A).unwrap());
    // With the interface goes everything.
    let owner = kernel.watch_filter(A, KEY, successor, true).unwrap();
    let deleted = Command::new("ip").args(["link", "del", "dev", "a"]).status().unwrap();
    assert!(deleted.success());
    ended(owner);
}

/// A removal waits for a replacement that is under way.
#[test]
fn a_watcher_takes_its_turn() {
    let Some(bench) = Bench::new("a_watcher_takes_its_turn") else { return };
    let kernel = &bench.kernel;
    let program = filter(kernel);
    let owner = kernel.watch_filter(A, KEY, program, false).unwrap();
    let turn = fs::File::open("/proc/thread-self/ns/net").unwrap();
    turn.lock().unwrap();
    drop(owner);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(filters(kernel), 1);
    drop(turn);
    assert!(settles(|| filters(kernel) == 0));
}

/// What runs in the process that is killed: threads that allocate while it starts its watcher.
fn child() -> ! {
    for _ in 0..3 {
        std::thread::spawn(|| {
            loop {
                std::hint::black_box(vec![0_u8; 4096]);
            }
        });
    }
    let kernel = Linux::new().unwrap();
    let program = filter(&kernel);
    let _owner = kernel.watch_filter(A, KEY, program, true).unwrap();
    println!("\nwatched");
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

fn start_child() -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", KILLED, "--nocapture"]).env(CHILD, "1").stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_filter_goes_when_its_owner_is_killed() {
    if std::env::var_os(CHILD).is_some() {
        child();
    }
    let Some(bench) = Bench::new(KILLED) else { return };
    let kernel = &bench.kernel;
    let mut child = start_child();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "watched\n" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended early");
    }
    assert_eq!(filters(kernel), 1);
    let [watcher] = watchers()[..] else { panic!("{:?}", watchers()) };
    let held = fs::read_dir(format!("/proc/{watcher}/fd")).unwrap().count();
    assert_eq!(held, 3, "the watcher holds what is not its own");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::PIPE, Signal::QUIT] {
        kill_process(watcher, signal).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!((filters(kernel), watchers()), (1, vec![watcher]), "a signal ended the watcher");
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody holds the killed process's standard output any more, the watcher least of all.
    let (ended, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new()).is_ok()));
    assert_eq!(closed.recv_timeout(std::time::Duration::from_secs(5)), Ok(true));
    assert!(settles(|| filters(kernel) == 0), "the filter outlived its owner");
    assert!(settles(|| watchers().is_empty()));
    assert!(kernel.add_clsact(A).unwrap(), "clsact outlived its owner");
}
