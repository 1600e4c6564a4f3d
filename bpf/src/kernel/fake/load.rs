//! What the fake makes of a program or map it is given.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::books::{Books, Program};
use super::errno::{EBADF, EINVAL, ENOTSUPP};
use crate::btf::Btf;
use crate::insn::Insn;
use crate::kernel::{
    KernelError, MapInfo, MapSpec, ObjectKind, ProgramInfo, ProgramSpec, TestRun, TestRunSpec,
};

const NAME_BYTES: usize = 15;
const EXIT: u8 = 0x95;
const JUMP_ALWAYS: u8 = 0x05;
const MOV_IMM: u8 = 0xb7;
/// Pseudo-sources of a wide load that stand for a map's descriptor or an address in its value.
const MAP_SOURCES: [u8; 2] = [1, 2];

pub(super) fn program(books: &mut Books, spec: &ProgramSpec<'_>) -> Result<Program, KernelError> {
    let refused = |errno, log: &str| KernelError {
        log: Some(log.to_owned()),
        ..KernelError::new("BPF_PROG_LOAD", format!("program {}", spec.name), errno)
    };
    let last = spec.insns.last().map(|insn| insn.code);
    if !matches!(last, Some(EXIT | JUMP_ALWAYS)) {
        return Err(refused(EINVAL, "last insn is not an exit or jmp"));
    }
    let mut map_ids = Vec::new();
    for insn in spec.insns.iter().filter(|i| i.is_wide() && MAP_SOURCES.contains(&i.src())) {
        let Some((ObjectKind::Map, id)) = books.by_number(insn.imm) else {
            let log = format!("fd {} is not pointing to valid bpf_map", insn.imm);
            return Err(refused(EBADF, &log));
        };
        if !books.map_matches(spec, id) {
            return Err(refused(EINVAL, "offload device mismatch between prog and map"));
        }
        if !map_ids.contains(&id) {
            map_ids.push(id);
        }
    }
    if spec.ifindex != 0 {
        books.bind(spec)?;
    }
    if let Some(judge) = &books.verifier {
        (judge.0)(spec)?;
    }
    let slots = u32::try_from(spec.insns.len()).unwrap_or(u32::MAX);
    let info = ProgramInfo {
        kind: spec.kind,
        name: full_name(books, spec).unwrap_or_else(|| name(&spec.name)),
        tag: tag(spec.insns),
        map_ids,
        btf_id: btf(books, spec.btf),
        gpl_compatible: spec.license.contains("GPL"),
        jited_bytes: if spec.ifindex == 0 { slots.saturating_mul(8) } else { 0 },
        xlated_insns: slots,
        verified_insns: slots,
        ifindex: spec.ifindex,
        ..ProgramInfo::default()
    };
    Ok(Program {
        info,
        insns: spec.insns.to_vec(),
        expected_attach_type: spec.expected_attach_type,
        flags: spec.flags,
        orphaned: false,
    })
}

pub(super) fn map_info(books: &mut Books, spec: &MapSpec<'_>) -> Result<MapInfo, KernelError> {
    let inner = spec.inner.map(|inner| books.behind(inner, ObjectKind::Map, "BPF_MAP_CREATE"));
    inner.transpose()?;
    if spec.ifindex != 0 {
        books.place_map(spec)?;
    }
    let (fd, key, value) = spec.btf.map_or((None, 0, 0), |(fd, k, v)| (Some(fd), k, v));
    Ok(MapInfo {
        btf_id: btf(books, fd),
        id: books.next_id(),
        kind: spec.kind,
        name: name(&spec.name),
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        flags: spec.flags,
        btf_key_type_id: key,
        btf_value_type_id: value,
        ifindex: spec.ifindex,
    })
}

/// Plays a program of a constant verdict; others need [`super::Fake::run_with`].
pub(super) fn run(
    books: &Books,
    program: &Program,
    spec: &TestRunSpec<'_>,
) -> Result<TestRun, KernelError> {
    if program.offloaded() {
        let object = format!("program {}", program.info.name);
        return Err(KernelError::new("BPF_PROG_TEST_RUN", object, ENOTSUPP));
    }
    if let Some(player) = &books.answer {
        return (player.0)(&program.insns, spec);
    }
    match program.insns[..] {
        [Insn { code: MOV_IMM, regs: 0, imm, .. }, Insn { code: EXIT, .. }] => Ok(TestRun {
            verdict: imm.cast_unsigned(),
            data: if spec.live_frames { Vec::new() } else { spec.data.to_vec() },
            duration_ns: 1,
            context: spec.context.get(..spec.context_out).unwrap_or(spec.context).to_vec(),
        }),
        _ => {
            let object = format!("program {}", program.info.name);
            let refused = KernelError::new("BPF_PROG_TEST_RUN", object, ENOTSUPP);
            Err(refused.saying("the kernel in memory runs programs of a constant verdict only"))
        }
    }
}

/// The infix of `bpf(2)` commands about a kind of object.
pub(super) const fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Program => "PROG",
        ObjectKind::Map => "MAP",
        ObjectKind::Btf => "BTF",
        ObjectKind::Link => "LINK",
    }
}

fn btf(books: &Books, fd: Option<BorrowedFd<'_>>) -> u32 {
    match fd.and_then(|fd| books.by_number(fd.as_raw_fd())) {
        Some((ObjectKind::Btf, id)) => id,
        _ => 0,
    }
}

fn name(given: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "_.".contains(c) { c } else { '_' };
    given.chars().take(NAME_BYTES).map(keep).collect()
}

/// What was cut from a name is in the program's BTF.
fn full_name(books: &Books, spec: &ProgramSpec<'_>) -> Option<String> {
    let main = spec.func_info.get(4..8)?.first_chunk()?;
    let bytes = books.btfs.get(&btf(books, spec.btf))?;
    let full = Btf::parse(bytes).ok()?.type_by_id(u32::from_ne_bytes(*main))?.name().to_owned();
    (spec.name.len() >= NAME_BYTES && !full.is_empty()).then_some(full)
}

/// Equal programs have equal tags; that is all the kernel's hash is used for.
fn tag(insns: &[Insn]) -> String {
    let mut hasher = DefaultHasher::new();
    insns.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
