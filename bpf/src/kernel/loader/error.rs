//! What can go wrong while loading.

use std::path::PathBuf;

use crate::image::ImageError;
use crate::kernel::KernelError;
use crate::kernel::loader::Place;

/// A failed load, by the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The program cannot be laid out flat.
    #[error("{program}: {source}")]
    Image {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A map could not be created, filled, frozen or pinned.
    #[error("map {map}: {error}")]
    Map {
        /// Its name in the object.
        map: String,
        /// The kernel's answer.
        error: KernelError,
    },
    /// A map has no number of entries. Programs that come with a loader of their own leave it to that.
    #[error("map {map} has no size: the object leaves max_entries to the program's own loader")]
    NoSize {
        /// Its name in the object.
        map: String,
    },
    /// A pinned map of the same name has another definition.
    #[error("map {map} is pinned at {} with another definition: {difference}", .path.display())]
    PinIncompatible {
        /// Its name in the object.
        map: String,
        /// The pin.
        path: PathBuf,
        /// What differs: the pin's value, then the object's.
        difference: String,
    },
    /// The verifier or an earlier check refused the program.
    #[error("{error}")]
    Program {
        /// The program: the entry, or one that a prog array holds.
        program: String,
        /// The kernel's answer, the verifier's log included.
        error: KernelError,
        /// The instruction the verifier stopped at.
        place: Option<Box<Place>>,
        /// Why the program went without its BTF, if it did: it may have needed it.
        btf: Option<Box<KernelError>>,
    },
    /// The object asks for a kernel symbol that nobody provided.
    #[error("the kernel symbol {symbol} was not resolved against this kernel")]
    Unresolved {
        /// Its name.
        symbol: String,
    },
    /// The module or the caller's contents contradict themselves.
    #[error("{what}")]
    Invalid {
        /// How.
        what: String,
    },
}

impl LoadError {
    pub(super) fn map(name: &str, error: KernelError) -> Self {
        Self::Map { map: name.to_owned(), error }
    }
}
