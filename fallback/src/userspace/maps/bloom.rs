//! Bloom filters (`kernel/bpf/bloom_filter.c`). Which values are found by mistake depends on a random
//! seed, there as here.

use hoist_offload::attach::MapDef;

use super::Errno;
use super::flags::update;
use super::key::Seed;
use super::memory::Memory;
use super::table::{Table, World};

/// Hash functions where the map does not say how many.
const HASHES: u32 = 5;

/// One filter.
#[derive(Debug)]
pub(super) struct Bloom {
    memory: Memory,
    seeds: Vec<Seed>,
    mask: u64,
}

impl Bloom {
    /// `extra`: number of hash functions.
    pub(super) fn new(def: &MapDef, extra: u64) -> Result<Self, Errno> {
        let hashes = if extra == 0 { HASHES } else { extra as u32 };
        let bits = def.max_entries.checked_mul(hashes).and_then(|bits| (bits / 5).checked_mul(7));
        let bits = match bits {
            Some(bits) if bits <= 1 << 31 => u64::from(bits.max(64)).next_power_of_two(),
            _ => 1 << 32,
        };
        let seeds = (0..hashes).map(|_| Seed::random()).collect();
        Ok(Self { memory: Memory::reserve(bits / 8)?, seeds, mask: bits - 1 })
    }

    fn places(&self, value: &[u8]) -> impl Iterator<Item = (u64, u8)> {
        let mask = self.mask;
        self.seeds.iter().map(move |seed| {
            let bit = seed.hash(value) & mask;
            (bit / 8, 1 << (bit % 8))
        })
    }

    fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        let all = self.places(value).all(|(byte, bit)| self.memory.bytes(byte, 1)[0] & bit != 0);
        if all { Ok(()) } else { Err(Errno::ENOENT) }
    }
}

impl Table for Bloom {
    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != update::ANY {
            return Err(Errno::EINVAL);
        }
        for (byte, bit) in self.places(value).collect::<Vec<_>>() {
            self.memory.bytes_mut(byte, 1)[0] |= bit;
        }
        Ok(())
    }

    fn peek(&mut self, value: &mut [u8]) -> Result<(), Errno> {
        self.contains(value)
    }

    /// The system call passes the value to look for where others pass room for an answer: that is
    /// [`super::User::contains`].
    fn read(&mut self, _key: &[u8], _value: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn write(
        &mut self,
        _key: &[u8],
        value: &[u8],
        flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        self.push(value, flags)
    }

    fn next_key(&self, _key: Option<&[u8]>, _next: &mut Vec<u8>) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
}
