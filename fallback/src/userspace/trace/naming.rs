//! Numbers by their meaning.

use std::collections::BTreeMap;
use std::fmt;

use hoist_bpf::btf::{Btf, Kind};
use hoist_bpf::module::{MapId, Module};

use super::listing::Listing;
use crate::userspace::vm::Frame;
use crate::userspace::vm::address::{
    CONTEXT_TAG, FRAME, STACK_FRAME, STACK_TAG, addressed_function, handled_map, offset, tag,
    valued_map,
};

/// Numbers from which on the hexadecimal notation says more.
const LARGE: u64 = 100_000;

/// What addresses are called.
#[derive(Debug)]
pub(super) struct Names<'a> {
    module: &'a Module,
    listing: &'a Listing,
    /// Global variables, by the map that holds them and their offset: name and size.
    variables: BTreeMap<(MapId, u64), (String, u64)>,
    /// Values that were found in maps, by address, with the end of each.
    values: BTreeMap<u64, u64>,
}

/// One active function's stack.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    /// `r10` of each active function with its name, the entry first.
    pub(super) stacks: &'a [(u64, String)],
    /// Where the frame's data begins, in the buffer.
    pub(super) data: u32,
}

impl<'a> Names<'a> {
    pub(super) fn new(module: &'a Module, listing: &'a Listing) -> Self {
        let variables = variables(module);
        Self { module, listing, variables, values: BTreeMap::new() }
    }

    /// A map's name.
    pub(super) fn map(&self, map: MapId) -> String {
        let known = self.module.maps.get(map.0 as usize);
        known.map_or_else(|| format!("#{}", map.0), |map| map.name.clone())
    }

    /// A value was found in a map: addresses within it are counted from its start.
    pub(super) fn found(&mut self, map: MapId, address: u64) {
        let size = self.module.maps.get(map.0 as usize).map_or(0, |map| u64::from(map.value_size));
        self.values.insert(address, address + size.max(1));
    }

    /// A register's content: where it is an address, what it points to.
    pub(super) fn value(&self, value: u64, pointer: bool, scope: &Scope<'_>) -> String {
        let address = if pointer { self.address(value, scope) } else { None };
        address.unwrap_or_else(|| number(value))
    }

    /// What an address points to; `None` for an address in no memory.
    pub(super) fn address(&self, address: u64, scope: &Scope<'_>) -> Option<String> {
        match tag(address) {
            0 => {
                // A pointer can be anywhere around the frame before it is compared with its end.
                let from = address.wrapping_sub(FRAME + u64::from(scope.data)) as i64;
                let near = (-i64::from(u16::MAX)..=2 * i64::from(u16::MAX)).contains(&from);
                (near && address >= FRAME / 2).then(|| format!("pkt{from:+}"))
            }
            STACK_TAG => Some(stack(address, scope)),
            CONTEXT_TAG => Some(match offset(address) {
                0 => "ctx".to_owned(),
                at => format!("ctx+{at}"),
            }),
            _ => self.handle(address).or_else(|| self.map_value(address)),
        }
    }

    fn handle(&self, address: u64) -> Option<String> {
        let map = handled_map(address).map(|map| format!("map({})", self.map(map)));
        map.or_else(|| {
            addressed_function(address).map(|f| format!("function({})", self.listing.name(f)))
        })
    }

    fn map_value(&self, address: u64) -> Option<String> {
        let (map, at) = valued_map(address)?;
        let known = self.module.maps.get(map.0 as usize)?;
        let before = self.variables.range((map, 0)..=(map, at)).next_back();
        if let Some((start, (name, size))) = before.map(|((_, start), variable)| (*start, variable))
            && at < start + (*size).max(1)
        {
            return Some(match at - start {
                0 => format!("&{name}"),
                more => format!("&{name}+{more}"),
            });
        }
        let base = self.values.range(..=address).next_back().filter(|(_, end)| address < **end);
        let within = base.map_or(at, |(base, _)| address - base);
        Some(format!("map_value({})+{within}", known.name))
    }
}

/// An address of the stack, from the `r10` of the function whose stack it is.
fn stack(address: u64, scope: &Scope<'_>) -> String {
    let owner =
        scope.stacks.iter().rev().find(|(top, _)| address <= *top && top - address <= STACK_FRAME);
    let (top, name) = match owner {
        Some((top, name)) => (*top, name.as_str()),
        None => (address, "?"),
    };
    let own = scope.stacks.last().is_some_and(|(innermost, _)| *innermost == top);
    let prefix = if own { "stack".to_owned() } else { format!("stack({name})") };
    match top - address {
        0 => prefix,
        below => format!("{prefix}-{below}"),
    }
}

/// A number in the notation that says most.
pub(super) fn number(value: u64) -> String {
    match value as i64 {
        negative @ -4095..=-1 => negative.to_string(),
        _ if value < LARGE => value.to_string(),
        _ => format!("{value:#x}"),
    }
}

/// What a helper returned: a small negative number is an errno.
pub(super) fn returned(value: u64) -> String {
    match value as i64 {
        errno @ -4095..=-1 => {
            let error = std::io::Error::from_raw_os_error(-errno as i32).to_string();
            let words = error.split(" (os error").next().unwrap_or_default().to_owned();
            match words.as_str() {
                "" => errno.to_string(),
                words if words.starts_with("Unknown error") => errno.to_string(),
                words => format!("{errno} ({words})"),
            }
        }
        _ => number(value),
    }
}

/// The global variables of a module.
fn variables(module: &Module) -> BTreeMap<(MapId, u64), (String, u64)> {
    let mut variables = BTreeMap::new();
    let Ok(btf) = Btf::parse(&module.btf) else { return variables };
    for (at, map) in module.maps.iter().enumerate().filter(|(_, map)| map.section.is_some()) {
        let Some(section) = btf.find(&map.name, Kind::Datasec) else { continue };
        for entry in section.variables() {
            let Some(variable) = btf.type_by_id(entry.type_id) else { continue };
            let key = (MapId(at as u32), u64::from(entry.offset));
            variables.insert(key, (variable.name().to_owned(), u64::from(entry.size)));
        }
    }
    variables
}

/// Bytes in hexadecimal, without anything between them.
pub(super) struct Hex<'b>(pub(super) &'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the bounds of a frame are, from where its data began when it came.
pub(super) fn setting(frame: &Frame<'_>, origin: u32) -> super::Setting {
    let from = |position: u32| i64::from(position) - i64::from(origin);
    super::Setting { meta: from(frame.meta), data: from(frame.data), end: from(frame.end) }
}
