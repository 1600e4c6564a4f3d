//! What is remembered of the self-test until the next boot: that this runtime passed on this kernel.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Beside what trial loads found (`hoist probe`).
const FILE: &str = "/run/hoist/cache/tc-self-test";
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const RUNTIME: &[u8] = include_bytes!("../../../prebuilt/runtime.bpf.o");

/// What the answer depends on; `None` where boots cannot be told apart.
fn key() -> Option<String> {
    let mut runtime = DefaultHasher::new();
    RUNTIME.hash(&mut runtime);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/version").ok()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(format!("{version} {:x} {} {}", runtime.finish(), boot.trim(), kernel.trim()))
}

/// Whether it passed before. A file of somebody else's says nothing.
pub(super) fn passed() -> bool {
    let read = || {
        let metadata = fs::symlink_metadata(FILE).ok()?;
        let own = metadata.uid() == fs::metadata("/proc/self").ok()?.uid();
        let trusted = own && metadata.is_file() && metadata.mode() & GROUP_OR_OTHERS_WRITE == 0;
        (trusted && fs::read_to_string(FILE).ok()? == key()?).then_some(())
    };
    read().is_some()
}

/// Remembers that it passed. What cannot be written costs time later, nothing else.
pub(super) fn remember() {
    let write = || -> Option<()> {
        let temporary = format!("{FILE}.{}", std::process::id());
        fs::create_dir_all(Path::new(FILE).parent()?).ok()?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary).ok()?;
        file.write_all(key()?.as_bytes()).ok()?;
        fs::rename(temporary, FILE).ok()
    };
    write();
}
