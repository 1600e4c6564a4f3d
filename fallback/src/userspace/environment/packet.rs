//! The frame: moving its ends, and copying out of it and into it.
//!
//! Frames here are linear: one buffer from the hard start to the hard end, whatever their length.

use super::argument::{EACCES, EFAULT, context, sized};
use crate::userspace::maps::Errno;
use crate::userspace::vm::fault::FaultKind;
use crate::userspace::vm::{Frame, Running};

/// `ETH_HLEN`: what must remain of a frame.
const LEAST: i64 = 14;
/// The most metadata that `struct skb_shared_info` can tell of (`xdp_metalen_invalid`).
const MOST_METADATA: i64 = 255;
/// The largest offset and length of `bpf_xdp_pointer`.
const MOST_OFFSET: u32 = 0xffff;
/// Bytes that are copied at once.
const CHUNK: usize = 512;

/// Positions in the buffer, so that sums below zero can be told.
fn ends(frame: &Frame<'_>) -> (i64, i64, i64) {
    (i64::from(frame.meta), i64::from(frame.data), i64::from(frame.end))
}

/// `bpf_xdp_adjust_head`. The metadata moves along.
pub(super) fn adjust_head(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_adjust_head", 1, r[0])?;
    let frame = &mut run.frame;
    let ((meta, data, end), by) = (ends(frame), i64::from(r[1] as i32));
    let to = data + by;
    if to < i64::from(Frame::RESERVED) + data - meta || to > end - LEAST {
        return Ok(Errno::EINVAL.as_return());
    }
    let moved = meta + by;
    if meta != data {
        // Both lie between the hard start and the frame's end, as the comparison has shown.
        frame.buffer.copy_within(meta as usize..data as usize, moved as usize);
    }
    (frame.meta, frame.data) = (moved as u32, to as u32);
    Ok(0)
}

/// `bpf_xdp_adjust_tail`. What grows is zero.
pub(super) fn adjust_tail(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_adjust_tail", 1, r[0])?;
    let frame = &mut run.frame;
    let (_, data, end) = ends(frame);
    let to = end + i64::from(r[1] as i32);
    if to > frame.buffer.len() as i64 || to < data + LEAST {
        return Ok(Errno::EINVAL.as_return());
    }
    if let Some(grown) = frame.buffer.get_mut(end as usize..to as usize) {
        grown.fill(0);
    }
    frame.end = to as u32;
    Ok(0)
}

/// `bpf_xdp_adjust_meta`.
pub(super) fn adjust_meta(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_adjust_meta", 1, r[0])?;
    let frame = &mut run.frame;
    let (meta, data, _) = ends(frame);
    let to = meta + i64::from(r[1] as i32);
    if to < i64::from(Frame::RESERVED) || to > data {
        return Ok(Errno::EINVAL.as_return());
    }
    if (data - to) % 4 != 0 || data - to > MOST_METADATA {
        return Ok(EACCES.as_return());
    }
    frame.meta = to as u32;
    Ok(0)
}

/// `bpf_xdp_get_buff_len`.
pub(super) fn length(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_get_buff_len", 1, r[0])?;
    Ok(u64::from(run.frame.end - run.frame.data))
}

/// Position in the buffer of some bytes of the frame (`bpf_xdp_pointer`), or the errno.
pub(super) fn place(frame: &Frame<'_>, offset: u32, length: u32) -> Result<usize, Errno> {
    if offset > MOST_OFFSET || length > MOST_OFFSET {
        return Err(EFAULT);
    }
    if offset + length > frame.end - frame.data {
        return Err(Errno::EINVAL);
    }
    Ok((frame.data + offset) as usize)
}

/// `__bpf_xdp_load_bytes`: from the frame to the program's memory.
pub(super) fn read(
    run: &mut Running<'_>,
    offset: u32,
    to: u64,
    length: u64,
) -> Result<u64, FaultKind> {
    // The verifier has looked at the memory before the helper looks at the offset.
    run.bytes_mut(to, length)?;
    let from = match place(&run.frame, offset, u32::try_from(length).unwrap_or(u32::MAX)) {
        Ok(from) => from,
        Err(errno) => return Ok(errno.as_return()),
    };
    let mut chunk = [0; CHUNK];
    for at in (0..length as usize).step_by(CHUNK) {
        let n = CHUNK.min(length as usize - at);
        if let Some(bytes) = run.frame.buffer.get(from + at..from + at + n) {
            chunk[..n].copy_from_slice(bytes);
        }
        run.bytes_mut(to + at as u64, n as u64)?.copy_from_slice(&chunk[..n]);
    }
    Ok(0)
}

/// `__bpf_xdp_store_bytes`: from the program's memory to the frame.
pub(super) fn write(
    run: &mut Running<'_>,
    offset: u32,
    from: u64,
    length: u64,
) -> Result<u64, FaultKind> {
    run.bytes(from, length)?;
    let to = match place(&run.frame, offset, u32::try_from(length).unwrap_or(u32::MAX)) {
        Ok(to) => to,
        Err(errno) => return Ok(errno.as_return()),
    };
    let mut chunk = [0; CHUNK];
    for at in (0..length as usize).step_by(CHUNK) {
        let n = CHUNK.min(length as usize - at);
        chunk[..n].copy_from_slice(run.bytes(from + at as u64, n as u64)?);
        if let Some(bytes) = run.frame.buffer.get_mut(to + at..to + at + n) {
            bytes.copy_from_slice(&chunk[..n]);
        }
    }
    Ok(0)
}

/// `bpf_xdp_load_bytes`.
pub(super) fn load_bytes(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_load_bytes", 1, r[0])?;
    let length = sized("xdp_load_bytes", 4, r[3])?;
    read(run, r[1] as u32, r[2], length)
}

/// `bpf_xdp_store_bytes`.
pub(super) fn store_bytes(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_store_bytes", 1, r[0])?;
    let length = sized("xdp_store_bytes", 4, r[3])?;
    write(run, r[1] as u32, r[2], length)
}

/// `bpf_xdp_pull_data`: all of a linear frame is where it is wanted.
pub(super) fn pull_data(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_pull_data", 1, r[0])?;
    let all = run.frame.end - run.frame.data;
    Ok(if r[1] as u32 <= all { 0 } else { Errno::EINVAL.as_return() })
}
