//! Arguments of `hoist verify`.

use std::path::PathBuf;

use clap::Args;

use super::values::EngineList;

/// `hoist verify`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Without IF a veth pair is made in network namespaces of its own, and gone afterwards. On an
interface of yours nothing is sent: each program is loaded for it and run on frames in memory
('test run'). With --peer frames go over the wire, from IF2 to IF and back ('real traffic'); both
are used for nothing else meanwhile.

The suite that comes with hoist proves docs/semantics.md row by row, and the result is a
certificate. With --object the cases are yours, for your program: CI without hardware.

Examples:
  sudo hoist verify                           every engine on a veth pair, by real traffic
  sudo hoist verify eth0                      what can be shown of eth0 without sending
  sudo hoist verify eth0 --peer eth1 -m native
  hoist verify --object filter.o --new cases/filter.toml
  sudo hoist verify --object filter.o --cases cases --junit report.xml

Exit status: 1 when a case fails, 2 when a case file is wrong.")]
pub(crate) struct Verify {
    /// The interface; without one a veth pair is made
    #[arg(value_name = "IF")]
    pub interface: Option<String>,
    /// The interface at the other end of IF's wire: real traffic between the two
    #[arg(long, value_name = "IF2", requires = "interface")]
    pub peer: Option<String>,
    /// Engines to hold against the cases [default: every engine]
    #[arg(
        short = 'm',
        long = "engine",
        visible_alias = "mode",
        value_name = "LIST",
        default_value = "auto",
        hide_default_value = true
    )]
    pub engine: EngineList,
    /// Your program, for your cases
    #[arg(long, value_name = "OBJ")]
    pub object: Option<PathBuf>,
    /// The program, where the object has several
    #[arg(short = 'n', long = "program", value_name = "PROG", requires = "object")]
    pub program: Option<String>,
    /// Your cases: a directory of *.toml files, or one file
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    /// Only cases whose name, or a row they prove, contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// List the cases and run none
    #[arg(long, conflicts_with_all = ["junit", "new"])]
    pub list: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    pub junit: Option<PathBuf>,
    /// Write a first case file for OBJ, to be completed by you
    #[arg(long, value_name = "FILE", requires = "object", conflicts_with_all = ["cases", "peer", "filter"])]
    pub new: Option<PathBuf>,
}
