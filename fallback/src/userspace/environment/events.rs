//! What programs report to user space: perf events and ring buffer records.

use super::argument::{EFAULT, changed, context, map, refused};
use super::dynptr::{self, Dynptr};
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;
use crate::userspace::vm::observer::MapEffect;

/// `BPF_F_INDEX_MASK`: which CPU's buffer.
const INDEX: u64 = 0xffff_ffff;
/// `BPF_F_CTXLEN_MASK`: how much of the frame goes along.
const FRAME_LENGTH: u64 = 0xf_ffff << 32;

/// `bpf_xdp_event_output`.
pub(super) fn perf_event_output(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "perf_event_output";
    context(HELPER, 1, r[0])?;
    let map = map(run, HELPER, 2, r[1])?;
    let data = if r[4] == 0 { Vec::new() } else { run.bytes(r[3], r[4])?.to_vec() };
    if r[2] & !(INDEX | FRAME_LENGTH) != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    let wanted = ((r[2] & FRAME_LENGTH) >> 32) as usize;
    let Some(frame) = run.frame.bytes().get(..wanted) else { return Ok(EFAULT.as_return()) };
    let result = run.maps.perf_event_output(map, r[2] & INDEX, [&data, frame]);
    let returned = changed(HELPER, result)?;
    if run.observed() {
        let returned = returned.cast_signed();
        run.map_effect(map, MapEffect::Pushed { value: &data, returned });
    }
    Ok(returned)
}

/// `bpf_ringbuf_output`.
pub(super) fn ringbuf_output(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "ringbuf_output";
    let map = map(run, HELPER, 1, r[0])?;
    let data = if r[2] == 0 { Vec::new() } else { run.bytes(r[1], r[2])?.to_vec() };
    let returned = changed(HELPER, run.maps.ringbuf_output(map, &data, r[3]))?;
    if run.observed() {
        let returned = returned.cast_signed();
        run.map_effect(map, MapEffect::Pushed { value: &data, returned });
    }
    Ok(returned)
}

/// `bpf_ringbuf_reserve`.
pub(super) fn ringbuf_reserve(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let record = reserve(run, "ringbuf_reserve", [r[0], r[1], r[2]])?;
    Ok(record.unwrap_or(0))
}

fn reserve(
    run: &mut Running<'_>,
    helper: &'static str,
    [ringbuf, size, flags]: [u64; 3],
) -> Result<Option<u64>, FaultKind> {
    let map = map(run, helper, 1, ringbuf)?;
    let record = run.maps.ringbuf_reserve(map, size, flags);
    let record = record.map_err(|denied| refused(helper, denied))?;
    run.environment.records.extend(record);
    Ok(record)
}

fn commit(
    run: &mut Running<'_>,
    helper: &'static str,
    record: u64,
    discard: bool,
) -> Result<(), FaultKind> {
    let held = run.environment.records.iter().position(|r| *r == record);
    let Some(held) = held else {
        return Err(FaultKind::ReferenceMisuse(
            "a record is given back that the program does not hold",
        ));
    };
    run.environment.records.swap_remove(held);
    run.maps.ringbuf_commit(record, discard).map_err(|denied| refused(helper, denied))
}

/// `bpf_ringbuf_submit`.
pub(super) fn ringbuf_submit(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    commit(run, "ringbuf_submit", r[0], false)?;
    Ok(0)
}

/// `bpf_ringbuf_discard`.
pub(super) fn ringbuf_discard(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    commit(run, "ringbuf_discard", r[0], true)?;
    Ok(0)
}

/// `bpf_ringbuf_query`.
pub(super) fn ringbuf_query(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "ringbuf_query";
    let map = map(run, HELPER, 1, r[0])?;
    run.maps.ringbuf_query(map, r[1]).map_err(|denied| refused(HELPER, denied))
}

/// `bpf_ringbuf_reserve_dynptr`.
pub(super) fn ringbuf_reserve_dynptr(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "ringbuf_reserve_dynptr";
    map(run, HELPER, 1, r[0])?;
    let size = r[1] as u32;
    let error = match (r[2], size) {
        (0, 0..=dynptr::MOST) => Errno::EINVAL,
        (0, _) => Errno::E2BIG,
        _ => Errno::EINVAL,
    };
    let record = match error {
        Errno::EINVAL if r[2] == 0 => reserve(run, HELPER, [r[0], u64::from(size), 0])?,
        _ => None,
    };
    let Some(record) = record else {
        Dynptr::NULL.store(run, r[3])?;
        return Ok(error.as_return());
    };
    Dynptr::new(record, dynptr::Kind::Ringbuf, size).store(run, r[3])?;
    Ok(0)
}

/// `bpf_ringbuf_submit_dynptr`.
pub(super) fn ringbuf_submit_dynptr(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    commit_dynptr(run, "ringbuf_submit_dynptr", r[0], false)
}

/// `bpf_ringbuf_discard_dynptr`.
pub(super) fn ringbuf_discard_dynptr(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    commit_dynptr(run, "ringbuf_discard_dynptr", r[0], true)
}

fn commit_dynptr(
    run: &mut Running<'_>,
    helper: &'static str,
    at: u64,
    discard: bool,
) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, at)?;
    if !dynptr.is_null() {
        commit(run, helper, dynptr.data(), discard)?;
        Dynptr::NULL.store(run, at)?;
    }
    Ok(0)
}
