//! `hoist status`: what is attached, other people's programs included.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use hoist_fallback::tc::translate::{DeviceAddress, device, events};
use hoist_offload::attach::{self, MapOps as _, Stats};
use hoist_offload::bpf::kernel::{Kernel, ObjectKind};
use hoist_offload::bpf::passes::count;
use hoist_offload::device::{AttachedProgram, Device, Owner};
use hoist_offload::kernel_map::KernelMap;
use hoist_offload::{EngineKind, Error};

use super::context::Context;
use super::failure::Failure;
use super::kept;
use super::render::style::{DIM, paint};
use super::render::table::Table;
use super::schema::{AdjustedRow, StatusDocument, StatusRow, bytes, packets};
use super::{adjusted, args};
use crate::session::control::{self, About};

/// Shows attached programs.
///
/// # Errors
/// An interface that is not there, or a host that cannot be asked.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Status) -> Result<(), Failure> {
    let mut devices = cx.devices(&args.interfaces)?;
    let kernel = cx.kernel("status").ok();
    if let Some(kernel) = &kernel {
        kept::mark(&mut devices, kernel.as_ref());
    }
    let mut rows = Vec::new();
    for device in &devices {
        for program in &device.attached {
            rows.push(row(device, program, kernel.as_ref())?);
        }
    }
    user(&mut rows, &devices, cx.is_live());
    let adjusted: Vec<AdjustedRow> = kernel.iter().flat_map(|k| adjusted(&devices, &**k)).collect();
    let unread = unread(&devices);
    for row in &rows {
        if let (Some(old), Some(name)) = (&row.old_address, &row.program) {
            cx.shell.warn(format_args!(
                "{name} on {} still goes by the address {old}, which was the interface's when it was \
                 attached; unload and load it again",
                row.device
            ));
        }
    }
    for line in &unread {
        cx.shell.warn(line);
    }
    if cx.shell.json() {
        let schema = "hoist.status.v1";
        return cx.shell.document(&StatusDocument { schema, attachments: rows, adjusted });
    }
    for AdjustedRow { device, changes } in &adjusted {
        for change in changes {
            cx.shell
                .say(format_args!("note: {device}: {} for programs of hoist's", change.words()));
        }
    }
    if rows.is_empty() {
        return cx.shell.print(match unread.as_slice() {
            [] => "nothing is attached",
            _ => "nothing is attached that can be seen",
        });
    }
    cx.shell.print(table(&rows))
}

/// Puts programs of the user engine, which are in other processes, in the places of the programs that
/// bring them their frames.
fn user(rows: &mut Vec<StatusRow>, devices: &[Device], live: bool) {
    for run in live.then(control::runs).into_iter().flatten() {
        let Some(device) = devices.iter().find(|device| device.ifindex == run.ifindex) else {
            continue;
        };
        let About { program, hook, brought_by, stats, events, .. } = run.about;
        let brings = |row: &&StatusRow| row.device == device.name && row.id == brought_by;
        let at = rows.iter().position(|row| brought_by != 0 && brings(&row));
        let bringing = at.and_then(|at| rows.get(at));
        let row = StatusRow {
            device: device.name.clone(),
            engine: EngineKind::User,
            hook,
            slot: bringing.and_then(|row| row.slot),
            program: Some(program),
            id: brought_by,
            owner: bringing.and_then(|row| row.owner.clone()),
            process: Some(run.pid),
            components: Vec::new(),
            packets: Some(packets(&stats)),
            bytes: Some(bytes(&stats)),
            events,
            old_address: None,
        };
        match at {
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
    }
}

/// The interfaces whose settings are changed.
fn adjusted(devices: &[Device], kernel: &dyn Kernel) -> Vec<AdjustedRow> {
    let row = |device: &Device| {
        let changes = adjusted::of(kernel, device.ifindex);
        AdjustedRow { device: device.name.clone(), changes }
    };
    devices.iter().map(row).filter(|row| !row.changes.is_empty()).collect()
}

/// Slots that could not be read, each reason once.
fn unread(devices: &[Device]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in devices {
        for why in &device.attached_unknown {
            reasons.entry(why).or_default().push(&device.name);
        }
    }
    reasons.iter().map(|(why, names)| format!("{why} ({})", names.join(", "))).collect()
}

/// One program as a row, with its counters where hoist counts.
///
/// # Errors
/// The kernel could not be asked.
pub(super) fn row(
    device: &Device,
    program: &AttachedProgram,
    kernel: Option<&Arc<dyn Kernel>>,
) -> Result<StatusRow, Error> {
    let ours = matches!(program.owner, Owner::Hoist { .. } | Owner::Link { .. } | Owner::Netlink);
    let found = match kernel.filter(|_| ours) {
        Some(kernel) => counters(kernel, program.id).unwrap_or_default(),
        None => Found::default(),
    };
    let Found { stats, events, address } = found;
    let old = address.filter(|a| device.address().is_some_and(|now| now != *a && *a != [0; 6]));
    Ok(StatusRow {
        device: device.name.clone(),
        engine: program.slot.engine(),
        hook: program.slot.hook(),
        slot: Some(program.slot),
        program: program.name.clone(),
        id: program.id,
        owner: Some(program.owner.clone()),
        process: None,
        components: program.components.clone(),
        packets: stats.as_ref().map(packets),
        bytes: stats.as_ref().map(bytes),
        events: events.into_iter().map(|(name, times)| (name.to_owned(), times)).collect(),
        old_address: old.map(|a| a.map(|byte| format!("{byte:02x}")).join(":")),
    })
}

/// What a program of hoist's tells of itself in its maps.
#[derive(Default)]
struct Found {
    stats: Option<Stats>,
    events: BTreeMap<&'static str, u64>,
    address: Option<[u8; 6]>,
}

/// Reads what a program tells of itself.
///
/// # Errors
/// The kernel's refusal: without CAP_BPF objects cannot be opened by id.
fn counters(kernel: &Arc<dyn Kernel>, program: u32) -> Result<Found, Error> {
    let mut found = Found::default();
    let Some(program) = kernel.open(ObjectKind::Program, program)? else { return Ok(found) };
    for id in kernel.program_info(program.as_fd())?.map_ids {
        let Some(map) = kernel.open(ObjectKind::Map, id)? else { continue };
        let info = kernel.map_info(map.as_fd())?;
        if info.name == count::MAP_NAME && info.value_size == count::VALUE_BYTES {
            found.stats = Some(Stats::read(&KernelMap::found(kernel, map, info.name)?)?);
        } else if info.name == events::MAP_NAME && info.value_size == 8 {
            let map = KernelMap::found(kernel, map, info.name)?;
            found.events = attach::events(&map, &events::NAMES)?;
        } else if info.name == device::MAP_NAME && info.value_size == 8 {
            let value = KernelMap::found(kernel, map, info.name)?.lookup(&DeviceAddress::key())?;
            found.address = value.as_deref().and_then(|v| v.first_chunk().copied());
        }
    }
    Ok(found)
}

/// The table, also shown by `unload`.
pub(super) fn table(rows: &[StatusRow]) -> String {
    let mut table = Table::new(&["interface", "slot", ">id", "program", "held by"]);
    for row in rows {
        let held_by = match (row.process, &row.owner) {
            (Some(process), _) => format!("process {process}"),
            (None, Some(held_by)) => owner(held_by),
            (None, None) => String::new(),
        };
        table.row([
            row.device.as_str(),
            &match row.engine {
                EngineKind::User => format!("user ({})", row.hook),
                _ => row.slot.map_or_else(String::new, |slot| slot.name().to_owned()),
            },
            &Some(row.id).filter(|id| *id != 0).map_or_else(String::new, |id| id.to_string()),
            row.program.as_deref().unwrap_or("?"),
            &held_by,
        ]);
        for part in &row.components {
            let priority = part.priority.map(|p| format!("priority {p}")).unwrap_or_default();
            let name = format!("=> {}", part.name.as_deref().unwrap_or("?"));
            table.row(["", "", &part.id.to_string(), &name, &priority]);
        }
        if let Some(counts) = &row.packets {
            let seen: Vec<String> =
                counts.iter().filter(|(_, n)| **n > 0).map(|(v, n)| format!("{v} {n}")).collect();
            let seen = if seen.is_empty() { "no packets yet".to_owned() } else { seen.join(", ") };
            table.row(["", "", "", &paint(DIM, seen)]);
        }
        let off_path: Vec<String> = row
            .events
            .iter()
            .filter(|(name, _)| *name != "aborted")
            .map(|(name, times)| format!("{} {times}", name.replace('_', " ")))
            .collect();
        if !off_path.is_empty() {
            table.row(["", "", "", &paint(DIM, off_path.join(", "))]);
        }
    }
    table.render()
}

fn owner(owner: &Owner) -> String {
    match owner {
        Owner::Hoist { pin } => format!("hoist ({pin})"),
        Owner::Link { id } => format!("link {id}"),
        Owner::Netlink => "the interface".to_owned(),
        Owner::Libxdp => "libxdp's dispatcher".to_owned(),
        Owner::Unknown { why } => format!("unknown: {why}"),
    }
}
