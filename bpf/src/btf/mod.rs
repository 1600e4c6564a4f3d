//! BPF Type Format: reading types by id and by name.
//!
//! The layout is that of `include/uapi/linux/btf.h`. A [`Btf`] owns its bytes and one `u32` per
//! type; everything else is read in place, so that vmlinux's 130,000 types cost little more than
//! the 5 MB they are stored in. Parsing checks every type against the end of the section; the views
//! handed out afterwards cannot fail.

mod edit;
mod error;
pub mod ext;
mod integers;
mod layout;
mod loadable;
mod raw;
mod types;
pub mod value;

pub use edit::Imported;
pub use error::BtfError;
pub use integers::{integers, summed};
pub(crate) use loadable::loadable;
pub use types::{Array, Enumerator, Int, Kind, Member, Param, Type, Variable};

/// Longest chain of modifiers, typedefs, arrays and nested structs that is followed. Cycles made of
/// these kinds alone are nonsense that only a hostile file holds.
const MAX_DEPTH: usize = 64;

/// One BTF object: a `.BTF` section, or what `/sys/kernel/btf/vmlinux` holds.
#[derive(Clone)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of the string section within `bytes`.
    strings: usize,
    strings_len: usize,
    /// Offset in `bytes` of type `i + 1`.
    offsets: Vec<u32>,
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Btf")
            .field("bytes", &self.bytes.len())
            .field("types", &self.offsets.len())
            .finish_non_exhaustive()
    }
}

impl Btf {
    /// Reads a BTF object, copying it.
    ///
    /// # Errors
    /// Which part of the section is damaged, or that it was written for the other byte order.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        Self::from_vec(bytes.to_vec())
    }

    /// Reads a BTF object in place.
    ///
    /// # Errors
    /// See [`Btf::parse`].
    pub fn from_vec(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let parts = raw::check(&bytes)?;
        Ok(Self {
            bytes,
            strings: parts.strings.start,
            strings_len: parts.strings.len(),
            offsets: parts.offsets,
        })
    }

    /// The bytes as they were given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Overwrites one word of a type. Must not change a kind or a count, which would move the
    /// types after it.
    pub(crate) fn set_word(&mut self, at: usize, word: u32) {
        if let Some(field) = self.bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&word.to_ne_bytes());
        }
    }

    /// Number of types, `void` (id 0) included: ids are `0..type_count()`.
    #[must_use]
    pub fn type_count(&self) -> u32 {
        // `raw::check` counts types in a u32.
        self.offsets.len() as u32 + 1
    }

    /// The type an id names; `None` for `void` and for ids out of range.
    #[must_use]
    pub fn type_by_id(&self, id: u32) -> Option<Type<'_>> {
        let at = *self.offsets.get((id as usize).checked_sub(1)?)?;
        Some(Type { btf: self, id, at: at as usize })
    }

    /// All types in the order of their ids, from 1.
    pub fn types(&self) -> impl Iterator<Item = Type<'_>> {
        (1..self.type_count()).filter_map(|id| self.type_by_id(id))
    }

    /// The first type of this name and kind, as `btf__find_by_name_kind` finds it.
    #[must_use]
    pub fn find(&self, name: &str, kind: Kind) -> Option<Type<'_>> {
        self.types().find(|t| t.kind() == kind && t.is_named(name))
    }

    /// The first type of this name, whatever its kind.
    #[must_use]
    pub fn find_any(&self, name: &str) -> Option<Type<'_>> {
        self.types().find(|t| t.is_named(name))
    }

    /// The string at an offset of the string section; empty when out of range.
    #[must_use]
    pub fn string(&self, offset: u32) -> &str {
        self.string_at(offset).unwrap_or_default()
    }

    fn string_at(&self, offset: u32) -> Option<&str> {
        let tail = self.string_bytes(offset);
        let end = tail.iter().position(|&b| b == 0)?;
        std::str::from_utf8(&tail[..end]).ok()
    }

    /// The string section from an offset on; empty when out of range.
    fn string_bytes(&self, offset: u32) -> &[u8] {
        let strings = &self.bytes[self.strings..self.strings + self.strings_len];
        strings.get(offset as usize..).unwrap_or_default()
    }

    /// Follows typedefs, qualifiers and type tags; `None` when they end in `void` or in a cycle.
    #[must_use]
    pub fn strip(&self, id: u32) -> Option<Type<'_>> {
        self.type_by_id(self.strip_id(id)?)
    }

    /// As [`Btf::strip`], giving the id: 0 for `void`, `None` for a cycle.
    #[must_use]
    pub fn strip_id(&self, id: u32) -> Option<u32> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            match self.type_by_id(id) {
                Some(t) if t.kind().is_modifier() => id = t.size_or_type(),
                _ => return Some(id),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
