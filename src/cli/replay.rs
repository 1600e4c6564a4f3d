//! `hoist run` on a capture file: the program in hoist's own machine, packet by packet.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hoist_fallback::userspace::executor::Executor;
use hoist_fallback::userspace::ports::capture::{self, Capture, Writer};
use hoist_fallback::userspace::ports::{Batch, Port};
use hoist_fallback::userspace::vm;
use hoist_offload::plan::{Certainty, Choice};
use hoist_offload::{EngineKind, Hook, Plan};

use super::args::{self, Clock};
use super::context::Context;
use super::failure::Failure;
use super::program;
use super::render;
use super::run::{finish, show, table};
use super::schema::{CounterLine, RunLine, bytes, packets};
use super::signal::Signals;
use crate::file;
use crate::session::contents::Contents;
use crate::session::userspace::Assembled;

/// How often a signal is looked for: at once for whoever pressed Ctrl-C, seldom for the packets.
const LISTEN: Duration = Duration::from_millis(100);

/// Endings of capture files.
const ENDINGS: [&str; 3] = ["pcap", "pcapng", "cap"];

/// The capture file that a word for an interface means; `None` for an interface.
pub(super) fn capture(word: &str) -> Option<PathBuf> {
    let path = Path::new(word);
    let ending = path.extension().and_then(OsStr::to_str).is_some_and(|e| ENDINGS.contains(&e));
    // Names of interfaces hold no slash. A named pipe is a file to read from, too.
    let is_file = || {
        path.metadata().is_ok_and(|about| !about.is_dir())
            && !Path::new("/sys/class/net").join(word).exists()
    };
    (word == "-" || word.contains('/') || ending || is_file()).then(|| path.to_owned())
}

/// The one capture file that is named instead of interfaces.
///
/// # Errors
/// A capture file beside something else.
pub(super) fn wanted(words: &[String]) -> Result<Option<PathBuf>, Failure> {
    let files: Vec<PathBuf> = words.iter().filter_map(|word| capture(word)).collect();
    match files.as_slice() {
        [] => Ok(None),
        [one] if words.len() == 1 => Ok(Some(one.clone())),
        [_] => Err(Failure::input(
            "a capture file and interfaces cannot be run together",
            "run them one after the other",
        )),
        _ => Err(Failure::input(
            "several capture files",
            "run one at a time, or join them first: mergecap -w all.pcapng FILE...",
        )),
    }
}

/// How a machine is to run, from the arguments.
pub(super) fn options(args: &args::Machine) -> vm::Options {
    let mut options = vm::Options::default();
    if let Some(fuel) = args.fuel {
        options.fuel = fuel;
    }
    options.environment.seed = args.seed;
    options.environment.clock = match args.clock {
        Clock::Capture => hoist_fallback::userspace::environment::Clock::Arrival,
        Clock::Real => hoist_fallback::userspace::environment::Clock::System,
    };
    options
}

/// Opens a capture file; `-` is standard input.
///
/// # Errors
/// [`Failure`] when it cannot be read or is none.
pub(super) fn open(path: &Path, output: Option<Writer>) -> Result<Capture, Failure> {
    let name = path.display().to_string();
    let options = capture::Options::default();
    if name == "-" {
        let from: Box<dyn Read + Send> = Box::new(io::stdin());
        return Ok(Capture::new("standard input".to_owned(), from, output, options)?);
    }
    let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        return Err(unreadable(&name, &io::ErrorKind::IsADirectory.into()));
    }
    Ok(Capture::new(name, Box::new(file), output, options)?)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::input(
        format!("cannot read {name}: {}", file::words(error)),
        "the capture file comes first, the object file last",
    )
}

fn output(path: &Path) -> Result<Writer, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Writer::new("standard output".to_owned(), Box::new(io::stdout()))?);
    }
    let name = path.display().to_string();
    let file = File::create(path).map_err(|error| {
        Failure::input(
            format!("cannot write {name}: {}", file::words(&error)),
            "-w takes a file that can be written",
        )
    })?;
    Ok(Writer::new(name, Box::new(file))?)
}

/// Refuses to write over a file that is read: it would be empty before its first packet is read.
fn apart(written: &Path, read: &[&Path]) -> Result<(), Failure> {
    let identity = |path: &Path| {
        let about = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((about.dev(), about.ino()))
    };
    let Some(target) = identity(written) else { return Ok(()) };
    let source = |path: &&&Path| match path.as_os_str() == "-" {
        true => identity(Path::new("/dev/stdin")) == Some(target),
        false => identity(path) == Some(target),
    };
    match read.iter().find(source) {
        None => Ok(()),
        Some(read) => Err(Failure::input(
            format!(
                "{} would be written over {}, which is read",
                written.display(),
                read.display()
            ),
            "write to another file",
        )),
    }
}

/// The engines that were asked for must include the one that reads files.
fn asked_for(choice: &Choice, path: &Path) -> Result<(), Failure> {
    let fits = match choice {
        Choice::Auto => true,
        Choice::Listed(wanted) => {
            wanted.iter().any(|wanted| wanted.kind == EngineKind::User && wanted.hook.is_none())
        }
    };
    fits.then_some(()).ok_or_else(|| {
        Failure::input(
            format!(
                "{} is a file, and only the user engine runs on files, at no hook",
                path.display()
            ),
            "use --engine user, or leave --engine away",
        )
    })
}

/// Runs the program on every packet of the file.
///
/// # Errors
/// Wrong input, a program that the machine cannot run, or an output that cannot be written.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Run, path: &Path) -> Result<(), Failure> {
    let args::Attach { object, program, .. } = &args.attach;
    asked_for(&program.engine.choice, path)?;
    let to_stdout = args.write.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if to_stdout && cx.shell.json() {
        return Err(Failure::input(
            "standard output cannot hold packets and documents at once",
            "write the packets to a file: -w FILE",
        ));
    }
    for written in args.write.iter().chain(&args.save_maps) {
        apart(written, &[path, object])?;
    }
    let name = path.display().to_string();
    let draft = program::chosen(&program.which, &program.settings, object)?.read()?;
    let mut port = open(path, None)?;
    let assembled = draft.assemble(&name, options(&args.machine));
    let Assembled { machine, module, program: id } =
        assembled.map_err(|error| program::refused(cx, error))?;
    if let Some(path) = &args.write {
        port.write_to(output(path)?);
    }
    let signals = Signals::catch()?;
    let mut executor = Executor::new(machine);
    let plan = plan(&name, &module.program(id).name);
    started(cx, &plan)?;
    let start = Instant::now();
    let outcome = turn(cx, args, &mut port, &mut executor, &signals, (&name, start));
    let closed = port.finish();
    let line = counters(&name, &executor, &port, start.elapsed());
    let faults = executor.faults();
    if to_stdout {
        cx.shell.say(table(&[line]));
    } else {
        let trace = format!("hoist trace {name} {} --packet", object.display());
        finish(cx, vec![line], start.elapsed(), faults, Some(&trace))?;
    }
    // After the totals, which stand whether or not the maps can be written.
    if let Some(path) = &args.save_maps {
        let contents = Contents::of(executor.machine_mut().maps_mut(), &module);
        save(path, &contents)?;
    }
    outcome?;
    Ok(closed?)
}

/// There is no ladder: a file is the user engine's alone.
fn plan(file: &str, program: &str) -> Plan {
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        device: file.to_owned(),
        program: program.to_owned(),
        engine: Some(EngineKind::User),
        hook: Some(Hook::File),
        certainty: Certainty::Proven,
        adjustments: Vec::new(),
        warnings: Vec::new(),
        refusals: Vec::new(),
    }
}

fn started(cx: &mut Context<'_>, plan: &Plan) -> Result<(), Failure> {
    if cx.shell.json() {
        return cx.shell.line(&RunLine { plans: Some(vec![plan]), ..RunLine::new("started") });
    }
    let text = render::plan::ladder(plan, cx.shell.verbose());
    cx.shell.say(text);
    Ok(())
}

/// Runs until the file ends, the time is up, or a signal comes.
fn turn(
    cx: &mut Context<'_>,
    args: &args::Run,
    port: &mut Capture,
    executor: &mut Executor,
    signals: &Signals,
    (name, start): (&str, Instant),
) -> Result<(), Failure> {
    let (mut shown, mut listened) = (start, start);
    loop {
        let batch = port.receive(&mut |frame, arrival| executor.judge(frame, arrival))?;
        if batch == Batch::End || args.duration.is_some_and(|d| start.elapsed() >= d.0) {
            return Ok(());
        }
        if listened.elapsed() >= LISTEN {
            listened = Instant::now();
            if signals.pending()? {
                return Ok(());
            }
        }
        if shown.elapsed() >= args.interval.0 {
            shown = Instant::now();
            let lines = [counters(name, executor, port, start.elapsed())];
            if args.write.as_ref().is_none_or(|path| path.as_os_str() != "-") {
                show(cx, &lines, start.elapsed())?;
            }
        }
    }
}

fn counters(name: &str, executor: &Executor, port: &Capture, elapsed: Duration) -> CounterLine {
    let stats = executor.stats();
    CounterLine {
        device: name.to_owned(),
        engine: EngineKind::User,
        counted: true,
        packets: packets(&stats),
        bytes: bytes(&stats),
        events: port.outcomes().failures(),
        pps: stats.total() as f64 / elapsed.as_secs_f64().max(1e-9),
    }
}

fn save(path: &Path, contents: &Contents) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut file = io::BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, contents)?;
        writeln!(file)?;
        file.flush()
    };
    write().map_err(|error| {
        Failure::input(
            format!("cannot write {}: {}", path.display(), file::words(&error)),
            "--save-maps takes a file that can be written",
        )
    })
}
