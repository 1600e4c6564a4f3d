//! The door of a running engine for other processes: `hoist status` and `hoist map` come in by it.
//!
//! A socket in the abstract namespace (unix(7)): it belongs to the network namespace of the interface, as
//! the engine does; its name goes with its process, however that ends; and no file is left or needed, so
//! that it is there in a container without a writable file system, too. Such a socket has no
//! permissions: each side looks at who the other is, and deals with itself and root alone.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

/// What the names of these sockets begin with.
const PREFIX: &str = "hoist/user/";
/// How long one side waits for the other, which may hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a running engine can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// Index of the interface that it runs on.
    pub ifindex: u32,
    /// The process.
    pub pid: u32,
}

impl Door {
    /// The door of this process on an interface.
    #[must_use]
    pub fn here(ifindex: u32) -> Self {
        Self { ifindex, pid: std::process::id() }
    }

    /// Every door of the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// `/proc` could not be read.
    pub fn all() -> io::Result<Vec<Self>> {
        let sockets = fs::read_to_string("/proc/thread-self/net/unix")?;
        let mut doors: Vec<Self> = sockets.lines().filter_map(listed).collect();
        // Connections have the name of the door that they came in by.
        doors.sort_unstable();
        doors.dedup();
        Ok(doors)
    }

    /// Opens it.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn open(&self) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&self.address()?)
    }

    /// Goes in by it.
    ///
    /// # Errors
    /// Nobody is there any more, or it is not for this user.
    pub fn enter(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect_addr(&self.address()?)?;
        checked(stream)
    }

    fn address(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_abstract_name(format!("{PREFIX}{}/{}", self.ifindex, self.pid))
    }
}

/// A connection whose other end is this user's, or root's.
///
/// # Errors
/// It is somebody else's.
pub fn checked(stream: UnixStream) -> io::Result<UnixStream> {
    let other = socket_peercred(&stream)?.uid;
    if !other.is_root() && other != geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The door of a line of `/proc/net/unix`.
fn listed(line: &str) -> Option<Door> {
    let name = line.split_whitespace().last()?.strip_prefix('@')?.strip_prefix(PREFIX)?;
    let (ifindex, pid) = name.split_once('/')?;
    Some(Door { ifindex: ifindex.parse().ok()?, pid: pid.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_door_is_there_as_long_as_it_is_open() {
        let door = Door { ifindex: 4_000_000_000, pid: std::process::id() };
        let listener = door.open().unwrap();
        assert!(Door::all().unwrap().contains(&door));
        let mut inside = door.enter().unwrap();
        inside.write_all(b"hello").unwrap();
        let mut outside = checked(listener.accept().unwrap().0).unwrap();
        let mut word = [0; 5];
        outside.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"hello");
        drop((listener, inside, outside));
        assert!(!Door::all().unwrap().contains(&door));
        assert_eq!(door.enter().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn other_sockets_are_no_doors() {
        let line = |name: &str| format!("0000: 00000002 00000000 00010000 0001 01 12345 {name}");
        let cases = [
            ("@hoist/user/3/77", Some(Door { ifindex: 3, pid: 77 })),
            ("/run/hoist/user/3/77", None),
            ("@hoist/user/3", None),
            ("@hoist/user/x/77", None),
            ("@other", None),
        ];
        for (name, door) in cases {
            assert_eq!(listed(&line(name)), door, "{name}");
        }
        assert_eq!(listed("0000: 00000003 00000000 00000000 0001 03 12345"), None);
    }
}
