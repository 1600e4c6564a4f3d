//! `hoist map list`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use hoist_offload::bpf::kernel::{Capability, ObjectKind};
use hoist_offload::bpf::names;
use hoist_offload::{Device, privilege};

use super::find::used_by;
use crate::cli::args::MapList;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::render::table::Table;
use crate::cli::schema::{MapListDocument, MapRow};
use crate::session::control;

/// The maps of programs that the user engine runs, which have no id.
fn of_processes(devices: &[Device]) -> Vec<MapRow> {
    let mut maps = Vec::new();
    for run in control::runs() {
        let Some(device) = devices.iter().find(|device| device.ifindex == run.ifindex) else {
            continue;
        };
        maps.extend(run.about.maps.iter().map(|def| MapRow {
            id: 0,
            name: def.name.clone(),
            kind: names::map_type(def.kind),
            key_bytes: def.key_size,
            value_bytes: def.value_size,
            max_entries: def.max_entries,
            typed: def.types.is_some(),
            used_by: vec![format!("{} on {}", run.about.program, device.name)],
        }));
    }
    maps
}

/// Lists the maps of attached programs, or all.
///
/// # Errors
/// An interface that is not there, or the kernel's refusal.
pub(super) fn run(cx: &mut Context<'_>, args: &MapList) -> Result<(), Failure> {
    let kernel = cx.kernel("map list")?;
    let all = args.interfaces.is_empty();
    let devices = cx.devices(&args.interfaces)?;
    let mut maps = of_processes(&devices);
    // Those of this user's own processes are there without it.
    let may_open = privilege::missing(&[Capability::CapSysAdmin]).is_empty();
    if maps.is_empty() {
        privilege::require("list maps", &[Capability::CapSysAdmin])?;
    }
    let mut users: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for device in devices.iter().filter(|_| may_open) {
        for (id, programs) in used_by(kernel.as_ref(), device)? {
            let users = users.entry(id).or_default();
            users.extend(programs.iter().map(|p| format!("{p} on {}", device.name)));
        }
    }
    let ids = match all && may_open {
        true => kernel.ids(ObjectKind::Map)?,
        false => users.keys().copied().collect(),
    };
    for id in ids {
        let Some(fd) = kernel.open(ObjectKind::Map, id)? else { continue };
        let info = kernel.map_info(fd.as_fd())?;
        maps.push(MapRow {
            id,
            name: info.name,
            kind: names::map_type(info.kind),
            key_bytes: info.key_size,
            value_bytes: info.value_size,
            max_entries: info.max_entries,
            typed: info.btf_value_type_id != 0,
            used_by: users.remove(&id).unwrap_or_default(),
        });
    }
    if cx.shell.json() {
        return cx.shell.document(&MapListDocument { schema: "hoist.map-list.v1", maps });
    }
    if maps.is_empty() {
        return cx.shell.print("no maps");
    }
    let mut table =
        Table::new(&[">id", "name", "type", ">key", ">value", ">entries", "types", "used by"]);
    for map in &maps {
        table.row([
            Some(map.id).filter(|id| *id != 0).map_or_else(String::new, |id| id.to_string()),
            map.name.clone(),
            map.kind.clone(),
            map.key_bytes.to_string(),
            map.value_bytes.to_string(),
            map.max_entries.to_string(),
            if map.typed { "btf" } else { "bytes" }.to_owned(),
            map.used_by.join(", "),
        ]);
    }
    cx.shell.print(table.render())
}
