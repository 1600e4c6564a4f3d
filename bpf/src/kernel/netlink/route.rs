//! rtnetlink requests that change an interface: XDP slots and MTU.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Attributes, Builder, Message, Refusal, Socket};
use crate::kernel::{Expect, KernelError, XdpMode, XdpSlots};

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_REPLACE: u32 = 16;
/// `struct ifinfomsg`, in bytes: what precedes the attributes of a link message.
pub const LINK_HEADER: usize = 16;

/// `struct ifinfomsg` naming an interface by index and changing none of its flags.
#[must_use]
pub fn link_header(ifindex: u32) -> Builder {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    Builder::new(&header)
}

/// Attaches (or with no program detaches) XDP; returns the kernel's warning.
///
/// # Errors
/// The kernel's refusal with its sentence.
pub fn set_xdp(
    ifindex: u32,
    program: Option<BorrowedFd<'_>>,
    mode: Option<XdpMode>,
    expect: Expect<'_>,
) -> Result<Option<String>, KernelError> {
    let mut flags = mode.map_or(0, XdpMode::flag);
    let mut inner = Builder::default();
    inner = inner.i32(IFLA_XDP_FD, program.map_or(-1, |fd| fd.as_raw_fd()));
    match expect {
        Expect::Empty => flags |= XDP_FLAGS_UPDATE_IF_NOEXIST,
        Expect::Program(old) => {
            flags |= XDP_FLAGS_REPLACE;
            inner = inner.i32(IFLA_XDP_EXPECTED_FD, old.as_raw_fd());
        }
        Expect::Anything => {}
    }
    let payload = link_header(ifindex).nest(IFLA_XDP, inner.u32(IFLA_XDP_FLAGS, flags)).build();
    set_link(&payload).map_err(|refusal| refusal.about("RTM_SETLINK", on(ifindex, "XDP")))
}

/// Sets the MTU, in bytes; returns the kernel's warning.
///
/// # Errors
/// The kernel's refusal with its sentence.
pub fn set_mtu(ifindex: u32, mtu_bytes: u32) -> Result<Option<String>, KernelError> {
    let payload = link_header(ifindex).u32(IFLA_MTU, mtu_bytes).build();
    set_link(&payload)
        .map_err(|refusal| refusal.about("RTM_SETLINK", on(ifindex, &format!("MTU {mtu_bytes}"))))
}

fn set_link(payload: &[u8]) -> Result<Option<String>, Refusal> {
    Ok(Socket::route()?.request(RTM_SETLINK, 0, payload)?.warning)
}

/// The programs in an interface's XDP slots.
///
/// # Errors
/// The kernel's refusal; `ENODEV` when there is no such interface.
pub fn query_xdp(ifindex: u32) -> Result<XdpSlots, KernelError> {
    let message = get_link(ifindex)
        .map_err(|refusal| refusal.about("RTM_GETLINK", format!("interface {ifindex}")))?;
    let Some(xdp) = Attributes::after(&message.payload, LINK_HEADER).get(IFLA_XDP) else {
        return Ok(XdpSlots::default());
    };
    let slot = |kind| xdp.nested().get(kind).and_then(|id| id.u32()).filter(|id| *id != 0);
    Ok(XdpSlots {
        hardware: slot(IFLA_XDP_HW_PROG_ID),
        native: slot(IFLA_XDP_DRV_PROG_ID),
        generic: slot(IFLA_XDP_SKB_PROG_ID),
    })
}

/// `RTM_GETLINK` for one interface.
///
/// # Errors
/// The kernel's refusal; `ENODEV` when there is no such interface.
pub fn get_link(ifindex: u32) -> Result<Message, Refusal> {
    let reply = Socket::route()?.request(RTM_GETLINK, 0, &link_header(ifindex).build())?;
    let gone = Refusal { errno: libc::ENODEV, message: None };
    reply.messages.into_iter().next().ok_or(gone)
}

/// Names an interface in an error: its name where it has one, since users do not know indices.
pub(crate) fn on(ifindex: u32, what: &str) -> String {
    format!("{what} on {}", interface_name(ifindex))
}

/// The interface's name in the thread's network namespace, else `interface N`.
pub(crate) fn interface_name(ifindex: u32) -> String {
    find_name(ifindex).ok().flatten().unwrap_or_else(|| format!("interface {ifindex}"))
}

/// The interface's name in the thread's network namespace; `None` where there is none.
pub(crate) fn find_name(ifindex: u32) -> Result<Option<String>, KernelError> {
    // sysfs would answer for the namespace it was mounted in; this answers for the thread's own.
    match get_link(ifindex) {
        Ok(message) => {
            let name = Attributes::after(&message.payload, LINK_HEADER).get(IFLA_IFNAME);
            Ok(name.and_then(|name| name.text()).map(str::to_owned))
        }
        Err(refusal) if refusal.errno == libc::ENODEV => Ok(None),
        Err(refusal) => Err(refusal.about("RTM_GETLINK", format!("interface {ifindex}"))),
    }
}
