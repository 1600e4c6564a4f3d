//! Arguments of `hoist lint`.

use std::path::PathBuf;

use clap::Args;
use hoist_offload::profile::Parameters;

use super::values::{Assignment, Entries};

/// `hoist lint`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Nothing is loaded: no card, no privilege and no kernel are needed. The program is rewritten for the
card as far as its meaning stays the same ('rewritten'); what remains is held against the rules of
the card's driver, each with the function of the driver that it follows. Of a card's firmware only a
trial tells some numbers: what the program needs of them is listed.

Examples:
  hoist lint filter.o                               every program of filter.o, for an Agilio card
  hoist lint filter.o --profile netdevsim -j
  hoist lint filter.o --parameter stack_bytes=128,adjust_tail=yes
  hoist lint filter.o --accept lru-bound --max-entries flows=4096
  hoist lint build/                                 every object of a directory, as a table
  hoist lint --print-profile nfp > card.json        change it, then: --profile card.json

Exit status: 1 when a program is refused.")]
pub(crate) struct Lint {
    /// Object files, or directories of them
    #[arg(value_name = "OBJ", required_unless_present = "print_profile")]
    pub objects: Vec<PathBuf>,
    /// The card: a driver's name, or a file that --print-profile wrote
    #[arg(
        short = 'p',
        long,
        value_name = "NAME|FILE",
        default_value = "nfp",
        conflicts_with = "print_profile"
    )]
    pub profile: String,
    /// Only this program
    #[arg(short = 'n', long = "program", visible_alias = "prog-name", value_name = "PROG")]
    pub program: Option<String>,
    /// What the card's firmware has
    #[arg(
        long = "parameter",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        long_help = "What the card's firmware has: a number, yes or no. --print-profile lists the \
                     parameters with what is known of each. May be given several times."
    )]
    pub parameters: Vec<Parameters>,
    /// Set a global variable before the program is rewritten
    #[arg(long, value_name = "VAR=VALUE")]
    pub set: Vec<Assignment>,
    /// Accept a difference by its code, as printed in a refusal
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub accept: Vec<String>,
    /// Give a map another size
    #[arg(long = "max-entries", value_name = "MAP=N", value_delimiter = ',')]
    pub max_entries: Vec<Entries>,
    /// Print a profile as JSON and do nothing else
    #[arg(long, value_name = "NAME")]
    pub print_profile: Option<String>,
}
