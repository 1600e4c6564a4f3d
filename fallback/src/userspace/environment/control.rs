//! Loops by callbacks.

use super::argument::{map, refused, wrong};
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::address::addressed_function;
use crate::userspace::vm::fault::FaultKind;

/// `BPF_MAX_LOOPS`.
const MAX_LOOPS: u64 = 8 << 20;

/// A callback must be a function of the program.
fn function(helper: &'static str, value: u64) -> Result<u64, FaultKind> {
    match addressed_function(value) {
        Some(_) => Ok(value),
        None => Err(wrong(helper, 2, "not a function")),
    }
}

/// `bpf_loop`: how often the callback ran.
pub(super) fn bpf_loop(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let callback = function("loop", r[1])?;
    if r[3] != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    // As the verifier inlines it (`inline_bpf_loop`): all 64 bits count, and the error has 32.
    if r[0] > MAX_LOOPS {
        return Ok(Errno::E2BIG.as_return() & 0xffff_ffff);
    }
    for i in 0..r[0] {
        if run.call_back(callback, [i, r[2], 0, 0, 0])? != 0 {
            return Ok(i + 1);
        }
    }
    Ok(r[0])
}

/// `bpf_for_each_map_elem`: how many elements the callback saw.
pub(super) fn for_each_map_elem(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "for_each_map_elem";
    let map = map(run, HELPER, 1, r[0])?;
    let callback = function(HELPER, r[1])?;
    // The verifier asks whether the map can be walked before anything else is looked at.
    run.maps.walk(map, 0).map_err(|denied| refused(HELPER, denied))?;
    if r[3] != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    let (mut seen, mut at) = (0, 0);
    while let Some(visit) = run.maps.walk(map, at).map_err(|denied| refused(HELPER, denied))? {
        (seen, at) = (seen + 1, visit.next);
        if run.call_back(callback, [r[0], visit.key, visit.value, r[2], 0])? != 0 {
            break;
        }
    }
    Ok(seen)
}
