//! `hoist map`: maps, typed by their BTF.

use hoist_offload::Error;
use hoist_offload::bpf::kernel::Entries;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::args::{MapCommand, MapSelector};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::schema::{EntryDocument, MapName};
use crate::session::codec::text_value;
use crate::session::contents::{Contents, Entry};

mod copy;
mod find;
mod list;
mod typed;
mod watch;

use typed::TypedMap;

/// Does what was asked of a map.
///
/// # Errors
/// No such map or entry, a value that does not fit, or the kernel's refusal.
pub(super) fn run(cx: &mut Context<'_>, command: &MapCommand) -> Result<(), Failure> {
    match command {
        MapCommand::List(args) => list::run(cx, args),
        MapCommand::Dump(args) => dump(cx, &args.words),
        MapCommand::Get(args) => get(cx, &args.words),
        MapCommand::Set(args) => set(cx, &args.words),
        MapCommand::Delete(args) => delete(cx, &args.words),
        MapCommand::Copy(args) => copy::run(cx, args),
        MapCommand::Watch(args) => watch::run(cx, args),
    }
}

/// The map that the first words name, and the `N` words after it.
fn map<'w, const N: usize>(
    cx: &Context<'_>,
    words: &'w [String],
    expected: &'static str,
) -> Result<(TypedMap, &'w [String; N]), Failure> {
    let usage = |what: String| Failure::input(what, "'hoist map --help' shows how to name one");
    let (selector, rest) = MapSelector::split(words).map_err(|error| match words.first() {
        Some(word) if cx.host.device(word).is_ok() => Failure::input(
            format!("'{word}' is an interface, not a map: write {word}/NAME"),
            format!("'hoist map list {word}' lists its maps"),
        ),
        _ => usage(error.to_string()),
    })?;
    let rest: &[String; N] = rest.try_into().map_err(|_| match rest {
        [] => usage(format!("{expected} is missing after the map")),
        more => usage(format!("expected {expected} after the map, not '{}'", more.join(" "))),
    })?;
    Ok((find::map(cx, &selector)?, rest))
}

fn dump(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (map, []) = map(cx, words, "nothing")?;
    let entries = map.raw_entries()?;
    if cx.shell.json() {
        let entries = InWords { map: &map, entries: &entries };
        let one = OneMap { name: &map.name, kind: map.kind_name(), id: map.info.id, entries };
        return cx.shell.document(&OneDump { schema: Contents::SCHEMA, maps: [one] });
    }
    cx.shell.print(readable(&map, &entries)?)
}

/// [`Contents`] of one map, made while it is written.
#[derive(Serialize)]
struct OneDump<'a> {
    schema: &'static str,
    maps: [OneMap<'a>; 1],
}

#[derive(Serialize)]
struct OneMap<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
    id: u32,
    entries: InWords<'a>,
}

struct InWords<'a> {
    map: &'a TypedMap,
    entries: &'a Entries,
}

impl Serialize for InWords<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.map.in_words(self.entries))
    }
}

/// The same document with one entry per line.
fn readable(map: &TypedMap, entries: &Entries) -> Result<String, Failure> {
    let json = |value: &Value| serde_json::to_string(value).map_err(std::io::Error::from);
    let head =
        json(&serde_json::json!({"name": map.name, "type": map.kind_name(), "id": map.info.id}))?;
    let mut text = format!(
        "{{\"schema\": \"{}\", \"maps\": [{}, \"entries\": [",
        Contents::SCHEMA,
        head.trim_end_matches('}')
    );
    for (at, Entry { key, value }) in map.in_words(entries).enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text += &format!("{comma}\n  {{\"key\": {}, \"value\": {}}}", json(&key)?, json(&value)?);
    }
    text += if entries.is_empty() { "]}]}" } else { "\n]}]}" };
    Ok(text)
}

fn get(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (map, [word]) = map(cx, words, "a key")?;
    let key = map.key(word)?;
    let Some(value) = map.get(&key)? else { return Err(absent(&map, word)) };
    if cx.shell.json() {
        return document(cx, "hoist.map-get.v1", &map, &key, Some(value));
    }
    match (&value, map.per_cpu) {
        (Value::Array(values), true) => {
            let lines: Vec<String> =
                values.iter().enumerate().map(|(cpu, v)| format!("cpu {cpu}: {v}")).collect();
            cx.shell.print(lines.join("\n"))
        }
        _ => cx.shell.print(value),
    }
}

fn set(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (map, [key, value]) = map(cx, words, "a key and a value")?;
    let key = map.key(key)?;
    let value = text_value(value);
    map.set(cx, &key, &value)?;
    if cx.shell.json() {
        let value = map.get(&key)?;
        return document(cx, "hoist.map-set.v1", &map, &key, value);
    }
    Ok(())
}

fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (map, [word]) = map(cx, words, "a key")?;
    let key = map.key(word)?;
    if !map.delete(&key)? {
        return Err(absent(&map, word));
    }
    if cx.shell.json() {
        return document(cx, "hoist.map-delete.v1", &map, &key, None);
    }
    Ok(())
}

fn document(
    cx: &mut Context<'_>,
    schema: &'static str,
    map: &TypedMap,
    key: &[u8],
    value: Option<Value>,
) -> Result<(), Failure> {
    let name = MapName { id: map.info.id, name: map.name.clone() };
    cx.shell.document(&EntryDocument { schema, map: name, key: map.key_json(key), value })
}

/// A key that is not there, as the user wrote it: a check that failed, not a mistake.
fn absent(map: &TypedMap, key: &str) -> Failure {
    let words = super::failure::Words {
        code: None,
        error: format!("map '{}' has no key {key}", map.name),
        next: Some(format!("'hoist map dump id {}' shows those it has", map.info.id)),
        log: None,
    };
    Failure::Words(words, Exit::Refused)
}

/// An input error about one map.
fn bad(map: &str, why: impl std::fmt::Display, hint: Option<String>) -> Error {
    Error::Input { what: format!("map '{map}': {why}"), hint }
}
