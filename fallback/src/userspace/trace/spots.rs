//! Places in a program as users name them: `filter.c:31`, `31`, `parse`, `parse+17`.

use std::collections::BTreeSet;
use std::fmt;

use hoist_bpf::module::{FunctionId, Module};

use super::listing::Listing;
use crate::userspace::vm::code::Code;
use crate::userspace::vm::observer::Place;

/// Places at which to stop or to show the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spots {
    ops: BTreeSet<(u32, u32)>,
}

/// No instruction is where the user said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchPlace {
    /// What is wrong.
    pub what: String,
    /// What there is instead.
    pub hint: String,
}

impl fmt::Display for NoSuchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Spots {
    /// Adds a place: `FILE:LINE`, `LINE`, `FUNCTION` (its first instruction) or `FUNCTION+SLOT`, as
    /// gaps and faults are printed.
    ///
    /// # Errors
    /// There is no such place, or no instruction there.
    pub fn add(&mut self, module: &Module, code: &Code, text: &str) -> Result<(), NoSuchPlace> {
        let listing = Listing::of(module, code);
        let (file, line) = match text.rsplit_once(':') {
            Some((file, line)) => (Some(file), line),
            None => (None, text),
        };
        if let Ok(line) = line.parse::<u32>() {
            return self.add_line(&listing, code, file, line);
        }
        if file.is_some() {
            return Err(NoSuchPlace {
                what: format!("'{text}': '{line}' is no line number"),
                hint: FORMS.to_owned(),
            });
        }
        self.add_instruction(module, &listing, code, text)
    }

    fn add_line(
        &mut self,
        listing: &Listing,
        code: &Code,
        file: Option<&str>,
        line: u32,
    ) -> Result<(), NoSuchPlace> {
        let mut lines: BTreeSet<(String, u32)> = BTreeSet::new();
        let before = self.ops.len();
        for place in places(code) {
            let Some(source) = listing.op(place).and_then(|op| op.line.as_ref()) else { continue };
            if !file.is_none_or(|file| is_called(&source.file, file)) {
                lines.insert((source.file.clone(), 0));
                continue;
            }
            lines.insert((source.file.clone(), source.line));
            if source.line == line {
                self.ops.insert((place.function.0, place.op));
            }
        }
        if self.ops.len() > before {
            return Ok(());
        }
        let here: Vec<u32> = lines.iter().map(|(_, line)| *line).filter(|line| *line > 0).collect();
        let mut files: Vec<&str> = lines.iter().map(|(file, _)| file.as_str()).collect();
        files.dedup();
        Err(match (here.as_slice(), files.as_slice()) {
            ([], []) => NoSuchPlace {
                what: "the object does not say which source lines it was made from".to_owned(),
                hint: "build it with clang -g, or name a function and slot: FUNCTION+SLOT"
                    .to_owned(),
            },
            ([], files) => NoSuchPlace {
                what: format!("no code comes from a file '{}'", file.unwrap_or_default()),
                hint: format!("the files are {}", files.join(", ")),
            },
            (here, _) => NoSuchPlace {
                what: format!("no instruction comes from line {line}"),
                hint: format!("lines with code near it: {}", nearest(here, line)),
            },
        })
    }

    fn add_instruction(
        &mut self,
        module: &Module,
        listing: &Listing,
        code: &Code,
        text: &str,
    ) -> Result<(), NoSuchPlace> {
        let (name, slot) = match text.split_once('+') {
            None => (text, 0),
            Some((name, slot)) => (
                name,
                slot.parse().map_err(|_| NoSuchPlace {
                    what: format!("'{text}': '{slot}' is no slot"),
                    hint: FORMS.to_owned(),
                })?,
            ),
        };
        let Some(function) = module.functions.iter().position(|f| f.name == name) else {
            let names: Vec<&str> = module.functions.iter().map(|f| f.name.as_str()).collect();
            return Err(NoSuchPlace {
                what: format!("'{text}' is no line and no function"),
                hint: format!("the functions are {}; {FORMS}", names.join(", ")),
            });
        };
        let function = FunctionId(function as u32);
        let ops = code.functions.get(function.0 as usize).map_or(0, |f| f.ops.len());
        let at = (0..ops as u32)
            .find(|&op| listing.op(Place { function, op }).is_some_and(|op| op.slot == slot));
        match at {
            Some(op) => {
                self.ops.insert((function.0, op));
                Ok(())
            }
            None => Err(NoSuchPlace {
                what: format!("no instruction of {name} begins at slot {slot}"),
                hint: "'llvm-objdump -d' and the trace itself show the slots".to_owned(),
            }),
        }
    }

    /// Whether an operation is at one of them.
    pub(super) fn contains(&self, at: Place) -> bool {
        !self.ops.is_empty() && self.ops.contains(&(at.function.0, at.op))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// How places are written.
const FORMS: &str = "write FILE:LINE, LINE, FUNCTION or FUNCTION+SLOT";

fn places(code: &Code) -> impl Iterator<Item = Place> {
    let functions = code.functions.iter().zip(0..);
    functions.flat_map(|(function, id)| {
        (0..function.ops.len() as u32).map(move |op| Place { function: FunctionId(id), op })
    })
}

/// Whether a path as the compiler wrote it is what the user calls it: the whole path or its end.
fn is_called(path: &str, asked: &str) -> bool {
    let asked = asked.trim_start_matches("./");
    path.strip_suffix(asked).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Some lines around one that is not there.
fn nearest(lines: &[u32], line: u32) -> String {
    let mut near = lines.to_vec();
    near.sort_unstable();
    near.dedup();
    near.sort_by_key(|there| there.abs_diff(line));
    near.truncate(6);
    near.sort_unstable();
    let words: Vec<String> = near.iter().map(u32::to_string).collect();
    words.join(", ")
}
