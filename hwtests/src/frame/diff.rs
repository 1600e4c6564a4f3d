//! Which fields of two frames differ.

use std::fmt;

use super::dissect::{Field, dissect};

/// What changed from one frame to another. Shown as one line per change; empty when equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// One sentence per field, in the order of the first frame.
    pub changes: Vec<String>,
}

impl Difference {
    /// Whether the frames are equal, byte for byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.changes.join("\n"))
    }
}

/// Compares two frames field by field.
///
/// Where the headers are the same but for values, each changed field is a line. A header that only
/// one of them has is named as gone or new, so that a pushed VLAN tag reads as such and not as a
/// hundred changed bytes.
#[must_use]
pub fn diff(before: &[u8], after: &[u8]) -> Difference {
    let mut changes = Vec::new();
    if before == after {
        return Difference { changes };
    }
    let (old, new) = (dissect(before).fields, dissect(after).fields);
    let other = |fields: &[Field], name: &str| fields.iter().find(|f| f.name == name).cloned();
    for field in &old {
        match other(&new, &field.name) {
            None => changes.push(format!("{} is gone, was {}", field.name, field.value)),
            Some(now) if now.value == field.value => {}
            Some(now) if field.name == "payload.bytes" => changes.push(bytes_changed(field, &now)),
            Some(now) => changes.push(format!(
                "{} at {}: {} became {}",
                field.name, field.offset, field.value, now.value
            )),
        }
    }
    for field in &new {
        if other(&old, &field.name).is_none() {
            changes.push(format!("{} at {} is new: {}", field.name, field.offset, field.value));
        }
    }
    if changes.is_empty() {
        // The same fields in another order, or in bytes that no field covers.
        let at = before.iter().zip(after).position(|(a, b)| a != b).unwrap_or(before.len());
        changes.push(format!(
            "frames of {} and {} bytes differ from byte {at} on",
            before.len(),
            after.len()
        ));
    }
    Difference { changes }
}

/// Payloads by their first differing byte: the whole of both would hide it.
fn bytes_changed(before: &Field, after: &Field) -> String {
    let (a, b) = (before.value.as_bytes(), after.value.as_bytes());
    let at = a.chunks(2).zip(b.chunks(2)).position(|(x, y)| x != y);
    match at {
        Some(at) => format!(
            "payload at {}: byte {at} was {}, became {}",
            before.offset + at,
            &before.value[2 * at..2 * at + 2],
            &after.value[2 * at..2 * at + 2]
        ),
        None => format!("payload of {} bytes became {} bytes", a.len() / 2, b.len() / 2),
    }
}
