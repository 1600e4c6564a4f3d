//! Ring buffers and perf event arrays: what programs write, and what user space takes.

use hoist_bpf::module::MapId;

use super::events::{Event, Events};
use super::kinds::Uses;
use super::ringbuf::Ringbuf;
use super::{Denied, Errno, Failure, Maps};
use crate::userspace::vm::address::{map_value, valued_map};

impl Maps {
    fn ringbuf(&mut self, map: MapId) -> Result<&mut Ringbuf, Denied> {
        let entry = self.used(map, Uses::RECORDS)?;
        entry.table.ringbuf().ok_or(Denied::WrongKind(map))
    }

    fn events(&mut self, map: MapId) -> Result<&mut Events, Denied> {
        let entry = self.used(map, Uses::EVENTS)?;
        entry.table.events().ok_or(Denied::WrongKind(map))
    }

    /// `bpf_ringbuf_output`.
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn ringbuf_output(&mut self, map: MapId, data: &[u8], flags: u64) -> Result<(), Failure> {
        Ok(self.ringbuf(map)?.output(data, flags)?)
    }

    /// `bpf_ringbuf_reserve`: the VM address of `size` bytes; `None` where there is no room or flags
    /// are not 0. The program must submit or discard them before it ends.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn ringbuf_reserve(
        &mut self,
        map: MapId,
        size: u64,
        flags: u64,
    ) -> Result<Option<u64>, Denied> {
        let ringbuf = self.ringbuf(map)?;
        let offset = if flags == 0 { ringbuf.reserve(size) } else { None };
        Ok(offset.map(|offset| map_value(map, offset)))
    }

    /// `bpf_ringbuf_submit`, or with `discard` `bpf_ringbuf_discard`, of what was reserved at an
    /// address.
    ///
    /// # Errors
    /// Nothing is reserved there.
    pub fn ringbuf_commit(&mut self, address: u64, discard: bool) -> Result<(), Denied> {
        let (map, offset) = valued_map(address).ok_or(Denied::NoMap(MapId(u32::MAX)))?;
        self.ringbuf(map)?.commit(offset, discard).map_err(|wrong| wrong.of(map))
    }

    /// `bpf_ringbuf_query`: 0 bytes not yet taken, 1 size, 2 consumer position, 3 producer position.
    ///
    /// # Errors
    /// The verifier would have refused the call.
    pub fn ringbuf_query(&mut self, map: MapId, what: u64) -> Result<u64, Denied> {
        Ok(self.ringbuf(map)?.query(what))
    }

    /// Records that programs reserved in a map and neither submitted nor discarded.
    ///
    /// # Errors
    /// The map is no ring buffer.
    pub fn ringbuf_open(&mut self, map: MapId) -> Result<usize, Denied> {
        Ok(self.ringbuf(map)?.open())
    }

    /// Takes the oldest record of a ring buffer, if it is complete.
    ///
    /// # Errors
    /// The map is no ring buffer.
    pub fn take_record(&mut self, map: MapId) -> Result<Option<Vec<u8>>, Denied> {
        Ok(self.ringbuf(map)?.take_record())
    }

    /// `bpf_perf_event_output` of the lower half of its flags: an event whose data are these parts
    /// (what the program gave, and as much of the frame as it asked for).
    ///
    /// # Errors
    /// The kernel's errno, or the verifier would have refused the call.
    pub fn perf_event_output(
        &mut self,
        map: MapId,
        flags: u64,
        parts: [&[u8]; 2],
    ) -> Result<(), Failure> {
        let cpu = self.world.cpu;
        Ok(self.events(map)?.output(flags, parts, cpu)?)
    }

    /// Opens the buffers of a perf event array, of `bytes` for each CPU. Programs get `ENOENT` before.
    ///
    /// # Errors
    /// The map is no perf event array.
    pub fn open_events(&mut self, map: MapId, bytes: usize) -> Result<(), Errno> {
        let cpus = self.world.cpus;
        self.events(map).map_err(|_| Errno::EINVAL)?.open(cpus, bytes);
        Ok(())
    }

    /// Takes the oldest event of the first CPU that has one.
    ///
    /// # Errors
    /// The map is no perf event array.
    pub fn take_event(&mut self, map: MapId) -> Result<Option<Event>, Denied> {
        Ok(self.events(map)?.take_event())
    }
}
