//! Gathers requirements: one entry for each pair of need and map, the stronger claim wins, and the
//! first sites are kept.

use std::collections::BTreeMap;

use crate::module::{Function, Inst, Module};
use crate::requirements::{Feature, Need, Requirement, Requirements, Site, Strength};

/// Sites kept for one requirement: enough to find the code, few enough to read.
const MAX_SITES: usize = 16;

/// A place in the code, not yet written out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'m> {
    pub(super) function: &'m Function,
    pub(super) inst: &'m Inst,
    /// Slot from the start of the function, for instructions that come from no object file.
    pub(super) slot: u32,
}

#[derive(Debug)]
struct Entry<'m> {
    strength: Strength,
    places: Vec<Place<'m>>,
}

/// Requirements in the making.
#[derive(Debug)]
pub(super) struct Collector<'m> {
    module: &'m Module,
    entries: BTreeMap<(Need, Option<String>), Entry<'m>>,
}

impl<'m> Collector<'m> {
    pub(super) fn new(module: &'m Module) -> Self {
        Self { module, entries: BTreeMap::new() }
    }

    /// Adds a claim.
    pub(super) fn add(
        &mut self,
        need: Need,
        strength: Strength,
        map: Option<&str>,
        place: Option<Place<'m>>,
    ) {
        let entry = self
            .entries
            .entry((need, map.map(str::to_owned)))
            .or_insert(Entry { strength, places: Vec::new() });
        if entry.strength == Strength::May && strength == Strength::Must {
            *entry = Entry { strength, places: Vec::new() };
        }
        // A place that only may need it says little beside one that must.
        if entry.strength == strength && entry.places.len() < MAX_SITES {
            entry.places.extend(place);
        }
    }

    /// Adds a claim about a feature.
    pub(super) fn feature(
        &mut self,
        feature: Feature,
        strength: Strength,
        place: Option<Place<'m>>,
    ) {
        self.add(Need::Feature(feature), strength, None, place);
    }

    /// Writes everything out, sorted by need.
    pub(super) fn finish(self) -> Requirements {
        let module = self.module;
        let site = |p: Place<'_>| Site {
            function: p.function.name.clone(),
            insn: p.inst.origin.unwrap_or(p.slot),
            // Line 0 stands for code that belongs to no line.
            line: p
                .inst
                .line
                .and_then(|l| module.lines.get(l as usize))
                .filter(|l| l.line > 0)
                .cloned(),
        };
        let items = self
            .entries
            .into_iter()
            .map(|((need, map), entry)| Requirement {
                need,
                strength: entry.strength,
                sites: entry.places.into_iter().map(site).collect(),
                map,
            })
            .collect();
        Requirements { items }
    }
}
