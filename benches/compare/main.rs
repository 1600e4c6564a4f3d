//! Reproduces the figures of docs/benchmarking.md: hoist against the tools people use today, in
//! interleaved pairs.
//!
//! ```text
//! cargo build --release --workspace
//! target/release/hoist-compare [--hoist PATH] [--pairs N] [load|share|probe|offload|rate|hooks|counting|test-run|memory|meter|af-xdp|replay|generator]...
//! ```
//!
//! Root only. Everything happens in network namespaces made for the occasion.

use std::path::PathBuf;
use std::process::ExitCode;

mod bare;
mod generator;
mod load;
mod memory;
mod meter;
mod offload;
mod ports;
mod probe;
mod rate;
mod test_run;
mod world;

use Take::{InKernel, InWorld};
use world::{Outcome, World};

/// A figure by name and what takes it.
type Figure = (&'static str, Take);

/// What takes a figure.
#[derive(Clone, Copy)]
enum Take {
    /// Commands and traffic in network namespaces.
    InWorld(fn(&World) -> Outcome<()>),
    /// By itself: test runs in the kernel, ports of the userspace engine.
    InKernel(fn() -> Outcome<()>),
}

const FIGURES: [Figure; 13] = [
    ("load", InWorld(load::against_others)),
    ("share", InWorld(load::own_share)),
    ("probe", InWorld(probe::whole_host)),
    ("offload", InWorld(offload::against_bpftool)),
    ("rate", InWorld(rate::against_iproute2)),
    ("hooks", InWorld(rate::of_hooks)),
    ("counting", InWorld(rate::counting_pass)),
    ("test-run", InKernel(test_run::corpus)),
    ("memory", InWorld(memory::of_run)),
    ("meter", InKernel(meter::own_cost)),
    ("af-xdp", InKernel(ports::af_xdp)),
    ("replay", InKernel(ports::replay)),
    ("generator", InKernel(generator::rates)),
];

/// What the command line asks for.
struct Wish {
    hoist: PathBuf,
    pairs: usize,
    figures: Vec<Figure>,
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    match parse(std::env::args().skip(1)).and_then(|wish| take(&wish)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hoist-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    format!(
        "hoist-compare [--hoist PATH] [--pairs N] [FIGURE]...\n\n\
         Takes figures of docs/benchmarking.md, as root: {}; all of them unless told otherwise.\n\
         --hoist PATH  the hoist that is measured, instead of the one beside this program\n\
         --pairs N     pairs of trials, 60 unless told otherwise",
        names()
    )
}

fn names() -> String {
    FIGURES.map(|(name, _)| name).join(", ")
}

fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Wish> {
    let mut wish = Wish { hoist: beside_us(), pairs: 60, figures: Vec::new() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--hoist" => wish.hoist = value()?.into(),
            "--pairs" => wish.pairs = value()?.parse::<usize>()?.max(1),
            name => {
                let figure = FIGURES.iter().find(|(known, _)| *known == name);
                wish.figures.push(*figure.ok_or_else(|| {
                    format!("no figure is called '{name}'; there are {}", names())
                })?);
            }
        }
    }
    if wish.figures.is_empty() {
        wish.figures = FIGURES.to_vec();
    }
    Ok(wish)
}

/// The hoist that was built together with this program.
fn beside_us() -> PathBuf {
    let folder = std::env::current_exe().ok().and_then(|us| us.parent().map(PathBuf::from));
    folder.unwrap_or_default().join("hoist")
}

fn take(wish: &Wish) -> Outcome<()> {
    let mut world = None;
    for (_, figure) in &wish.figures {
        match figure {
            InKernel(figure) => figure()?,
            InWorld(figure) => {
                let world = match &mut world {
                    Some(world) => world,
                    none => none.insert(World::new(&wish.hoist, wish.pairs)?),
                };
                figure(world)?;
            }
        }
    }
    Ok(())
}
