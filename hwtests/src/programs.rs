//! Programs of the conformance suite: behaviours that the programs that come with hoist lack. Built
//! from `programs/*.bpf.c`, committed compiled and embedded.

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Short name: the stem of its source file.
    pub name: &'static str,
    /// The object file, as the compiler wrote it.
    pub object: &'static [u8],
}

/// All of them, by name.
pub const LIST: &[Program] = &[];

/// The program of that name.
#[must_use]
pub fn get(name: &str) -> Option<&'static Program> {
    LIST.iter().find(|p| p.name == name)
}
