//! Ordinary sockets inside a namespace: what an application would see.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::lab::{LabError, Namespace};
use crate::wait;

/// A UDP socket bound inside a namespace; reads give up after [`wait::SILENCE`].
///
/// # Errors
/// The address is not there or in use.
pub fn udp(namespace: &Namespace, address: impl Into<SocketAddr>) -> Result<UdpSocket, LabError> {
    let address = address.into();
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(wait::SILENCE))?;
        Ok(socket)
    };
    namespace.run(open).map_err(|e| LabError::io("bind UDP", address, &e))
}

/// Every datagram that arrives until [`wait::SILENCE`] passes without one.
///
/// # Errors
/// The socket failed, other than by having nothing to say.
pub fn drain(socket: &UdpSocket) -> Result<Vec<Vec<u8>>, LabError> {
    let mut datagrams = Vec::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match socket.recv(&mut bytes) {
            Ok(length) => datagrams.push(bytes[..length].to_vec()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(datagrams);
            }
            Err(e) => return Err(LabError::io("receive", "a UDP socket", &e)),
        }
    }
}

/// A TCP listener inside a namespace.
///
/// # Errors
/// The address is not there or in use.
pub fn tcp_listener(
    namespace: &Namespace,
    address: impl Into<SocketAddr>,
) -> Result<TcpListener, LabError> {
    let address = address.into();
    namespace.run(|| TcpListener::bind(address)).map_err(|e| LabError::io("listen on", address, &e))
}

/// A TCP connection from inside a namespace; gives up after [`wait::PATIENCE`], as do its reads and
/// writes.
///
/// # Errors
/// Nobody answers.
pub fn tcp_connect(
    namespace: &Namespace,
    address: impl Into<SocketAddr>,
) -> Result<TcpStream, LabError> {
    let address = address.into();
    let open = || -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, wait::PATIENCE)?;
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        stream.set_write_timeout(Some(wait::PATIENCE))?;
        Ok(stream)
    };
    namespace.run(open).map_err(|e| LabError::io("connect to", address, &e))
}
