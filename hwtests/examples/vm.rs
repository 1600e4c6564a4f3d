//! A shell, a command or a test binary in a virtual machine with another kernel.
//!
//! ```text
//! cargo run -p hoist-hwtests --example vm -- --kernel 6.12 --netdevsim
//! cargo run -p hoist-hwtests --example vm -- --kernel 6.1 --test engines -- a_program_runs
//! cargo run -p hoist-hwtests --example vm -- --kernel 6.12 --netdevsim card -- target/debug/hoist probe lo
//! ```
//!
//! In the machine, `/t` holds the command's file and those named by `--file`; the repository's cases,
//! programs and objects are where they are outside. docs/guide/kernels.md tells more.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use hoist_hwtests::vm::{Event, Job, Lab, Machine, Netdevsim, binaries, repository};

const USAGE: &str = "\
usage: vm [--kernel SERIES] [--netdevsim [stock|card]] [--cpus N] [--memory MIB] [--limit SECONDS]
          [--env NAME=VALUE]... [--file FILE]... [--test TARGET]... [-- COMMAND ARGUMENT...]
With --test, what follows -- are arguments of the test binaries. With neither, a shell: end it with
exit.";

struct Arguments {
    machine: Machine,
    limit: Duration,
    files: Vec<PathBuf>,
    tests: Vec<String>,
    env: Vec<(String, String)>,
    rest: Vec<String>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments {
        machine: Machine::new("6.12"),
        limit: Duration::from_secs(1200),
        files: Vec::new(),
        tests: Vec::new(),
        env: Vec::new(),
        rest: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--kernel" => parsed.machine.series = value()?,
            "--cpus" => parsed.machine.cpus = value()?.parse()?,
            "--memory" => parsed.machine.memory = value()?.parse()?,
            "--limit" => parsed.limit = Duration::from_secs(value()?.parse()?),
            "--file" => parsed.files.push(PathBuf::from(value()?)),
            "--env" => {
                let (name, set) =
                    value()?.split_once('=').map(|(n, v)| (n.into(), v.into())).ok_or(USAGE)?;
                parsed.env.push((name, set));
            }
            "--test" => parsed.tests.push(value()?),
            "--netdevsim" => {
                let which = arguments.next_if(|a| !a.starts_with('-'));
                parsed.machine.netdevsim = Some(match which.as_deref() {
                    None | Some("stock") => Netdevsim::Stock,
                    Some("card") => Netdevsim::Card,
                    Some(_) => return Err(USAGE.into()),
                });
            }
            "--" => {
                parsed.rest = arguments.collect();
                break;
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(parsed)
}

/// The commands to run, none for a shell.
fn jobs(arguments: &Arguments) -> Result<Vec<Job>, Box<dyn Error>> {
    let tests: Vec<&str> = arguments.tests.iter().map(String::as_str).collect();
    let rest = &arguments.rest;
    let with = |job: Job, rest: &[String]| {
        let job = rest.iter().fold(job, |job, argument| job.arg(argument)).limit(arguments.limit);
        arguments.env.iter().fold(job, |job, (name, value)| job.env(name, value))
    };
    if let ([], Some((command, rest))) = (&tests[..], rest.split_first()) {
        return Ok(vec![with(Job::new(command, command), rest)]);
    }
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    let built = binaries::build(&tests, &[])?;
    let tests = built.iter().filter(|(name, _)| arguments.tests.contains(name));
    Ok(tests.map(|(name, file)| with(Job::new(name, file), rest)).collect())
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("vm: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = arguments()?;
    let jobs = jobs(&arguments)?;
    let lab = Lab::open(arguments.machine.clone())?;
    eprintln!("{}", lab.describe());
    let trees = repository();
    if jobs.is_empty() {
        lab.shell(&arguments.files, &trees)?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = lab.run(&jobs, &arguments.files, &trees, &mut report)?;
    let failed = run.done.iter().map(|done| done.status).find(|status| *status != 0);
    Ok(ExitCode::from(failed.map_or(0, |status| u8::try_from(status).unwrap_or(1))))
}

fn report(event: Event<'_>) {
    match event {
        Event::Booted(after) => eprintln!("booted in {:.1} s", after.as_secs_f64()),
        Event::Started(job) => eprintln!("{} ...", job.name),
        Event::Ended(done) => {
            print!("{}", done.stdout);
            eprint!("{}", done.stderr);
            eprintln!("{}: status {}, {:.1} s", done.name, done.status, done.time.as_secs_f64());
        }
    }
}
