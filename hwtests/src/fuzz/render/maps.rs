//! The maps of a module: global data, the trace, the model's own.

use hoist_bpf::module::{DataSection, FunctionId, InitialSlot, Map, Target};

use super::super::model::{GLOBAL_BYTES, Model, Table};
use super::{PROG_ARRAY, TRACE_BYTES};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

fn data_map(name: &str, data: &[u8], bytes: u32, section: DataSection) -> Map {
    Map {
        name: name.to_owned(),
        kind: ARRAY,
        key_size: 4,
        value_size: bytes,
        max_entries: 1,
        // BPF_F_RDONLY_PROG: the verifier may look into frozen constants only then.
        flags: if section == DataSection::Rodata { 1 << 7 } else { 0 },
        data: data.to_vec(),
        section: Some(section),
        ..Map::default()
    }
}

pub(super) fn all(model: &Model) -> Vec<Map> {
    let bytes = GLOBAL_BYTES as u32;
    let mut maps = vec![
        data_map(".rodata", &model.constants, bytes, DataSection::Rodata),
        data_map(".data", &model.variables, bytes, DataSection::Data),
        data_map(".bss", &[], TRACE_BYTES, DataSection::Bss),
    ];
    maps.extend(model.maps.iter().enumerate().map(|(i, table)| declared(i, table)));
    maps
}

fn declared(index: usize, table: &Table) -> Map {
    let slots = table.initial.iter().filter(|_| table.kind == PROG_ARRAY);
    Map {
        name: format!("m{index}"),
        kind: table.kind,
        key_size: table.key_size,
        value_size: table.value_size,
        max_entries: table.max_entries,
        flags: table.flags,
        initial: slots
            .map(|&(slot, entry)| InitialSlot {
                slot,
                value: Target::FunctionAddress(FunctionId(entry as u32)),
            })
            .collect(),
        ..Map::default()
    }
}
