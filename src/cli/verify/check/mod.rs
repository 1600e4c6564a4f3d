//! Case files held against their schema before anything is run, so that a mistake is told with its
//! line, its column, what was expected there, and the word that was probably meant.
//!
//! The schema (docs/schemas/cases.v1.json) is the one that other tools get; only what it uses of
//! JSON Schema is understood here.

use std::ops::Range;

use hoist_hwtests::frame::Frame;
use hoist_hwtests::frame::notation::Names;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::suggest;

pub(super) mod program;

/// What case files look like.
const SCHEMA: &str = include_str!("../../../../docs/schemas/cases.v1.json");

/// Something wrong with a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub what: String,
    /// The word that was probably meant.
    pub next: Option<String>,
}

/// Every mistake in a case file's text, in the order of the text. `program` says whether the file
/// must name its program.
pub(super) fn mistakes(text: &str, program: bool) -> Vec<Mistake> {
    let Ok(schema) = serde_json::from_str::<Json>(SCHEMA) else { return Vec::new() };
    let mut check = Check { schema: &schema, text, program, found: Vec::new() };
    match DeTable::parse(text) {
        Ok(file) => {
            check.table(file.span(), file.get_ref(), &schema, "the file");
            check.frames(file.get_ref());
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            check.say(at, format!("this is not TOML: {}", error.message().trim()), None);
        }
    }
    check.found.sort_by_key(|mistake| (mistake.line, mistake.column));
    check.found
}

/// Line and column of a byte of a text, both counted from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

struct Check<'a> {
    schema: &'a Json,
    text: &'a str,
    program: bool,
    found: Vec<Mistake>,
}

impl<'a> Check<'a> {
    fn say(&mut self, at: usize, what: String, next: Option<String>) {
        let (line, column) = place(self.text, at);
        self.found.push(Mistake { line, column, what, next });
    }

    /// The schema itself, or the definition it refers to.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let name = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.schema["$defs"][name])
    }

    fn table(&mut self, span: Range<usize>, table: &DeTable<'_>, schema: &'a Json, of: &str) {
        let properties = schema["properties"].as_object();
        let others = &schema["additionalProperties"];
        for (key, value) in table {
            let name: &str = key.get_ref();
            let known = properties.and_then(|all| all.get(name));
            match known {
                Some(schema) => self.value(value, schema, name),
                None if *others == Json::Bool(false) => {
                    let all: Vec<&str> = properties
                        .map(|all| all.keys().map(String::as_str).collect())
                        .unwrap_or_default();
                    let next = match suggest::closest(name, all.iter().copied()) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => format!("{of} may have {}", all.join(", ")),
                    };
                    self.say(key.span().start, format!("{of} has no '{name}'"), Some(next));
                }
                None if others.is_object() => self.value(value, others, name),
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            let given = name == "program" && of == "the file" && !self.program;
            if !given && !table.iter().any(|(key, _)| key.get_ref() == name) {
                let next = match name {
                    "program" => "add one, or give --object OBJ".to_owned(),
                    "case" => "each case starts with a line [[case]]".to_owned(),
                    _ => format!("add {name} = ..."),
                };
                self.say(span.start, format!("{of} lacks '{name}'"), Some(next));
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'a Json, name: &str) {
        let schema = self.resolve(schema);
        let at = value.span().start;
        let value_ = value.get_ref();
        if let Some(choices) = schema["anyOf"].as_array() {
            let fits = |choice: &&'a Json| {
                let choice = self.resolve(choice);
                choice["type"].as_str().is_none_or(|kind| kind == kind_of(value_))
            };
            match choices.iter().find(fits) {
                Some(choice) => self.value(value, choice, name),
                None => {
                    let kinds = choices.iter().filter_map(|c| c["type"].as_str());
                    let kinds: Vec<&str> = kinds.collect();
                    let expected = kinds.join(" or ");
                    self.say(at, format!("'{name}' is {}, not {expected}", a(value_)), None);
                }
            }
            return;
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            match value_.as_str() {
                Some(word) if words.contains(&word) => {}
                Some(word) => {
                    let next = match suggest::closest(word, words.iter().copied()) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => format!("it is one of {}", words.join(", ")),
                    };
                    self.say(at, format!("'{name}' cannot be '{word}'"), Some(next));
                }
                None => {
                    let next = format!("it is one of {}", words.join(", "));
                    self.say(at, format!("'{name}' is {}, not a word", a(value_)), Some(next));
                }
            }
            return;
        }
        if let Some(kind) = schema["type"].as_str().filter(|kind| *kind != kind_of(value_)) {
            self.say(at, format!("'{name}' is {}, not {}", a(value_), article(kind)), None);
            return;
        }
        match value_ {
            DeValue::Table(table) => {
                let of = format!("'{name}'");
                self.table(value.span(), table, schema, &of);
            }
            DeValue::Array(items) => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                if (items.len() as u64) < least {
                    self.say(at, format!("'{name}' is empty"), None);
                }
                if schema["items"].is_object() {
                    for item in items.iter() {
                        self.value(item, &schema["items"], name);
                    }
                }
            }
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let low = schema["minimum"].as_i64();
                let high = schema["maximum"].as_i64();
                let in_range = number.is_some_and(|n| {
                    low.is_none_or(|low| n >= low) && high.is_none_or(|high| n <= high)
                });
                if !in_range && (low.is_some() || high.is_some()) {
                    let range = match (low, high) {
                        (Some(low), Some(high)) => format!("from {low} to {high}"),
                        (Some(low), None) => format!("at least {low}"),
                        (_, Some(high)) => format!("at most {high}"),
                        (None, None) => "a number".to_owned(),
                    };
                    self.say(at, format!("'{name}' is {range}"), None);
                }
            }
            _ => {}
        }
    }

    /// Frames are written in a notation of their own: those that are sent, and the file's by name.
    fn frames(&mut self, file: &DeTable<'_>) {
        let get = |table: &DeTable<'_>, name: &str| -> Vec<(usize, String)> {
            let found = table.iter().find(|(key, _)| key.get_ref() == name);
            found.map(|(_, value)| strings(value)).unwrap_or_default()
        };
        let mut frames = get(file, "frames");
        let cases = file.iter().find(|(key, _)| key.get_ref() == "case").map(|(_, v)| v.get_ref());
        for case in cases.and_then(DeValue::as_array).into_iter().flat_map(|all| all.iter()) {
            if let Some(case) = case.get_ref().as_table() {
                frames.extend(get(case, "send"));
            }
        }
        for (at, line) in frames.into_iter().filter(|(_, line)| !line.starts_with('@')) {
            if let Err(error) = Frame::parse(&line, &Names::lab()) {
                // The column is one of the value, which starts after a quotation mark.
                let inside = line.chars().take(error.column - 1).map(char::len_utf8);
                let found = match error.found.as_str() {
                    "" => "the end".to_owned(),
                    found => format!("'{found}'"),
                };
                let what = format!("frame: expected {}, found {found}", error.expected);
                let words = error.expected.split([',', ':', ' ']).filter(|word| word.len() > 2);
                let next = suggest::closest(&error.found, words);
                let next = next.map(|near| format!("did you mean '{near}'?"));
                self.say(at + 1 + inside.sum::<usize>(), what, next);
            }
        }
    }
}

/// The strings of a value, each with its place: of an array its elements, of a table its values.
fn strings(value: &Spanned<DeValue<'_>>) -> Vec<(usize, String)> {
    match value.get_ref() {
        DeValue::String(text) => vec![(value.span().start, text.to_string())],
        DeValue::Array(items) => items.iter().flat_map(strings).collect(),
        DeValue::Table(table) => table.iter().flat_map(|(_, value)| strings(value)).collect(),
        _ => Vec::new(),
    }
}

/// The type, as JSON Schema calls it.
fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// The type in words.
fn a(value: &DeValue<'_>) -> &'static str {
    article(kind_of(value))
}

fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a fraction",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "a date",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound file with one line put in the place of another.
    fn told(old: &str, new: &str) -> Vec<(usize, usize, String, Option<String>)> {
        let sound = "title = \"t\"\nprogram = \"p.o\"\n\n[[case]]\nname = \"n\"\n\
                     send = \"eth far > near / ipv4 far > near / udp 1 > 2\"\nverdict = \"drop\"\n";
        assert_eq!(mistakes(sound, true), [], "the file is sound before");
        let text = sound.replace(old, new);
        assert_ne!(text, sound, "{old} is replaced");
        let told = mistakes(&text, true).into_iter();
        told.map(|m| (m.line, m.column, m.what, m.next)).collect()
    }

    #[test]
    fn mistakes_are_told_with_place_expectation_and_suggestion() {
        /// What is put in the place of what, where the mistake is, what is said, what is suggested.
        type Case = (&'static str, &'static str, usize, usize, &'static str, Option<&'static str>);
        let cases: [Case; 14] = [
            ("verdict", "verdit", 7, 1, "'case' has no 'verdit'", Some("did you mean 'verdict'?")),
            ("\"drop\"", "\"dorp\"", 7, 11, "'verdict' cannot be 'dorp'", Some("mean 'drop'?")),
            ("\"drop\"", "1", 7, 11, "'verdict' is a whole number", Some("aborted, drop, pass")),
            ("\"t\"", "3", 1, 9, "'title' is a whole number, not a text", None),
            ("title", "titel", 1, 1, "the file has no 'titel'", Some("did you mean 'title'?")),
            ("program = \"p.o\"\n", "", 1, 1, "the file lacks 'program'", Some("--object OBJ")),
            ("name = \"n\"\n", "", 4, 1, "'case' lacks 'name'", Some("add name = ...")),
            ("verdict", "times = 0\nverdict", 7, 9, "'times' is at least 1", None),
            ("verdict", "at = []\nverdict", 7, 6, "'at' is a list, not a word", Some("stack")),
            ("udp 1 > 2", "upd 1 > 2", 6, 44, "frame: expected", None),
            ("\"drop\"", "\"drop", 7, 16, "this is not TOML", None),
            ("udp 1 > 2\"", "udp 1 > 2\"]", 6, 54, "this is not TOML", None),
            ("verdict", "socket = { udp = 70000 }\nverdict", 7, 18, "from 1 to 65535", None),
            ("verdict", "known = [{ on = [] }]\nverdict", 7, 17, "'on' is empty", None),
        ];
        for (old, new, line, column, what, next) in cases {
            let told = told(old, new);
            let of = told.iter().find(|m| m.2.contains(what)).unwrap_or_else(|| {
                panic!("'{new}' should say '{what}': {told:#?}");
            });
            assert_eq!((of.0, of.1), (line, column), "{new}: {told:#?}");
            match next {
                Some(next) => {
                    let said = of.3.as_deref().unwrap_or_default();
                    assert!(said.contains(next), "{new}: {told:#?}");
                }
                None => assert_eq!(of.3, None, "{new}"),
            }
        }
    }

    #[test]
    fn every_mistake_is_told_in_the_order_of_the_text() {
        let text = "titel = 1\n[[case]]\nnmae = 2\nverdict = \"x\"\n";
        let lines: Vec<usize> = mistakes(text, false).iter().map(|m| m.line).collect();
        assert!(lines.is_sorted() && lines.len() >= 5, "{lines:?}");
    }

    #[test]
    fn a_program_given_otherwise_need_not_be_named() {
        let text = "title = \"t\"\n[[case]]\nname = \"n\"\nsend = \"@all\"\n";
        assert_eq!(mistakes(text, false), []);
        assert_eq!(mistakes(text, true).len(), 1);
    }

    #[test]
    fn the_suite_s_own_files_are_sound() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/hwtests/cases");
        for entry in std::fs::read_dir(folder).expect("the suite") {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let text = std::fs::read_to_string(&path).expect("text");
                assert_eq!(mistakes(&text, true), [], "{}", path.display());
            }
        }
    }
}
