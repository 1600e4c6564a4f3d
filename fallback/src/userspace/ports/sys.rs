//! The system calls of ports that have no safe form in the crates used here.
#![expect(unsafe_code, reason = "packet sockets and the TUN ioctl have no safe wrapper")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use hoist_offload::error::Error;
use rustix::io::Errno;

/// What a socket's error means for a port that receives. `ENETDOWN` is the kernel's word for an
/// interface that is gone (`packet_notifier`, `xsk_notifier`).
pub(super) fn not_received(port: &str, errno: Errno) -> Error {
    let source = match errno {
        Errno::NETDOWN => io::Error::other("the interface is gone"),
        other => other.into(),
    };
    Error::Host { operation: "receive", object: port.to_owned(), source }
}

/// A raw packet socket on one interface of the thread's network namespace, not blocking. `protocol`
/// is an ethertype in host byte order: `ETH_P_ALL` (3) receives everything, 0 nothing.
pub(super) fn packet_socket(ifindex: u32, protocol: u16) -> io::Result<OwnedFd> {
    let socket = unbound_packet_socket()?;
    bind_packet_socket(&socket, ifindex, protocol)?;
    Ok(socket)
}

/// A raw packet socket that receives nothing until it is bound.
pub(super) fn unbound_packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed.
    let descriptor = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Binds a packet socket to an interface; see [`packet_socket`].
pub(super) fn bind_packet_socket(socket: &OwnedFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: `sockaddr_ll` is plain data; zeros are a valid value of every member.
    let mut address: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = c_int::try_from(ifindex).map_err(io::Error::other)?;
    // SAFETY: the address is valid and its size is the one given.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    })?;
    Ok(())
}

/// Sets an option of the level `SOL_PACKET` or `SOL_SOCKET` whose value is plain data.
pub(super) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the value is as long as said and lives until the call returns; the kernel copies it.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    })?;
    Ok(())
}

/// Frames that a packet socket lost since this was last asked (`PACKET_STATISTICS`).
pub(super) fn packet_losses(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut told = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as the structure has, which outlives the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut told).cast(),
            &raw mut length,
        )
    })?;
    Ok(told.tp_drops)
}

/// Ties an open `/dev/net/tun` to a TAP interface of the thread's network namespace, which is made if
/// there is none of that name (`TUNSETIFF`), and makes it not blocking.
pub(super) fn make_tap(device: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `ifreq` is plain data; zeros are a valid value of every member.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    rustix::io::ioctl_fionbio(device, true)?;
    Ok(())
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
