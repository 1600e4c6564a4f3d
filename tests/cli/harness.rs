//! Runs the command and holds what it prints against files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hoist::offload::host::{FakeHost, HostReport, Recording, sample};
use serde_json::Value;

/// What one run of the command printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Ran {
    /// The same, after a check of the exit status that shows all output when it fails.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The document on stdout, held against its schema.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        valid(&serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}")))
    }

    /// The documents on stdout, one per line, each held against its schema.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| valid(&serde_json::from_str(line).unwrap())).collect()
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The command, in the repository's root, as if from a pipe.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hoist"));
    command.args(args).current_dir(root()).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn hoist(args: &[&str]) -> Ran {
    command(args).output().unwrap().into()
}

/// A document that its own schema admits.
#[track_caller]
pub(crate) fn valid(document: &Value) -> Value {
    let name = document["schema"].as_str().unwrap_or_else(|| panic!("no schema: {document}"));
    let path = root().join(format!("docs/schemas/{name}.json"));
    let schema = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{document:#}");
    document.clone()
}

/// Text that must be what a file under tests/screens holds. `HOIST_BLESS=1` writes the file.
#[track_caller]
pub(crate) fn screen(name: &str, text: &str) {
    let path = root().join(format!("tests/screens/{name}.txt"));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{name}: more than 100 columns: {line}");
    }
    if std::env::var_os("HOIST_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} changed; HOIST_BLESS=1 takes it over\nexpected:\n{expected}\nis:\n{text}"
    );
}

/// A recorded host with one interface of each sample kind.
#[derive(Debug)]
pub(crate) struct Recorded {
    file: tempfile::NamedTempFile,
}

impl Recorded {
    pub(crate) fn new() -> Self {
        let [near, far] = sample::veth_pair("veth0", "veth1");
        let devices = vec![
            near,
            far,
            sample::mlx5("mlx0", 10),
            sample::ice("ice0", 11),
            sample::virtio("ens3", 12),
            sample::e1000e("eno1", 13),
        ];
        Self::of(FakeHost::with_devices(devices).recording().clone())
    }

    pub(crate) fn of(recording: Recording) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), recording.to_json()).unwrap();
        Self { file }
    }

    pub(crate) fn report() -> HostReport {
        sample::report()
    }

    pub(crate) fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    /// Runs the command on the recorded host.
    pub(crate) fn hoist(&self, args: &[&str]) -> Ran {
        let mut all = vec!["--host", self.path()];
        all.extend(args);
        hoist(&all)
    }
}

/// Path of an object that comes with hoist, as seen from the root.
pub(crate) fn object(name: &str) -> String {
    let path = format!("bpf/prebuilt/{name}.bpf.o");
    assert!(Path::new(&root().join(&path)).exists(), "{path}");
    path
}
