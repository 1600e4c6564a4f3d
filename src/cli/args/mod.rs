//! The definition of the command line. Parsing has no side effects: what a flag means is decided
//! in [`super::context`].
//!
//! `-h`, `--help`, the man pages and the shell completions all come from this one definition.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

mod bench;
mod lint;
mod map;
mod program;
mod trace;
mod values;
mod verify;

pub(crate) use bench::{Bench, BenchCommand, BenchCompare, BenchLinerate, BenchReport};
pub(crate) use lint::Lint;
pub(crate) use map::{MapCommand, MapCopy, MapList, MapSelector, MapWatch};
pub(crate) use program::{Attach, Load, Plan, ProgramArgs, Run, Settings, Which};
pub(crate) use trace::{Clock, Machine, Trace};
pub(crate) use values::Interval;
pub(crate) use verify::Verify;

/// Shown by `--help` after the options of the whole command.
const AFTER_LONG_HELP: &str = "\
Examples:
  hoist probe eth0                      what eth0 can do, engine by engine, and why not more
  hoist plan eth0 filter.o              which engine would run filter.o; nothing is attached
  sudo hoist run eth0 filter.o          run it, with live counters, until Ctrl-C
  sudo hoist load eth0 filter.o         run it and leave it there
  sudo hoist map set eth0/blocked 192.0.2.1 1
  sudo hoist unload eth0
  hoist run http.pcap filter.o          run it on a capture file; needs no privilege
  hoist trace http.pcap filter.o        why does it do that with this packet?
  sudo hoist verify                     prove on this kernel that the engines do the same
  hoist lint filter.o --profile nfp     would a card take it? needs no card
  sudo hoist bench                      how fast is each engine here? no packet unaccounted for
  sudo hoist demo                       see all of it on a veth pair made for the occasion

Exit status:
  0  done (a slower engine was taken, or Ctrl-C after a clean detach, is done)
  1  refused: no engine runs the program, or another program holds the slot; or a check failed
  2  wrong usage or input: a bad file, an unknown interface, a value that does not fit
  3  not permitted: the message names the capability that is missing
  4  the kernel or the system failed";

/// Run one unmodified XDP program on the best engine an interface offers, and say why.
#[derive(Debug, Parser)]
#[command(
    name = "hoist",
    version,
    propagate_version = true,
    infer_subcommands = true,
    infer_long_args = true,
    disable_help_subcommand = false,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "'hoist COMMAND --help' explains a command with examples.",
    after_long_help = AFTER_LONG_HELP
)]
pub(crate) struct LowArgs {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Print one JSON document (streaming commands: one per line)
    #[arg(short = 'j', long, global = true)]
    pub json: bool,
    /// Output format
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FORMAT",
        global = true,
        conflicts_with = "json",
        hide_short_help = true
    )]
    pub output: Option<Format>,
    /// Work in this network namespace
    #[arg(
        long,
        value_name = "NAME|PATH|PID",
        global = true,
        long_help = "Work in this network namespace: a name as `ip netns` knows it, a path, or \
                     the id of a process that lives in it. Everything else (files, bpffs) stays \
                     that of the caller."
    )]
    pub netns: Option<String>,
    /// Answer from a recording of another host (probe, plan)
    #[arg(
        long,
        value_name = "RECORDING",
        global = true,
        hide_short_help = true,
        long_help = "Answer from a recording that `hoist probe --record FILE` made, instead of \
                     this host. For `probe` and `plan`: nothing is loaded."
    )]
    pub host: Option<PathBuf>,
    /// When to colour
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_short_help = true
    )]
    pub color: Color,
    /// Say less on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose", hide_short_help = true)]
    pub quiet: bool,
    /// Say more: the verifier's log whole, evidence behind each fact
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// How output is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what interfaces and the host can do, engine by engine
    #[command(visible_alias = "features")]
    Probe(Probe),
    /// Show which engine would run a program on an interface, and why not a better one
    Plan(Plan),
    /// Run a program in the foreground with live counters; Ctrl-C detaches it
    Run(Run),
    /// Step one packet of a capture through a program and say why its verdict is what it is
    Trace(Trace),
    /// Attach a program and leave it there
    Load(Load),
    /// Detach what hoist loaded
    Unload(Unload),
    /// Show the programs attached to interfaces, other people's included
    Status(Status),
    /// List, read and change maps, typed by their BTF
    #[command(subcommand, visible_alias = "maps")]
    Map(MapCommand),
    /// Hold engines on an interface against conformance cases, the suite's or yours
    Verify(Verify),
    /// Show what a card would refuse of a program, and why, without the card
    Lint(Lint),
    /// See it work: probe, plan, run and measure on a veth pair made for the occasion
    Demo(Demo),
    /// Measure packets per second, loss and latency of programs on engines, with every packet accounted for
    Bench(Bench),
    /// Print a shell completion script
    Completion(Completion),
    /// Print the manual page, or write all of them
    Man(Man),
}

/// `hoist probe`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Nothing is attached. Program features are found by loading tiny programs, which needs CAP_BPF; what
cannot be known is shown as unknown, with what would tell.

Examples:
  hoist probe                     the host and every interface
  hoist probe eth0 -j             one interface, for programs
  sudo hoist probe eth0 --offload what the NIC takes for itself, and nothing else
  hoist probe --record box.json   keep it; then anywhere: hoist plan --host box.json eth0 filter.o")]
pub(crate) struct Probe {
    /// Interfaces; without any: the host and every interface
    #[arg(value_name = "IF")]
    pub interfaces: Vec<String>,
    /// Also write a recording for --host to this file
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Also write the routes for 'run' and 'trace' on captures to this file
    #[arg(
        long,
        value_name = "FILE",
        long_help = "Also write interfaces, routes, rules and neighbours of this network namespace to this \
                     file, for --routes of 'run' and 'trace' on captures. Needs no privilege."
    )]
    pub routes: Option<PathBuf>,
    /// Probe anew instead of using what was found earlier since boot
    #[arg(long)]
    pub no_cache: bool,
    /// List every helper, map type, kfunc and offload fact by name
    #[arg(long)]
    pub full: bool,
    /// Only what the NIC takes for itself, without the engines of the host
    #[arg(long, requires = "interfaces")]
    pub offload: bool,
}

/// `hoist unload`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Only what hoist loaded is taken off, unless --force names another's program by its id (as shown by
'hoist status'). With several interfaces nothing is detached unless each of them has something to
detach.

Examples:
  sudo hoist unload eth0
  sudo hoist unload eth0 --id 42
  sudo hoist unload eth0 --force 17")]
pub(crate) struct Unload {
    /// Interfaces
    #[arg(value_name = "IF", required = true)]
    pub interfaces: Vec<String>,
    /// Only the program with this id
    #[arg(short = 'i', long, value_name = "ID")]
    pub id: Option<u32>,
    /// Detach the program with this id whoever loaded it
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub force: Option<u32>,
}

/// `hoist status`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hoist status            every interface with a program
  hoist status eth0 -j    one interface, for programs")]
pub(crate) struct Status {
    /// Interfaces; without any: all that have a program
    #[arg(value_name = "IF")]
    pub interfaces: Vec<String>,
}

/// `hoist demo`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Makes two network namespaces joined by a veth pair, probes it, shows the plan for a program, runs
that program on each engine there is with real packets, and prints verdicts and packet rates. Takes
less than 20 seconds and leaves nothing behind, also after Ctrl-C.")]
pub(crate) struct Demo {
    /// How long to measure each engine
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub duration: Interval,
}

/// `hoist completion`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hoist completion bash | sudo tee /etc/bash_completion.d/hoist
  hoist completion zsh > ~/.zfunc/_hoist")]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `hoist man`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hoist man | man -l -
  hoist man --out /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Write one page per command into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
