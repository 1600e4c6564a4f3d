//! `hoist verify --object OBJ --new FILE`: a first case file, with what the program does to common
//! frames as far as it can be tried here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hoist_hwtests::frame::Frame;
use hoist_hwtests::frame::notation::Names;
use hoist_offload::bpf::module::Module;
use hoist_offload::bpf::parse::Selector;
use hoist_offload::engine::Outcome;
use hoist_offload::{EngineKind, Verdict, privilege};
use serde_json::Value;

use super::document::NewDocument;
use crate::cli::args;
use crate::cli::context::{Context, LOAD};
use crate::cli::failure::Failure;
use crate::file;
use crate::session::codec::hex;
use crate::session::inventory::{self, Item};
use crate::session::{Order, Session};

/// Frames that most programs look at, each with a name and one line of notation.
const FRAMES: [(&str, &str); 6] = [
    ("UDP over IPv4", "eth far > near / ipv4 far > near / udp 1000 > 2000 / 'hello'"),
    ("TCP SYN over IPv4", "eth far > near / ipv4 far > near / tcp 1000 > 80 syn"),
    ("ping", "eth far > near / ipv4 far > near / icmp echo 1 1"),
    ("UDP over IPv6", "eth far > near / ipv6 far > near / udp 1000 > 2000 / 'hello'"),
    (
        "UDP with a VLAN tag",
        "eth far > near / vlan 7 / ipv4 far > near / udp 1000 > 2000 / 'hello'",
    ),
    ("ARP request", "eth far > broadcast / arp request far > near"),
];

/// Writes the file; never over one that is there.
///
/// # Errors
/// The object or the file, or output.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Verify) -> Result<(), Failure> {
    let (Some(object), Some(path)) = (&args.object, &args.new) else { return Ok(()) };
    if path.exists() {
        let what = format!("{}: there is such a file already", path.display());
        return Err(Failure::input(what, "give another name, or remove it"));
    }
    let selector = Selector { program: args.program.clone(), section: None };
    let order = Order { object: object.clone(), selector, ..Order::default() };
    let draft = order.clone().read()?;
    let module = draft.module().clone();
    let outcomes = tried(cx, order);
    let text = text(&Sketch {
        program: &beside(path, object),
        title: &object.file_stem().unwrap_or_default().to_string_lossy(),
        entry: args.program.as_deref(),
        module: &module,
        outcomes: outcomes.as_deref(),
    });
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))?;
    if cx.shell.json() {
        return cx.shell.document(&NewDocument {
            schema: "hoist.verify-new.v1",
            file: path.display().to_string(),
            cases: FRAMES.len(),
            tried: outcomes.is_some(),
        });
    }
    let (file, cases) = (path.display(), FRAMES.len());
    cx.shell.print(match outcomes {
        Some(_) => {
            format!("{file}: {cases} cases, with what the program does now; check each of them")
        }
        None => format!("{file}: {cases} cases; the verdicts are guesses, put right what is wrong"),
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string());
    let name = args.program.as_ref().map(|name| format!(" -n {name}")).unwrap_or_default();
    let next = format!("next: hoist verify --object {}{name} --cases {folder}", object.display());
    cx.shell.say(next);
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot write {}: {}", path.display(), file::words(error));
    Failure::input(what, "name a file in a directory that you may write to")
}

/// What the program does to each frame, by test run. `None` where nothing can be loaded here, or not
/// this program: the file is written all the same.
fn tried(cx: &Context<'_>, order: Order) -> Option<Vec<Outcome>> {
    if !privilege::missing(&LOAD).is_empty() {
        return None;
    }
    let kernel = cx.kernel("trying the program").ok()?;
    let session: Session<'_> = cx.session();
    let job = session.job(order.read().ok()?).ok()?;
    // A test run has nothing to do with an interface; every host has this one.
    let device = cx.host.device("lo").ok()?;
    let engine = cx.registry.engines().find(|e| e.kind() == EngineKind::Generic)?;
    let prepared = engine.prepare(&kernel, &device, &job).ok()?;
    let dry = prepared.dry_run()?;
    FRAMES.iter().map(|(_, line)| dry.run(&bytes(line)?).ok()).collect()
}

/// A line of notation as bytes.
fn bytes(line: &str) -> Option<Vec<u8>> {
    Some(Frame::parse(line, &Names::lab()).ok()?.bytes())
}

/// The object as seen from the directory of the case file.
fn beside(path: &Path, object: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    if object.is_absolute() || folder.is_absolute() {
        return std::path::absolute(object).unwrap_or_else(|_| object.to_owned());
    }
    if folder.components().any(|part| part == std::path::Component::ParentDir) {
        return std::path::absolute(object).unwrap_or_else(|_| object.to_owned());
    }
    let up = folder.components().filter(|part| *part != std::path::Component::CurDir);
    up.map(|_| Path::new("..")).collect::<PathBuf>().join(object)
}

/// What a file is made from.
struct Sketch<'a> {
    program: &'a Path,
    title: &'a str,
    entry: Option<&'a str>,
    module: &'a Module,
    outcomes: Option<&'a [Outcome]>,
}

fn text(sketch: &Sketch<'_>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, sketch);
    text
}

fn write(text: &mut String, sketch: &Sketch<'_>) -> std::fmt::Result {
    let quoted = |word: &str| Value::from(word).to_string();
    writeln!(text, "# Each case sends one frame and says what must come of it.")?;
    writeln!(text, "# Words for frames and expectations: docs/guide/verify.md of hoist.\n")?;
    writeln!(text, "title = {}", quoted(sketch.title))?;
    writeln!(text, "program = {}", quoted(&sketch.program.to_string_lossy()))?;
    if let Some(entry) = sketch.entry {
        writeln!(text, "entry = {}", quoted(entry))?;
    }
    let variables = inventory::variables(sketch.module);
    if !variables.is_empty() {
        writeln!(text, "\n# Variables, set before the program is loaded:\n# [variables]")?;
        for Item { name, kind, value, .. } in &variables {
            writeln!(text, "# {name} = {}   # {kind}", inline(value))?;
        }
    }
    let maps = inventory::maps(sketch.module);
    if !maps.is_empty() {
        writeln!(
            text,
            "\n# Map entries before each case (maps-after.NAME in a case: afterwards):"
        )?;
        writeln!(text, "# [maps]")?;
        for Item { name, kind, key, value } in &maps {
            let key = key.as_ref().map(inline).unwrap_or_default();
            let entry = format!("{{ key = {key}, value = {} }}", inline(value));
            writeln!(text, "# {name} = [{entry}]   # {kind}")?;
        }
    }
    for (index, (name, frame)) in FRAMES.iter().enumerate() {
        let outcome = sketch.outcomes.and_then(|all| all.get(index));
        let verdict = outcome.map_or(Verdict::Pass, |outcome| outcome.verdict);
        writeln!(text, "\n[[case]]\nname = {}\nsend = {}", quoted(name), quoted(frame))?;
        writeln!(text, "verdict = \"{}\"", verdict.name())?;
        let arrives = matches!(verdict, Verdict::Pass | Verdict::Tx | Verdict::Redirect);
        let changed = outcome.filter(|o| arrives && Some(&o.frame) != bytes(frame).as_ref());
        if let Some(outcome) = changed {
            writeln!(
                text,
                "frame = \"raw {}\"   # what arrives",
                hex(&outcome.frame).trim_start_matches("0x")
            )?;
        }
    }
    Ok(())
}

/// A JSON value as TOML writes it on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let bare = |name: &str| {
                !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            };
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| match bare(name) {
                    true => format!("{name} = {}", inline(value)),
                    false => format!("{} = {}", Value::from(name.as_str()), inline(value)),
                })
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hoist_offload::bpf::programs;
    use serde_json::json;

    use super::*;
    use crate::cli::verify::check;

    #[test]
    fn what_is_written_is_a_case_file_also_with_its_comments_taken_in() {
        let outcome = Outcome { verdict: Verdict::Tx, frame: vec![1; 14] };
        for name in ["lpm_block", "globals", "acl", "redirect_devmap", "tail_call"] {
            let object = programs::get(name).expect("one of ours").object;
            let module = Module::parse(name, object).expect("well-formed");
            let text = text(&Sketch {
                program: Path::new("../a \"b\".o"),
                title: name,
                entry: Some("xdp_x"),
                module: &module,
                outcomes: Some(&vec![outcome.clone(); FRAMES.len()]),
            });
            assert_eq!(check::mistakes(&text, true), [], "{text}");
            let all: String = text
                .lines()
                .map(|line| match line.strip_prefix("# ") {
                    Some(code) if code.contains(" = ") && !code.contains("...") => code,
                    Some(code) if code.starts_with('[') => code,
                    _ => line,
                })
                .fold(String::new(), |all, line| all + line + "\n");
            assert_eq!(check::mistakes(&all, true), [], "{all}");
        }
    }

    #[test]
    fn objects_are_named_as_seen_from_the_case_file() {
        let cases = [
            ("a.toml", "x.o", "x.o"),
            ("cases/a.toml", "x.o", "../x.o"),
            ("./cases/b/a.toml", "build/x.o", "../../build/x.o"),
            ("cases/a.toml", "/x.o", "/x.o"),
        ];
        for (path, object, expected) in cases {
            assert_eq!(beside(Path::new(path), Path::new(object)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn values_are_written_as_toml() {
        let value = json!({"bits": 24, "a b": ["x\"y", true, null], "ip": "10.0.0.1"});
        let text = format!("v = {}", inline(&value));
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["v"]["bits"].as_integer(), Some(24));
        assert_eq!(table["v"]["a b"][0].as_str(), Some("x\"y"));
    }
}
