//! What the kernel says of its objects, and finding them by id.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libbpf_rs::libbpf_sys as sys;

use super::sys::{NAME_BYTES, descriptor, done, field_text, size32};
use crate::btf::Btf;
use crate::kernel::{KernelError, LinkInfo, MapInfo, ObjectKind, ProgramInfo};

const BPF_LINK_TYPE_TRACING: u32 = 2;
const BPF_LINK_TYPE_XDP: u32 = 6;
const BPF_LINK_TYPE_TCX: u32 = 11;

/// The `struct bpf_*_info` types, all of which are valid when zeroed and hold numbers only.
trait Info: Default {}
impl Info for sys::bpf_prog_info {}
impl Info for sys::bpf_map_info {}
impl Info for sys::bpf_link_info {}
impl Info for sys::bpf_btf_info {}

fn query<T: Info>(fd: BorrowedFd<'_>, what: &str, info: &mut T) -> Result<(), KernelError> {
    let mut length = size32(size_of::<T>());
    // SAFETY: the kernel writes at most `length` bytes of the struct; addresses within it are zero
    // or were put there by the caller together with their lengths.
    let returned = unsafe {
        sys::bpf_obj_get_info_by_fd(
            fd.as_raw_fd(),
            std::ptr::from_mut(info).cast(),
            &raw mut length,
        )
    };
    done(returned).map_err(|errno| KernelError::new("BPF_OBJ_GET_INFO_BY_FD", what, errno))
}

pub(super) fn program(fd: BorrowedFd<'_>) -> Result<ProgramInfo, KernelError> {
    let mut info = sys::bpf_prog_info::default();
    query(fd, "program", &mut info)?;
    let mut map_ids = vec![0_u32; info.nr_map_ids as usize];
    if !map_ids.is_empty() {
        let mut second = sys::bpf_prog_info {
            nr_map_ids: info.nr_map_ids,
            map_ids: map_ids.as_mut_ptr() as u64,
            ..Default::default()
        };
        query(fd, "program", &mut second)?;
        map_ids.truncate(second.nr_map_ids as usize);
    }
    Ok(ProgramInfo {
        id: info.id,
        kind: info.type_,
        name: full_name(fd, &info).unwrap_or_else(|| field_text(&info.name)),
        tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        map_ids,
        btf_id: info.btf_id,
        gpl_compatible: info.gpl_compatible() != 0,
        load_time_ns: info.load_time,
        created_by_uid: info.created_by_uid,
        jited_bytes: info.jited_prog_len,
        xlated_insns: info.xlated_prog_len / 8,
        verified_insns: info.verified_insns,
        ifindex: info.ifindex,
        run_time_ns: info.run_time_ns,
        run_count: info.run_cnt,
    })
}

/// The name of the main function from the program's BTF, where the 15 bytes the kernel keeps may not
/// be all of it. `None` where there is no BTF or no right to read it.
fn full_name(fd: BorrowedFd<'_>, info: &sys::bpf_prog_info) -> Option<String> {
    let cut = info.name.iter().position(|c| *c == 0).unwrap_or(info.name.len()) == NAME_BYTES;
    if !cut || info.nr_func_info == 0 || info.btf_id == 0 {
        return None;
    }
    // `struct bpf_func_info` of the main function: instruction offset, then BTF type id.
    let mut record = [0_u32; 2];
    let mut second = sys::bpf_prog_info {
        nr_func_info: 1,
        func_info_rec_size: 8,
        func_info: record.as_mut_ptr() as u64,
        ..Default::default()
    };
    query(fd, "program", &mut second).ok()?;
    let btf = open(ObjectKind::Btf, info.btf_id).ok()??;
    let btf = Btf::from_vec(btf_bytes(btf.as_fd()).ok()?).ok()?;
    let name = btf.type_by_id(record[1])?.name();
    (!name.is_empty()).then(|| name.to_owned())
}

pub(super) fn map(fd: BorrowedFd<'_>) -> Result<MapInfo, KernelError> {
    let mut info = sys::bpf_map_info::default();
    query(fd, "map", &mut info)?;
    Ok(MapInfo {
        id: info.id,
        kind: info.type_,
        name: field_text(&info.name),
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
        btf_id: info.btf_id,
        btf_key_type_id: info.btf_key_type_id,
        btf_value_type_id: info.btf_value_type_id,
        ifindex: info.ifindex,
    })
}

pub(super) fn link(fd: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
    let mut info = sys::bpf_link_info::default();
    query(fd, "link", &mut info)?;
    let mut link =
        LinkInfo { id: info.id, kind: info.type_, program_id: info.prog_id, ..Default::default() };
    let detail = &info.__bindgen_anon_1;
    // SAFETY: the type says which member the kernel filled; all members are plain numbers.
    unsafe {
        match info.type_ {
            BPF_LINK_TYPE_XDP => link.ifindex = detail.xdp.ifindex,
            BPF_LINK_TYPE_TCX => {
                link.ifindex = detail.tcx.ifindex;
                link.attach_type = detail.tcx.attach_type;
            }
            BPF_LINK_TYPE_TRACING => {
                link.attach_type = detail.tracing.attach_type;
                link.target_id = detail.tracing.target_obj_id;
                link.target_btf_id = detail.tracing.target_btf_id;
            }
            _ => {}
        }
    }
    Ok(link)
}

pub(super) fn btf_bytes(fd: BorrowedFd<'_>) -> Result<Vec<u8>, KernelError> {
    let mut info = sys::bpf_btf_info::default();
    query(fd, "BTF", &mut info)?;
    let mut bytes = vec![0_u8; info.btf_size as usize];
    let mut second = sys::bpf_btf_info {
        btf: bytes.as_mut_ptr() as u64,
        btf_size: info.btf_size,
        ..Default::default()
    };
    query(fd, "BTF", &mut second)?;
    Ok(bytes)
}

pub(super) fn ids(kind: ObjectKind) -> Result<Vec<u32>, KernelError> {
    let mut ids = Vec::new();
    let mut last = 0;
    loop {
        let mut next = 0;
        let next_pointer = &raw mut next;
        // SAFETY: the pointer is to a live number.
        let returned = unsafe {
            match kind {
                ObjectKind::Program => sys::bpf_prog_get_next_id(last, next_pointer),
                ObjectKind::Map => sys::bpf_map_get_next_id(last, next_pointer),
                ObjectKind::Btf => sys::bpf_btf_get_next_id(last, next_pointer),
                ObjectKind::Link => sys::bpf_link_get_next_id(last, next_pointer),
            }
        };
        match done(returned) {
            Ok(()) => ids.push(next),
            Err(libc::ENOENT) => return Ok(ids),
            Err(errno) => {
                let operation = match kind {
                    ObjectKind::Program => "BPF_PROG_GET_NEXT_ID",
                    ObjectKind::Map => "BPF_MAP_GET_NEXT_ID",
                    ObjectKind::Btf => "BPF_BTF_GET_NEXT_ID",
                    ObjectKind::Link => "BPF_LINK_GET_NEXT_ID",
                };
                return Err(KernelError::new(operation, format!("id after {last}"), errno));
            }
        }
        last = next;
    }
}

pub(super) fn open(kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>, KernelError> {
    type Open = unsafe extern "C" fn(u32) -> c_int;
    let (call, operation): (Open, _) = match kind {
        ObjectKind::Program => (sys::bpf_prog_get_fd_by_id, "BPF_PROG_GET_FD_BY_ID"),
        ObjectKind::Map => (sys::bpf_map_get_fd_by_id, "BPF_MAP_GET_FD_BY_ID"),
        ObjectKind::Btf => (sys::bpf_btf_get_fd_by_id, "BPF_BTF_GET_FD_BY_ID"),
        ObjectKind::Link => (sys::bpf_link_get_fd_by_id, "BPF_LINK_GET_FD_BY_ID"),
    };
    // SAFETY: takes a number only.
    match descriptor(unsafe { call(id) }) {
        Ok(fd) => Ok(Some(fd)),
        // A link that is still being made has an id but answers EAGAIN.
        Err(libc::ENOENT | libc::EAGAIN) => Ok(None),
        Err(errno) => Err(KernelError::new(operation, format!("id {id}"), errno)),
    }
}
