//! Why the kernel refused a link.
//!
//! `BPF_LINK_CREATE` returns a number only. The sentence that the driver or core wrote goes to the
//! raw tracepoint `bpf_xdp_link_attach_failed` (kernel 6.6); a small program opened there for the
//! repeated attempt copies it into a map. Where that cannot be had (an older kernel, no
//! `CAP_PERFMON`), the attach is replayed over netlink, which returns the sentence itself.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use libbpf_rs::libbpf_sys as sys;

use super::map::Table;
use super::sys::descriptor;
use super::{link, load, map};
use crate::insn::Insn;
use crate::kernel::netlink::route;
use crate::kernel::{Expect, KernelError, MapSpec, ProgramSpec, XdpMode};

/// `NETLINK_MAX_FMTMSG_LEN` is 80; a driver's static text may be longer.
const TEXT_BYTES: u16 = 248;
const RAW_TRACEPOINT: u32 = 17;
const ARRAY: u32 = 2;

/// Repeats a refused attach with the tracepoint open. It may succeed this time; if not, the answer
/// is the error number of the last attempt and the sentence, if one could be had.
pub(super) fn repeat(
    program: BorrowedFd<'_>,
    ifindex: u32,
    mode: XdpMode,
    first: i32,
) -> Result<OwnedFd, (i32, Option<String>)> {
    let Ok(listener) = Listener::open() else {
        return Err((first, replay(program, ifindex, mode)));
    };
    link::create_xdp(program, ifindex, mode).map_err(|errno| {
        let heard = listener.text().or_else(|| replay(program, ifindex, mode));
        (errno, heard)
    })
}

/// The same attach over netlink, into an empty slot only. Should the slot have become free by now,
/// what was attached is taken away again, and only that.
fn replay(program: BorrowedFd<'_>, ifindex: u32, mode: XdpMode) -> Option<String> {
    match route::set_xdp(ifindex, Some(program), Some(mode), Expect::Empty) {
        Err(error) => error.message,
        Ok(_) => {
            // A failure here means that someone else has replaced or removed it already.
            drop(route::set_xdp(ifindex, None, Some(mode), Expect::Program(program)));
            None
        }
    }
}

/// The tracepoint program, attached until dropped.
struct Listener {
    map: OwnedFd,
    _attached: OwnedFd,
}

impl Listener {
    fn open() -> Result<Self, KernelError> {
        let value_size = u32::from(TEXT_BYTES);
        let map = map::create(&MapSpec {
            name: "hoist_reason".to_owned(),
            kind: ARRAY,
            key_size: 4,
            value_size,
            max_entries: 1,
            ..Default::default()
        })?;
        let program = load::program(&ProgramSpec {
            name: "hoist_reason".to_owned(),
            kind: RAW_TRACEPOINT,
            insns: &listener(map.as_raw_fd(), namespace()?),
            license: "Dual MIT/GPL".to_owned(),
            ..Default::default()
        })?;
        let name = c"bpf_xdp_link_attach_failed";
        // SAFETY: the name is a C string and outlives the call.
        let returned = unsafe { sys::bpf_raw_tracepoint_open(name.as_ptr(), program.as_raw_fd()) };
        let attached = descriptor(returned).map_err(|errno| {
            KernelError::new("BPF_RAW_TRACEPOINT_OPEN", "bpf_xdp_link_attach_failed", errno)
        })?;
        Ok(Self { map, _attached: attached })
    }

    fn text(&self) -> Option<String> {
        let table = Table::of(self.map.as_fd()).ok()?;
        let value = table.lookup(&[0; 4], usize::from(TEXT_BYTES)).ok()??;
        let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
        (end > 0).then(|| String::from_utf8_lossy(&value[..end]).into_owned())
    }
}

/// What names this thread to the kernel: its process namespace and its ids within.
#[derive(Clone, Copy)]
struct Namespace {
    device: u64,
    inode: u64,
    thread: u32,
    process: u32,
}

fn namespace() -> Result<Namespace, KernelError> {
    const PATH: &str = "/proc/self/ns/pid";
    let facts = std::fs::metadata(PATH).map_err(|e| KernelError::io("stat", PATH, &e))?;
    // The kernel's own encoding of a device number: 12 bits major, 20 bits minor.
    let (major, minor) = (rustix::fs::major(facts.dev()), rustix::fs::minor(facts.dev()));
    Ok(Namespace {
        device: u64::from(major) << 20 | u64::from(minor),
        inode: facts.ino(),
        thread: rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned(),
        process: std::process::id(),
    })
}

/// `if (we are the thread that attaches) bpf_probe_read_kernel_str(value, sizeof value, ctx->msg)`.
fn listener(map_fd: i32, own: Namespace) -> Vec<Insn> {
    const GET_NS_CURRENT_PID_TGID: i32 = 120;
    const PROBE_READ_KERNEL_STR: i32 = 115;
    const PSEUDO_MAP_VALUE: u8 = 2;
    let wide = |dst, src, low: u64| {
        [
            Insn::new(0x18, dst, src, 0, low as u32 as i32),
            Insn::new(0, 0, 0, 0, (low >> 32) as u32 as i32),
        ]
    };
    let mov = |dst, src| Insn::new(0xbf, dst, src, 0, 0);
    let mov_imm = |dst, imm| Insn::new(0xb7, dst, 0, 0, imm);
    let call = |helper| Insn::new(0x85, 0, 0, 0, helper);
    // Conditional jumps to the end: `tail` instruction slots remain behind them.
    let mut code = vec![Insn::new(0x79, 6, 1, 0, 0)]; // r6 = ctx->args[0]
    code.extend(wide(1, 0, own.device));
    code.extend(wide(2, 0, own.inode));
    code.extend([mov(3, 10), Insn::new(0x07, 3, 0, 0, -8), mov_imm(4, 8)]);
    code.extend([Insn::new(0x7a, 10, 0, -8, 0), call(GET_NS_CURRENT_PID_TGID)]);
    // struct bpf_pidns_info { pid, tgid }, compared as two 32-bit numbers.
    code.push(Insn::new(0x55, 0, 0, 9, 0)); // if r0 != 0 goto end
    code.push(Insn::new(0x61, 1, 10, -8, 0));
    code.push(Insn::new(0x56, 1, 0, 7, own.thread.cast_signed()));
    code.push(Insn::new(0x61, 1, 10, -4, 0));
    code.push(Insn::new(0x56, 1, 0, 5, own.process.cast_signed()));
    code.extend(wide(1, PSEUDO_MAP_VALUE, u64::from(map_fd.cast_unsigned())));
    code.extend([mov_imm(2, i32::from(TEXT_BYTES)), mov(3, 6), call(PROBE_READ_KERNEL_STR)]);
    code.extend([mov_imm(0, 0), Insn::new(0x95, 0, 0, 0, 0)]);
    code
}
