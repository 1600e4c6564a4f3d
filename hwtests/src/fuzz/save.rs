//! Cases that once differed, as files: for replay, and for whoever mends the cause.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{MapId, Module};
use serde::{Deserialize, Serialize};

use super::render;

/// A program, what its maps hold at first, and the frames it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// How the two forms differed when the case was found.
    pub difference: String,
    /// The frames, in their order, as hexadecimal digits; the last one differed.
    pub frames: Vec<String>,
    /// First contents of maps by their index, keys and values as hexadecimal digits.
    pub contents: BTreeMap<u32, Vec<(String, String)>>,
    /// The program, without its BTF, which [`Saved::module`] adds.
    pub module: Module,
}

impl Saved {
    /// A case from its parts.
    #[must_use]
    pub fn new(
        difference: String,
        module: Module,
        contents: &BTreeMap<MapId, Entries>,
        frames: &[Vec<u8>],
    ) -> Self {
        let entries = |entries: &Entries| entries.iter().map(|(k, v)| (hex(k), hex(v))).collect();
        Self {
            difference,
            frames: frames.iter().map(|frame| hex(frame)).collect(),
            contents: contents.iter().map(|(id, e)| (id.0, entries(e))).collect(),
            module,
        }
    }

    /// Reads a case.
    ///
    /// # Errors
    /// The file cannot be read or is no case.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Writes the case to a folder, under the module's name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.module.name));
        fs::write(&path, serde_json::to_vec(self)?)?;
        Ok(path)
    }

    /// The module, complete as the verifier wants it.
    #[must_use]
    pub fn module(&self) -> Module {
        let mut module = self.module.clone();
        render::complete(&mut module);
        module
    }

    /// First contents of the maps.
    ///
    /// # Errors
    /// Something else than hexadecimal digits.
    pub fn contents(&self) -> io::Result<BTreeMap<MapId, Entries>> {
        let entry = |(key, value): &(String, String)| Ok((bytes(key)?, bytes(value)?));
        let entries = |list: &[_]| list.iter().map(entry).collect::<io::Result<Entries>>();
        self.contents.iter().map(|(&id, list)| Ok((MapId(id), entries(list)?))).collect()
    }

    /// The frames.
    ///
    /// # Errors
    /// Something else than hexadecimal digits.
    pub fn frames(&self) -> io::Result<Vec<Vec<u8>>> {
        self.frames.iter().map(|frame| bytes(frame)).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("not bytes: {hex:?}"));
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8).ok_or_else(wrong);
    let pairs = hex.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Ok(digit(high)? << 4 | digit(low)?),
        _ => Err(wrong()),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{campaign, generate::Limits};
    use super::*;

    #[test]
    fn a_case_reads_back_as_it_was_written() {
        let module = render::module(&campaign::model(1, 2, Limits::default()));
        let contents = BTreeMap::from([(MapId(3), vec![(vec![1, 2], vec![0xfe])])]);
        let frames = [vec![0_u8; 14], vec![0xab; 20]];
        let saved = Saved::new("verdict 1 became 2".to_owned(), module.clone(), &contents, &frames);
        let folder = tempfile::tempdir().unwrap();
        let read = Saved::read(&saved.write(folder.path()).unwrap()).unwrap();
        assert_eq!(read.frames().unwrap(), frames);
        assert_eq!(read.contents().unwrap(), contents);
        assert_eq!(read.module().functions, module.functions);
        assert_eq!(read.module().btf, module.btf);
        assert!(bytes("abc").is_err() && bytes("zz").is_err());
    }
}
