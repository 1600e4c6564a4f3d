//! Noticing that the snapshot is old: rtnetlink tells of every change, to anyone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// Groups of rtnetlink(7), bit `n - 1` for `RTNLGRP_n`: links, neighbours, and for IPv4 and IPv6 addresses,
/// routes, rules and whether interfaces forward.
const GROUPS: u32 =
    1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 23 | 1 << 24;

/// Hears of every change of interfaces, addresses, routes, rules and neighbours.
#[derive(Debug)]
pub struct Changes {
    socket: OwnedFd,
}

impl Changes {
    /// Listens in the network namespace that the calling thread is in. Whoever takes a snapshot after
    /// this misses nothing.
    ///
    /// # Errors
    /// The system's refusal of a socket.
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is protocol 0, which is `NETLINK_ROUTE`.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self { socket })
    }

    /// Whether anything changed since this was last asked. What it was does not matter, so that changes
    /// that the socket had no room for (`ENOBUFS`) are changes, too.
    #[must_use]
    pub fn heard(&self) -> bool {
        let mut heard = false;
        let mut message = [0; 512];
        loop {
            match recv(&self.socket, &mut message, RecvFlags::TRUNC) {
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => heard = true,
                Err(_) => return heard,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
