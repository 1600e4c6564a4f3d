//! Programs of devmap and cpumap entries: what a redirected frame meets before it leaves.
//!
//! The kernel runs them behind the redirecting program, when the frame has come to its target: on the
//! way out of an interface (`dev_map_bpf_prog_run`, `kernel/bpf/devmap.c`), or on the CPU before the
//! stack (`cpu_map_bpf_prog_run_xdp`, `kernel/bpf/cpumap.c`). The same is done here, at once. The
//! interpreter runs them, on the same maps.

use hoist_offload::engine::Verdict;

use super::environment::{Destination, Device};
use super::executor::Executor;
use super::ports::{Action, Copied};
use super::vm::{Arrival, Frame};

/// CPU maps that a frame goes through at most. In the kernel it could go round forever.
const HOPS: u32 = 8;

/// Whether an entry on the frame's way has a program.
pub(super) fn concern(destination: &Destination) -> bool {
    match destination {
        Destination::Device(device) => device.program.is_some(),
        Destination::Broadcast(devices) => devices.iter().any(|device| device.program.is_some()),
        Destination::Cpu { program, .. } => program.is_some(),
        Destination::Interface(_) | Destination::Socket { .. } => false,
    }
}

/// What is to become of a redirected frame, once the programs of the entries have run on it.
pub(super) fn follow(
    executor: &mut Executor,
    destination: &Destination,
    frame: &mut Frame<'_>,
    arrival: &Arrival,
) -> Action {
    hop(executor, destination, frame, arrival, HOPS)
}

fn hop(
    executor: &mut Executor,
    destination: &Destination,
    frame: &mut Frame<'_>,
    arrival: &Arrival,
    hops: u32,
) -> Action {
    match destination {
        Destination::Device(device) => match leaves(executor, device, frame, arrival) {
            true => Action::Redirect(device.ifindex),
            false => executor.entry_drops(),
        },
        Destination::Broadcast(devices) => {
            let copies = devices.iter().filter_map(|device| {
                // `dev_map_enqueue_clone`: each target's program has a frame of its own.
                let mut buffer = frame.buffer.to_vec();
                let Frame { meta, data, end, .. } = *frame;
                let mut copy = Frame { buffer: &mut buffer, meta, data, end };
                if !leaves(executor, device, &mut copy, arrival) {
                    executor.entry_drops();
                    return None;
                }
                Some(Copied { ifindex: device.ifindex, frame: copy.bytes().into() })
            });
            Action::Copies(copies.collect())
        }
        Destination::Cpu { program: Some(program), .. } if hops > 0 => {
            // `xdp_rxq_info` of the CPU's thread names the interface and nothing else.
            let arrival = Arrival { rx_queue_index: 0, ..*arrival };
            let ran = executor.run_entry(*program, frame, &arrival);
            match (ran.verdict, &ran.redirect) {
                (Verdict::Pass, _) => Action::Pass,
                (Verdict::Redirect, Some(next)) => hop(executor, next, frame, &arrival, hops - 1),
                _ => executor.entry_drops(),
            }
        }
        Destination::Cpu { program: Some(_), .. } => executor.entry_drops(),
        Destination::Cpu { program: None, .. } => Action::Pass,
        Destination::Interface(ifindex) => Action::Redirect(*ifindex),
        Destination::Socket { .. } => executor.entry_drops(),
    }
}

/// Runs the program of a devmap's entry, if it has one. Every verdict but `XDP_PASS` drops the frame.
fn leaves(
    executor: &mut Executor,
    device: &Device,
    frame: &mut Frame<'_>,
    arrival: &Arrival,
) -> bool {
    let Some(program) = device.program else { return true };
    let arrival = Arrival { rx_queue_index: 0, egress_ifindex: device.ifindex, ..*arrival };
    executor.run_entry(program, frame, &arrival).verdict == Verdict::Pass
}
