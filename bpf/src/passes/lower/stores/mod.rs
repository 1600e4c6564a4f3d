//! Stores to the values of maps: where a card refuses them, the value is built on the stack and
//! written back whole by `bpf_map_update_elem`, with the key that it was looked up with.
//!
//! Stores to one value that follow each other in a block are written back together, at the last of
//! them. Where they cover the whole value, that is what they do themselves; where they do not, the
//! rest is written back as it was read, and what others wrote there meanwhile is lost: that has to be
//! accepted ([`RACE`]).
//!
//! An array's entry stays where it is. A hash has a new entry afterwards, so nothing may be done
//! through pointers to the old one.

mod origins;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use super::live;
use super::maps;
use crate::analysis::flow::Graph;
use crate::analysis::{Base, Trace};
use crate::insn::Insn;
use crate::module::{FunctionId, MapId, Module};
use crate::opcode::{access_bytes, class, mode};
use origins::{Origins, overwrites};

pub(super) use write::write;

/// Code of the difference between a store of a part and an update of the whole.
pub(super) const RACE: &str = "map-store-race";

const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const DELETE: i32 = 3;

/// The key of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The only one of an array of one entry.
    Zero,
    /// What the lookup at this position was given.
    Lookup(usize),
}

/// An access to a value that goes to its copy instead.
#[derive(Clone, Copy, Debug)]
struct Access {
    at: usize,
    /// Bytes from the value's start.
    offset: u32,
}

/// Stores to one value that are written back together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    map: MapId,
    key: Key,
    /// In the order of the code, at least one.
    stores: Vec<Access>,
    /// Loads of what is in the copy.
    loads: Vec<Access>,
    /// Whether every byte is stored to.
    whole: bool,
    /// Offset of the first store's base register in the value.
    base: u32,
}

impl Group {
    fn first(&self) -> usize {
        self.stores[0].at
    }

    fn last(&self) -> usize {
        self.stores[self.stores.len() - 1].at
    }

    /// Whether the copy begins with what the value is.
    fn reads(&self) -> bool {
        !self.whole || !self.loads.is_empty()
    }
}

/// What can be done about a function's stores.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) groups: Vec<Group>,
    /// Why nothing can be done about a store.
    pub(super) refused: BTreeMap<usize, Refusal>,
}

/// Why a store stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) why: &'static str,
}

impl Stores {
    /// Whether something is done about the store at a position.
    pub(super) fn covers(&self, at: usize) -> bool {
        self.groups.iter().any(|group| group.stores.iter().any(|store| store.at == at))
    }
}

/// Looks for what can be written back in the functions of a program. `counted` are loads and stores
/// of counters, by function; `accepted` says whether parts of values may be written back with the
/// rest.
pub(super) fn find(
    module: &Module,
    functions: &[FunctionId],
    trace: &Trace,
    counted: &BTreeMap<FunctionId, BTreeSet<usize>>,
    accepted: bool,
) -> BTreeMap<FunctionId, Stores> {
    let none = BTreeSet::new();
    let mut found = BTreeMap::new();
    for &id in functions {
        let counted = counted.get(&id).unwrap_or(&none);
        let finder = Finder { module, id, trace, counted };
        if finder.has_any() {
            found.insert(id, finder.all());
        }
    }
    // A hash's values are left alone in all functions but one, since no other knows what became of
    // its pointers.
    let users = users(module, functions, trace);
    for (id, stores) in &mut found {
        let counted = counted.get(id).unwrap_or(&none);
        let finder = Finder { module, id: *id, trace, counted };
        finder.drop_stale(stores, &users);
        stores.drop_races(accepted);
    }
    found
}

/// Functions that access the values of each map.
fn users(
    module: &Module,
    functions: &[FunctionId],
    trace: &Trace,
) -> BTreeMap<Option<MapId>, BTreeSet<FunctionId>> {
    let mut users: BTreeMap<Option<MapId>, BTreeSet<FunctionId>> = BTreeMap::new();
    for &id in functions {
        for at in 0..module.function(id).code.len() {
            let map = match trace.base(id, at) {
                Some(Base::MapValue(map, _)) => Some(map),
                Some(Base::MapValues | Base::Mixed) => None,
                _ => continue,
            };
            users.entry(map).or_default().insert(id);
        }
    }
    users
}

struct Finder<'a> {
    module: &'a Module,
    id: FunctionId,
    trace: &'a Trace,
    counted: &'a BTreeSet<usize>,
}

impl Finder<'_> {
    /// Whether there is any store to a value that counts nothing.
    fn has_any(&self) -> bool {
        let code = self.module.function(self.id).code.iter().enumerate();
        code.into_iter().any(|(at, inst)| stores(inst.insn) && self.is_value(at))
    }

    fn is_value(&self, at: usize) -> bool {
        let values = matches!(
            self.trace.base(self.id, at),
            Some(Base::MapValue(..) | Base::MapValues | Base::Mixed)
        );
        values && !self.counted.contains(&at)
    }

    fn all(&self) -> Stores {
        let function = self.module.function(self.id);
        let origins = Origins::of(self.module, self.id, self.trace, &BTreeMap::new());
        let mut found = Stores::default();
        for block in &Graph::of(function).blocks {
            let mut open: BTreeMap<MapId, Group> = BTreeMap::new();
            for at in block.start as usize..block.end as usize {
                let insn = function.code[at].insn;
                if insn.is_call() {
                    found.groups.extend(std::mem::take(&mut open).into_values());
                } else if matches!(insn.class(), class::LDX | class::ST | class::STX) {
                    self.access(at, insn, &origins, &mut open, &mut found);
                }
            }
            found.groups.extend(open.into_values());
        }
        for group in &mut found.groups {
            self.close(group);
        }
        found
    }

    fn access(
        &self,
        at: usize,
        insn: Insn,
        origins: &Origins,
        open: &mut BTreeMap<MapId, Group>,
        found: &mut Stores,
    ) {
        let (map, base) = match self.trace.base(self.id, at) {
            Some(Base::MapValue(map, offset)) => (map, offset),
            Some(Base::MapValues | Base::Mixed) => {
                found.groups.extend(std::mem::take(open).into_values());
                if stores(insn) {
                    let why = "it is not known which map's";
                    found.refused.insert(at, Refusal { code: "map-store", why });
                }
                return;
            }
            _ => return,
        };
        if self.counted.contains(&at) && insn.class() == class::LDX {
            // It reads nothing any more.
            return;
        }
        let plain = insn.code & 0xe0 == mode::MEM && !self.counted.contains(&at);
        let place = if plain { self.place(at, insn, map, base, origins) } else { Err("") };
        let same = |group: &Group, key| group.map == map && group.key == key;
        match (place, insn.class()) {
            (Ok((key, offset, _)), class::LDX) if open.get(&map).is_some_and(|g| same(g, key)) => {
                if let Some(group) = open.get_mut(&map) {
                    group.loads.push(Access { at, offset });
                }
            }
            (Ok((key, offset, base)), class::ST | class::STX) => {
                let store = Access { at, offset };
                match open.get_mut(&map) {
                    Some(group) if group.key == key => group.stores.push(store),
                    _ => {
                        let (stores, loads) = (vec![store], Vec::new());
                        let group = Group { map, key, stores, loads, whole: false, base };
                        found.groups.extend(open.insert(map, group));
                    }
                }
            }
            (place, _) => {
                found.groups.extend(open.remove(&map));
                if let (true, Err(why)) = (stores(insn) && plain, place) {
                    found.refused.insert(at, Refusal { code: "map-store", why });
                }
            }
        }
    }

    /// The key of the value that is accessed, how far from its start, and the base register's offset.
    fn place(
        &self,
        at: usize,
        insn: Insn,
        map: MapId,
        base: Option<u32>,
        origins: &Origins,
    ) -> Result<(Key, u32, u32), &'static str> {
        let declared = self.module.map(map);
        if !matches!(declared.kind, maps::ARRAY | maps::HASH) {
            return Err("maps of its type cannot be updated in place of a store");
        }
        let base = base.ok_or("it is not known where in the value")?;
        let bytes = u32::from(access_bytes(insn.code));
        let offset = base.checked_add_signed(insn.off.into());
        let offset = offset
            .filter(|offset| offset % bytes == 0 && offset + bytes <= declared.value_size)
            .ok_or("it is not aligned")?;
        // `BPF_F_WRONLY_PROG`: nothing of the value can be read.
        let register = if insn.class() == class::LDX { insn.src() } else { insn.dst() };
        let key = match origins.before(at, register) {
            _ if declared.kind == maps::ARRAY && declared.max_entries == 1 => Key::Zero,
            Some(lookup) => Key::Lookup(lookup),
            None => return Err("the key that it was looked up with is not known here"),
        };
        Ok((key, offset, base))
    }

    /// Settles what a finished group covers.
    fn close(&self, group: &mut Group) {
        let mut bytes = vec![false; self.module.map(group.map).value_size as usize];
        for store in &group.stores {
            let insn = self.module.function(self.id).code[store.at].insn;
            let length = usize::from(access_bytes(insn.code));
            let covered = bytes.iter_mut().skip(store.offset as usize).take(length);
            covered.for_each(|byte| *byte = true);
        }
        group.whole = bytes.into_iter().all(|byte| byte);
        if overwrites(self.module, group.map) {
            let last = group.last();
            group.loads.retain(|load| load.at < last);
        }
    }

    /// Leaves the values of a hash alone where something is done through a pointer that an update may
    /// have made one to an entry that is gone.
    fn drop_stale(
        &self,
        stores: &mut Stores,
        users: &BTreeMap<Option<MapId>, BTreeSet<FunctionId>>,
    ) {
        let mut updates: BTreeMap<usize, Vec<MapId>> = BTreeMap::new();
        for group in stores.groups.iter().filter(|g| !overwrites(self.module, g.map)) {
            updates.entry(group.last()).or_default().push(group.map);
        }
        if updates.is_empty() {
            return;
        }
        let origins = Origins::of(self.module, self.id, self.trace, &updates);
        let mut stale: BTreeSet<MapId> = BTreeSet::new();
        let elsewhere = |map: Option<MapId>| {
            users.get(&map).is_some_and(|users| users.iter().any(|user| *user != self.id))
        };
        for &map in updates.values().flatten() {
            // One of several maps' values: it may be this one's.
            if elsewhere(Some(map)) || users.contains_key(&None) {
                stale.insert(map);
            }
        }
        // A copy is read through the pointer of the group's first store.
        for group in stores.groups.iter().filter(|group| group.reads()) {
            let register = self.module.function(self.id).code[group.first()].insn.dst();
            if origins.before(group.first(), register).is_none() {
                stale.insert(group.map);
            }
        }
        let within: BTreeSet<usize> = stores
            .groups
            .iter()
            .flat_map(|g| g.loads.iter().chain(&g.stores))
            .map(|a| a.at)
            .collect();
        for (at, inst) in self.module.function(self.id).code.iter().enumerate() {
            let insn = inst.insn;
            if let Some(Base::MapValue(map, _)) = self.trace.base(self.id, at)
                && !within.contains(&at)
            {
                let register = if insn.class() == class::LDX { insn.src() } else { insn.dst() };
                if origins.before(at, register).is_none() {
                    stale.insert(map);
                }
            }
            if let Some(arguments) = self.trace.arguments(self.id, at) {
                let taken = live::arguments(inst);
                for (argument, register) in arguments.iter().zip(1..) {
                    if let Base::MapValue(map, _) = argument.base()
                        && taken & live::bit(register) != 0
                        && origins.before(at, register).is_none()
                    {
                        stale.insert(map);
                    }
                }
            }
        }
        let why =
            "a pointer to the entry is used after it, and an update of a hash makes a new entry";
        let gone =
            |group: &Group| !overwrites(self.module, group.map) && stale.contains(&group.map);
        stores.refuse(gone, &Refusal { code: "map-store", why });
    }
}

impl Stores {
    fn drop_races(&mut self, accepted: bool) {
        if !accepted {
            let why = "only a part of the value is stored, and the rest would be written back as it was \
                       read";
            self.refuse(|group| !group.whole, &Refusal { code: RACE, why });
        }
    }

    fn refuse(&mut self, gone: impl Fn(&Group) -> bool, refusal: &Refusal) {
        let Self { groups, refused } = self;
        groups.retain(|group| {
            let gone = gone(group);
            if gone {
                refused.extend(group.stores.iter().map(|store| (store.at, refusal.clone())));
            }
            !gone
        });
    }
}

/// Whether an instruction is a plain store.
fn stores(insn: Insn) -> bool {
    matches!(insn.class(), class::ST | class::STX) && insn.code & 0xe0 == mode::MEM
}
