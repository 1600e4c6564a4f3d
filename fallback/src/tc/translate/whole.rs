//! Whether a module has all that its code refers to. What the runtime brings comes after the
//! module's own functions and maps, so a reference beyond their end would come to mean the runtime.

use hoist_bpf::analysis::{At, Places};
use hoist_bpf::module::{Module, Target};
use hoist_offload::Gap;

use super::refuse::gap;

/// References of the program's code that lead nowhere.
pub(super) fn gaps(module: &Module, places: &Places) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for &id in &places.functions {
        for inst in &module.function(id).code {
            if let Some(what) = missing(module, inst.target) {
                let at = At { function: id, inst: inst.id };
                let message = format!("the instruction refers to a {what} that is not there");
                gaps.push(gap(module, at, "not-loadable", message));
            }
        }
    }
    for map in &module.maps {
        let missing = |what| format!("map {} is to hold a {what} that is not there", map.name);
        let lost = map.initial.iter().filter_map(|slot| self::missing(module, slot.value));
        gaps.extend(lost.map(|what| Gap::new("not-loadable", missing(what))));
    }
    gaps
}

fn missing(module: &Module, target: Target) -> Option<&'static str> {
    let lost = |id: u32, have: usize| id as usize >= have;
    match target {
        Target::Call(id) | Target::FunctionAddress(id) if lost(id.0, module.functions.len()) => {
            Some("function")
        }
        Target::Map(id) | Target::MapValue { map: id, .. } if lost(id.0, module.maps.len()) => {
            Some("map")
        }
        Target::Extern(id) if lost(id.0, module.externs.len()) => Some("kernel symbol"),
        _ => None,
    }
}
