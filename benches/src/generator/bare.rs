//! Packets made inside the kernel.
//!
//! `BPF_PROG_TEST_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES` runs a program on copies of one frame and
//! carries its verdict out. Ours redirects each copy out of one interface, which makes several
//! million frames per second on one core without a socket buffer ever existing.
//!
//! Two traps (both measured):
//!
//! - Each call waits for two RCU grace periods, about 24 ms at `HZ=250`, in which nothing is sent.
//!   Few long calls, not many short ones; and a rate is taken within a call.
//! - A veth accepts redirected frames only while its *peer* polls, that is, while the peer has a
//!   native XDP program or generic receive offload. Otherwise every frame is refused and the call
//!   still succeeds. So a rate counted here would be the rate of refusals.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, KernelError, ProgramSpec, TestRunSpec};

/// `enum bpf_prog_type`: `BPF_PROG_TYPE_XDP`.
const PROG_TYPE_XDP: u32 = 6;
/// `enum bpf_attach_type`: `BPF_XDP`.
const ATTACH_TYPE_XDP: u32 = 37;
/// `bpf_redirect` in `enum bpf_func_id`.
const HELPER_REDIRECT: i32 = 23;

/// Sends copies of one frame out of one interface, from inside the kernel.
#[derive(Debug)]
pub struct Generator {
    kernel: Arc<dyn Kernel>,
    program: OwnedFd,
    frame: Vec<u8>,
}

impl Generator {
    /// Frames per batch: within 4 % of the best size, while below 16 the rate collapses.
    pub const BATCH: u32 = 64;

    /// Prepares to send `frame` (from the destination MAC address on, without FCS) out of the
    /// interface `ifindex`.
    ///
    /// # Errors
    /// The kernel would not load the program that redirects.
    pub fn new(kernel: Arc<dyn Kernel>, ifindex: u32, frame: Vec<u8>) -> Result<Self, KernelError> {
        let insns = redirect_to(ifindex);
        let program = kernel.load_program(&ProgramSpec {
            name: "hoist_generator".to_owned(),
            kind: PROG_TYPE_XDP,
            expected_attach_type: ATTACH_TYPE_XDP,
            insns: &insns,
            license: "Dual MIT/GPL".to_owned(),
            ..ProgramSpec::default()
        })?;
        Ok(Self { kernel, program, frame })
    }

    /// The frame, without FCS.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Sends `frames` copies and returns when the last one has left. Blocks the calling thread,
    /// which must be in the interface's network namespace.
    ///
    /// # Errors
    /// The kernel's refusal; `EINTR` when a signal cut the call short, in which case fewer frames
    /// were sent and nobody knows how many.
    pub fn send(&self, frames: u32) -> Result<(), KernelError> {
        self.kernel.test_run(
            self.program.as_fd(),
            &TestRunSpec {
                data: &self.frame,
                repeat: frames,
                live_frames: true,
                batch: Self::BATCH,
                ..TestRunSpec::default()
            },
        )?;
        Ok(())
    }
}

/// `return bpf_redirect(ifindex, 0)`.
fn redirect_to(ifindex: u32) -> [Insn; 4] {
    const MOV64_IMM: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    [
        Insn::new(MOV64_IMM, 1, 0, 0, ifindex.cast_signed()),
        Insn::new(MOV64_IMM, 2, 0, 0, 0),
        Insn::new(CALL, 0, 0, 0, HELPER_REDIRECT),
        Insn::new(EXIT, 0, 0, 0, 0),
    ]
}
