//! Sending alone, for somebody who receives on another machine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hoist_benches::scenario::{Sender, Sending};
use hoist_benches::trial::Order;
use hoist_offload::bpf::kernel::Kernel;
use serde::Serialize;

use super::{measure, place};
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// `hoist.bench-send.v1`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    interface: &'a str,
    profile: &'a str,
    #[serde(flatten)]
    sent: &'a Sending,
}

/// How long is sent unless somebody says, in seconds.
const SECONDS: f64 = 10.0;

/// Sends, and says how much.
///
/// # Errors
/// An interface that nobody should send out of, or the kernel's refusal.
pub(super) fn run(
    cx: &mut Context<'_>,
    args: &args::Bench,
    kernel: &Arc<dyn Kernel>,
    stop: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let name = args.interface.as_deref().unwrap_or_default();
    place::harmless(&cx.device(name)?, args.force)?;
    let order = Order {
        load: args.rate.map(|rate| rate.0),
        seconds: args.seconds.map_or(SECONDS, |time| time.0.as_secs_f64()),
    };
    let cores = args.cores.iter().copied().max().unwrap_or(1);
    for profile in measure::profiles(args)? {
        let sender = Sender { interface: name, to: args.to_mac.0, profile: &profile, cores };
        let bar = cx.shell.busy(format!("sending {} out of {name} ...", profile.name));
        let sent = sender.send(kernel, order, stop);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let sent = sent?;
        if cx.shell.json() {
            let schema = "hoist.bench-send.v1";
            let (interface, profile) = (name, &*profile.name);
            cx.shell.line(&Document { schema, interface, profile, sent: &sent })?;
            continue;
        }
        cx.shell.print(format_args!(
            "{} frames of {} sent out of {name} in {:.3} s, {:.3} Mpps; on the other machine: hoist \
             bench IF --receive-only --expect {}",
            sent.generated,
            profile.name,
            sent.seconds,
            sent.generated as f64 / sent.seconds.max(1e-9) / 1e6,
            sent.transmitted
        ))?;
    }
    Ok(())
}
