//! The host twin: the NIC's form of a program, loaded for the host with maps of its own, since
//! `BPF_PROG_TEST_RUN` takes no program that was loaded for a NIC.

use std::os::fd::BorrowedFd;

use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Kernel, TestRunSpec};
use hoist_offload::engine::Outcome;
use hoist_offload::kernel_program::Twin;
use hoist_offload::{Error, Verdict};

use super::form::Form;

/// The twin; `None` where the host cannot run what the NIC can, such as a choice of the receive queue.
pub(super) fn twin(kernel: &dyn Kernel, form: &Form) -> Option<Twin> {
    let (module, program) =
        form.for_host.as_ref().map_or((&form.module, form.program), |xdp| (&xdp.0, xdp.1));
    let spec = LoadSpec {
        module,
        program,
        kind: PROG_TYPE_XDP,
        attach_type: ATTACH_TYPE_XDP,
        binding: None,
        pin_root: None,
        contents: &form.contents,
    };
    loader::load(kernel, &spec).ok().map(Twin)
}

/// Runs the twin on one frame.
pub(super) fn run(
    kernel: &dyn Kernel,
    program: BorrowedFd<'_>,
    frame: &[u8],
) -> Result<Outcome, Error> {
    let spec = TestRunSpec { data: frame, repeat: 1, ..TestRunSpec::default() };
    let run = kernel.test_run(program, &spec)?;
    Ok(Outcome { verdict: Verdict::from(run.verdict), frame: run.data })
}
