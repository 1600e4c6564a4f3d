//! `BPF_PROG_TEST_RUN`.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_rs::libbpf_sys as sys;

use super::sys::{done, size32};
use super::{info, interrupt};
use crate::kernel::{KernelError, TestRun, TestRunSpec};

const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const BPF_F_TEST_SKB_CHECKSUM_COMPLETE: u32 = 1 << 2;
/// How much a program may lengthen the frame before the copy is cut: a page of headroom or tailroom
/// and an encapsulation.
const GROWTH: usize = 8192;

pub(super) fn test(
    program: BorrowedFd<'_>,
    spec: &TestRunSpec<'_>,
) -> Result<TestRun, KernelError> {
    let mut data = vec![0_u8; if spec.live_frames { 0 } else { spec.data.len() + GROWTH }];
    let mut context = vec![0_u8; spec.context_out];
    let mut options = sys::bpf_test_run_opts {
        sz: size_of::<sys::bpf_test_run_opts>() as sys::size_t,
        data_in: spec.data.as_ptr().cast(),
        data_size_in: size32(spec.data.len()),
        repeat: i32::try_from(spec.repeat).unwrap_or(i32::MAX),
        ..Default::default()
    };
    if !spec.context.is_empty() {
        options.ctx_in = spec.context.as_ptr().cast();
        options.ctx_size_in = size32(spec.context.len());
    }
    if spec.live_frames {
        options.flags |= BPF_F_TEST_XDP_LIVE_FRAMES;
        options.batch_size = spec.batch;
    } else {
        options.data_out = data.as_mut_ptr().cast();
        options.data_size_out = size32(data.len());
    }
    if !context.is_empty() {
        options.ctx_out = context.as_mut_ptr().cast();
        options.ctx_size_out = size32(context.len());
    }
    if spec.checksum_complete {
        options.flags |= BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
    }
    let _call = spec.interrupt.map(|end| end.during(interrupt::this_thread()));
    // SAFETY: every pointer is null or to a live slice whose length is given beside it.
    let returned = unsafe { sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    done(returned).map_err(|errno| {
        let name = info::program(program).map(|p| p.name).unwrap_or_default();
        KernelError::new("BPF_PROG_TEST_RUN", format!("program {name}"), errno)
    })?;
    data.truncate(options.data_size_out as usize);
    context.truncate(options.ctx_size_out as usize);
    Ok(TestRun { verdict: options.retval, data, duration_ns: options.duration, context })
}
