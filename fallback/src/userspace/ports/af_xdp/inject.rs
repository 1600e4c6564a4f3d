//! Giving frames that the program passed to the host, as if they had just passed the XDP hook.
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a program on a frame of ours and carries its verdict out:
//! `XDP_PASS` builds a socket buffer from it as a driver does (`net/bpf/test_run.c`,
//! `xdp_recv_frames`), behind native XDP and before everything else. Under a generic program it meets
//! that program again, which is why only native attachments re-inject.
//!
//! Each frame is a call of its own: a call for several makes the kernel rebuild its dispatcher of XDP
//! programs and wait for all processors twice, milliseconds in which nothing moves.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::kernel::{Kernel, KernelError, ProgramSpec, TestRunSpec};
use hoist_bpf::passes::asm;

use crate::userspace::vm::Frame;

const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// `struct xdp_md`, in bytes.
const CONTEXT: usize = 24;

/// Gives frames to the host on one queue of one interface.
#[derive(Debug)]
pub(super) struct Injector {
    kernel: Arc<dyn Kernel>,
    program: OwnedFd,
    ifindex: u32,
    queue: u32,
}

impl Injector {
    pub(super) fn new(
        kernel: &Arc<dyn Kernel>,
        ifindex: u32,
        queue: u32,
    ) -> Result<Self, KernelError> {
        let program = load(&**kernel, XDP_PASS)?;
        Ok(Self { kernel: kernel.clone(), program, ifindex, queue })
    }

    /// Gives a frame with its metadata to the host.
    pub(super) fn pass(&self, frame: &Frame<'_>) -> Result<(), KernelError> {
        let (meta, data) = (frame.meta as usize, frame.data as usize);
        let bytes = frame.buffer.get(meta..frame.end as usize).unwrap_or_default();
        run(
            &*self.kernel,
            &self.program,
            bytes,
            data.saturating_sub(meta),
            self.ifindex,
            self.queue,
        )
    }
}

/// Whether the kernel takes frames of this length for injection: it wants them within a page, with what
/// it keeps itself. The frame goes nowhere.
pub(super) fn takes(
    kernel: &dyn Kernel,
    ifindex: u32,
    frame_bytes: usize,
) -> Result<bool, KernelError> {
    let program = load(kernel, XDP_DROP)?;
    match run(kernel, &program, &vec![0; frame_bytes], 0, ifindex, 0) {
        Ok(()) => Ok(true),
        Err(error) if error.errno == libc::EINVAL || error.errno == libc::E2BIG => Ok(false),
        Err(error) => Err(error),
    }
}

fn load(kernel: &dyn Kernel, verdict: i32) -> Result<OwnedFd, KernelError> {
    kernel.load_program(&ProgramSpec {
        name: "hoist_pass".to_owned(),
        kind: PROG_TYPE_XDP,
        expected_attach_type: ATTACH_TYPE_XDP,
        insns: &[asm::mov_imm(0, verdict), asm::exit()],
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    })
}

fn run(
    kernel: &dyn Kernel,
    program: &OwnedFd,
    bytes: &[u8],
    metadata: usize,
    ifindex: u32,
    queue: u32,
) -> Result<(), KernelError> {
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    // Here `data` says how much of the bytes is metadata.
    let mut context = [0; CONTEXT];
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes();
    context[0..4].copy_from_slice(&number(metadata));
    context[4..8].copy_from_slice(&number(bytes.len()));
    context[12..16].copy_from_slice(&ifindex.to_ne_bytes());
    context[16..20].copy_from_slice(&queue.to_ne_bytes());
    kernel.test_run(
        program.as_fd(),
        &TestRunSpec {
            data: bytes,
            context: &context,
            repeat: 1,
            live_frames: true,
            batch: 1,
            ..TestRunSpec::default()
        },
    )?;
    Ok(())
}
