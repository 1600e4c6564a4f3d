//! What went wrong at the kernel's door, in the kernel's words.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// An error from the kernel, with what was asked, of what, and the kernel's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation} {object}: {}", self.cause())]
pub struct KernelError {
    /// The operation in the manual's words, for example `BPF_PROG_LOAD` or `RTM_SETLINK`.
    pub operation: String,
    /// What it was done to: a program, map, interface or path by name.
    pub object: String,
    /// The error number, positive. 524 is the kernel-internal `ENOTSUPP`.
    pub errno: i32,
    /// The kernel's own sentence where it gave one: netlink extack, tracepoint text.
    pub message: Option<String>,
    /// The verifier's log, whole, for program loads.
    pub log: Option<String>,
}

impl KernelError {
    /// An error with nothing but a number.
    #[must_use]
    pub fn new(operation: &str, object: impl Into<String>, errno: i32) -> Self {
        let operation = operation.to_owned();
        Self { operation, object: object.into(), errno, message: None, log: None }
    }

    /// An error of the file system.
    #[must_use]
    pub fn io(operation: &str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        // Only errors the system did not raise lack a number, and those say it in words.
        let message = error.raw_os_error().is_none().then(|| error.to_string());
        let errno = error.raw_os_error().unwrap_or(5);
        Self { message, ..Self::new(operation, path.as_ref().display().to_string(), errno) }
    }

    /// The same error with the kernel's sentence.
    #[must_use]
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// The kernel's sentence if it gave one, else the last telling line of the verifier's log, else
    /// the error number's text; always with the errno's name.
    #[must_use]
    pub fn cause(&self) -> String {
        let number = errno_name(self.errno);
        match (&self.message, self.log.as_deref().and_then(telling_line)) {
            (Some(message), _) => format!("{message} ({number})"),
            (None, Some(line)) => format!("{line} ({number})"),
            (None, None) => format!("{} ({number})", errno_text(self.errno)),
        }
    }
}

/// The line of a verifier log that says why: the last one that is not statistics.
fn telling_line(log: &str) -> Option<&str> {
    log.lines().rev().map(str::trim).find(|l| {
        !l.is_empty()
            && !l.starts_with("processed ")
            && !l.starts_with("verification time ")
            && !l.starts_with("stack depth ")
    })
}

/// The symbolic name of an error number (`EBUSY`), with `ENOTSUPP` for 524, else the number.
#[must_use]
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        7 => "E2BIG",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        19 => "ENODEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        24 => "EMFILE",
        28 => "ENOSPC",
        30 => "EROFS",
        34 => "ERANGE",
        38 => "ENOSYS",
        40 => "ELOOP",
        61 => "ENODATA",
        67 => "ENOLINK",
        74 => "EBADMSG",
        90 => "EMSGSIZE",
        95 => "EOPNOTSUPP",
        105 => "ENOBUFS",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        116 => "ESTALE",
        524 => "ENOTSUPP",
        n => return format!("errno {n}"),
    };
    name.to_owned()
}

/// The text of an error number, also for `ENOTSUPP`, which the C library does not know.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    if errno == 524 {
        return "Operation is not supported".to_owned();
    }
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_words_come_first() {
        let log = "0: (95) exit\nR0 !read_ok\nverification time 38 usec\nstack depth 0\n\
                   processed 1 insns (limit 1000000) max_states_per_insn 0\n";
        let sentence = "Native and generic XDP can't be active at the same time";
        let cases = [
            (17, Some(sentence), None, format!("{sentence} (EEXIST)")),
            (13, None, Some(log), "R0 !read_ok (EACCES)".to_owned()),
            (13, None, Some("processed 1 insns"), "Permission denied (EACCES)".to_owned()),
            (524, None, None, "Operation is not supported (ENOTSUPP)".to_owned()),
            (16, None, None, "Device or resource busy (EBUSY)".to_owned()),
            (133, None, None, "Memory page has hardware error (errno 133)".to_owned()),
        ];
        for (errno, message, log, cause) in cases {
            let mut error = KernelError::new("BPF_PROG_LOAD", "program x", errno);
            error.message = message.map(str::to_owned);
            error.log = log.map(str::to_owned);
            assert_eq!(error.to_string(), format!("BPF_PROG_LOAD program x: {cause}"));
        }
        let unnumbered = io::Error::other("disk on fire");
        let error = KernelError::io("read", "/sys/x", &unnumbered);
        assert_eq!(error.to_string(), "read /sys/x: disk on fire (EIO)");
    }
}
