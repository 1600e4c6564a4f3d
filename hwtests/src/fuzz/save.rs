//! Cases that once differed, as files: for replay, and for whoever mends the cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hoist_bpf::kernel::Entries;
use hoist_bpf::module::{FunctionId, MapId, Module, Target};
use hoist_offload::Verdict;
use serde::{Deserialize, Serialize};

use super::render;
use super::run::Observed;
use crate::conformance::case::{Case, CaseFile, Entry, Expect, How, OneOrMany, Setup};
use crate::conformance::report::Evidence;

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

    /// Writes a case file for the conformance suite beside the case, where there is one frame: the
    /// suite's cases do not share maps. `native` is what native XDP did.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_case_file(&self, folder: &Path, native: &Observed) -> io::Result<Option<PathBuf>> {
        let [frame] = &self.frames[..] else { return Ok(None) };
        let verdict = Verdict::ALL.get(native.verdict as usize).copied();
        let case = Case {
            name: "the frame that differed".to_owned(),
            send: OneOrMany::One(format!("raw {frame}")),
            except: Vec::new(),
            how: How::default(),
            times: 1,
            variables: BTreeMap::new(),
            maps: BTreeMap::new(),
            expect: Expect {
                verdict: Some(verdict.unwrap_or(Verdict::Aborted)),
                frame: verdict
                    .filter(|v| !matches!(v, Verdict::Aborted | Verdict::Drop))
                    .map(|_| format!("raw {}", hex(&native.frame))),
                ..Expect::default()
            },
            rows: Vec::new(),
            needs: None,
            preempt_rt: false,
            kernel: None,
            maps_vary: false,
            only: Vec::new(),
            by: Some(Evidence::TestRun),
            known: Vec::new(),
        };
        let name = &self.module.name;
        let difference = self.difference.split(": ").next().unwrap_or_default();
        let file = CaseFile {
            title: format!("{name}: found by fuzzing ({difference})"),
            program: format!("{name}.json"),
            entry: Some("main".to_owned()),
            kernel: None,
            variables: BTreeMap::new(),
            maps: self.entries(),
            lab: Setup::default(),
            frames: BTreeMap::new(),
            known: Vec::new(),
            cases: vec![case],
        };
        let path = folder.join(format!("{name}.toml"));
        fs::write(&path, toml::to_string(&file).map_err(io::Error::other)?)?;
        Ok(Some(path))
    }

    /// First contents as case files have them: of a per-CPU map one CPU's values, of queues nothing.
    fn entries(&self) -> BTreeMap<String, Vec<Entry>> {
        let (mut all, reached) = (BTreeMap::new(), reached(&self.module));
        for (&id, list) in &self.contents {
            let Some(map) = self.module.maps.get(id as usize) else { continue };
            if map.key_size == 0 || !reached.contains(&MapId(id)) {
                continue;
            }
            let entry = |(key, value): &(String, String)| {
                let value = value.get(..2 * map.value_size as usize).unwrap_or(value);
                Entry { key: format!("0x{key}").into(), value: format!("0x{value}").into() }
            };
            all.insert(map.name.clone(), list.iter().map(entry).collect());
        }
        all
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

/// The maps that the program can reach: others are not loaded.
fn reached(module: &Module) -> BTreeSet<MapId> {
    let (mut maps, mut functions) = (BTreeSet::new(), BTreeSet::new());
    let mut next: Vec<FunctionId> =
        module.programs.first().map(|p| p.function).into_iter().collect();
    while let Some(id) = next.pop() {
        if !functions.insert(id) {
            continue;
        }
        for inst in &module.function(id).code {
            match inst.target {
                Target::Call(id) | Target::FunctionAddress(id) => next.push(id),
                Target::Map(map) | Target::MapValue { map, .. } if maps.insert(map) => {
                    next.extend(module.map(map).initial.iter().filter_map(|s| match s.value {
                        Target::FunctionAddress(id) => Some(id),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
    }
    maps
}

/// The module of a saved case; `None` when these bytes are something else, such as an object file.
#[must_use]
pub fn module(bytes: &[u8]) -> Option<Module> {
    let saved = bytes.starts_with(b"{").then(|| serde_json::from_slice::<Saved>(bytes));
    saved?.ok().map(|saved| saved.module())
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
        assert!(super::module(b"\x7fELF").is_none() && super::module(b"{}").is_none());
    }

    #[test]
    fn a_case_of_one_frame_is_a_case_file_too() {
        let module = render::module(&campaign::model(1, 2, Limits::default()));
        let contents = BTreeMap::from([(MapId(3), vec![(vec![0; 4], vec![0xfe; 16])])]);
        assert!(reached(&module).contains(&MapId(3)));
        let native = Observed { verdict: 2, returned: 2, frame: vec![1; 20] };
        let folder = tempfile::tempdir().unwrap();
        let write = |frames: &[Vec<u8>]| {
            let saved =
                Saved::new("verdict 1 became 2".to_owned(), module.clone(), &contents, frames);
            saved.write(folder.path()).unwrap();
            saved.write_case_file(folder.path(), &native).unwrap()
        };
        assert_eq!(write(&[vec![0; 14], vec![0; 14]]), None, "cases do not share maps");
        assert!(write(&[vec![0; 14]]).is_some());
        let sources = crate::conformance::suite::read(folder.path()).unwrap();
        let file = &sources[0].file;
        assert_eq!(file.cases[0].expect.verdict, Some(Verdict::Pass));
        assert_eq!(file.cases[0].expect.frame.as_deref().map(str::len), Some(4 + 40));
        assert_eq!(file.maps["m0"][0].value, format!("0x{}", "fe".repeat(16)));
        assert_eq!(super::module(&sources[0].object().unwrap()).unwrap().maps, module.maps);
    }
}
