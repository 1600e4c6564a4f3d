//! Asking a device what it takes for itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoist_benches::pairs::{Rounds, in_turn};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_offload::host::LinuxHost;
use hoist_offload::{Device, Host};

use crate::world::{Failure, Outcome, World, milliseconds};

const BUS: &str = "/sys/bus/netdevsim";
const NUMBER: u32 = 4711;

/// `hoist probe --offload` of a netdevsim device against `bpftool feature probe dev`, whole commands; and the
/// questions about offload alone, without a process around them.
pub(crate) fn against_bpftool(world: &World) -> Outcome<()> {
    if !Path::new(BUS).exists() {
        println!(
            "offload: not taken, this kernel has no netdevsim; docs/benchmarking.md names a machine"
        );
        return Ok(());
    }
    let device = Simulated::new(world)?;
    let name = device.device.name.as_str();
    let hoist = || world.hoist(&["probe", "--offload", "--no-cache", "--json", name]);
    let bpftool = || world.tool("bpftool", &["feature", "probe", "dev", name]);
    let rounds = in_turn::<Failure>(
        world.pairs.div_ceil(4),
        &mut [
            &mut || Ok(milliseconds(hoist().wall()?)),
            &mut || Ok(milliseconds(bpftool().wall()?)),
            &mut || Ok(milliseconds(hoist().cpu_of_all_threads()?)),
            &mut || Ok(milliseconds(bpftool().cpu_of_all_threads()?)),
            &mut || Ok(milliseconds(device.asked(world)?.0)),
        ],
    )?;
    show("wall, ms, hoist probe --offload against bpftool feature probe dev", &rounds, 0, 1);
    show("CPU, ms, hoist probe --offload against bpftool feature probe dev", &rounds, 2, 3);
    show("wall, ms, the questions alone against bpftool feature probe dev", &rounds, 4, 1);
    println!("offload, facts: {} against {}", device.asked(world)?.1, lines(world, name)?);
    Ok(())
}

fn show(what: &str, rounds: &Rounds, ours: usize, theirs: usize) {
    let (one, other) = (rounds.summary(ours), rounds.summary(theirs));
    let ratio = rounds.of(|round| round[ours] / round[theirs]);
    println!(
        "offload, {what}: {:.1} against {:.1} (min {:.1} and {:.1}, {} rounds): ratio {:.3}, \
         median of ratios {:.3}",
        one.median,
        other.median,
        one.min,
        other.min,
        one.runs,
        one.median / other.median,
        ratio.median
    );
}

/// What bpftool says to be available, whether it asked for it or not.
fn lines(world: &World, name: &str) -> Outcome<usize> {
    let mut command = Command::new("bpftool");
    command.args(["feature", "probe", "dev", name]);
    let output = world.near().namespace.run(|| command.output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let helpers = text.lines().filter(|line| line.starts_with("\t- ")).count();
    Ok(helpers + text.lines().filter(|line| line.ends_with("available")).count())
}

/// A simulated NIC in the near namespace; unplugged when dropped.
struct Simulated {
    kernel: Arc<dyn Kernel>,
    device: Device,
}

impl Simulated {
    fn new(world: &World) -> Outcome<Self> {
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
        let devices = world.near().namespace.run(|| {
            fs::write(format!("{BUS}/new_device"), format!("{NUMBER} 1"))?;
            Ok::<_, Failure>(LinuxHost::new(Arc::clone(&kernel)).devices()?)
        })?;
        let device = devices.into_iter().find(|device| device.driver_name() == "netdevsim");
        let device = device.ok_or("netdevsim made no interface")?;
        Ok(Self { kernel, device })
    }

    /// How long the questions take, and how many answers there are.
    fn asked(&self, world: &World) -> Outcome<(Duration, usize)> {
        world.near().namespace.run(|| {
            let host = LinuxHost::new(Arc::clone(&self.kernel)).without_cache();
            let mut device = self.device.clone();
            let start = Instant::now();
            device.offload = host.offload(&device)?;
            let report = host.offload_report(&device)?;
            let took = start.elapsed();
            Ok((took, report.ok_or("it takes nothing")?.facts()))
        })
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        // The machine is made for the occasion, and ends soon.
        let _ = fs::write(format!("{BUS}/del_device"), NUMBER.to_string());
    }
}
