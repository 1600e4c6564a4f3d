//! Dynptrs: pointers that know their size (`struct bpf_dynptr_kern`).
//!
//! A dynptr lies in the program's own memory, where a program that no verifier has seen may have
//! written anything. So nothing in it is believed: wherever it leads, the access is checked like any
//! other.

use super::argument::{array, context};
use super::packet;
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::address::{CONTEXT, FRAME};
use crate::userspace::vm::fault::FaultKind;

/// `DYNPTR_MAX_SIZE`: the upper bits of the size hold the kind.
pub(super) const MOST: u32 = (1 << 24) - 1;
const KIND_SHIFT: u32 = 28;
const READ_ONLY: u32 = 1 << 31;

/// `enum bpf_dynptr_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Local = 1,
    Ringbuf = 2,
    Frame = 4,
}

/// What the 16 bytes of a dynptr say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dynptr {
    data: u64,
    size: u32,
    offset: u32,
}

impl Dynptr {
    pub(super) const NULL: Self = Self { data: 0, size: 0, offset: 0 };

    pub(super) const fn new(data: u64, kind: Kind, size: u32) -> Self {
        Self { data, size: size | (kind as u32) << KIND_SHIFT, offset: 0 }
    }

    pub(super) fn load(run: &mut Running<'_>, at: u64) -> Result<Self, FaultKind> {
        let [a, b, c, d, e, f, g, h, s0, s1, s2, s3, o0, o1, o2, o3] = array::<16>(run, at)?;
        Ok(Self {
            data: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            size: u32::from_ne_bytes([s0, s1, s2, s3]),
            offset: u32::from_ne_bytes([o0, o1, o2, o3]),
        })
    }

    pub(super) fn store(self, run: &mut Running<'_>, at: u64) -> Result<(), FaultKind> {
        let bytes = run.bytes_mut(at, 16)?;
        bytes[..8].copy_from_slice(&self.data.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.offset.to_ne_bytes());
        Ok(())
    }

    pub(super) const fn is_null(self) -> bool {
        self.data == 0
    }

    pub(super) const fn data(self) -> u64 {
        self.data
    }

    const fn length(self) -> u32 {
        self.size & MOST
    }

    const fn is_read_only(self) -> bool {
        self.size & READ_ONLY != 0
    }

    const fn of_frame(self) -> bool {
        (self.size & !READ_ONLY) >> KIND_SHIFT == Kind::Frame as u32
    }

    /// `bpf_dynptr_check_off_len`.
    const fn holds(self, offset: u32, length: u32) -> bool {
        length <= self.length() && offset <= self.length() - length
    }

    /// Address of a byte of memory that is not the frame's.
    const fn address(self, offset: u32) -> u64 {
        self.data.wrapping_add(self.offset as u64).wrapping_add(offset as u64)
    }

    /// Offset in the frame.
    const fn position(self, offset: u32) -> u32 {
        self.offset.wrapping_add(offset)
    }

    /// `__bpf_dynptr_read` behind its checks.
    fn read(
        self,
        run: &mut Running<'_>,
        offset: u32,
        to: u64,
        length: u32,
    ) -> Result<u64, FaultKind> {
        if self.of_frame() {
            return packet::read(run, self.position(offset), to, u64::from(length));
        }
        // Both may be the same memory, in part.
        let copy = run.bytes(self.address(offset), u64::from(length))?.to_vec();
        run.bytes_mut(to, u64::from(length))?.copy_from_slice(&copy);
        Ok(0)
    }

    /// `__bpf_dynptr_write` behind its checks.
    fn write(
        self,
        run: &mut Running<'_>,
        offset: u32,
        from: u64,
        length: u32,
    ) -> Result<u64, FaultKind> {
        if self.of_frame() {
            return packet::write(run, self.position(offset), from, u64::from(length));
        }
        let copy = run.bytes(from, u64::from(length))?.to_vec();
        run.bytes_mut(self.address(offset), u64::from(length))?.copy_from_slice(&copy);
        Ok(0)
    }
}

/// What a kernel function of type `int` returns: the upper half is clear.
pub(super) fn int(result: Result<(), Errno>) -> u64 {
    result.map_or_else(|errno| errno.as_return() & 0xffff_ffff, |()| 0)
}

/// `bpf_dynptr_from_mem`.
pub(super) fn from_mem(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[1] != 0 {
        run.bytes_mut(r[0], r[1])?;
    }
    let error = match (r[1], r[2]) {
        (size, _) if size > u64::from(MOST) => Errno::E2BIG,
        (_, flags) if flags != 0 => Errno::EINVAL,
        (size, _) => {
            Dynptr::new(r[0], Kind::Local, size as u32).store(run, r[3])?;
            return Ok(0);
        }
    };
    Dynptr::NULL.store(run, r[3])?;
    Ok(error.as_return())
}

/// `bpf_dynptr_from_xdp`.
pub(super) fn from_xdp(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("dynptr_from_xdp", 1, r[0])?;
    if r[1] != 0 {
        Dynptr::NULL.store(run, r[2])?;
        return Ok(int(Err(Errno::EINVAL)));
    }
    let length = run.frame.end - run.frame.data;
    Dynptr::new(CONTEXT, Kind::Frame, length).store(run, r[2])?;
    Ok(0)
}

/// `bpf_dynptr_read`.
pub(super) fn read(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let (to, length, offset) = (r[0], r[1] as u32, r[3] as u32);
    if length != 0 {
        run.bytes_mut(to, r[1])?;
    }
    let from = Dynptr::load(run, r[2])?;
    if from.is_null() || r[4] != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    if !from.holds(offset, length) {
        return Ok(Errno::E2BIG.as_return());
    }
    if length == 0 { Ok(0) } else { from.read(run, offset, to, length) }
}

/// `bpf_dynptr_write`.
pub(super) fn write(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let (offset, from, length) = (r[1] as u32, r[2], r[3] as u32);
    if length != 0 {
        run.bytes(from, r[3])?;
    }
    let to = Dynptr::load(run, r[0])?;
    if to.is_null() || to.is_read_only() {
        return Ok(Errno::EINVAL.as_return());
    }
    if !to.holds(offset, length) {
        return Ok(Errno::E2BIG.as_return());
    }
    if r[4] != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    if length == 0 { Ok(0) } else { to.write(run, offset, from, length) }
}

/// `bpf_dynptr_data`: never of the frame, which has slices.
pub(super) fn data(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    let (offset, length) = (r[1] as u32, r[2] as u32);
    let has = !dynptr.is_null() && !dynptr.is_read_only() && !dynptr.of_frame();
    Ok(if has && dynptr.holds(offset, length) { dynptr.address(offset) } else { 0 })
}

/// `bpf_dynptr_slice`.
pub(super) fn slice(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    let (offset, length) = (r[1] as u32, r[3] as u32);
    if r[2] != 0 {
        run.bytes_mut(r[2], r[3])?;
    }
    if dynptr.is_null() || !dynptr.holds(offset, length) {
        return Ok(0);
    }
    if !dynptr.of_frame() {
        return Ok(dynptr.address(offset));
    }
    // A linear frame never needs the caller's buffer.
    let place = packet::place(&run.frame, dynptr.position(offset), length);
    Ok(place.map_or(0, |at| FRAME + at as u64))
}

/// `bpf_dynptr_slice_rdwr`.
pub(super) fn slice_rdwr(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if Dynptr::load(run, r[0])?.is_read_only() {
        return Ok(0);
    }
    slice(run, r)
}

/// `bpf_dynptr_adjust`.
pub(super) fn adjust(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let mut dynptr = Dynptr::load(run, r[0])?;
    let (start, end) = (r[1] as u32, r[2] as u32);
    if dynptr.is_null() || start > end {
        return Ok(int(Err(Errno::EINVAL)));
    }
    if end > dynptr.length() {
        return Ok(int(Err(super::argument::ERANGE)));
    }
    dynptr.offset = dynptr.position(start);
    dynptr.size = (dynptr.size & !MOST) | (end - start);
    dynptr.store(run, r[0])?;
    Ok(0)
}

/// `bpf_dynptr_is_null`.
pub(super) fn is_null(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(u64::from(Dynptr::load(run, r[0])?.is_null()))
}

/// `bpf_dynptr_is_rdonly`.
pub(super) fn is_rdonly(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    Ok(u64::from(!dynptr.is_null() && dynptr.is_read_only()))
}

/// `bpf_dynptr_size`.
pub(super) fn size(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    Ok(if dynptr.is_null() { int(Err(Errno::EINVAL)) } else { u64::from(dynptr.length()) })
}

/// `bpf_dynptr_clone`.
pub(super) fn clone(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    if dynptr.is_null() {
        Dynptr::NULL.store(run, r[1])?;
        return Ok(int(Err(Errno::EINVAL)));
    }
    dynptr.store(run, r[1])?;
    Ok(0)
}

/// `bpf_dynptr_copy`.
pub(super) fn copy(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let (to, from) = (Dynptr::load(run, r[0])?, Dynptr::load(run, r[2])?);
    let (to_offset, from_offset, length) = (r[1] as u32, r[3] as u32, r[4] as u32);
    if to.is_null() || from.is_null() || to.is_read_only() {
        return Ok(int(Err(Errno::EINVAL)));
    }
    if !to.holds(to_offset, length) || !from.holds(from_offset, length) {
        return Ok(int(Err(Errno::E2BIG)));
    }
    let bytes = match from.of_frame() {
        true => match packet::place(&run.frame, from.position(from_offset), length) {
            Ok(at) => run.frame.buffer.get(at..at + length as usize).unwrap_or_default().to_vec(),
            Err(errno) => return Ok(int(Err(errno))),
        },
        false => run.bytes(from.address(from_offset), u64::from(length))?.to_vec(),
    };
    fill(run, to, to_offset, &bytes)
}

/// `bpf_dynptr_memset`.
pub(super) fn memset(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let dynptr = Dynptr::load(run, r[0])?;
    let (offset, length, value) = (r[1] as u32, r[2] as u32, r[3] as u8);
    if dynptr.is_null() || dynptr.is_read_only() {
        return Ok(int(Err(Errno::EINVAL)));
    }
    if !dynptr.holds(offset, length) {
        return Ok(int(Err(Errno::E2BIG)));
    }
    fill(run, dynptr, offset, &vec![value; length as usize])
}

/// Writes bytes that are not the program's into what a dynptr points to.
fn fill(run: &mut Running<'_>, to: Dynptr, offset: u32, bytes: &[u8]) -> Result<u64, FaultKind> {
    if bytes.is_empty() {
        return Ok(0);
    }
    if !to.of_frame() {
        run.bytes_mut(to.address(offset), bytes.len() as u64)?.copy_from_slice(bytes);
        return Ok(0);
    }
    match packet::place(&run.frame, to.position(offset), bytes.len() as u32) {
        Ok(at) => {
            if let Some(place) = run.frame.buffer.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            Ok(0)
        }
        Err(errno) => Ok(int(Err(errno))),
    }
}
