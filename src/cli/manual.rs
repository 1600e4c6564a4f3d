//! `hoist completion` and `hoist man`: made from the definition of the command line.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use serde::Serialize;

use super::args::{Completion, LowArgs, Man};
use super::failure::Failure;
use super::shell::Shell;

/// `hoist.completion.v1`.
#[derive(Serialize)]
struct Script {
    schema: &'static str,
    shell: String,
    script: String,
}

/// `hoist.man.v1`.
#[derive(Serialize)]
struct Pages {
    schema: &'static str,
    pages: Vec<Page>,
}

#[derive(Serialize)]
struct Page {
    name: String,
    roff: String,
}

/// Prints a completion script.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn completion(shell: &mut Shell, args: &Completion) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut LowArgs::command(), "hoist", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell.json() {
        let schema = "hoist.completion.v1";
        return shell.document(&Script { schema, shell: args.shell.to_string(), script });
    }
    shell.print(script.trim_end())
}

/// Prints the page of the whole command, or writes one per command into a directory.
///
/// # Errors
/// The directory or stdout cannot be written.
pub(super) fn man(shell: &mut Shell, args: &Man) -> Result<(), Failure> {
    let mut root = LowArgs::command();
    root.build();
    let mut all = Vec::new();
    pages(&root, None, &mut all)?;
    if let Some(directory) = &args.out {
        write(directory, &all)?;
        shell.say(format_args!("{} pages in {}", all.len(), directory.display()));
        if !shell.json() {
            return Ok(());
        }
    }
    if shell.json() {
        return shell.document(&Pages { schema: "hoist.man.v1", pages: all });
    }
    match all.first() {
        Some(page) => shell.print(page.roff.trim_end()),
        None => Ok(()),
    }
}

/// The page of a command and those of its subcommands: `hoist`, `hoist-map`, `hoist-map-dump`.
fn pages(command: &clap::Command, parent: Option<&str>, all: &mut Vec<Page>) -> io::Result<()> {
    let name = match parent {
        Some(parent) => format!("{parent}-{}", command.get_name()),
        None => command.get_name().to_owned(),
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(&name)).render(&mut roff)?;
    all.push(Page { name: name.clone(), roff: String::from_utf8_lossy(&roff).into_owned() });
    let subcommands = command.get_subcommands().filter(|s| s.get_name() != "help");
    for subcommand in subcommands {
        pages(subcommand, Some(&name), all)?;
    }
    Ok(())
}

fn write(directory: &Path, pages: &[Page]) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::input(format!("{}: {error}", path.display()), "name a directory you may write")
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for page in pages {
        let path = directory.join(format!("{}.1", page.name));
        fs::write(&path, &page.roff).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
