//! Which map types the kernel has: the smallest map of each, with the sizes, flags, inner map and
//! BTF that the type demands.

use std::os::fd::{AsFd, BorrowedFd};

use hoist_bpf::kernel::{KernelError, MapSpec};
use hoist_bpf::names;

use super::{EINVAL, Findings, Trial, no, yes};
use crate::host::report::Finding;

const BPF_F_NO_PREALLOC: u32 = 1;
const BPF_F_MMAPABLE: u32 = 1 << 10;
const PAGE_BYTES: u32 = 4096;

/// What a map type demands beyond sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    None,
    Flags(u32),
    /// An array as template of the inner maps.
    Inner,
    /// BTF types of key and value, and no preallocation: local storage.
    Btf,
}

/// Number, key bytes, value bytes, entries, and more.
type Row = (u32, u32, u32, u32, Extra);

/// `enum bpf_map_type`. `struct_ops` (26) is judged by its program type: creating one needs the id
/// of a kernel structure.
const TYPES: [Row; 32] = [
    (1, 4, 4, 1, Extra::None),
    (2, 4, 4, 1, Extra::None),
    (3, 4, 4, 1, Extra::None),
    (4, 4, 4, 1, Extra::None),
    (5, 4, 4, 1, Extra::None),
    (6, 4, 4, 1, Extra::None),
    (7, 4, 8, 1, Extra::None),
    (8, 4, 4, 1, Extra::None),
    (9, 4, 4, 1, Extra::None),
    (10, 4, 4, 1, Extra::None),
    (11, 8, 4, 1, Extra::Flags(BPF_F_NO_PREALLOC)),
    (12, 4, 4, 1, Extra::Inner),
    (13, 4, 4, 1, Extra::Inner),
    (14, 4, 4, 1, Extra::None),
    (15, 4, 4, 1, Extra::None),
    (16, 4, 4, 1, Extra::None),
    (17, 4, 4, 1, Extra::None),
    (18, 4, 4, 1, Extra::None),
    (19, 16, 8, 0, Extra::None),
    (20, 4, 8, 1, Extra::None),
    (21, 16, 8, 0, Extra::None),
    (22, 0, 4, 1, Extra::None),
    (23, 0, 4, 1, Extra::None),
    (24, 4, 4, 0, Extra::Btf),
    (25, 4, 4, 1, Extra::None),
    (27, 0, 0, PAGE_BYTES, Extra::None),
    (28, 4, 4, 0, Extra::Btf),
    (29, 4, 4, 0, Extra::Btf),
    (30, 0, 4, 1, Extra::None),
    (31, 0, 0, PAGE_BYTES, Extra::None),
    (32, 4, 4, 0, Extra::Btf),
    (33, 0, 0, 1, Extra::Flags(BPF_F_MMAPABLE)),
];

/// Asks for every map type. `struct_ops` is the finding for the program type of that name.
pub(in super::super) fn map_types(trial: &Trial<'_>, struct_ops: Option<&Finding>) -> Findings {
    let inner = trial.array();
    let btf = trial.kernel.load_btf(&int_btf());
    let mut found: Findings = TYPES
        .iter()
        .map(|row| {
            let spec = MapSpec {
                name: "hoist_trial".to_owned(),
                kind: row.0,
                key_size: row.1,
                value_size: row.2,
                max_entries: row.3,
                ..MapSpec::default()
            };
            let finding = match row.4 {
                Extra::None => judge(trial, create(trial, spec)),
                Extra::Flags(flags) => judge(trial, create(trial, MapSpec { flags, ..spec })),
                Extra::Inner => with(trial, &inner, |inner| {
                    judge(trial, create(trial, MapSpec { inner: Some(inner), ..spec }))
                }),
                Extra::Btf => with(trial, &btf, |btf| {
                    let btf = Some((btf, 1, 1));
                    judge(trial, create(trial, MapSpec { btf, flags: BPF_F_NO_PREALLOC, ..spec }))
                }),
            };
            (names::map_type(row.0), finding)
        })
        .collect();
    if let Some(finding) = struct_ops {
        found.insert("struct_ops".to_owned(), finding.clone());
    }
    found
}

fn create(trial: &Trial<'_>, spec: MapSpec<'_>) -> Result<(), KernelError> {
    // Rings and arenas count bytes in whole pages; where the page is larger than the smallest
    // one, the kernel's refusal of this size must not pass for the refusal of the type.
    let sized_in_pages = spec.max_entries == PAGE_BYTES;
    match trial.kernel.create_map(&spec) {
        Err(error) if error.errno == EINVAL && sized_in_pages => {
            trial.kernel.create_map(&MapSpec { max_entries: 16 * PAGE_BYTES, ..spec }).map(drop)
        }
        result => result.map(drop),
    }
}

fn with(
    trial: &Trial<'_>,
    prerequisite: &Result<std::os::fd::OwnedFd, KernelError>,
    ask: impl FnOnce(BorrowedFd<'_>) -> Finding,
) -> Finding {
    match prerequisite {
        Ok(fd) => ask(fd.as_fd()),
        Err(error) => trial.unsettled(error),
    }
}

fn judge(trial: &Trial<'_>, result: Result<(), KernelError>) -> Finding {
    match result {
        Ok(()) => yes("created"),
        Err(error) if error.errno == EINVAL => no(error.cause()),
        Err(error) => trial.unsettled(&error),
    }
}

/// A BTF object whose type 1 is `int`, 4 bytes, signed.
fn int_btf() -> Vec<u8> {
    const MAGIC: u16 = 0xeb9f;
    const HEADER_BYTES: u32 = 24;
    const INT: u32 = 1 << 24;
    const SIGNED_32_BITS: u32 = 1 << 24 | 32;
    let types = [1, INT, 4, SIGNED_32_BITS];
    let strings = b"\0int\0";
    let mut btf = MAGIC.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    for word in [HEADER_BYTES, 0, 16, 16, 5].into_iter().chain(types) {
        btf.extend(word.to_ne_bytes());
    }
    btf.extend(strings);
    btf
}
