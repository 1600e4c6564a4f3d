//! The `hoist` command, over any [`Registry`]: a vendor's binary is one line, too.
//!
//! ```no_run
//! # fn main() -> std::process::ExitCode {
//! hoist::cli::main(hoist::registry())
//! # }
//! ```
//!
//! Three layers: `args` says what can be typed and has no side effects; `context` turns it into a
//! host, a kernel and a shell; one file per subcommand does the work through those. Text is made in
//! `render`, documents are the types that derive `Serialize` beside the command that prints them.

pub(crate) mod adjusted;
mod args;
mod failure;
mod kept;
pub(crate) mod render;
mod shell;

mod accept;
mod bench;
mod context;
mod date;
mod demo;
mod lint;
mod load;
mod manual;
mod map;
mod plan;
mod probe;
mod program;
mod replay;
mod run;
mod schema;
mod signal;
mod status;
mod trace;
mod unload;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use hoist_offload::{Registry, privilege};

use args::{Command, LowArgs};
use context::{Context, LOAD};
use failure::{Exit, Failure, Words};
use schema::ErrorDocument;
use shell::Shell;

/// Runs the command with the process's own arguments.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    let args = match LowArgs::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error).into(),
    };
    let mut shell = Shell::new(&args.global);
    let result = match &args.command {
        Command::Completion(args) => manual::completion(&mut shell, args),
        Command::Man(args) => manual::man(&mut shell, args),
        Command::Lint(args) => lint::run(&mut shell, &registry, args),
        command => {
            let remember = !matches!(command, Command::Probe(probe) if probe.no_cache);
            match Context::open(&args.global, remember, registry, &mut shell) {
                Ok(mut cx) => dispatch(&mut cx, command),
                Err(failure) => Err(failure),
            }
        }
    };
    match result {
        Ok(()) => Exit::Done.into(),
        Err(failure) => end(&mut shell, &failure).into(),
    }
}

/// What the parser of arguments has to say: help and version are products, mistakes are talk, and who
/// asked for documents gets one of the mistake as well.
fn usage(error: &clap::Error) -> Exit {
    // With both streams closed there is nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    let typed: Vec<String> = std::env::args().collect();
    let json = |a: &String| matches!(a.as_str(), "-j" | "--json" | "-ojson" | "--output=json");
    let output =
        |pair: &[String]| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json";
    if typed.iter().any(json) || typed.windows(2).any(output) {
        let text = error.render().to_string();
        let said: Vec<&str> =
            text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let words = Words {
            code: None,
            error: said.join(" ").trim_start_matches("error: ").to_owned(),
            next: Some("'hoist --help' says what can be typed".to_owned()),
            log: None,
        };
        let document = ErrorDocument::new(&words, Exit::Usage);
        if let Ok(text) = serde_json::to_string_pretty(&document) {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
    Exit::Usage
}

fn dispatch(cx: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Probe(args) => probe::run(cx, args),
        Command::Plan(args) => plan::run(cx, args),
        Command::Run(args) => run::run(cx, args),
        Command::Trace(args) => trace::run(cx, args),
        Command::Load(args) => load::run(cx, args),
        Command::Unload(args) => unload::run(cx, args),
        Command::Status(args) => status::run(cx, args),
        Command::Map(command) => map::run(cx, command),
        Command::Verify(args) => verify::run(cx, args),
        Command::Lint(args) => lint::run(cx.shell, &cx.registry, args),
        Command::Demo(args) => demo::run(cx, args),
        Command::Bench(args) => bench::run(cx, args),
        Command::Completion(args) => manual::completion(cx.shell, args),
        Command::Man(args) => manual::man(cx.shell, args),
    }
}

/// Tells what went wrong, unless it was told already; returns the status to end with.
fn end(shell: &mut Shell, failure: &Failure) -> Exit {
    let exit = failure.exit();
    let words = match failure {
        Failure::Error(error) => failure::words(error, &privilege::missing(&LOAD)),
        Failure::Words(words, _) => words.clone(),
        Failure::Output(error) if exit != Exit::Done => failure::output_words(error),
        Failure::Output(_) | Failure::Told(_) => return exit,
    };
    shell.error(&words);
    if shell.json() && !matches!(failure, Failure::Output(_)) {
        // stdout may be what failed; the status says so anyway.
        let _ = shell.document(&ErrorDocument::new(&words, exit));
    }
    exit
}
