//! Arguments of the commands that take a program: plan, run, load.

use std::path::PathBuf;

use clap::Args;

use super::trace::Machine;
use super::values::{Assignment, EngineList, Entries, FaultList, Interval, Merged};

/// Which of an object's programs.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The program, where the object has several
    #[arg(short = 'n', long = "program", visible_alias = "prog-name", value_name = "PROG")]
    pub program: Option<String>,
    /// The ELF section of the program
    #[arg(short, long, value_name = "SECTION")]
    pub section: Option<String>,
}

/// What a program finds when it starts.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Set a global variable before loading
    #[arg(
        long,
        value_name = "VAR=VALUE",
        long_help = "Set a global variable (.rodata, .data or .bss) before loading; the value is \
                     read by the variable's BTF type: 10, 0x1f, true, 192.0.2.1, \
                     02:00:00:00:00:01, {\"port\": 80}, [1, 2]. May be given several times."
    )]
    pub set: Vec<Assignment>,
    /// Give a map another number of entries
    #[arg(
        long,
        value_name = "MAP=N",
        value_delimiter = ',',
        long_help = "Give a map another number of entries than the object says, on every engine, \
                     such as fewer where a NIC has little room. May be given several times."
    )]
    pub max_entries: Vec<Entries>,
    /// Fill maps from this file before attaching ('map dump' writes it)
    #[arg(long, value_name = "FILE")]
    pub maps: Option<PathBuf>,
}

/// Options shared by plan, run and load.
#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// Which program.
    #[command(flatten)]
    pub which: Which,
    /// Engines to try, in this order [default: every engine, best first]
    #[arg(
        short = 'm',
        long = "engine",
        visible_alias = "mode",
        value_name = "LIST",
        default_value = "auto",
        hide_default_value = true,
        long_help = "Engines to try, in this order, separated by commas. A single one means that \
                     one or a refusal. The engines are hw, native, generic, tc, user; the \
                     spellings of xdp-loader, bpftool and iproute2 (offload, drv, skb, xdpdrv, \
                     xdpgeneric ...) are understood. 'auto' tries every engine of this build, \
                     best first, and says why each better one was passed over."
    )]
    pub engine: EngineList,
    /// Accept a difference by its code, as printed in a refusal
    #[arg(
        long,
        value_name = "CODE",
        value_delimiter = ',',
        long_help = "Accept a difference by its code, as printed in a refusal: an engine that \
                     would lose or change packets is passed over unless its code is accepted or \
                     the engine is the only one asked for."
    )]
    pub accept: Vec<String>,
    /// Change settings of the device that the chosen engine needs; put back at the end
    #[arg(
        long,
        long_help = "Change settings of the device that the chosen engine needs otherwise, such as \
                     rx-gro for tc, before the program is attached. They are put back when the \
                     program is taken off, by 'unload' if it stays, and by the next start of hoist \
                     if it was killed. 'plan' says what would be changed."
    )]
    pub adjust_device: bool,
    /// What tc does with frames that were merged from several
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "run",
        long_help = "What tc does with frames that GRO or a local sender merged from several, where \
                     merged-packets is accepted: 'run' the program on the merged frame, as generic \
                     XDP does, or 'drop' it, counted as merged_seen. Other engines see no such \
                     frames, or can only run the program on them."
    )]
    pub merged: Merged,
    /// What is set before it runs.
    #[command(flatten)]
    pub settings: Settings,
    /// Where maps that ask to be pinned by name are pinned
    #[arg(
        long,
        value_name = "DIR",
        long_help = "Where maps that ask to be pinned by name are pinned and found again: a \
                     directory on a bpffs, made if need be. Without it such maps are private."
    )]
    pub pin_root: Option<PathBuf>,
    /// Replace the program with this id, and only that one
    #[arg(long, value_name = "ID")]
    pub replace: Option<u32>,
    /// Count packets and bytes per verdict
    #[arg(long, overrides_with = "no_count")]
    pub count: bool,
    /// Run the program as it is, without counting
    #[arg(long, overrides_with = "count")]
    pub no_count: bool,
}

/// What is attached, and where: shared by run and load.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Interfaces; all of them or none ('run' also takes a capture file)
    #[arg(value_name = "IF", required = true, num_args = 1..)]
    pub interfaces: Vec<String>,
    /// The object file
    #[arg(value_name = "OBJ", required = true)]
    pub object: PathBuf,
    /// Program options.
    #[command(flatten)]
    pub program: ProgramArgs,
}

/// `hoist plan`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
As root the program is loaded and verified to be sure ('proven'), then unloaded; nothing is ever
attached. Without privilege, or with --host, the plan follows from facts ('expected').

Examples:
  hoist plan eth0 filter.o
  hoist plan eth0 filter.o -n xdp_main -m hw,native
  hoist plan --host customer.json eth0 filter.o -j")]
pub(crate) struct Plan {
    /// The interface
    #[arg(value_name = "IF")]
    pub interface: String,
    /// The object file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Program options.
    #[command(flatten)]
    pub program: ProgramArgs,
}

/// `hoist run`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The ladder is printed first: each engine passed over with every reason, then the one that runs it.
Ctrl-C or SIGTERM detaches and prints totals; so does the end of hoist for any other reason.

A capture file, pcap or pcapng, may stand where the interface does ('-' is standard input). The program
then runs on its packets in hoist's own machine, the user engine: without privilege, without the
kernel's BPF, and with the same result each time. 'hoist trace' shows single packets.

So may tap:NAME, a TAP interface that is made for the run: what the host sends through it is what the
program gets. With tap:NAME,NAME2 passed packets come in by the second one.

Examples:
  sudo hoist run eth0 filter.o
  hoist run http.pcap filter.o --maps acl.json -w left.pcapng
  tcpdump -i eth0 -w - | hoist run - filter.o
  hoist run http.pcap filter.o --faults corrupt=1%,truncate=0.5%
  sudo hoist run tap:t0 filter.o
  sudo hoist run eth0 eth1 filter.o --duration 10s --interval 500ms
  sudo hoist run eth0 xdpfilt_alw_ip.o --maps blocked.json -m native,generic")]
pub(crate) struct Run {
    /// What is attached, and where.
    #[command(flatten)]
    pub attach: Attach,
    /// Stop after this long
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<Interval>,
    /// Time between counter lines
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Write the packets that leave the program here, as pcapng (user engine only)
    #[arg(
        short,
        long,
        value_name = "FILE",
        long_help = "Write the packets that leave the program here, as pcapng; '-' is standard \
                     output. What it passes, sends back and redirects are interfaces of their own: \
                     'pass', 'tx', 'redirect:7'. On interfaces (user engine only) and TAP interfaces \
                     every packet is written twice: as it came ('received'), and as it left or was \
                     dropped ('drop')."
    )]
    pub write: Option<PathBuf>,
    /// Of a capture file: write the maps here at the end, as 'map dump' does
    #[arg(long, value_name = "FILE")]
    pub save_maps: Option<PathBuf>,
    /// Of captures and TAP interfaces: do to packets what bad wires do
    #[arg(
        long,
        value_name = "LIST",
        hide_short_help = true,
        long_help = "Of captures and TAP interfaces: do to packets what bad wires do before the program \
                     gets them, each with a share of the packets: lose=1%,corrupt=0.1%,truncate=1%,\
                     duplicate=1%,delay=1%. --seed chooses which."
    )]
    pub faults: Option<FaultList>,
    /// How hoist's own machine runs it.
    #[command(flatten)]
    pub machine: Machine,
}

/// `hoist load`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The program stays until 'hoist unload' or a reboot: its link is pinned on a bpffs. The ladder is
printed as by 'plan'. Verdicts are counted with --count ('hoist status' shows them).

Examples:
  sudo hoist load eth0 filter.o
  sudo hoist load eth0 eth1 filter.o --count
  sudo hoist load eth0 filter-v2.o --replace 42")]
pub(crate) struct Load {
    /// What is attached, and where.
    #[command(flatten)]
    pub attach: Attach,
}
