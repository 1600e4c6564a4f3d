//! Reads the verifier's log of level 2: what each register held before each instruction.

use std::collections::{BTreeMap, BTreeSet};

/// What the verifier saw at one instruction, over every time it came by.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Names of types, by register.
    pub(crate) registers: [BTreeSet<String>; 11],
}

type State = [Option<String>; 11];

/// Lines after which the registers are another function's.
const BORDERS: [&str; 5] = ["caller:", "callee:", "returning", "to caller at", "from "];

/// Reads a whole log; by instruction slot.
pub(crate) fn read(log: &str) -> BTreeMap<usize, Seen> {
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    let mut state = State::default();
    for line in log.lines() {
        if BORDERS.iter().any(|border| line.starts_with(border)) {
            state = State::default();
        }
        let (slot, rest) = match line.split_once(": ") {
            Some((number, rest)) => match number.parse::<usize>() {
                Ok(slot) => (Some(slot), rest),
                Err(_) => (None, line),
            },
            None => (None, line),
        };
        let (Some(slot), true) = (slot, rest.starts_with('(')) else {
            // Source lines, and how the verifier goes back over what it followed.
            if !line.starts_with(';') && !line.starts_with("mark_precise") {
                update(&mut state, rest);
            }
            continue;
        };
        let (_, after) = rest.split_once(" ; ").unwrap_or((rest, ""));
        let at = seen.entry(slot).or_default();
        for (names, name) in at.registers.iter_mut().zip(&state) {
            names.extend(name.clone());
        }
        update(&mut state, after);
        if rest.starts_with("(85)") || rest.starts_with("(95)") {
            // A call destroys what it does not show.
            for (register, name) in state.iter_mut().enumerate() {
                if register <= 5 && !after.contains(&format!("R{register}")) {
                    *name = None;
                }
            }
        }
    }
    seen
}

/// Takes over what a line says of registers: `R1=ctx()`, `R2_w=pkt(r=0)`, `R3=4`.
fn update(state: &mut State, text: &str) {
    for word in text.split(' ') {
        let Some((left, right)) = word.split_once('=') else { continue };
        let Some(register) = left.strip_prefix('R') else { continue };
        let number = register.split('_').next().unwrap_or_default();
        let Some(slot) = number.parse().ok().and_then(|n: usize| state.get_mut(n)) else {
            continue;
        };
        let name: String =
            right.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').collect();
        // Numbers are shown as such, in newer kernels.
        *slot = Some(if name.is_empty() || name == "P" { "scalar".to_owned() } else { name });
    }
}
