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

pub(crate) mod args;
mod failure;
mod kept;
pub(crate) mod render;
mod shell;

mod context;
mod demo;
mod load;
mod manual;
mod map;
mod plan;
mod probe;
mod program;
mod run;
mod schema;
mod signal;
mod status;
mod unload;

use std::process::ExitCode;

use clap::Parser;
use hoist_offload::{Registry, privilege};

use args::{Command, LowArgs};
use context::{Context, LOAD};
use failure::{Exit, Failure};
use schema::ErrorDocument;
use shell::Shell;

/// Runs the command with the process's own arguments.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    let args = LowArgs::parse();
    let mut shell = Shell::new(&args.global);
    let result = match &args.command {
        Command::Completion(args) => manual::completion(&mut shell, args),
        Command::Man(args) => manual::man(&mut shell, args),
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

fn dispatch(cx: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Probe(args) => probe::run(cx, args),
        Command::Plan(args) => plan::run(cx, args),
        Command::Run(args) => run::run(cx, args),
        Command::Load(args) => load::run(cx, args),
        Command::Unload(args) => unload::run(cx, args),
        Command::Status(args) => status::run(cx, args),
        Command::Map(command) => map::run(cx, command),
        Command::Demo(args) => demo::run(cx, args),
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
