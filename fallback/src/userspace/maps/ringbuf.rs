//! Ring buffers (`kernel/bpf/ringbuf.c`): programs write records, user space takes them in order.
//!
//! The kernel maps the data pages twice, so that a record may run past the end. Here the memory has
//! twice the size instead: no two records share a place, and both sides count the same way.

use std::collections::VecDeque;

use hoist_offload::attach::MapDef;

use super::Errno;
use super::memory::Memory;
use super::table::{Table, World, Wrong};

/// Bytes before a record (`BPF_RINGBUF_HDR_SZ`).
const HEADER: u64 = 8;
/// Longest record (`RINGBUF_MAX_RECORD_SZ`).
const LONGEST: u64 = u32::MAX as u64 / 4;
/// Flags of submissions: `BPF_RB_NO_WAKEUP`, `BPF_RB_FORCE_WAKEUP`. Whoever takes records asks for
/// them, so there is nobody to wake.
const WAKEUP_FLAGS: u64 = 1 | 2;

/// What has become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reserved,
    Submitted,
    Discarded,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    position: u64,
    len: u64,
    state: State,
}

/// One ring buffer.
#[derive(Debug)]
pub(super) struct Ringbuf {
    memory: Memory,
    size: u64,
    consumer: u64,
    producer: u64,
    /// From the oldest that user space has not taken.
    records: VecDeque<Record>,
}

impl Ringbuf {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let size = u64::from(def.max_entries);
        let memory = Memory::reserve(2 * size)?;
        Ok(Self { memory, size, consumer: 0, producer: 0, records: VecDeque::new() })
    }

    /// `__bpf_ringbuf_reserve`: offset of the record's data in the value memory.
    pub(super) fn reserve(&mut self, len: u64) -> Option<u64> {
        if len > LONGEST {
            return None;
        }
        let whole = (len + HEADER).next_multiple_of(8);
        if whole > self.size || self.producer + whole - self.consumer > self.size - 1 {
            return None;
        }
        let position = self.producer;
        self.producer += whole;
        self.records.push_back(Record { position, len, state: State::Reserved });
        Some(self.data(position))
    }

    /// `bpf_ringbuf_submit`, `bpf_ringbuf_discard`.
    pub(super) fn commit(&mut self, offset: u64, discard: bool) -> Result<(), Wrong> {
        let at = self.reserved(offset).filter(|at| self.data(self.records[*at].position) == offset);
        let at = at.ok_or(Wrong::Gone)?;
        self.records[at].state = if discard { State::Discarded } else { State::Submitted };
        Ok(())
    }

    /// `bpf_ringbuf_output`.
    pub(super) fn output(&mut self, data: &[u8], flags: u64) -> Result<(), Errno> {
        if flags & !WAKEUP_FLAGS != 0 {
            return Err(Errno::EINVAL);
        }
        let offset = self.reserve(data.len() as u64).ok_or(Errno::EAGAIN)?;
        self.memory.bytes_mut(offset, data.len()).copy_from_slice(data);
        self.commit(offset, false).map_err(|_| Errno::EAGAIN)
    }

    /// `bpf_ringbuf_query`.
    pub(super) const fn query(&self, what: u64) -> u64 {
        match what {
            0 => self.producer - self.consumer,
            1 => self.size,
            2 => self.consumer,
            3 => self.producer,
            _ => 0,
        }
    }

    /// Takes the oldest record, if it is complete.
    pub(super) fn take_record(&mut self) -> Option<Vec<u8>> {
        while let Some(record) = self.records.front().copied() {
            if record.state == State::Reserved {
                return None;
            }
            self.records.pop_front();
            self.consumer = record.position + (record.len + HEADER).next_multiple_of(8);
            if record.state == State::Submitted {
                let data = self.memory.bytes(self.data(record.position), record.len as usize);
                return Some(data.to_vec());
            }
        }
        None
    }

    /// Records that a program reserved and neither submitted nor discarded.
    pub(super) fn open(&self) -> usize {
        self.records.iter().filter(|record| record.state == State::Reserved).count()
    }

    const fn data(&self, position: u64) -> u64 {
        (position & (self.size - 1)) + HEADER
    }

    /// The reserved record in which an offset lies, or at whose end.
    fn reserved(&self, offset: u64) -> Option<usize> {
        // A program holds its newest records, so the search ends soon.
        self.records.iter().rposition(|record| {
            let start = self.data(record.position);
            record.state == State::Reserved && (start..=start + record.len).contains(&offset)
        })
    }
}

impl Table for Ringbuf {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn check(&self, offset: u64, len: u64, _write: bool) -> Result<(), Wrong> {
        let record = self.records[self.reserved(offset).ok_or(Wrong::Gone)?];
        let low = self.data(record.position);
        let high = low + record.len;
        if len > high - offset { Err(Wrong::Outside { low, high }) } else { Ok(()) }
    }

    fn ringbuf(&mut self) -> Option<&mut Ringbuf> {
        Some(self)
    }

    fn delete(&mut self, _key: &[u8], _world: &World) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn read(&mut self, _key: &[u8], _value: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn write(
        &mut self,
        _key: &[u8],
        _value: &[u8],
        _flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn next_key(&self, _key: Option<&[u8]>, _next: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }
}
