//! The machine a program runs on: its processor and its task.

use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// `bpf_get_smp_processor_id`: the one that chooses among the values of per-CPU maps.
pub(super) fn cpu(run: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(u64::from(run.maps.cpu()))
}

/// `bpf_get_numa_node_id`: there is one.
pub(super) fn numa_node(_: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(0)
}

/// `bpf_get_current_pid_tgid`: frames come while nothing else runs, so the task is the idle one.
pub(super) fn task(_: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(0)
}

/// Kernel functions that keep others away, where there are no others: `bpf_rcu_read_lock`,
/// `bpf_preempt_disable` and their ends.
pub(super) fn nothing(_: &mut Running<'_>, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(0)
}
