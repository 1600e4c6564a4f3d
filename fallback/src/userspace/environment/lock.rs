//! Spin locks in map values. One thread at a time runs a machine, so a lock is never waited for; what
//! remains is the discipline that the verifier demands (`process_spin_lock`).

use super::argument::wrong;
use crate::userspace::vm::Running;
use crate::userspace::vm::address::valued_map;
use crate::userspace::vm::fault::FaultKind;

/// `ARG_PTR_TO_SPIN_LOCK`: the `struct bpf_spin_lock` of a map's value.
fn lock_of(run: &Running<'_>, helper: &'static str, address: u64) -> Result<(), FaultKind> {
    let wrong = || wrong(helper, 1, "not the spin lock of a map's value");
    let (map, offset) = valued_map(address).ok_or_else(wrong)?;
    let within = u64::from(run.maps.lock_offset(map).ok_or_else(wrong)?);
    let value = offset.checked_sub(within).ok_or_else(wrong)?;
    // Only where a value begins are that many bytes of one value to be had.
    let size = u64::from(run.module.map(map).value_size);
    run.maps.value(map, value, size).map(|_| ()).map_err(|_| wrong())
}

/// `bpf_spin_lock`.
pub(super) fn spin_lock(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    lock_of(run, "spin_lock", r[0])?;
    if run.environment.lock.is_some() {
        return Err(FaultKind::SpinLockMisuse("a spin lock is taken while one is held"));
    }
    run.environment.lock = Some(r[0]);
    Ok(0)
}

/// `bpf_spin_unlock`.
pub(super) fn spin_unlock(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    lock_of(run, "spin_unlock", r[0])?;
    if run.environment.lock != Some(r[0]) {
        return Err(FaultKind::SpinLockMisuse("a spin lock is released that is not held"));
    }
    run.environment.lock = None;
    Ok(0)
}
