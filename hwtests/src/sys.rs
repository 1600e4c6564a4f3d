//! The system calls that have no safe form in the crates used here: all of this crate's unsafe code.
#![expect(unsafe_code, reason = "unshare, the TUN ioctl and packet sockets have no safe wrapper")]

use std::ffi::c_int;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::thread::UnshareFlags;

/// Gives the calling thread a network namespace of its own.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: what makes unshare unsafe is splitting the descriptor table; CLONE_NEWNET does not
    // touch it and changes the network namespace of this thread alone.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Into::into)
}

/// Ties an open `/dev/net/tun` to a new tap interface in the thread's namespace (`TUNSETIFF`).
pub(crate) fn make_tap(device: BorrowedFd<'_>, name: &str, ethernet: bool) -> io::Result<()> {
    const IFF_TUN: i16 = 1;
    const IFF_TAP: i16 = 2;
    const IFF_NO_PI: i16 = 0x1000;
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `ifreq` is plain data; zeros are a valid value of every member.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = if ethernet { IFF_TAP } else { IFF_TUN } | IFF_NO_PI;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(())
}

/// A raw packet socket on one interface of the thread's namespace. `protocol` is an ethertype in
/// host byte order: `ETH_P_ALL` receives everything, 0 nothing.
pub(crate) fn packet_socket(ifindex: u32, protocol: u16) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Protocol 0 until bound: otherwise packets of every interface would arrive in between.
    // SAFETY: no pointers are passed.
    let descriptor = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
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
    Ok(socket)
}

/// Sets a numeric option of the level `SOL_PACKET`.
pub(crate) fn set_packet_option(
    socket: BorrowedFd<'_>,
    option: c_int,
    value: c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int and lives until the call returns.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as u32,
        )
    })?;
    Ok(())
}

/// `struct tpacket_auxdata` of `linux/if_packet.h`, in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuxData {
    /// `TP_STATUS_*`.
    pub(crate) status: u32,
    /// Bytes of the whole frame.
    pub(crate) len: u32,
    /// Tag control information, valid with `TP_STATUS_VLAN_VALID`.
    pub(crate) vlan_tci: u16,
    /// Tag protocol, valid with `TP_STATUS_VLAN_TPID_VALID`.
    pub(crate) vlan_tpid: u16,
}

/// One packet as a packet socket delivers it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// `PACKET_HOST` and so on.
    pub(crate) kind: u8,
    /// `skb->protocol`, in host byte order.
    pub(crate) protocol: u16,
    pub(crate) aux: AuxData,
}

/// Takes one packet; `WouldBlock` when there is none. The socket must have `PACKET_AUXDATA` on.
pub(crate) fn receive_packet(socket: BorrowedFd<'_>) -> io::Result<Packet> {
    // The largest frame there is: 64 KiB of GSO payload with headers.
    let mut bytes = vec![0_u8; 1 << 17];
    // u64 words, since control messages are aligned.
    let mut control = [0_u64; 16];
    // SAFETY: both are plain data; zeros are a valid value of every member.
    let (mut address, mut message): (libc::sockaddr_ll, libc::msghdr) =
        unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: every pointer in `message` refers to a local of the size given beside it, and all of
    // them outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(length);
    let aux = aux_data(&message);
    Ok(Packet {
        bytes,
        kind: address.sll_pkttype,
        protocol: u16::from_be(address.sll_protocol),
        aux,
    })
}

/// Finds `PACKET_AUXDATA` among a received message's control messages.
fn aux_data(message: &libc::msghdr) -> AuxData {
    // SAFETY: the kernel filled `msg_control` up to `msg_controllen`, which is what the CMSG macros
    // walk; `read_unaligned` copies a plain struct whose length the header vouches for.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let wanted = libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) as usize;
            if (*header).cmsg_level == libc::SOL_PACKET
                && (*header).cmsg_type == libc::PACKET_AUXDATA
                && (*header).cmsg_len >= wanted
            {
                let raw: libc::tpacket_auxdata =
                    libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
                return AuxData {
                    status: raw.tp_status,
                    len: raw.tp_len,
                    vlan_tci: raw.tp_vlan_tci,
                    vlan_tpid: raw.tp_vlan_tpid,
                };
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    AuxData::default()
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
