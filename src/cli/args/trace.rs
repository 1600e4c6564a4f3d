//! Arguments of `hoist trace`, and of what runs a capture file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hoist_offload::Verdict;

use super::program::{Settings, Which};

/// How hoist's own machine runs a program.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of the user engine")]
pub(crate) struct Machine {
    /// What time it is for the program: that of the packet, or now
    #[arg(
        long,
        value_name = "CLOCK",
        default_value = "capture",
        hide_short_help = true,
        long_help = "What time it is for the program: 'capture' is the time at which the packet was \
                     captured, so that the same file gives the same result; 'real' is now. On \
                     interfaces it is always now."
    )]
    pub clock: Clock,
    /// Where the random numbers of programs start
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true)]
    pub seed: u64,
    /// How much of endless loops is run for one packet
    #[arg(
        long,
        value_name = "N",
        hide_short_help = true,
        long_help = "How long a program may run for one packet, in instructions [default: 67108864]. Jumps \
                     back, calls and callbacks are charged, each with the instructions that it may repeat; \
                     straight code costs nothing. A program that has used up its budget ends in the fault \
                     out-of-fuel."
    )]
    pub fuel: Option<u64>,
    /// Of captures: the routes that the program finds, from 'probe --routes FILE'
    #[arg(
        long,
        value_name = "FILE",
        hide_short_help = true,
        long_help = "Of captures: the interfaces, routes and neighbours that the program finds when it asks \
                     (bpf_fib_lookup, bpf_check_mtu). 'hoist probe --routes FILE' writes those of a host. \
                     Without it there are none; on interfaces they are always those of the host."
    )]
    pub routes: Option<PathBuf>,
    /// Of captures: the interface that the packets came in by
    #[arg(
        long,
        value_name = "IF|INDEX",
        hide_short_help = true,
        long_help = "Of captures: the interface that the packets came in by, an index [default: 1] or a \
                     name that --routes knows. Packets of further interfaces of a pcapng file count on \
                     from there."
    )]
    pub ingress: Option<String>,
}

/// What time it is for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clock {
    /// When the packet was captured
    Capture,
    /// Now
    Real,
}

/// A verdict to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judged {
    /// XDP_ABORTED, faults included
    Aborted,
    /// XDP_DROP
    Drop,
    /// XDP_PASS
    Pass,
    /// XDP_TX
    Tx,
    /// XDP_REDIRECT
    Redirect,
}

impl From<Judged> for Verdict {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::Aborted => Self::Aborted,
            Judged::Drop => Self::Drop,
            Judged::Pass => Self::Pass,
            Judged::Tx => Self::Tx,
            Judged::Redirect => Self::Redirect,
        }
    }
}

/// `hoist trace`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The packets before the chosen one run first, untraced, so that maps hold what they would hold. Needs no
privilege, no kernel and no network: the program runs in hoist's own machine.

A PLACE is FILE:LINE, LINE, FUNCTION or FUNCTION+SLOT; faults and refusals are printed so.

Examples:
  hoist trace http.pcap filter.o                     the first packet, instruction by instruction
  hoist trace http.pcap filter.o --verdict drop      why was a packet dropped?
  hoist trace http.pcap filter.o --packet 17 --until parse_ipv4
  hoist trace http.pcap filter.o --break filter.c:31 --maps acl.json
  hoist trace http.pcap filter.o -j | jq .text")]
pub(crate) struct Trace {
    /// The capture file, pcap or pcapng; '-' for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The object file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Which packet, counted from 1 as 'tcpdump -#' and Wireshark do
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "verdict",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub packet: u64,
    /// The first packet that gets this verdict
    #[arg(long, value_name = "VERDICT")]
    pub verdict: Option<Judged>,
    /// Stop before this place; may be given several times
    #[arg(long, value_name = "PLACE")]
    pub until: Vec<String>,
    /// Show the whole state at this place, and only what happens there; may be given several times
    #[arg(short, long = "break", value_name = "PLACE")]
    pub breaks: Vec<String>,
    /// Instructions that are listed at most
    #[arg(long, value_name = "N", default_value_t = hoist_fallback::userspace::trace::LISTED)]
    pub limit: usize,
    /// Which program.
    #[command(flatten)]
    pub which: Which,
    /// What is set before it runs.
    #[command(flatten)]
    pub settings: Settings,
    /// How it runs.
    #[command(flatten)]
    pub machine: Machine,
}
