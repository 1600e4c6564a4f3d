//! Resident memory.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Outcome, World};

/// Resident memory of `hoist run` while it runs, and its peak.
pub(crate) fn of_run(world: &World) -> Outcome<()> {
    let object = world.object("count_proto")?;
    let object = object.to_str().unwrap_or_default();
    let mut child = world.hoist(&["run", "v0", object, "-m", "native"]).start()?;
    // Attached and printing counters for a while.
    std::thread::sleep(Duration::from_secs(3));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    kill_process(Pid::from_child(&child), Signal::INT)?;
    child.wait()?;
    for field in ["VmRSS", "VmHWM"] {
        let line = status.lines().find(|line| line.starts_with(field));
        let value = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
        let mebibytes = value.parse::<f64>()? / 1024.0;
        println!("memory of run, {field}, MiB: {mebibytes:.1}");
    }
    Ok(())
}
