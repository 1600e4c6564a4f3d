//! From the start of a process to an attached program.

use std::path::Path;

use hoist_benches::pairs::interleaved;

use crate::world::{Outcome, World, milliseconds};

/// Where bpftool pins what it loads.
const PIN: &str = "/sys/fs/bpf/hoist-compare";

/// `hoist load` against `xdp-loader load` and against `bpftool prog load` with `bpftool net attach`.
pub(crate) fn against_others(world: &World) -> Outcome<()> {
    let object = world.object("count_proto")?;
    match interleaved(world.pairs, || hoist(world, &object), || xdp_loader(world, &object)) {
        Ok(result) => println!("load, ms, hoist against xdp-loader: {result}"),
        Err(error) => println!("load, hoist against xdp-loader: not comparable: {error}"),
    }
    let result = interleaved(world.pairs, || hoist(world, &object), || bpftool(world, &object))?;
    println!("load, ms, hoist against bpftool: {result}");
    Ok(())
}

/// Time on a CPU of one `hoist load`, everything but waiting, against that of a process which does
/// nothing: what any command costs the kernel to start and end.
pub(crate) fn own_share(world: &World) -> Outcome<()> {
    let object = world.object("count_proto")?;
    let load = || -> Outcome<f64> {
        let time = world.hoist(&["load", "v0", text(&object), "-m", "native"]).cpu()?;
        world.hoist(&["unload", "v0"]).wall()?;
        Ok(milliseconds(time))
    };
    let nothing = || Ok(milliseconds(world.tool("true", &[]).cpu()?));
    let result = interleaved(world.pairs, load, nothing)?;
    println!("load, CPU time, ms, hoist against true: {result}");
    Ok(())
}

fn hoist(world: &World, object: &Path) -> Outcome<f64> {
    let time = world.hoist(&["load", "v0", text(object), "-m", "native"]).wall()?;
    world.hoist(&["unload", "v0"]).wall()?;
    Ok(milliseconds(time))
}

fn xdp_loader(world: &World, object: &Path) -> Outcome<f64> {
    let time = world.tool("xdp-loader", &["load", "-m", "native", "v0", text(object)]).wall()?;
    world.tool("xdp-loader", &["unload", "v0", "--all"]).wall()?;
    Ok(milliseconds(time))
}

fn bpftool(world: &World, object: &Path) -> Outcome<f64> {
    let load = world.tool("bpftool", &["prog", "load", text(object), PIN, "type", "xdp"]).wall()?;
    let attach =
        world.tool("bpftool", &["net", "attach", "xdpdrv", "pinned", PIN, "dev", "v0"]).wall();
    std::fs::remove_file(PIN)?;
    let time = load + attach?;
    world.tool("bpftool", &["net", "detach", "xdpdrv", "dev", "v0"]).wall()?;
    Ok(milliseconds(time))
}

/// Paths here are made of plain letters.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
