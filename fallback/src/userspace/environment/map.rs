//! Maps, as programs use them.

use hoist_bpf::module::MapId;

use super::argument::{changed, map, refused};
use crate::userspace::maps::Found;
use crate::userspace::vm::Running;
use crate::userspace::vm::address::map_handle;
use crate::userspace::vm::fault::FaultKind;
use crate::userspace::vm::observer::MapEffect;

/// What a program gets for a socket in an xskmap: not null, and nothing it could read.
const SOCKET: u64 = 5 << 48;
const LOOKUP: &str = "map_lookup_elem";
/// A map whose `bpf_map_peek_elem` reads the value instead of writing it.
const BLOOM_FILTER: u32 = 30;

/// Copies of keys and values, made while the map is changed.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
}

fn copy(run: &mut Running<'_>, from: u64, size: u32, to: &mut Vec<u8>) -> Result<(), FaultKind> {
    to.clear();
    to.extend_from_slice(run.bytes(from, u64::from(size))?);
    Ok(())
}

/// Runs with the buffers that calls share.
fn with_scratch<T>(
    run: &mut Running<'_>,
    call: impl FnOnce(&mut Running<'_>, &mut Scratch) -> Result<T, FaultKind>,
) -> Result<T, FaultKind> {
    let mut scratch = std::mem::take(&mut run.environment.scratch);
    let result = call(run, &mut scratch);
    run.environment.scratch = scratch;
    result
}

fn sizes(run: &Running<'_>, map: MapId) -> (u32, u32) {
    let definition = run.module.map(map);
    (definition.key_size, definition.value_size)
}

const fn pointer(found: Option<Found>) -> u64 {
    match found {
        None => 0,
        Some(Found::Value(address)) => address,
        Some(Found::Map(map)) => map_handle(map),
        Some(Found::Socket) => SOCKET,
    }
}

/// `bpf_map_lookup_elem`.
pub(super) fn lookup(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if !run.observed() {
        let map = map(run, LOOKUP, 1, r[0])?;
        if let Some(found) = look_beside(run, map, r[1])? {
            return Ok(found);
        }
    }
    look(run, r, LOOKUP, None)
}

/// `bpf_map_lookup_elem` for compiled code, which knows the map and is not observed.
#[cfg(feature = "compiled")]
pub(in crate::userspace) fn lookup_in(
    run: &mut Running<'_>,
    map: MapId,
    key: u64,
) -> Result<u64, FaultKind> {
    match look_beside(run, map, key)? {
        Some(found) => Ok(found),
        None => look(run, [map_handle(map), key, 0, 0, 0], LOOKUP, None),
    }
}

/// Looks up a key where it is; `None` if it is in a map itself, and has to be copied.
#[inline]
fn look_beside(run: &mut Running<'_>, map: MapId, key: u64) -> Result<Option<u64>, FaultKind> {
    let (key_size, _) = sizes(run, map);
    let Some((key, maps)) = run.bytes_beside_maps(key, u64::from(key_size))? else {
        return Ok(None);
    };
    let found = maps.lookup(map, key).map_err(|denied| refused(LOOKUP, denied))?;
    Ok(Some(pointer(found)))
}

/// `bpf_map_lookup_percpu_elem`.
pub(super) fn lookup_percpu(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    look(run, r, "map_lookup_percpu_elem", Some(r[2] as u32))
}

fn look(
    run: &mut Running<'_>,
    r: [u64; 5],
    helper: &'static str,
    cpu: Option<u32>,
) -> Result<u64, FaultKind> {
    let map = map(run, helper, 1, r[0])?;
    let (key_size, _) = sizes(run, map);
    with_scratch(run, |run, Scratch { key, .. }| {
        copy(run, r[1], key_size, key)?;
        let found = match cpu {
            None => run.maps.lookup(map, key),
            Some(cpu) => run.maps.lookup_percpu(map, key, cpu),
        };
        let found = pointer(found.map_err(|denied| refused(helper, denied))?);
        if run.observed() {
            let found = (found != 0).then_some(found);
            run.map_effect(map, MapEffect::Looked { key, found });
        }
        Ok(found)
    })
}

/// `bpf_map_update_elem`.
pub(super) fn update(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let map = map(run, "map_update_elem", 1, r[0])?;
    let (key_size, value_size) = sizes(run, map);
    with_scratch(run, |run, Scratch { key, value }| {
        copy(run, r[1], key_size, key)?;
        copy(run, r[2], value_size, value)?;
        let returned = changed("map_update_elem", run.maps.update(map, key, value, r[3]))?;
        if run.observed() {
            let returned = returned.cast_signed();
            run.map_effect(map, MapEffect::Updated { key, value, returned });
        }
        Ok(returned)
    })
}

/// `bpf_map_delete_elem`.
pub(super) fn delete(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let map = map(run, "map_delete_elem", 1, r[0])?;
    let (key_size, _) = sizes(run, map);
    with_scratch(run, |run, Scratch { key, .. }| {
        copy(run, r[1], key_size, key)?;
        let returned = changed("map_delete_elem", run.maps.delete(map, key))?;
        if run.observed() {
            run.map_effect(map, MapEffect::Deleted { key, returned: returned.cast_signed() });
        }
        Ok(returned)
    })
}

/// `bpf_map_push_elem`.
pub(super) fn push(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let map = map(run, "map_push_elem", 1, r[0])?;
    let (_, value_size) = sizes(run, map);
    with_scratch(run, |run, Scratch { value, .. }| {
        copy(run, r[1], value_size, value)?;
        let returned = changed("map_push_elem", run.maps.push(map, value, r[2]))?;
        if run.observed() {
            run.map_effect(map, MapEffect::Pushed { value, returned: returned.cast_signed() });
        }
        Ok(returned)
    })
}

/// `bpf_map_pop_elem`.
pub(super) fn pop(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    take(run, r, "map_pop_elem", true)
}

/// `bpf_map_peek_elem`.
pub(super) fn peek(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    take(run, r, "map_peek_elem", false)
}

fn take(
    run: &mut Running<'_>,
    r: [u64; 5],
    helper: &'static str,
    away: bool,
) -> Result<u64, FaultKind> {
    let map = map(run, helper, 1, r[0])?;
    let (_, value_size) = sizes(run, map);
    let asks = run.module.map(map).kind == BLOOM_FILTER;
    with_scratch(run, |run, Scratch { value, .. }| {
        copy(run, r[1], value_size, value)?;
        if !asks {
            run.bytes_mut(r[1], u64::from(value_size))?;
        }
        let result = if away { run.maps.pop(map, value) } else { run.maps.peek(map, value) };
        let returned = changed(helper, result)?;
        if !asks {
            run.bytes_mut(r[1], u64::from(value_size))?.copy_from_slice(value);
        }
        Ok(returned)
    })
}
