//! The ends of the supported range and a simulated NIC: whole test binaries in virtual machines.
//!
//! Each machine runs the binaries of its table; every test in them is reported by name, on standard
//! error, with what became of it. `HOIST_VM_ALL=1` runs the whole conformance suite besides.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use hoist_hwtests::require;
use hoist_hwtests::vm::results::{Verdict, of_command, of_tests};
use hoist_hwtests::vm::{Done, Event, Job, Lab, Machine, Netdevsim, binaries, repository};

/// A test binary, or a command, in one kind of machine.
struct Row {
    /// Its target.
    target: &'static str,
    /// Arguments: which of its tests; all when empty.
    part: &'static [&'static str],
    /// What the environment has for the part.
    env: &'static [(&'static str, &'static str)],
    /// Seconds, on a busy host.
    limit: u64,
}

const fn all(target: &'static str, limit: u64) -> Row {
    Row { target, part: &[], env: &[], limit }
}

/// What runs on both ends of the supported range: laboratory, door to the kernel, engines, ports of the
/// userspace engine, demo, and the part of the conformance suite that fits the time. Not `machine`, whose
/// runs of every program take minutes under emulation, nor `translate`: without CAP_PERFMON, Linux 6.1
/// refuses the translated `bytes` for a read of its stack, which 6.18 takes.
const KERNELS: [Row; 11] = [
    all("lab", 120),
    all("door", 300),
    all("attach", 300),
    all("replace", 300),
    all("peer", 120),
    all("adjust", 120),
    all("engines", 600),
    // What this one test sends, merged UDP frames through a packet socket, came with Linux 6.2.
    Row {
        target: "ports",
        part: &["--skip", "merged_frames_are_counted_and_not_shown"],
        env: &[],
        limit: 300,
    },
    Row { target: "devices", part: &[], env: &[("HOIST_OWN_DEVICE", "virtio_net")], limit: 300 },
    Row {
        target: "conformance",
        part: &["every_case"],
        env: &[("HOIST_CASES", "vlan")],
        limit: 1200,
    },
    Row { target: "hoist", part: &["demo"], env: &[], limit: 300 },
];

/// Binaries that need netdevsim; others may follow by name.
const OFFLOAD: &str = "offload*";

/// Tests of the package that has the command: cargo builds it with them.
const COMMAND_TESTS: &str = "cli";

/// Whether a job is a command rather than a test binary.
fn is_command(target: &str) -> bool {
    target == "hoist"
}

/// Past the harness, which hides the output of tests that pass.
fn say(line: &str) {
    use std::io::Write as _;
    // A closed stderr leaves nobody to tell.
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

fn jobs(rows: &[Row], built: &BTreeMap<String, PathBuf>) -> Vec<Job> {
    let job = |row: &Row| {
        let limit = Duration::from_secs(row.limit);
        let job = Job::new(row.target, &built[row.target]).limit(limit);
        let job = row.part.iter().fold(job, |job, argument| job.arg(*argument));
        row.env.iter().fold(job, |job, (name, value)| job.env(name, value))
    };
    rows.iter().map(job).collect()
}

/// Runs jobs and reports every test by name; fails with the output of those that failed.
fn run(label: &str, lab: &Lab, jobs: &[Job], files: &[PathBuf]) {
    say(&format!("vm {label}: {}", lab.describe()));
    let mut failures = String::new();
    let mut count = 0;
    let mut ended = |done: &Done| {
        let inner = if is_command(&done.name) { of_command(done) } else { of_tests(done) };
        for test in &inner {
            say(&format!("vm {label}: {test}"));
            if let Verdict::Failed(why) = &test.verdict {
                let _ = write!(failures, "\n---- {} ----\n{why}\n", test.name);
            }
        }
        count += inner.len();
        say(&format!("vm {label}: {} took {:.1} s", done.name, done.time.as_secs_f64()));
    };
    let result = lab.run(jobs, files, &repository(), &mut |event| {
        if let Event::Ended(done) = event {
            ended(done);
        }
    });
    match result {
        Ok(run) => say(&format!(
            "vm {label}: {count} tests, {:.1} s to boot, {:.1} s in all",
            run.boot.as_secs_f64(),
            run.time.as_secs_f64()
        )),
        Err(error) => failures.push_str(&format!("\n{error}\n")),
    }
    assert!(failures.is_empty(), "in {}:{failures}", lab.describe());
}

fn kernel(name: &str, series: &str) {
    let Some(lab) = require::vm(name, Machine::new(series)) else { return };
    let mut tests: Vec<&str> =
        KERNELS.iter().map(|r| r.target).filter(|t| !is_command(t)).collect();
    tests.push(COMMAND_TESTS);
    let built = binaries::build(&tests, &["hoist"]).unwrap_or_else(|error| panic!("{error}"));
    run(series, &lab, &jobs(&KERNELS, &built), &[]);
    if std::env::var_os("HOIST_VM_ALL").is_none() {
        return;
    }
    // It redirects to a second processor, and replaces no program under traffic (decision 0053).
    let Some(lab) = require::vm(name, Machine { cpus: 2, ..Machine::new(series) }) else { return };
    let suite = Row { target: "conformance", part: &["every_case"], env: &[], limit: 1200 };
    run(&format!("{series}, whole suite"), &lab, &jobs(&[suite], &built), &[]);
}

#[test]
fn the_oldest_supported_kernel_runs_it() {
    kernel("the_oldest_supported_kernel_runs_it", "6.1");
}

#[test]
fn the_newer_kernel_runs_it() {
    kernel("the_newer_kernel_runs_it", "6.12");
}

fn netdevsim(name: &str, which: Netdevsim) {
    let machine = Machine { netdevsim: Some(which), ..Machine::new("6.12") };
    let Some(lab) = require::vm(name, machine) else { return };
    let mut built = binaries::build(&[OFFLOAD, COMMAND_TESTS], &["hoist"])
        .unwrap_or_else(|error| panic!("{error}"));
    built.remove(COMMAND_TESTS);
    let command = built.remove("hoist");
    let limit = Duration::from_secs(300);
    let jobs: Vec<Job> = built.iter().map(|(n, file)| Job::new(n, file).limit(limit)).collect();
    let label = if which == Netdevsim::Stock { "netdevsim" } else { "netdevsim+card" };
    run(label, &lab, &jobs, command.as_slice());
}

#[test]
fn the_hardware_engine_works_on_stock_netdevsim() {
    netdevsim("the_hardware_engine_works_on_stock_netdevsim", Netdevsim::Stock);
}

#[test]
fn the_hardware_engine_works_on_a_simulated_card() {
    netdevsim("the_hardware_engine_works_on_a_simulated_card", Netdevsim::Card);
}
