//! rtnetlink requests that change an interface: XDP slots and MTU.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Attributes, Builder, Refusal, Socket};
use crate::kernel::{Expect, KernelError, XdpMode};

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_REPLACE: u32 = 16;

/// `struct ifinfomsg` naming an interface by index and changing none of its flags.
#[must_use]
pub fn link_header(ifindex: u32) -> Builder {
    let mut header = [0; 16];
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

/// Names an interface in an error: its name where it has one, since users do not know indices.
pub(crate) fn on(ifindex: u32, what: &str) -> String {
    format!("{what} on {}", interface_name(ifindex))
}

/// The interface's name in the thread's network namespace, else `interface N`.
pub(crate) fn interface_name(ifindex: u32) -> String {
    // sysfs would answer for the namespace it was mounted in; this answers for the thread's own.
    let name = Socket::route()
        .and_then(|mut s| s.request(RTM_GETLINK, 0, &link_header(ifindex).build()))
        .ok()
        .and_then(|reply| {
            let message = reply.messages.into_iter().next()?;
            let attribute = Attributes::after(&message.payload, 16).get(IFLA_IFNAME)?;
            attribute.text().map(str::to_owned)
        });
    name.unwrap_or_else(|| format!("interface {ifindex}"))
}
