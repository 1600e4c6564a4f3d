//! Packet rates of programs attached in different ways.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hoist_benches::meter::Length;
use hoist_benches::pairs::{Measurement, in_turn, interleaved};
use hoist_benches::{Generator, ReceiveCounter, Trial, measure};
use hoist_bpf::kernel::Linux;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;

use crate::world::{Failure, Outcome, World};

/// Pairs of trials. Many short ones rather than few long ones: a machine's mood outlasts a trial.
const PAIRS: usize = 21;

/// One trial.
const LENGTH: Length =
    Length { warm_up: Duration::from_millis(100), window: Duration::from_millis(400) };

/// The same object attached by hoist and by iproute2.
pub(crate) fn against_iproute2(world: &World) -> Outcome<()> {
    let object = world.object("drop")?;
    let object = text(&object);
    for (engine, mode) in [("native", "xdpdrv"), ("generic", "xdpgeneric")] {
        let result = interleaved(
            PAIRS,
            || attached_by_hoist(world, object, engine, "--no-count").map(|t| t.pps / 1e6),
            || {
                let section = ["sec", "xdp"];
                let on = ["link", "set", "dev", "v0", mode, "obj", object, section[0], section[1]];
                world.tool("ip", &on).wall()?;
                let trial = trial(world);
                world.tool("ip", &["link", "set", "dev", "v0", mode, "off"]).wall()?;
                Ok(trial?.pps / 1e6)
            },
        )?;
        println!("rate, {engine}, Mpps, hoist against iproute2: {result}");
    }
    Ok(())
}

/// Engines and hooks, as the command line names them, in the order in which a round takes them.
const HOOKS: [&str; 4] = ["native", "generic", "tcx", "clsact"];

/// Where in [`HOOKS`] the two stand that fallbacks are chosen from.
const GENERIC: usize = 1;
const TCX: usize = 2;

/// The same programs and traffic on every hook.
pub(crate) fn of_hooks(world: &World) -> Outcome<()> {
    println!("| program | {} | tcx over generic |", HOOKS.join(" | "));
    println!("|---|---|---|---|---|---|");
    for name in ["drop", "swap_tx"] {
        let object = world.object(name)?;
        let object = text(&object);
        let rate = |hook| Ok(attached_by_hoist(world, object, hook, "--no-count")?.pps / 1e6);
        let mut takes = HOOKS.map(|hook| move || rate(hook));
        let mut sides: Vec<Measurement<'_, _>> =
            takes.iter_mut().map(|take| take as Measurement<'_, Failure>).collect();
        let rounds = in_turn(PAIRS, &mut sides)?;
        let rates: Vec<String> =
            (0..HOOKS.len()).map(|hook| format!("{:.2}", rounds.summary(hook).median)).collect();
        let ratio = rounds.summary(TCX).median / rounds.summary(GENERIC).median;
        println!("| {name} | {} | {ratio:.3} |", rates.join(" | "));
    }
    Ok(())
}

/// The same program with and without verdict counting.
pub(crate) fn counting_pass(world: &World) -> Outcome<()> {
    let object = world.object("drop")?;
    let object = text(&object);
    let time =
        |count| attached_by_hoist(world, object, "native", count).map(|trial| trial.nanoseconds());
    let result = interleaved(PAIRS, || time("--count"), || time("--no-count"))?;
    let cost = result.ours.median - result.theirs.median;
    println!("counting, native, ns per packet, with against without: {result}");
    println!("counting, native, cost in ns per packet: {cost:.2}");
    Ok(())
}

fn attached_by_hoist(world: &World, object: &str, engine: &str, count: &str) -> Outcome<Trial> {
    world.hoist(&["load", "v0", object, "-m", engine, count]).wall()?;
    let trial = trial(world);
    world.hoist(&["unload", "v0"]).wall()?;
    trial
}

/// One trial of what is attached to the near device. Every frame sent must arrive.
fn trial(world: &World) -> Outcome<Trial> {
    let mut counter = world.near().namespace.run(|| ReceiveCounter::open("v0"))?;
    let frame = Frame::eth(world.near().mac, world.far().mac)
        .ipv4(Lab::FAR.octets(), Lab::NEAR.octets())
        .udp(4000, 9);
    let trial: Outcome<Trial> = world.far().namespace.run(|| {
        let kernel = Arc::new(Linux::new()?);
        let generator = Generator::new(kernel, world.far().ifindex, frame.bytes())?;
        let never = AtomicBool::new(false);
        Ok(measure(&generator, LENGTH, &never, || counter.packets())?)
    });
    let trial = trial?;
    if trial.lost() > 0 {
        return Err(format!("{} of {} frames did not arrive", trial.lost(), trial.sent).into());
    }
    Ok(trial)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
