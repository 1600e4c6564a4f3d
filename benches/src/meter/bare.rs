//! Programs of two instructions, attached past hoist's engines: what floors are made of.

use std::os::fd::{AsFd as _, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, KernelError, ProgramSpec, XdpMode};
use hoist_hwtests::lab::Port;
use hoist_offload::Verdict;

/// `enum bpf_prog_type`: `BPF_PROG_TYPE_XDP`.
const PROG_TYPE_XDP: u32 = 6;
/// `enum bpf_attach_type`: `BPF_XDP`.
const ATTACH_TYPE_XDP: u32 = 37;

/// Loads `return VERDICT`.
pub(super) fn load(kernel: &dyn Kernel, verdict: Verdict) -> Result<OwnedFd, KernelError> {
    const MOV64_IMM: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let insns = [Insn::new(MOV64_IMM, 0, 0, 0, verdict as i32), Insn::new(EXIT, 0, 0, 0, 0)];
    kernel.load_program(&ProgramSpec {
        name: format!("hoist_{}", verdict.name()),
        kind: PROG_TYPE_XDP,
        expected_attach_type: ATTACH_TYPE_XDP,
        insns: &insns,
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    })
}

/// Attaches it to a port, natively; it goes with the descriptor.
pub(super) fn attach(
    kernel: &dyn Kernel,
    port: &Port,
    verdict: Verdict,
) -> Result<OwnedFd, KernelError> {
    let program = load(kernel, verdict)?;
    let link = || kernel.link_xdp(program.as_fd(), port.ifindex, XdpMode::Native);
    port.namespace.run(link)
}
