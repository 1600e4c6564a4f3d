//! What time it is.

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};
use serde::{Deserialize, Serialize};

use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// Which clock a program reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The frame's own time where it brings one, as frames of a capture do: the same capture gives
    /// the same results. Else the system's.
    #[default]
    Arrival,
    /// The system's, always.
    System,
}

/// Timer interrupts a second (`CONFIG_HZ`): what most distributions build their kernels with.
const HZ: u64 = 250;
/// What the kernel's count of timer interrupts starts from (`INITIAL_JIFFIES`): five minutes before
/// it would overflow 32 bits.
const FIRST_JIFFY: u64 = (1 << 32) - 300 * HZ;

/// The frame's time, if that is what programs are to read.
fn of_arrival(run: &Running<'_>) -> Option<u64> {
    run.arrival.time_ns.filter(|_| run.environment.clock == Clock::Arrival)
}

fn now(run: &Running<'_>, clock: ClockId) -> u64 {
    of_arrival(run).unwrap_or_else(|| nanoseconds(clock_gettime(clock)))
}

const fn nanoseconds(time: Timespec) -> u64 {
    // None of the clocks goes below zero in the lifetime of a machine.
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// `bpf_ktime_get_ns`: `CLOCK_MONOTONIC`.
pub(super) fn monotonic(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(now(run, ClockId::Monotonic))
}

/// `bpf_ktime_get_boot_ns`: `CLOCK_BOOTTIME`.
pub(super) fn boot(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(now(run, ClockId::Boottime))
}

/// `bpf_ktime_get_coarse_ns`: `CLOCK_MONOTONIC_COARSE`.
pub(super) fn coarse(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(now(run, ClockId::MonotonicCoarse))
}

/// `bpf_ktime_get_tai_ns`: `CLOCK_TAI`.
pub(super) fn tai(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    if let Some(time) = of_arrival(run) {
        return Ok(time);
    }
    // Linux has had it since 3.10; without it, real time differs by the leap seconds.
    let tai = clock_gettime_dynamic(DynamicClockId::Tai);
    Ok(nanoseconds(tai.unwrap_or_else(|_| clock_gettime(ClockId::Realtime))))
}

/// `bpf_jiffies64`.
pub(super) fn jiffies(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(FIRST_JIFFY + now(run, ClockId::Monotonic) / (1_000_000_000 / HZ))
}
