//! The code of small programs after translation, written out. Set `HOIST_WRITE_SNAPSHOTS=1` to
//! write the files anew, then read the difference.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use hoist_bpf::disasm;
use hoist_bpf::image::Image;
use hoist_fallback::tc::translate::{Options, Translated, translate};

use crate::corpus::{self, Case};

/// Programs that between them need every kind of rewriting.
const PROGRAMS: [&str; 9] = [
    "bytes",
    "count_proto",
    "meta",
    "pass",
    "redirect_devmap",
    "ringbuf",
    "subprog",
    "tail_call",
    "vlan_pop",
];

/// The program's own functions; of the runtime, the routines that it calls, by name.
fn text(case: &Case, translated: &Translated) -> String {
    let module = &translated.module;
    let image = Image::build(module, translated.program).unwrap();
    let own = case.module.functions.len();
    let mut text = String::new();
    let mut runtime = BTreeSet::new();
    for (id, _) in &image.functions {
        let function = module.function(*id);
        if (id.0 as usize) < own {
            text += &disasm::listing(module, function);
            text.push('\n');
        } else if function.name.starts_with("hoist_") {
            runtime.insert(function.name.as_str());
        }
    }
    let maps: Vec<&str> = module.maps.iter().map(|m| m.name.as_str()).collect();
    let warnings: Vec<&str> = translated.warnings.iter().map(|w| w.code.as_str()).collect();
    let entry = &module.function(module.program(translated.program).function).name;
    writeln!(text, "entered by: {entry}").unwrap();
    writeln!(text, "runtime: {}", runtime.into_iter().collect::<Vec<_>>().join(" ")).unwrap();
    writeln!(text, "maps: {}", maps.join(" ")).unwrap();
    writeln!(text, "warnings: {}", warnings.join(" ")).unwrap();
    text
}

#[test]
fn small_programs_become_what_is_written_down() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/translate/snapshots");
    let write = std::env::var_os("HOIST_WRITE_SNAPSHOTS").is_some();
    for name in PROGRAMS {
        let case = corpus::own(name);
        let translated = translate(&case.module, case.program, &Options::default()).unwrap();
        let path = directory.join(format!("{name}.txt"));
        let found = text(&case, &translated);
        if write {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "{name}: see HOIST_WRITE_SNAPSHOTS");
    }
}
