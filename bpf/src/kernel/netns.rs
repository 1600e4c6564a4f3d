//! Network namespaces: finding, entering and naming them.
//!
//! A namespace is given as iproute2 users know it: by the name under `/run/netns`, by a path, or by
//! the id of a process that lives in it.
#![expect(unsafe_code, reason = "unshare(2) concerns all threads of a process; a socket option")]

use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::KernelError;

/// `asm-generic/socket.h`, on every architecture that BPF runs on.
const SO_NETNS_COOKIE: i32 = 71;
const NAMED: &str = "/run/netns";
const OWN: &str = "/proc/thread-self/ns/net";

/// Opens a namespace by name, path or process id. A name wins over a process id of the same digits.
///
/// # Errors
/// There is none such; the message says where it was looked for and what is there instead.
pub fn open(which: &str) -> Result<OwnedFd, KernelError> {
    let path = path_of(which);
    File::open(&path).map(OwnedFd::from).map_err(|error| {
        let refused = KernelError::io("open", object(which), &error);
        if error.kind() != io::ErrorKind::NotFound {
            return refused;
        }
        refused.saying(format!("there is no {}; {}", path.display(), known(which)))
    })
}

/// Makes a new namespace without a name. It lives as long as the descriptor and what is in it.
///
/// # Errors
/// The kernel's refusal: `EPERM` without `CAP_SYS_ADMIN`.
pub fn unnamed() -> Result<OwnedFd, KernelError> {
    let refused = |errno| KernelError::new("unshare", "network namespace", errno);
    // The thread that is born into the namespace ends; its descriptor keeps the namespace.
    let born = std::thread::spawn(move || {
        // SAFETY: the network namespace is the thread's own; no descriptor table is unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(|e| refused(e.raw_os_error()))?;
        File::open(OWN).map(OwnedFd::from).map_err(|error| KernelError::io("open", OWN, &error))
    });
    born.join().unwrap_or_else(|_| Err(refused(libc::EAGAIN)))
}

/// Moves the whole process into a namespace. Must be called before the process starts threads, which
/// would stay behind.
///
/// # Errors
/// The namespace cannot be opened or entered, or threads are running already (`EBUSY`).
pub fn enter(which: &str) -> Result<(), KernelError> {
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(1);
    if threads > 1 {
        return Err(KernelError::new("setns", object(which), libc::EBUSY)
            .saying(format!("{threads} threads are running and would stay behind")));
    }
    set(open(which)?.as_fd(), &object(which))
}

/// Moves the calling thread into a namespace until the returned guard is dropped.
///
/// # Errors
/// The kernel's refusal: `EPERM` without `CAP_SYS_ADMIN`.
pub fn scoped(namespace: BorrowedFd<'_>) -> Result<Scoped, KernelError> {
    let home = File::open(OWN).map_err(|error| KernelError::io("open", OWN, &error))?.into();
    set(namespace, "network namespace")?;
    Ok(Scoped { home, _thread: PhantomData })
}

/// The stay of one thread in another namespace.
#[derive(Debug)]
pub struct Scoped {
    home: OwnedFd,
    /// The way back leads through the thread that came.
    _thread: PhantomData<*const ()>,
}

impl Drop for Scoped {
    fn drop(&mut self) {
        // The right to enter was proven on the way in and the way back asks for no more.
        let _ = move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network));
    }
}

/// Inode number of the calling thread's namespace: names it for as long as it lives.
///
/// # Errors
/// `/proc` could not be read.
pub fn current_id() -> Result<u64, KernelError> {
    fs::metadata(OWN).map(|m| m.ino()).map_err(|error| KernelError::io("stat", OWN, &error))
}

/// Number of the calling thread's namespace, which no other has had or will have.
///
/// # Errors
/// The kernel's refusal.
pub fn current_cookie() -> Result<u64, KernelError> {
    let refused = || {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        KernelError::new("SO_NETNS_COOKIE", "network namespace", errno)
    };
    // SAFETY: socket(2) takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(refused());
    }
    // SAFETY: the kernel just returned this descriptor and nobody else holds it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option is a number of eight bytes, and that is the room there is.
    let returned = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if returned < 0 { Err(refused()) } else { Ok(cookie) }
}

/// The named namespaces with their inode numbers, by name. None is an empty list.
#[must_use]
pub fn named() -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(NAMED) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            Some((name, fs::metadata(entry.path()).ok()?.ino()))
        })
        .collect();
    found.sort();
    found
}

/// The name of a namespace, if it has one.
#[must_use]
pub fn name_of(id: u64) -> Option<String> {
    named().into_iter().find(|(_, inode)| *inode == id).map(|(name, _)| name)
}

fn set(namespace: BorrowedFd<'_>, object: &str) -> Result<(), KernelError> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).map_err(|errno| {
        let refused = KernelError::new("setns", object, errno.raw_os_error());
        if errno == rustix::io::Errno::INVAL {
            return refused.saying("this is not a network namespace");
        }
        refused
    })
}

fn path_of(which: &str) -> PathBuf {
    if which.contains('/') {
        return PathBuf::from(which);
    }
    let named = Path::new(NAMED).join(which);
    let is_process = !which.is_empty() && which.bytes().all(|b| b.is_ascii_digit());
    if is_process && !named.exists() {
        return PathBuf::from(format!("/proc/{which}/ns/net"));
    }
    named
}

fn object(which: &str) -> String {
    format!("network namespace {which}")
}

/// What the user may have meant.
fn known(which: &str) -> String {
    if which.contains('/') {
        return "give a name of `ip netns list`, a path or a process id".to_owned();
    }
    let names: Vec<_> = named().into_iter().map(|(name, _)| name).collect();
    if names.is_empty() {
        return format!("no namespace has a name yet: `ip netns add {which}` makes one");
    }
    format!("namespaces with a name: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_processes() {
        let cases = [
            ("blue", "/run/netns/blue"),
            ("/proc/1/ns/net", "/proc/1/ns/net"),
            ("./ns", "./ns"),
            ("1", "/proc/1/ns/net"),
            ("", "/run/netns/"),
        ];
        for (which, path) in cases {
            assert_eq!(path_of(which), Path::new(path), "{which}");
        }
    }

    #[test]
    fn a_missing_namespace_names_itself_and_the_next_step() {
        let error = open("no-such-namespace").unwrap_err();
        assert_eq!(error.errno, libc::ENOENT);
        let text = error.to_string();
        assert!(text.contains("network namespace no-such-namespace"), "{text}");
        assert!(text.contains("/run/netns/no-such-namespace"), "{text}");
        assert!(text.contains("ip netns add") || text.contains("with a name:"), "{text}");
    }

    #[test]
    fn a_process_with_threads_is_not_moved() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let error = enter("1").unwrap_err();
                assert_eq!(error.errno, libc::EBUSY);
            });
        });
        let own = std::process::id().to_string();
        assert_eq!(
            current_id().unwrap(),
            File::from(open(&own).unwrap()).metadata().unwrap().ino()
        );
    }
}
