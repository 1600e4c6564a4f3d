//! `hoist run` where no live interface is: on capture files and TAP interfaces, with the program in
//! hoist's own machine, packet by packet.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hoist_fallback::userspace::environment::routing::Index;
use hoist_fallback::userspace::executor::Executor;
use hoist_fallback::userspace::ports::capture::{self, Writer};
use hoist_fallback::userspace::ports::faults::Faults;
use hoist_fallback::userspace::ports::{self, Batch, Faulty, Outcomes, Port, Record};
use hoist_fallback::userspace::vm;
use hoist_offload::attach::Stats;
use hoist_offload::plan::{Certainty, Choice};
use hoist_offload::{EngineKind, Error, Hook, Plan};

use super::args::{self, Clock};
use super::context::Context;
use super::failure::Failure;
use super::program;
use super::render;
use super::run::{finish, messages, show, table};
use super::schema::{CounterLine, RunLine, bytes, packets};
use super::signal::Signals;
use crate::file;
use crate::session::contents::Contents;
use crate::session::routes::Routes;
use crate::session::userspace::Assembled;

mod input;

pub(super) use input::{Input, no_interface, open};
use input::{Opened, Patience};

/// How often a signal is looked for: at once for whoever pressed Ctrl-C, seldom for the packets.
const LISTEN: Duration = Duration::from_millis(100);

/// The one capture file or TAP interface that is named instead of interfaces.
///
/// # Errors
/// One beside something else.
pub(super) fn wanted(words: &[String]) -> Result<Option<Input>, Failure> {
    let inputs: Vec<Input> = words.iter().filter_map(|word| Input::of(word)).collect();
    match inputs.as_slice() {
        [] => Ok(None),
        [one] if words.len() == 1 => Ok(Some(one.clone())),
        [one] => Err(Failure::input(
            match one {
                Input::File(_) => "a capture file and interfaces cannot be run together",
                Input::Tap(..) => "a TAP interface to make and others cannot be run together",
            },
            "run them one after the other",
        )),
        _ => Err(Failure::input(
            "several capture files",
            "run one at a time, or join them first: mergecap -w all.pcapng FILE...",
        )),
    }
}

/// How a machine and its capture are to run, from the arguments.
///
/// # Errors
/// The routes cannot be read, or know no such interface.
pub(super) fn options(args: &args::Machine) -> Result<(vm::Options, capture::Options), Error> {
    let mut options = vm::Options::default();
    if let Some(fuel) = args.fuel {
        options.fuel = fuel;
    }
    options.environment.seed = args.seed;
    options.environment.clock = match args.clock {
        Clock::Capture => hoist_fallback::userspace::environment::Clock::Arrival,
        Clock::Real => hoist_fallback::userspace::environment::Clock::System,
    };
    let routes = args.routes.as_deref().map(Routes::read).transpose()?;
    let mut capture = capture::Options::default();
    if let Some(word) = &args.ingress {
        capture.ifindex = match (word.parse(), &routes) {
            (Ok(index), _) => index,
            (Err(_), Some(routes)) => routes.index_of(word)?,
            (Err(_), None) => {
                return Err(Error::Input {
                    what: format!("--ingress {word}: without --routes an interface is its index"),
                    hint: Some("'hoist probe --routes FILE' writes names and routes".to_owned()),
                });
            }
        };
    }
    if let Some(routes) = &routes {
        options.environment.routing = Arc::new(Index::new(routes.routing()));
    }
    Ok((options, capture))
}

/// Options that mean something here alone.
///
/// # Errors
/// One of them, on an interface.
pub(super) fn only_here(args: &args::Run) -> Result<(), Failure> {
    let given = [
        ("--routes", args.machine.routes.is_some()),
        ("--ingress", args.machine.ingress.is_some()),
        ("--faults", args.faults.is_some()),
        ("--save-maps", args.save_maps.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::input(
            format!("{option} is for capture files and TAP interfaces"),
            match option {
                "--save-maps" => "while it runs: 'hoist map dump IF/NAME'",
                _ => "leave it away on interfaces",
            },
        )),
    }
}

/// What is run, with what is around it.
#[derive(Debug)]
struct Source {
    port: Option<Box<dyn Port>>,
    ended: Arc<AtomicBool>,
}

impl Source {
    /// # Errors
    /// It cannot be read, made or written.
    fn open(
        input: &Input,
        args: &args::Run,
        options: capture::Options,
        patience: Patience<'_>,
    ) -> Result<Self, Failure> {
        match input {
            Input::File(path) => {
                let Opened { port, ended } = open(path, options, Some(patience))?;
                let Some(mut capture) = port else { return Ok(Self { port: None, ended }) };
                if let Some(path) = &args.write {
                    capture.write_to(output(path)?);
                }
                Ok(Self { port: Some(struck(capture, args)), ended })
            }
            Input::Tap(wire, host) => {
                let ifindex = args.machine.ingress.as_ref().map(|_| options.ifindex);
                let tap = input::tap(wire, host.as_deref(), ifindex)?;
                let port = match &args.write {
                    Some(path) => struck(Record::new(tap, output(path)?), args),
                    None => struck(tap, args),
                };
                Ok(Self { port: Some(port), ended: Arc::default() })
            }
        }
    }

    fn outcomes(&self) -> Outcomes {
        self.port.as_ref().map(|port| port.outcomes()).unwrap_or_default()
    }
}

/// The port behind a bad wire, if one is wanted.
fn struck(port: impl Port + 'static, args: &args::Run) -> Box<dyn Port> {
    match args.faults {
        None => Box::new(port),
        Some(list) => Box::new(Faulty::new(port, Faults { seed: args.machine.seed, ..list.0 })),
    }
}

/// Opens what packets are written to; `-` is standard output.
///
/// # Errors
/// It cannot be written.
pub(super) fn output(path: &Path) -> Result<Writer, Failure> {
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
fn asked_for(choice: &Choice, input: &Input) -> Result<(), Failure> {
    let fits = match choice {
        Choice::Auto => true,
        Choice::Listed(wanted) => {
            wanted.iter().any(|wanted| wanted.kind == EngineKind::User && wanted.hook.is_none())
        }
    };
    fits.then_some(()).ok_or_else(|| {
        let (name, what) = (input.name(), input.kind());
        let message =
            format!("{name} is a {what}, and only the user engine runs on those, at no hook");
        Failure::input(message, "use --engine user, or leave --engine away")
    })
}

/// Runs the program on every packet.
///
/// # Errors
/// Wrong input, a program that the machine cannot run, or an output that cannot be written.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Run, input: &Input) -> Result<(), Failure> {
    let args::Attach { object, program, .. } = &args.attach;
    asked_for(&program.engine.choice, input)?;
    let to_stdout = args.write.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if to_stdout && cx.shell.json() {
        return Err(Failure::input(
            "standard output cannot hold packets and documents at once",
            "write the packets to a file: -w FILE",
        ));
    }
    if let Input::File(path) = input {
        for written in args.write.iter().chain(&args.save_maps) {
            apart(written, &[path, object])?;
        }
    }
    let name = input.name();
    let draft = program::chosen(&program.which, &program.settings, object)?.read()?;
    let (options, capture) = options(&args.machine)?;
    if let Some(path) = input.path() {
        // Told before a program is looked at, which takes longer.
        drop(open(path, capture.clone(), None)?);
    }
    let assembled = draft.assemble(&name, options);
    let Assembled { machine, module, program: id } =
        assembled.map_err(|error| program::refused(cx, error))?;
    let mut executor = Executor::new(machine);
    let signals = Signals::catch()?;
    let plan = plan(&name, &module.program(id).name);
    let start = Instant::now();
    let patience = Patience { signals: &signals, until: args.duration.map(|d| start + d.0) };
    let mut source = Source::open(input, args, capture, patience)?;
    started(cx, &plan)?;
    let outcome = turn(cx, args, &mut source, &mut executor, &signals, (&name, start));
    let closed = source.port.as_mut().map_or(Ok(()), |port| port.finish());
    let line = counters(&name, &executor, &source, start.elapsed());
    let faults = executor.faults();
    if to_stdout {
        cx.shell.say(table(&[line]));
    } else {
        let trace = input
            .path()
            .filter(|_| args.faults.is_none())
            .map(|_| format!("hoist trace {name} {} --packet", object.display()));
        finish(cx, vec![line], start.elapsed(), faults, trace.as_deref())?;
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
        provider: Some(crate::session::userspace::PROVIDER.to_owned()),
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
    source: &mut Source,
    executor: &mut Executor,
    signals: &Signals,
    (name, start): (&str, Instant),
) -> Result<(), Failure> {
    let to_stdout = args.write.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let (mut shown, mut listened) = (start, start);
    loop {
        let Some(port) = &mut source.port else { return Ok(()) };
        let batch = port.receive(&mut |frame, arrival| executor.judge(frame, arrival));
        messages(cx, executor.machine_mut().environment_mut().take_messages())?;
        let batch = match batch {
            // Whoever lost patience cut a packet off, not the file.
            Err(_) if source.ended.load(Ordering::Relaxed) => return Ok(()),
            batch => batch?,
        };
        let left = args.duration.map(|d| d.0.saturating_sub(start.elapsed()));
        if batch == Batch::End || left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        if batch == Batch::Idle {
            let nap = args.interval.0.saturating_sub(shown.elapsed());
            let nap = left.map_or(nap, |left| left.min(nap));
            if ports::wait(&**port, signals.as_fd(), Some(nap))? == ports::Wake::Stop {
                return Ok(());
            }
        } else if listened.elapsed() >= LISTEN {
            listened = Instant::now();
            if signals.pending()? {
                return Ok(());
            }
        }
        if shown.elapsed() >= args.interval.0 {
            shown = Instant::now();
            if !to_stdout {
                let lines = [counters(name, executor, source, start.elapsed())];
                show(cx, &lines, start.elapsed())?;
            }
        }
    }
}

fn counters(name: &str, executor: &Executor, source: &Source, elapsed: Duration) -> CounterLine {
    let stats: Stats = executor.stats();
    let mut events = source.outcomes().failures();
    events.extend(executor.events());
    CounterLine {
        device: name.to_owned(),
        engine: EngineKind::User,
        counted: true,
        packets: packets(&stats),
        bytes: bytes(&stats),
        events,
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
