//! Links: attachments that live as long as their descriptor or pin.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libbpf_rs::libbpf_sys as sys;

use super::sys::{descriptor, done};
use super::{info, reason};
use crate::kernel::netlink::route;
use crate::kernel::tc::OFFLOADED_AT_TCX;
use crate::kernel::{KernelError, XdpMode};

const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_F_REPLACE: u32 = 1 << 2;
/// Without a program to be relative to: before all.
const BPF_F_BEFORE: u32 = 1 << 3;

pub(super) fn attach_xdp(
    program: BorrowedFd<'_>,
    ifindex: u32,
    mode: XdpMode,
) -> Result<OwnedFd, KernelError> {
    create_xdp(program, ifindex, mode)
        .or_else(|errno| reason::repeat(program, ifindex, mode, errno))
        .map_err(|(errno, message)| {
            // Of an interface that is not there, links say "invalid argument".
            let gone = errno == libc::EINVAL
                && route::get_link(ifindex).is_err_and(|refusal| refusal.errno == libc::ENODEV);
            let errno = if gone { libc::ENODEV } else { errno };
            let object = route::on(ifindex, "XDP");
            KernelError { message, ..KernelError::new("BPF_LINK_CREATE", object, errno) }
        })
}

pub(super) fn attach_tcx(program: BorrowedFd<'_>, ifindex: u32) -> Result<OwnedFd, KernelError> {
    let refused =
        |errno| KernelError::new("BPF_LINK_CREATE", route::on(ifindex, "tcx ingress"), errno);
    // `link_create` (kernel/bpf/syscall.c) takes a NIC's program here, which `BPF_PROG_ATTACH` refuses;
    // every packet then makes the kernel warn that such a program was to run on the host.
    if info::program(program)?.ifindex != 0 {
        return Err(refused(libc::EINVAL).saying(OFFLOADED_AT_TCX));
    }
    create(program, ifindex, BPF_TCX_INGRESS, BPF_F_BEFORE).map_err(refused)
}

/// One plain `BPF_LINK_CREATE` at the XDP hook.
pub(super) fn create_xdp(
    program: BorrowedFd<'_>,
    ifindex: u32,
    mode: XdpMode,
) -> Result<OwnedFd, i32> {
    create(program, ifindex, BPF_XDP, mode.flag())
}

fn create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> Result<OwnedFd, i32> {
    let options = sys::bpf_link_create_opts {
        sz: size_of::<sys::bpf_link_create_opts>() as sys::size_t,
        flags,
        ..Default::default()
    };
    // SAFETY: the options hold no pointers and outlive the call.
    descriptor(unsafe {
        sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex.cast_signed(),
            attach_type,
            &raw const options,
        )
    })
}

pub(super) fn update(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    let options = sys::bpf_link_update_opts {
        sz: size_of::<sys::bpf_link_update_opts>() as sys::size_t,
        flags: BPF_F_REPLACE,
        old_prog_fd: old.as_raw_fd().cast_unsigned(),
        ..Default::default()
    };
    // SAFETY: the options hold no pointers and outlive the call.
    let returned =
        unsafe { sys::bpf_link_update(link.as_raw_fd(), new.as_raw_fd(), &raw const options) };
    done(returned).map_err(|errno| KernelError::new("BPF_LINK_UPDATE", name(link), errno))
}

pub(super) fn detach(link: BorrowedFd<'_>) -> Result<(), KernelError> {
    // SAFETY: takes a descriptor only.
    done(unsafe { sys::bpf_link_detach(link.as_raw_fd()) })
        .map_err(|errno| KernelError::new("BPF_LINK_DETACH", name(link), errno))
}

fn name(link: BorrowedFd<'_>) -> String {
    match info::link(link) {
        Ok(info) if info.ifindex != 0 => {
            format!("link {} on {}", info.id, route::interface_name(info.ifindex))
        }
        Ok(info) => format!("link {} (its interface is gone)", info.id),
        Err(_) => "link".to_owned(),
    }
}

/// Program ids at a tcx hook.
pub(super) fn query_tcx(ifindex: u32, attach_type: u32) -> Result<Vec<u32>, KernelError> {
    // `BPF_MPROG_MAX` is 64, so one question is always enough.
    let mut ids = [0_u32; 64];
    let mut options = sys::bpf_prog_query_opts {
        sz: size_of::<sys::bpf_prog_query_opts>() as sys::size_t,
        prog_ids: ids.as_mut_ptr(),
        __bindgen_anon_1: sys::bpf_prog_query_opts__bindgen_ty_1 { count: 64 },
        ..Default::default()
    };
    // SAFETY: the id array is alive and as long as the count says.
    let returned =
        unsafe { sys::bpf_prog_query_opts(ifindex.cast_signed(), attach_type, &raw mut options) };
    done(returned)
        .map_err(|errno| KernelError::new("BPF_PROG_QUERY", route::on(ifindex, "tcx"), errno))?;
    // SAFETY: both members of the union are the same number.
    let count = unsafe { options.__bindgen_anon_1.count } as usize;
    Ok(ids[..count.min(ids.len())].to_vec())
}
