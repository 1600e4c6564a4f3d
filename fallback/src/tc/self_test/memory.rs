//! What is remembered of the self-test until the next boot: that this runtime passed on this kernel, and
//! in which form.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::tc::translate::{self, TagPush};

/// Beside what trial loads found (`hoist probe`).
const FILE: &str = "/run/hoist/cache/tc-self-test";
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const FORMS: [TagPush; 2] = [TagPush::MovesNetworkHeader, TagPush::LeavesNetworkHeader];

/// The form, and what the answer depends on; `None` where boots cannot be told apart.
fn key(tag_push: TagPush) -> Option<String> {
    let mut runtime = DefaultHasher::new();
    tag_push.hash(&mut runtime);
    translate::runtime_object(tag_push).hash(&mut runtime);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/version").ok()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(format!("{version} {:x} {} {}", runtime.finish(), boot.trim(), kernel.trim()))
}

/// The form with which it passed before. A file of somebody else's says nothing.
pub(super) fn passed() -> Option<TagPush> {
    let metadata = fs::symlink_metadata(FILE).ok()?;
    let own = metadata.uid() == fs::metadata("/proc/self").ok()?.uid();
    if !own || !metadata.is_file() || metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return None;
    }
    let remembered = fs::read_to_string(FILE).ok()?;
    FORMS.into_iter().find(|form| key(*form).as_ref() == Some(&remembered))
}

/// Remembers that it passed. What cannot be written costs time later, nothing else.
pub(super) fn remember(tag_push: TagPush) {
    let write = || -> Option<()> {
        let temporary = format!("{FILE}.{}", std::process::id());
        fs::create_dir_all(Path::new(FILE).parent()?).ok()?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary).ok()?;
        file.write_all(key(tag_push)?.as_bytes()).ok()?;
        fs::rename(temporary, FILE).ok()
    };
    write();
}
