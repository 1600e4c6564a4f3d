//! Asking a host what it can do.

use hoist_benches::pairs::interleaved;

use crate::world::{Outcome, World, milliseconds};

/// A whole-host probe against `bpftool feature probe kernel`, which asks less.
pub(crate) fn whole_host(world: &World) -> Outcome<()> {
    let result = interleaved(
        world.pairs.div_ceil(2),
        || Ok(milliseconds(world.hoist(&["probe", "--no-cache", "--json"]).wall()?)),
        || bpftool(world),
    )?;
    println!("probe, ms, hoist against bpftool feature probe kernel: {result}");
    Ok(())
}

fn bpftool(world: &World) -> Outcome<f64> {
    Ok(milliseconds(world.tool("bpftool", &["feature", "probe", "kernel"]).wall()?))
}
