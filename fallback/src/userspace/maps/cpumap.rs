//! Maps of CPUs to redirect to (`kernel/bpf/cpumap.c`). Values are `struct bpf_cpumap_val`: length of
//! the queue and program.

use hoist_bpf::module::{ProgramHint, ProgramId};
use hoist_offload::attach::MapDef;

use super::array::{index, next_index};
use super::flags::update;
use super::memory::Memory;
use super::table::{Table, World};
use super::{Errno, Redirect};

/// `struct bpf_cpumap_val`.
const STRIDE: u64 = 8;
/// Longest queue the kernel makes.
const LONGEST: u32 = 16384;

/// One CPU map.
#[derive(Debug)]
pub(super) struct Cpumap {
    memory: Memory,
    entries: u32,
    value_size: usize,
}

impl Cpumap {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        Ok(Self {
            memory: Memory::reserve(STRIDE * u64::from(def.max_entries))?,
            entries: def.max_entries,
            value_size: def.value_size as usize,
        })
    }

    /// Length of the queue, if there is one, and number of the program.
    fn get(&self, cpu: u32) -> Option<(u32, u32)> {
        if cpu >= self.entries {
            return None;
        }
        let (size, program) =
            self.memory.bytes(STRIDE * u64::from(cpu), STRIDE as usize).split_at(4);
        Some((index(size), index(program))).filter(|(size, _)| *size != 0)
    }

    fn put(&mut self, cpu: u32, size: u32, program: u32) {
        let (to_size, to_program) =
            self.memory.bytes_mut(STRIDE * u64::from(cpu), STRIDE as usize).split_at_mut(4);
        to_size.copy_from_slice(&size.to_ne_bytes());
        to_program.copy_from_slice(&program.to_ne_bytes());
    }
}

impl Table for Cpumap {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn redirect(&self, key: u32) -> Option<Redirect> {
        let (queue_size, program) = self.get(key)?;
        let program = program.checked_sub(1).map(ProgramId);
        Some(Redirect::Cpu { cpu: key, queue_size, program })
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let cpu = index(key);
        self.get(cpu).ok_or(Errno::ENOENT)?;
        value.extend_from_slice(self.memory.bytes(STRIDE * u64::from(cpu), self.value_size));
        Ok(())
    }

    /// `cpu_map_update_elem`.
    fn write(&mut self, key: &[u8], value: &[u8], flags: u64, world: &World) -> Result<(), Errno> {
        let cpu = index(key);
        let (size, program) = (index(&value[..4]), value.get(4..8).map_or(0, index));
        if flags > update::EXIST {
            return Err(Errno::EINVAL);
        }
        if cpu >= self.entries {
            return Err(Errno::E2BIG);
        }
        if flags == update::NOEXIST {
            return Err(Errno::EEXIST);
        }
        if size > LONGEST {
            return Err(Errno::EOVERFLOW);
        }
        if cpu >= world.cpus {
            return Err(Errno::ENODEV);
        }
        let program = if size == 0 || (program as i32) <= 0 { 0 } else { program };
        if program != 0 && world.program_for(program, ProgramHint::XdpCpumap).is_none() {
            // Whatever is wrong with the program, the kernel says this.
            return Err(Errno::ENOMEM);
        }
        self.put(cpu, size, program);
        Ok(())
    }

    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let cpu = index(key);
        if cpu >= self.entries {
            return Err(Errno::EINVAL);
        }
        self.put(cpu, 0, 0);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        next_index(self.entries, key, next)
    }
}
