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

impl Source {
    /// The program's object file.
    ///
    /// # Errors
    /// There is no program of that name, and no such file.
    pub fn object(&self) -> Result<Vec<u8>, CaseError> {
        let name = &self.file.program;
        if let Some(program) = hoist_bpf::programs::get(name) {
            return Ok(program.object.to_vec());
        }
        if let Some(program) = crate::programs::get(name) {
            return Ok(program.object.to_vec());
        }
        let path = self.directory.as_deref().unwrap_or(Path::new("")).join(name);
        std::fs::read(&path).map_err(|e| CaseError {
            file: format!("{}.toml", self.name),
            what: format!("program '{name}': {}: {e}", path.display()),
        })
    }

    /// The XDP program within the object: what the file says, else the one that a program that comes
    /// with hoist is entered by.
    #[must_use]
    pub fn entry(&self) -> Option<String> {
        let name = &self.file.program;
        let ours = || hoist_bpf::programs::get(name).map(hoist_bpf::programs::Prebuilt::program);
        self.file.entry.clone().or_else(ours)
    }
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
        // Not `assert_eq`, which would print every case.
        let built_in = names(builtin().expect("sound files"));
        let differs = lying.iter().find(|&file| !built_in.contains(file)).map(|(name, _)| name);
        assert!(built_in == lying, "not built in as it lies there: {differs:?}");
    }
}
