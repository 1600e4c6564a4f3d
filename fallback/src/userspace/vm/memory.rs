//! The memory of a run: frame, stack, context and map values, every access checked.

use std::fmt;
use std::ops::Range;

use super::address::{
    CONTEXT, CONTEXT_TAG, FRAME, PROGRAM_STACK, STACK, STACK_BYTES, STACK_FRAME, STACK_TAG,
    STACK_TOP, tag, valued_map,
};
use super::fault::{Access, FaultKind, Region};
use super::running::Running;
use crate::userspace::maps::Maps;

/// The stack of a machine.
pub(crate) struct Stack {
    pub(super) bytes: Box<[u8; STACK_BYTES as usize]>,
    /// Everything from here to the top was cleared for the active functions.
    pub(super) clean: u64,
    /// Where the innermost active function's stack begins.
    pub(super) floor: u64,
    /// How deep the program that runs may go.
    pub(super) limit: u64,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("clean", &self.clean)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; STACK_BYTES as usize]),
            clean: STACK_TOP,
            floor: STACK_TOP,
            limit: STACK_TOP - PROGRAM_STACK,
        }
    }
}

/// What the stack was before a function was entered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StackMark {
    clean: u64,
    floor: u64,
    limit: u64,
}

impl Stack {
    /// Empties the stack: a run starts.
    pub(crate) const fn reset(&mut self) {
        self.clean = STACK_TOP;
        self.floor = STACK_TOP;
        self.limit = STACK_TOP - PROGRAM_STACK;
    }

    /// A function is entered that is seen to use `used` bytes, which are cleared. Returns its `r10`.
    ///
    /// # Errors
    /// [`FaultKind::CallDepth`].
    #[inline]
    pub(crate) fn enter(&mut self, used: u16) -> Result<(u64, StackMark), FaultKind> {
        let top = self.floor;
        if top == self.limit {
            return Err(FaultKind::CallDepth);
        }
        // A pointer into the part of the caller's stack that was never cleared may be passed on.
        self.clear_to(top);
        let mark = StackMark { clean: self.clean, floor: self.floor, limit: self.limit };
        self.floor = top - STACK_FRAME;
        self.clear_to(top - u64::from(used).min(STACK_FRAME));
        Ok((top, mark))
    }

    /// A function returns.
    #[inline]
    pub(crate) const fn leave(&mut self, mark: StackMark) {
        self.clean = mark.clean;
        self.floor = mark.floor;
        self.limit = mark.limit;
    }

    /// The innermost function is the first of another program, by a tail call.
    #[inline]
    pub(crate) const fn begin_program(&mut self) {
        self.limit = self.floor + STACK_FRAME - PROGRAM_STACK;
    }

    /// Clears the rest of the innermost function's stack: it calls another.
    #[cfg(feature = "compiled")]
    pub(super) fn clear_rest(&mut self) {
        self.clear_to(self.floor);
    }

    /// A function whose `r10` is `top` makes place for another, which clears what it uses itself.
    #[cfg(feature = "compiled")]
    pub(super) const fn replace(&mut self, top: u64) {
        self.clean = top;
        self.floor = top - STACK_FRAME;
        self.limit = top - PROGRAM_STACK;
    }

    /// Makes the stack zero from `low` up to what is clean already.
    #[inline]
    fn clear_to(&mut self, low: u64) {
        if low < self.clean {
            let (from, to) = ((low - STACK) as usize, (self.clean - STACK) as usize);
            if let Some(bytes) = self.bytes.get_mut(from..to) {
                bytes.fill(0);
            }
            self.clean = low;
        }
    }

    /// Where the bytes of an access are, if all of them are the active functions'.
    #[inline]
    fn range(&mut self, access: Access) -> Result<Range<usize>, FaultKind> {
        let end = access.address.saturating_add(access.size);
        if access.address < self.clean || end > STACK_TOP {
            self.widen(access, end)?;
        }
        let at = (access.address - STACK) as usize;
        Ok(at..at + access.size as usize)
    }

    /// The program reaches out of what was cleared: clears the whole stack of the innermost function.
    #[cold]
    fn widen(&mut self, access: Access, end: u64) -> Result<(), FaultKind> {
        if access.address < self.floor || end > STACK_TOP {
            let (low, high) = (self.floor, STACK_TOP);
            return Err(FaultKind::OutOfBounds { access, region: Region::Stack, low, high });
        }
        self.clear_to(self.floor);
        Ok(())
    }
}

impl Running<'_> {
    /// Memory for reading, anywhere but in the context.
    ///
    /// # Errors
    /// It is not the program's.
    #[inline]
    pub fn bytes(&mut self, address: u64, size: u64) -> Result<&[u8], FaultKind> {
        let access = Access { address, size, write: false };
        match tag(address) {
            0 => {
                let range = self.frame_range(access)?;
                self.frame.buffer.get(range).ok_or(FaultKind::WildAddress(access))
            }
            STACK_TAG => {
                let range = self.stack.range(access)?;
                self.stack.bytes.get(range).ok_or(FaultKind::WildAddress(access))
            }
            CONTEXT_TAG => Err(FaultKind::ContextAccess(access)),
            _ => match valued_map(address) {
                Some((map, offset)) => self.maps.value(map, offset, size),
                None => Err(FaultKind::WildAddress(access)),
            },
        }
    }

    /// Memory for reading that is no map's, beside the maps; `None` for any other address.
    ///
    /// # Errors
    /// It is not the program's.
    #[inline]
    pub fn bytes_beside_maps(
        &mut self,
        address: u64,
        size: u64,
    ) -> Result<Option<(&[u8], &mut Maps)>, FaultKind> {
        let access = Access { address, size, write: false };
        let bytes = match tag(address) {
            0 => {
                let range = self.frame_range(access)?;
                self.frame.buffer.get(range)
            }
            STACK_TAG => {
                let range = self.stack.range(access)?;
                self.stack.bytes.get(range)
            }
            _ => return Ok(None),
        };
        let bytes = bytes.ok_or(FaultKind::WildAddress(access))?;
        Ok(Some((bytes, &mut *self.maps)))
    }

    /// Memory for writing.
    ///
    /// # Errors
    /// It is not the program's, or not for writing.
    #[inline]
    pub fn bytes_mut(&mut self, address: u64, size: u64) -> Result<&mut [u8], FaultKind> {
        let access = Access { address, size, write: true };
        match tag(address) {
            0 => {
                let range = self.frame_range(access)?;
                self.frame.buffer.get_mut(range).ok_or(FaultKind::WildAddress(access))
            }
            STACK_TAG => {
                let range = self.stack.range(access)?;
                self.stack.bytes.get_mut(range).ok_or(FaultKind::WildAddress(access))
            }
            CONTEXT_TAG => Err(FaultKind::ContextAccess(access)),
            _ => match valued_map(address) {
                Some((map, offset)) => self.maps.value_mut(map, offset, size),
                None => Err(FaultKind::WildAddress(access)),
            },
        }
    }

    /// Where in the buffer an access to the frame is.
    #[inline]
    fn frame_range(&self, access: Access) -> Result<Range<usize>, FaultKind> {
        let (meta, end) = (u64::from(self.frame.meta), u64::from(self.frame.end));
        let at = access.address.wrapping_sub(FRAME + meta);
        let length = end.wrapping_sub(meta);
        if at > length || access.size > length - at {
            return Err(self.outside_frame(access));
        }
        let at = (at + meta) as usize;
        Ok(at..at + access.size as usize)
    }

    #[cold]
    fn outside_frame(&self, access: Access) -> FaultKind {
        let frame = &self.frame;
        // Far from the buffer it was no pointer to the frame.
        let margin = 1 << 16;
        let near = access.address.wrapping_sub(FRAME - margin);
        if near > frame.buffer.len() as u64 + 2 * margin {
            return FaultKind::WildAddress(access);
        }
        let (low, high) = (FRAME + u64::from(frame.meta), FRAME + u64::from(frame.end));
        FaultKind::OutOfBounds { access, region: Region::Frame, low, high }
    }

    /// One field of the context.
    ///
    /// # Errors
    /// [`FaultKind::ContextAccess`] for all but aligned fields.
    pub(crate) fn context(&self, access: Access) -> Result<u64, FaultKind> {
        let frame = &self.frame;
        if access.write || access.size != 4 {
            return Err(FaultKind::ContextAccess(access));
        }
        let value = match access.address.wrapping_sub(CONTEXT) {
            0 => FRAME as u32 + frame.data,
            4 => FRAME as u32 + frame.end,
            8 => FRAME as u32 + frame.meta,
            12 => self.arrival.ingress_ifindex,
            16 => self.arrival.rx_queue_index,
            20 => self.arrival.egress_ifindex,
            _ => return Err(FaultKind::ContextAccess(access)),
        };
        Ok(u64::from(value))
    }

    /// Loads from the frame, where most loads go; `None` for anything else.
    #[inline(always)]
    pub(crate) fn load_frame<const SIZE: usize>(&self, address: u64) -> Option<u64> {
        let at = address.wrapping_sub(FRAME);
        let (meta, end) = (u64::from(self.frame.meta), u64::from(self.frame.end));
        if at < meta || at.wrapping_add(SIZE as u64) > end {
            return None;
        }
        number::<SIZE>(self.frame.buffer.get(at as usize..)?)
    }

    /// Stores into the frame; `None` for anything else.
    #[inline(always)]
    pub(crate) fn store_frame<const SIZE: usize>(
        &mut self,
        address: u64,
        value: u64,
    ) -> Option<()> {
        let at = address.wrapping_sub(FRAME);
        let (meta, end) = (u64::from(self.frame.meta), u64::from(self.frame.end));
        if at < meta || at.wrapping_add(SIZE as u64) > end {
            return None;
        }
        put::<SIZE>(self.frame.buffer.get_mut(at as usize..)?, value)
    }

    /// Loads from what is clean of the stack; `None` for anything else.
    #[inline(always)]
    pub(crate) fn load_stack<const SIZE: usize>(&self, address: u64) -> Option<u64> {
        if address < self.stack.clean {
            return None;
        }
        number::<SIZE>(self.stack.bytes.get((address - STACK) as usize..)?)
    }

    /// Stores into what is clean of the stack; `None` for anything else.
    #[inline(always)]
    pub(crate) fn store_stack<const SIZE: usize>(
        &mut self,
        address: u64,
        value: u64,
    ) -> Option<()> {
        if address < self.stack.clean {
            return None;
        }
        put::<SIZE>(self.stack.bytes.get_mut((address - STACK) as usize..)?, value)
    }

    /// Loads 1, 2, 4 or 8 bytes in the host's order, zero-extended.
    ///
    /// # Errors
    /// They are not the program's.
    #[inline(never)]
    pub(crate) fn load<const SIZE: usize>(&mut self, address: u64) -> Result<u64, FaultKind> {
        if tag(address) == CONTEXT_TAG {
            return self.context(Access { address, size: SIZE as u64, write: false });
        }
        let bytes = self.bytes(address, SIZE as u64)?;
        number::<SIZE>(bytes).ok_or_else(|| wild(address, SIZE, false))
    }

    /// Stores the lower 1, 2, 4 or 8 bytes of a value in the host's order.
    ///
    /// # Errors
    /// The memory is not the program's, or not for writing.
    #[inline(never)]
    pub(crate) fn store<const SIZE: usize>(
        &mut self,
        address: u64,
        value: u64,
    ) -> Result<(), FaultKind> {
        let bytes = self.bytes_mut(address, SIZE as u64)?;
        put::<SIZE>(bytes, value).ok_or_else(|| wild(address, SIZE, true))
    }
}

#[cold]
const fn wild(address: u64, size: usize, write: bool) -> FaultKind {
    FaultKind::WildAddress(Access { address, size: size as u64, write })
}

/// The first bytes of a slice, in the host's order, as a number. Written size by size because the
/// general form ends in a call of `memcpy`.
#[inline(always)]
fn number<const SIZE: usize>(bytes: &[u8]) -> Option<u64> {
    match SIZE {
        1 => bytes.first().map(|byte| u64::from(*byte)),
        2 => bytes.first_chunk().map(|bytes| u64::from(u16::from_ne_bytes(*bytes))),
        4 => bytes.first_chunk().map(|bytes| u64::from(u32::from_ne_bytes(*bytes))),
        _ => bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)),
    }
}

/// Puts the lower bytes of a number, in the host's order, in front of a slice.
#[inline(always)]
fn put<const SIZE: usize>(bytes: &mut [u8], value: u64) -> Option<()> {
    match SIZE {
        1 => *bytes.first_mut()? = value as u8,
        2 => *bytes.first_chunk_mut()? = (value as u16).to_ne_bytes(),
        4 => *bytes.first_chunk_mut()? = (value as u32).to_ne_bytes(),
        _ => *bytes.first_chunk_mut()? = value.to_ne_bytes(),
    }
    Some(())
}
