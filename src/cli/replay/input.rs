//! Where packets come from that is no live interface: capture files, standard input, TAP interfaces.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hoist_fallback::userspace::ports::Tap;
use hoist_fallback::userspace::ports::capture::{self, Capture, Patient};
use hoist_offload::Error;

use crate::cli::failure::Failure;
use crate::cli::signal::Signals;
use crate::file;

/// Endings of capture files.
const ENDINGS: [&str; 3] = ["pcap", "pcapng", "cap"];

/// What begins the name of a TAP interface to make.
const TAP: &str = "tap:";

/// What stands where interfaces do, and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Input {
    /// A capture file; `-` is standard input.
    File(PathBuf),
    /// A TAP interface, and another for what passes.
    Tap(String, Option<String>),
}

impl Input {
    /// What a word for an interface means; `None` for an interface.
    pub(in crate::cli) fn of(word: &str) -> Option<Self> {
        if let Some(names) = word.strip_prefix(TAP) {
            let (wire, host) = match names.split_once(',') {
                Some((wire, host)) => (wire, Some(host.to_owned())),
                None => (names, None),
            };
            return Some(Self::Tap(wire.to_owned(), host));
        }
        let path = Path::new(word);
        let ending = path.extension().and_then(OsStr::to_str).is_some_and(|e| ENDINGS.contains(&e));
        let there = || path.metadata().is_ok_and(|about| !about.is_dir());
        let is_interface = || Path::new("/sys/class/net").join(word).exists();
        // Names of interfaces hold no slash. A named pipe is a file to read from, too.
        let is_file = word == "-" || word.contains('/') || (!is_interface() && (ending || there()));
        is_file.then(|| Self::File(path.to_owned()))
    }

    /// How messages name it.
    pub(in crate::cli) fn name(&self) -> String {
        match self {
            Self::File(path) if path.as_os_str() == "-" => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Tap(wire, _) => wire.clone(),
        }
    }

    /// What it is, behind "is a".
    pub(in crate::cli) const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Tap(..) => "TAP interface to make",
        }
    }

    /// Its path, where it is a file that can be read again.
    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) if path.as_os_str() != "-" => Some(path),
            _ => None,
        }
    }
}

/// Until when silence is borne.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Patience<'s> {
    /// Until one of these comes.
    pub(in crate::cli) signals: &'s Signals,
    /// At most until then.
    pub(in crate::cli) until: Option<Instant>,
}

/// A capture, and whether its reader lost patience.
#[derive(Debug)]
pub(in crate::cli) struct Opened {
    /// The port; nothing where patience was lost before a packet came.
    pub(in crate::cli) port: Option<Capture>,
    /// Whether reading ended before the file did.
    pub(in crate::cli) ended: Arc<AtomicBool>,
}

/// Opens a capture file. What is no regular file may stay silent, and is then waited for as long as
/// there is patience.
///
/// # Errors
/// [`Failure`] when it cannot be read or is none.
pub(in crate::cli) fn open(
    path: &Path,
    options: capture::Options,
    patience: Option<Patience<'_>>,
) -> Result<Opened, Failure> {
    let name = Input::File(path.to_owned()).name();
    let opened = match path.as_os_str() == "-" {
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        false => File::open(path),
    };
    let file = opened.map_err(|error| unreadable(&name, &error))?;
    let kind = file.metadata().map_err(|error| unreadable(&name, &error))?.file_type();
    if kind.is_dir() {
        return Err(unreadable(&name, &io::ErrorKind::IsADirectory.into()));
    }
    let may_be_silent = kind.is_fifo() || kind.is_socket() || kind.is_char_device();
    let (port, ended) = match patience.filter(|_| may_be_silent) {
        None => {
            let from = Box::new(file);
            (Capture::new(name, from, None, options).map_err(Failure::from), Arc::default())
        }
        Some(Patience { signals, until }) => {
            let heard: OwnedFd = signals.as_fd().try_clone_to_owned()?;
            let patient = Patient::new(file, heard, until);
            let ended = patient.ended();
            let port = Capture::new(name, Box::new(patient), None, options);
            (port.map_err(Failure::from), ended)
        }
    };
    match port {
        Ok(port) => Ok(Opened { port: Some(port), ended }),
        Err(_) if ended.load(Ordering::Relaxed) => Ok(Opened { port: None, ended }),
        Err(error) => Err(error),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::input(
        format!("cannot read {name}: {}", file::words(error)),
        "the capture file comes first, the object file last",
    )
}

/// Makes the TAP interfaces.
///
/// # Errors
/// The system's refusal.
pub(in crate::cli) fn tap(
    wire: &str,
    host: Option<&str>,
    ifindex: Option<u32>,
) -> Result<Tap, Failure> {
    if wire.is_empty() || wire.len() > 15 || host.is_some_and(|h| h.is_empty() || h.len() > 15) {
        return Err(Failure::input(
            format!("'{wire}' is no name for a TAP interface"),
            "tap:NAME, or tap:NAME,NAME with a second one for what the program passes",
        ));
    }
    let mut tap = Tap::open(wire, host, ifindex.unwrap_or(0))?;
    if ifindex.is_none() {
        let path = Path::new("/sys/class/net").join(wire).join("ifindex");
        let index = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        tap.set_ifindex(index.unwrap_or(1));
    }
    Ok(tap)
}

/// A word that names a file where only an interface can stand.
pub(in crate::cli) fn no_interface(word: &str, error: Error) -> Error {
    match Input::of(word) {
        Some(Input::File(path)) if path.exists() => Error::Input {
            what: format!("{word} is a file, not an interface"),
            hint: Some(format!(
                "'hoist run {word} OBJ' runs a program on a capture file, 'hoist trace {word} OBJ' \
                 steps one packet through it"
            )),
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_interfaces() {
        let file = |path: &str| Some(Input::File(path.into()));
        let cases = [
            ("eth0", None),
            ("lo", None),
            ("-", file("-")),
            ("a.pcap", file("a.pcap")),
            ("a.pcapng", file("a.pcapng")),
            ("./eth0", file("./eth0")),
            ("tap:t0", Some(Input::Tap("t0".to_owned(), None))),
            ("tap:t0,t1", Some(Input::Tap("t0".to_owned(), Some("t1".to_owned())))),
        ];
        for (word, input) in cases {
            assert_eq!(Input::of(word), input, "{word}");
        }
        assert_eq!(Input::File("-".into()).name(), "standard input");
    }
}
