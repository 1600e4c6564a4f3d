//! Arguments of `hoist bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use hoist_benches::linerate::Size;
use hoist_benches::scenario::Maker;

use super::values::{EngineList, Interval, Mac, Rate, Share, Speed};
use crate::cli::bench::{OwnGoal, Sought};

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
    #[arg(hide_short_help = true, short = 'n', long, value_name = "PROG")]
    pub prog_name: Option<String>,
    /// Engines to measure [default: all but hw]
    #[arg(short = 'm', long = "engine", visible_alias = "mode", value_name = "LIST")]
    pub engine: Option<EngineList>,
    /// Frames: bytes with FCS, imix, flows-N, vlan, vxlan, ipv6, burst, or a file that ends in .toml
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "64")]
    pub profile: Vec<String>,
    /// What makes the frames
    #[arg(hide_short_help = true, long, value_name = "KIND", default_value = "live")]
    pub generator: Made,
    /// Numbers of processors that generate
    #[arg(
        hide_short_help = true,
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=512)
    )]
    pub cores: Vec<u32>,
    /// Send at this rate: 1.5M, 250k, frames per second [default: as fast as possible]
    #[arg(
        long,
        value_name = "RATE",
        long_help = "Send at this rate, in frames per second of all generators together: 1.5M, 250k, \
                     40000. With --search it is the largest load that is tried. Without it, the \
                     generator sends as fast as it can."
    )]
    pub rate: Option<Rate>,
    /// Search for these instead of taking the rate at full speed
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub search: Vec<Sought>,
    /// Search for a goal of RFC 9971 of your own: loss=0.1%,sum=5,trial=0.25,exceed=0.5,width=0.5%
    #[arg(hide_short_help = true, long, value_name = "GOAL")]
    pub goal: Vec<OwnGoal>,
    /// How long one trial sends [default: 500ms; of searches, what their documents say]
    #[arg(long, value_name = "TIME")]
    pub seconds: Option<Interval>,
    /// Take at most this long
    #[arg(hide_short_help = true, long, value_name = "TIME")]
    pub budget: Option<Interval>,
    /// Repeats of each cell, in turns with the others [default: 5; of RFC 2544's procedures 1]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: Option<u32>,
    /// Have frames carry the times of their sending, for latency where they come back
    #[arg(hide_short_help = true, long)]
    pub latency: bool,
    /// Send nothing: measure what another machine sends to IF
    #[arg(
        hide_short_help = true,
        long,
        requires = "interface",
        conflicts_with_all = ["peer", "rate", "search", "goal", "cores", "latency"],
        long_help = "Send nothing: measure what another machine sends to IF, by whatever means. A trial \
                     begins with the first frame and ends half a second after the last, or after \
                     --seconds [default: 1h]."
    )]
    pub receive_only: bool,
    /// With --receive-only: frames that the other machine says it sends
    #[arg(hide_short_help = true, long, value_name = "N", requires = "receive_only")]
    pub expect: Option<u64>,
    /// Measure nothing: send out of IF, for --receive-only on another machine
    #[arg(
        hide_short_help = true,
        long,
        requires = "interface",
        conflicts_with_all = ["peer", "receive_only", "search", "goal", "engine", "programs"]
    )]
    pub send_only: bool,
    /// With --send-only: the hardware address that frames are sent to
    #[arg(
        hide_short_help = true,
        long,
        value_name = "MAC",
        requires = "send_only",
        default_value = "ff:ff:ff:ff:ff:ff"
    )]
    pub to_mac: Mac,
    /// Take trials although others use the machine; the report warns of it
    #[arg(hide_short_help = true, long)]
    pub busy: bool,
    /// Leave out what the harness itself costs
    #[arg(hide_short_help = true, long)]
    pub no_floors: bool,
    /// Also measure the same program attached by iproute2, without hoist
    #[arg(long)]
    pub control: bool,
    /// Run programs as they are, without counting verdicts: only the kernel counts
    #[arg(hide_short_help = true, long)]
    pub no_count: bool,
    /// Accept a difference of an engine by its code, as printed in a refusal
    #[arg(hide_short_help = true, long, value_name = "CODE", value_delimiter = ',')]
    pub accept: Vec<String>,
    /// Have kernel threads poll IF on these processors, away from the generator
    #[arg(hide_short_help = true, long, value_name = "LIST", value_delimiter = ',')]
    pub napi_cpus: Vec<u32>,
    /// Also write the report as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Change nothing on the interfaces
    #[arg(hide_short_help = true, long, conflicts_with = "napi_cpus")]
    pub no_prepare: bool,
    /// Say what would be changed and measured, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Measure on an interface that carries the default route
    #[arg(hide_short_help = true, long)]
    pub force: bool,
}

/// What makes frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Made {
    /// A program within the kernel: the fastest
    Live,
    /// AF_XDP sockets
    #[value(name = "af_xdp")]
    AfXdp,
    /// Packet sockets
    #[value(name = "af_packet")]
    AfPacket,
}

impl From<Made> for Maker {
    fn from(made: Made) -> Self {
        match made {
            Made::Live => Self::Live,
            Made::AfXdp => Self::AfXdp,
            Made::AfPacket => Self::AfPacket,
        }
    }
}

/// What `hoist bench` does besides measuring.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Hold one report against another: status 1 when something became slower
    Compare(BenchCompare),
    /// Say how many frames per second a wire carries
    Linerate(BenchLinerate),
    /// Show a report again
    Report(BenchReport),
}

/// `hoist bench compare`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Cells are those of the same engine, program, profile, cores and search. A change counts when it is at
least as large as --least-effect and larger than what the noise of both reports makes likely.

Examples:
  hoist bench --json > before.json
  hoist bench --json > after.json
  hoist bench compare before.json after.json

Exit status: 1 when a cell became slower or is measured no more, or when nothing could be compared.")]
pub(crate) struct BenchCompare {
    /// The report before
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The report after
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Least change that matters
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    pub least_effect: Share,
    /// Compare although machines, kernels or settings differ
    #[arg(long)]
    pub across: bool,
}

/// `hoist bench linerate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Each frame takes 20 bytes of the wire besides its own: preamble, start delimiter and gap. Sizes count the
frame check sequence, as everywhere in hoist bench.

Examples:
  hoist bench linerate
  hoist bench linerate --speed 100G --size 64,imix")]
pub(crate) struct BenchLinerate {
    /// Speeds of the wire: 10G, 2.5G, 400G [default: the usual ones]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub speed: Vec<Speed>,
    /// Sizes of frames in bytes with FCS, imix, or a mix as 64x28+570x16+1518x4
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub size: Vec<Size>,
}

/// `hoist bench report`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hoist bench report monday.json -v
  hoist bench report monday.json --html monday.html")]
pub(crate) struct BenchReport {
    /// What 'hoist bench --json' wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Also write it as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
