//! The program that brings an interface's frames to the sockets: attached by a link, so that it goes
//! with its process however that ends.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel, KernelError, MapSpec, ProgramSpec, XdpMode};
use hoist_bpf::passes::asm;

/// `enum bpf_map_type`.
const MAP_TYPE_XSKMAP: u32 = 17;
/// `enum bpf_prog_type` and `enum bpf_attach_type`.
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
/// `bpf_redirect_map` in `enum bpf_func_id`.
const HELPER_REDIRECT_MAP: i32 = 51;
/// `rx_queue_index` in `struct xdp_md`.
const RX_QUEUE_INDEX: i16 = 16;
/// What becomes of a frame of a queue without a socket: aborted, since a frame that the program has
/// not seen must not reach the host.
const WITHOUT_SOCKET: i32 = 0;

/// The program in its place, with the map of sockets.
#[derive(Debug)]
pub(super) struct Redirect {
    pub(super) link: OwnedFd,
    pub(super) program: OwnedFd,
    _sockets: OwnedFd,
}

impl Redirect {
    /// Attaches to an interface the program that gives each queue's frames to the socket of the same
    /// number.
    pub(super) fn attach<'a>(
        kernel: &dyn Kernel,
        ifindex: u32,
        mode: XdpMode,
        sockets: impl ExactSizeIterator<Item = BorrowedFd<'a>>,
    ) -> Result<Self, KernelError> {
        let map = kernel.create_map(&MapSpec {
            name: "hoist_queues".to_owned(),
            kind: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            max_entries: u32::try_from(sockets.len().max(1)).unwrap_or(u32::MAX),
            ..MapSpec::default()
        })?;
        for (queue, socket) in (0_u32..).zip(sockets) {
            let value = socket.as_raw_fd().to_ne_bytes();
            kernel.map_update(map.as_fd(), &queue.to_ne_bytes(), &value, 0)?;
        }
        let program = kernel.load_program(&ProgramSpec {
            name: "hoist_to_user".to_owned(),
            kind: PROG_TYPE_XDP,
            expected_attach_type: ATTACH_TYPE_XDP,
            insns: &to_socket(map.as_raw_fd()),
            license: "Dual MIT/GPL".to_owned(),
            ..ProgramSpec::default()
        })?;
        let link = kernel.link_xdp(program.as_fd(), ifindex, mode)?;
        Ok(Self { link, program, _sockets: map })
    }
}

/// `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_ABORTED)`.
fn to_socket(map: i32) -> [Insn; 6] {
    let mut load = asm::load_map(1);
    load.imm = map;
    [
        asm::load32(2, 1, RX_QUEUE_INDEX),
        load,
        Insn::default(),
        asm::mov_imm(3, WITHOUT_SOCKET),
        asm::helper(HELPER_REDIRECT_MAP),
        asm::exit(),
    ]
}
