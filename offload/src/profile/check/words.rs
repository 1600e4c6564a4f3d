//! Words of map values: each is read or added to, and what is added to begins at zero.

use std::collections::BTreeMap;

use hoist_bpf::analysis::{Value, Values};
use hoist_bpf::module::MapId;
use hoist_bpf::opcode::{access_bytes, class, mode};

use super::Rule;
use super::survey::{Spot, Survey};

/// `BPF_FUNC_map_update_elem`.
const UPDATE: i32 = 2;

/// How one word of four bytes is used, each with the first place.
#[derive(Default)]
struct Use<'a> {
    read: Option<Spot<'a>>,
    added: Option<Spot<'a>>,
    /// Created with a value that may not be zero.
    written: Option<Spot<'a>>,
}

impl Survey<'_> {
    pub(super) fn words(&mut self, values: &Values) {
        if !self.enforced(Rule::MapWord) && !self.enforced(Rule::Counter) {
            return;
        }
        let mut words: BTreeMap<(MapId, u32), Use<'_>> = BTreeMap::new();
        for spot in self.spots(values) {
            let insn = spot.insn();
            let Some(given) = values.given(spot.function, spot.position) else { continue };
            let (base, adds) = match (insn.class(), insn.code & 0xe0) {
                (class::LDX, mode::MEM) => (given.src, false),
                (class::STX, mode::ATOMIC) if insn.imm == 0 => (given.dst, true),
                _ => {
                    if insn.is_call() && insn.src() == 0 && insn.imm == UPDATE {
                        let args = given.args.unwrap_or([Value::Unset; 5]);
                        self.update(&mut words, spot, args, &given.zero);
                    }
                    continue;
                }
            };
            if let Value::MapValue { map: Some(map), at, .. } = base
                && let Some(offset) = at.moved(i64::from(insn.off)).constant()
                && let Ok(offset) = u32::try_from(offset)
            {
                let last = offset + u32::from(access_bytes(insn.code)) - 1;
                for word in offset / 4..=last / 4 {
                    let used = words.entry((map, word)).or_default();
                    let slot = if adds { &mut used.added } else { &mut used.read };
                    slot.get_or_insert(spot);
                }
            }
        }
        let mut told: BTreeMap<(MapId, bool), ()> = BTreeMap::new();
        for ((map, word), used) in words {
            let name = self.module.map(map).name.clone();
            let Some(added) = used.added else { continue };
            if let Some(read) = used.read
                && told.insert((map, true), ()).is_none()
            {
                let message = format!(
                    "bytes {} to {} of the values of {name} are added to ({}) and read here ({}); the card keeps what it adds to in the other byte order",
                    4 * word,
                    4 * word + 3,
                    self.place(added),
                    read.insn()
                );
                self.broken_at_map(Rule::MapWord, read, &name, message);
            }
            if let Some(written) = used.written
                && told.insert((map, false), ()).is_none()
            {
                let seen = match self.has("zero_stores_seen") {
                    true => "the value passed here is not known to be zero there",
                    false => {
                        "a value passed here is not seen to be zero there: since Linux 6.8 the verifier remembers a zero that is stored at a multiple of eight bytes as a spilled register (check_stack_write_fixed_off), and the driver looks for bytes marked as zero"
                    }
                };
                let message = format!(
                    "bytes {} to {} of the values of {name} are added to ({}), and must be created as 0; {seen}",
                    4 * word,
                    4 * word + 3,
                    self.place(added)
                );
                self.broken_at_map(Rule::Counter, written, &name, message);
            }
        }
    }

    fn update<'a>(
        &self,
        words: &mut BTreeMap<(MapId, u32), Use<'a>>,
        spot: Spot<'a>,
        args: [Value; 5],
        zero: &[(bool, bool)],
    ) {
        let Some(map) = Self::map_of(args) else { return };
        let size = self.module.map(map).value_size;
        let seen = self.has("zero_stores_seen");
        let marked = |byte: u32| {
            zero.get(byte as usize).is_some_and(|(zero, marked)| *marked || *zero && seen)
        };
        for byte in (0..size).filter(|&byte| !marked(byte)) {
            words.entry((map, byte / 4)).or_default().written.get_or_insert(spot);
        }
    }

    fn place(&self, spot: Spot<'_>) -> String {
        match spot.inst.line.and_then(|line| self.module.lines.get(line as usize)) {
            Some(line) if line.line > 0 => format!("{}:{}", line.file, line.line),
            _ => spot.insn().to_string(),
        }
    }
}
