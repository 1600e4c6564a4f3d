//! Case files from where they lie: those that come with hoist, or a user's directory.

use std::path::{Path, PathBuf};

use super::CaseFile;

/// A case file and where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    /// File name without its ending: the first part of every result's name.
    pub name: String,
    /// The directory that object paths are relative to; `None` for what comes with hoist.
    pub directory: Option<PathBuf>,
    /// The cases.
    pub file: CaseFile,
}

/// Why a case file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct CaseError {
    /// The file.
    pub file: String,
    /// What is wrong with it, with its place.
    pub what: String,
}

impl Source {
    /// Reads one file's text.
    ///
    /// # Errors
    /// Line and column of what is wrong.
    pub fn parse(name: &str, directory: Option<&Path>, text: &str) -> Result<Self, CaseError> {
        let file = toml::from_str(text)
            .map_err(|e| CaseError { file: format!("{name}.toml"), what: e.to_string() })?;
        Ok(Self { name: name.to_owned(), directory: directory.map(Path::to_path_buf), file })
    }
}

/// Names and texts of the files in `cases/`.
const BUILTIN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// The case files that come with hoist, by name.
///
/// # Errors
/// One of them is not a case file.
pub fn builtin() -> Result<Vec<Source>, CaseError> {
    BUILTIN.iter().map(|(name, text)| Source::parse(name, None, text)).collect()
}

/// Every `*.toml` of a directory, by name.
///
/// # Errors
/// The directory or a file cannot be read, or a file is not a case file.
pub fn read(directory: &Path) -> Result<Vec<Source>, CaseError> {
    let failed = |path: &Path, e: std::io::Error| CaseError {
        file: path.display().to_string(),
        what: e.to_string(),
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| failed(directory, e))? {
        let path = entry.map_err(|e| failed(directory, e))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).map_err(|e| failed(path, e))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Source::parse(&name, Some(directory), &text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_what_lies_in_the_directory() {
        let names = |sources: Vec<Source>| -> Vec<(String, CaseFile)> {
            sources.into_iter().map(|source| (source.name, source.file)).collect()
        };
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
        let lying = names(read(directory).expect("sound files"));
        assert!(!lying.is_empty());
        assert_eq!(names(builtin().expect("sound files")), lying);
    }
}
