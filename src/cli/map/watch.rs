//! `hoist map watch`: entries as they change.

use std::collections::BTreeMap;
use std::time::Instant;

use super::find;
use super::typed::TypedMap;
use crate::cli::args::{MapSelector, MapWatch};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::schema::{MapName, WatchLine};
use crate::cli::signal::Signals;

/// Prints every entry once, then each that is new, changed or gone, until Ctrl-C.
///
/// # Errors
/// No such map, or the kernel's refusal.
pub(super) fn run(cx: &mut Context<'_>, args: &MapWatch) -> Result<(), Failure> {
    let usage = |what: String| Failure::input(what, "hoist map watch MAP [KEY]");
    let (selector, rest) =
        MapSelector::split(&args.words).map_err(|error| usage(error.to_string()))?;
    if rest.len() > 1 {
        return Err(usage(format!("'{}' is one word too many", rest[1])));
    }
    let map = find::map(cx, &selector)?;
    let key = rest.first().map(|word| map.key(word)).transpose()?;
    let signals = Signals::catch()?;
    let start = Instant::now();
    let mut before = Seen::new();
    loop {
        let now = look(&map, key.as_deref())?;
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            show(cx, &map, key, None, start)?;
        }
        for (key, value) in now.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
            show(cx, &map, key, Some(value), start)?;
        }
        before = now;
        let left = args.duration.map(|d| d.0.saturating_sub(start.elapsed()));
        let nap = left.map_or(args.interval.0, |left| left.min(args.interval.0));
        if nap.is_zero() || signals.wait(nap)? {
            return Ok(());
        }
    }
}

/// Entries as they were when last looked at.
type Seen = BTreeMap<Vec<u8>, Vec<u8>>;

fn look(map: &TypedMap, key: Option<&[u8]>) -> Result<Seen, Failure> {
    let Some(key) = key else { return Ok(map.raw_entries()?.into_iter().collect()) };
    Ok(map.raw_get(key)?.map(|value| (key.to_vec(), value)).into_iter().collect())
}

/// Prints one change; no value means that the entry is gone.
fn show(
    cx: &mut Context<'_>,
    map: &TypedMap,
    key: &[u8],
    value: Option<&Vec<u8>>,
    start: Instant,
) -> Result<(), Failure> {
    let key = map.key_json(key);
    let value = value.map(|value| map.value_json(value));
    if cx.shell.json() {
        return cx.shell.line(&WatchLine {
            schema: "hoist.map-watch.v1",
            elapsed_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            map: MapName { id: map.info.id, name: map.name.clone() },
            event: if value.is_some() { "set" } else { "deleted" },
            key,
            value,
        });
    }
    let seconds = start.elapsed().as_secs_f64();
    match value {
        Some(value) => cx.shell.print(format_args!("{seconds:8.3} s  {key}  {value}")),
        None => cx.shell.print(format_args!("{seconds:8.3} s  {key}  deleted")),
    }
}
