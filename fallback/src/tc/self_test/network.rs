//! Where `bpf_skb_vlan_push` leaves the network header.

use std::os::fd::AsFd;

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, ProgramSpec, TestRunSpec};
use hoist_bpf::opcode::class;
use hoist_bpf::passes::asm;

use super::SKB_VLAN_PUSH;
use crate::tc::PROG_TYPE_SCHED_CLS;
use crate::tc::translate::TagPush;

const SKB_LOAD_BYTES_RELATIVE: i32 = 68;
const BPF_HDR_START_NET: i32 = 1;
/// `ETH_P_8021Q`, in network byte order.
const VLAN: i32 = super::frames::VLAN.to_be() as i32;
/// The first byte behind the Ethernet header of a frame, which is no byte of an empty tag.
const BEHIND: u8 = 0x45;

/// Has a tag written into the data by pushing two, and returns the byte at the network header.
const PROGRAM: [Insn; 17] = [
    asm::mov(6, 1),
    asm::mov_imm(2, VLAN),
    asm::mov_imm(3, 0),
    asm::helper(SKB_VLAN_PUSH),
    asm::mov(1, 6),
    asm::mov_imm(2, VLAN),
    asm::mov_imm(3, 0),
    asm::helper(SKB_VLAN_PUSH),
    asm::mov(1, 6),
    asm::mov_imm(2, 0),
    asm::mov(3, 10),
    asm::add_imm(3, -8),
    asm::mov_imm(4, 1),
    asm::mov_imm(5, BPF_HDR_START_NET),
    asm::helper(SKB_LOAD_BYTES_RELATIVE),
    // *(u8 *)(r10 - 8), which the helper zeroes where it fails.
    Insn::new(class::LDX | 0x70, 0, 10, -8, 0),
    asm::exit(),
];

/// What the kernel does; `None` where it cannot be asked.
pub(in crate::tc) fn tag_push(kernel: &dyn Kernel) -> Option<TagPush> {
    let spec = ProgramSpec {
        name: "tag_push".to_owned(),
        kind: PROG_TYPE_SCHED_CLS,
        license: "GPL".to_owned(),
        insns: &PROGRAM,
        ..ProgramSpec::default()
    };
    let program = kernel.load_program(&spec).ok()?;
    let mut frame = [0; 64];
    frame[12] = 0x08;
    frame[14] = BEHIND;
    let spec = TestRunSpec { data: &frame, repeat: 1, ..TestRunSpec::default() };
    let run = kernel.test_run(program.as_fd(), &spec).ok()?;
    Some(if run.verdict == u32::from(BEHIND) {
        TagPush::LeavesNetworkHeader
    } else {
        TagPush::MovesNetworkHeader
    })
}
