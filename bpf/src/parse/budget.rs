//! A bound on the memory one object may take, whatever it declares.

use super::ParseError;

/// Most memory that one parsed module takes, in MiB. Resolving copies a module and so does every
/// pass, so the whole path from bytes to image stays under 64 MiB. Some 300,000 instructions fit,
/// far more than the verifier follows.
const LIMIT_MIB: usize = 18;

/// What is left of [`LIMIT_MIB`]. A hostile file can refer to the same bytes any number of times
/// (overlapping sections, one long name for every symbol), so the size of the file bounds nothing.
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: LIMIT_MIB << 20 }
    }

    /// Pays for `bytes` before they are allocated; `what` names their owner.
    pub(super) fn charge(&mut self, bytes: usize, what: &str) -> Result<(), ParseError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ParseError::TooLarge { what: shorten(what), limit_mib: LIMIT_MIB }),
        }
    }

    /// Pays for and makes an owned copy of a name.
    pub(super) fn name(&mut self, name: &str) -> Result<String, ParseError> {
        self.charge(size_of::<String>() + name.len(), name)?;
        Ok(name.to_owned())
    }
}

/// Names in a hostile file may be megabytes long; messages are not.
pub(super) fn shorten(name: &str) -> String {
    const KEEP: usize = 120;
    if name.len() <= KEEP {
        return name.to_owned();
    }
    let end = (0..=KEEP).rev().find(|&i| name.is_char_boundary(i)).unwrap_or(0);
    format!("{}...", &name[..end])
}
