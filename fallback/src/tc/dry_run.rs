//! Running a translated program on one frame, without attaching it.
//!
//! `BPF_PROG_TEST_RUN` of a TC program differs from the hook, and from that of an XDP program:
//!
//! - the return code is TC's, which is the same for `XDP_TX` and `XDP_REDIRECT`: the verdict is taken
//!   from the control block, where the epilogue leaves it;
//! - nothing is sent or redirected;
//! - the frame comes with its VLAN tag in the data, where `skb_vlan_untag` has taken it out before
//!   the hook;
//! - a passed frame whose outer tag the stack keeps beside the data comes back without it;
//! - frames of IPv4 with less than 20 bytes after the Ethernet header, and of IPv6 with less than 40,
//!   are refused.

use std::os::fd::BorrowedFd;

use hoist_bpf::kernel::{Kernel, KernelError, TestRun, TestRunSpec};
use hoist_offload::engine::Outcome;
use hoist_offload::{Error, Verdict};

/// Bytes of `struct __sk_buff`.
const CONTEXT_BYTES: usize = 192;
/// `cb[4]`, where the verdict is.
const VERDICT: usize = 64;
const EINVAL: i32 = 22;

/// Runs a translated program on one frame.
pub(super) fn run_frame(
    kernel: &dyn Kernel,
    program: BorrowedFd<'_>,
    frame: &[u8],
) -> Result<Outcome, Error> {
    let spec = TestRunSpec {
        data: frame,
        repeat: 1,
        context_out: CONTEXT_BYTES,
        ..TestRunSpec::default()
    };
    let run = kernel.test_run(program, &spec).map_err(|error| refused(error, frame))?;
    Ok(Outcome { verdict: verdict(&run), frame: run.data })
}

/// The verdict that the epilogue left.
pub(super) fn verdict(run: &TestRun) -> Verdict {
    let word = run.context.get(VERDICT..VERDICT + 4).and_then(|bytes| bytes.try_into().ok());
    Verdict::from(word.map_or(0, u32::from_ne_bytes))
}

fn refused(error: KernelError, frame: &[u8]) -> Error {
    let payload = frame.len().saturating_sub(14);
    let short = match frame.get(12..14) {
        Some([0x08, 0x00]) => payload < 20,
        Some([0x86, 0xdd]) => payload < 40,
        _ => false,
    };
    let hint = (error.errno == EINVAL && short).then(|| {
        "a test run at TC takes no IP frame without a whole IP header; on an interface such frames \
         reach the program"
            .to_owned()
    });
    Error::Kernel { error, hint }
}
