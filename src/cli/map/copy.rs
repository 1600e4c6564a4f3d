//! `hoist map copy`: all entries of one map into another, be it of another program, another engine or a
//! NIC.

use std::collections::BTreeMap;

use hoist_offload::bpf::kernel::Entries;

use super::find;
use super::typed::TypedMap;
use crate::cli::args::{MapCopy, MapSelector};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure, Words};
use crate::cli::schema::{CopiedMap, CopyDocument};
use crate::session::transfer::{self, ReadBack, Values};

/// Copies, after everything that can be known beforehand was checked, and reads back.
///
/// # Errors
/// No such map, maps that do not match, the kernel's refusal, or what was read back is not what was
/// written.
pub(super) fn run(cx: &mut Context<'_>, args: &MapCopy) -> Result<(), Failure> {
    let (from, to) = both(cx, args)?;
    let values = transfer::values(from.side(), to.side(), args.counters)?;
    let (one, cpus) = (to.info.value_size as usize, to.cpus());
    let turned = |(key, value): (Vec<u8>, Vec<u8>)| (key, values.turned(value, one, cpus));
    let mut entries: Entries = from.raw_entries()?.into_iter().map(turned).collect();
    let copied = entries.len();
    let indexed = transfer::is_indexed(to.info.kind);
    // Every slot of an array is there, and reading a NIC's map is slow.
    let mut there = if indexed { BTreeMap::new() } else { present(&to)? };
    let mut removed = Vec::new();
    if args.exact && indexed {
        entries = filled(&to, entries);
    } else if args.exact {
        let keep: std::collections::BTreeSet<&[u8]> =
            entries.iter().map(|(key, _)| key.as_slice()).collect();
        removed.extend(there.keys().filter(|key| !keep.contains(key.as_slice())).cloned());
        there.retain(|key, _| keep.contains(key.as_slice()));
    }
    transfer::room(to.side(), &entries, &there)?;
    for key in &removed {
        to.delete(key)?;
    }
    to.write(&entries)?;
    let new = entries.iter().filter(|(key, _)| !indexed && !there.contains_key(key)).count();
    let read_back = match args.no_verify {
        true => None,
        false => Some(transfer::read_back(&entries, &present(&to)?)),
    };
    let done = Done { copied, new, removed: removed.len(), read_back };
    tell(cx, &from, &to, &values, &done)?;
    match read_back {
        Some(found) if found.same < entries.len() => Err(differs(&to, found)),
        _ => Ok(()),
    }
}

struct Done {
    copied: usize,
    new: usize,
    removed: usize,
    read_back: Option<ReadBack>,
}

/// The two maps that the words name.
fn both(cx: &Context<'_>, args: &MapCopy) -> Result<(TypedMap, TypedMap), Failure> {
    let usage = |what: String| {
        Failure::input(what, "hoist map copy SRC DST; --help shows how to name a map")
    };
    let split = |words| MapSelector::split(words).map_err(|error| usage(error.to_string()));
    let (from, rest) = split(&args.words)?;
    if rest.is_empty() {
        return Err(usage("the map to copy to is missing".to_owned()));
    }
    let (to, rest) = split(rest)?;
    if !rest.is_empty() {
        return Err(usage(format!("'{}' is one word too many", rest.join(" "))));
    }
    let (from, to) = (find::map(cx, &from)?, find::map(cx, &to)?);
    if from.is(&to) {
        return Err(usage(format!("map '{}' cannot be copied to itself", from.name)));
    }
    Ok((from, to))
}

fn present(map: &TypedMap) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
    Ok(map.raw_entries()?.into_iter().collect())
}

/// Zeroes in the slots of an array that nothing else is written to: they cannot be deleted.
fn filled(to: &TypedMap, entries: Entries) -> Entries {
    let zeroes = vec![0; to.value_len()];
    let all = (0..to.info.max_entries).map(|at| (at.to_ne_bytes().to_vec(), zeroes.clone()));
    let mut all: BTreeMap<_, _> = all.collect();
    all.extend(entries);
    all.into_iter().collect()
}

fn tell(
    cx: &mut Context<'_>,
    from: &TypedMap,
    to: &TypedMap,
    values: &Values,
    done: &Done,
) -> Result<(), Failure> {
    let Done { copied, new, removed, read_back } = *done;
    if cx.shell.json() {
        let map =
            |m: &TypedMap| CopiedMap { id: m.info.id, name: m.name.clone(), kind: m.kind_name() };
        return cx.shell.document(&CopyDocument {
            schema: "hoist.map-copy.v1",
            from: map(from),
            to: map(to),
            values: values.name(),
            entries: copied,
            new,
            removed,
            read_back,
        });
    }
    let how = match values {
        Values::AsTheyAre => "",
        Values::Summed(_) => ", the CPUs' counters added up",
        Values::FirstCpu => ", counters on the first CPU",
    };
    let gone = if removed == 0 { String::new() } else { format!(", {removed} others removed") };
    let verified = match read_back {
        None => "",
        Some(found) if found.different + found.missing == 0 => "; read back the same",
        Some(_) => "; read back otherwise",
    };
    let name = |m: &TypedMap| format!("{} ({})", m.name, m.kind_name());
    let old = copied - new.min(copied);
    cx.shell.print(format_args!(
        "{copied} entries copied from {} to {}: {new} new, {old} replaced{gone}{how}{verified}",
        name(from),
        name(to)
    ))
}

/// A check that failed, or a program that goes on writing.
fn differs(to: &TypedMap, found: ReadBack) -> Failure {
    let ReadBack { different, missing, .. } = found;
    let words = Words {
        code: None,
        error: format!(
            "map '{}': {different} entries read back with another value, {missing} are not there",
            to.name
        ),
        next: Some(
            "a program changes it meanwhile, or it evicts; --no-verify copies without reading back"
                .to_owned(),
        ),
        log: None,
    };
    Failure::Words(words, Exit::Refused)
}
