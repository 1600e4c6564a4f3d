//! Arguments of `hoist bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{EngineList, Interval};

/// `hoist bench`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "\
Without IF a veth pair is made in network namespaces of its own, gone afterwards, and every engine is
measured on it with a program that drops, in under a minute.

On an interface of yours the program is attached to IF, and frames are sent out of IF2 of --peer, which
a cable joins to IF. Nothing is ever sent out of an interface that was neither made by hoist nor named
by --peer. Both are to be used for nothing else meanwhile.

Packets are counted where they arrive. In every trial each packet that was made must be found again in
a named counter of the kernel or the program; -v shows which.

Examples:
  sudo hoist bench                            the quick table
  sudo hoist bench --html report.html
  sudo hoist bench eth0 --peer eth1 --program filter.o -m native,generic"
)]
pub(crate) struct Bench {
    /// Other things to do with results.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    /// The interface under test; without one a veth pair is made
    #[arg(value_name = "IF")]
    pub interface: Option<String>,
    /// The interface at the other end of IF's wire: frames are sent out of it
    #[arg(long, value_name = "IF2", requires = "interface")]
    pub peer: Option<String>,
    /// Object files, or names of programs that come with hoist
    #[arg(long = "program", visible_alias = "object", value_name = "OBJ", value_delimiter = ',')]
    pub programs: Vec<String>,
    /// The program, where the object has several
    #[arg(short = 'n', long, value_name = "PROG")]
    pub prog_name: Option<String>,
    /// Engines to measure [default: all but hw]
    #[arg(short = 'm', long = "engine", visible_alias = "mode", value_name = "LIST")]
    pub engine: Option<EngineList>,
    /// Numbers of processors that generate
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=512)
    )]
    pub cores: Vec<u32>,
    /// Send at this many frames per second instead of as fast as possible
    #[arg(long, value_name = "PPS")]
    pub rate: Option<f64>,
    /// How long one trial sends
    #[arg(long, value_name = "TIME", default_value = "500ms")]
    pub seconds: Interval,
    /// Trials of each cell that count; one more comes first and does not
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// Also measure the same program attached by iproute2, without hoist
    #[arg(long)]
    pub control: bool,
    /// Run programs as they are, without counting verdicts: only the kernel counts
    #[arg(long)]
    pub no_count: bool,
    /// Accept a difference of an engine by its code, as printed in a refusal
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub accept: Vec<String>,
    /// Have kernel threads poll IF on these processors, away from the generator
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub napi_cpus: Vec<u32>,
    /// Change nothing on the interfaces
    #[arg(long, conflicts_with = "napi_cpus")]
    pub no_prepare: bool,
    /// Say what would be changed and measured, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Measure on an interface that carries the default route
    #[arg(long)]
    pub force: bool,
}

/// What `hoist bench` does besides measuring.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Show a report again
    Report(BenchReport),
}

/// `hoist bench report`.
#[derive(Debug, Args)]
pub(crate) struct BenchReport {
    /// What 'hoist bench --json' wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
