//! The ethtool questions that netlink does not answer, or answers more slowly (`SIOCETHTOOL`).
//! These only read.
#![expect(unsafe_code, reason = "SIOCETHTOOL takes a pointer to a pointer")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::KernelError;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GTSO: u32 = 0x1e;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;
const ETH_GSTRING_LEN: usize = 32;
/// More counters than any driver has, and room for them.
const MOST_STATISTICS: usize = 1 << 16;
const ETHTOOL_BUSINFO_LEN: usize = 32;
const DRVINFO_BYTES: usize = 196;

/// `struct ethtool_drvinfo` as far as it is of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// Kernel driver, for example `mlx5_core`.
    pub driver: String,
    /// Firmware version; empty when the driver does not say.
    pub firmware: String,
    /// Bus address, for example `0000:3b:00.0` or `virtio1`; empty for software devices.
    pub bus: String,
}

/// `struct ethtool_channels`: queue counts, current and largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Largest receive only.
    pub max_rx: u32,
    /// Largest transmit only.
    pub max_tx: u32,
    /// Largest combined.
    pub max_combined: u32,
    /// Receive only.
    pub rx: u32,
    /// Transmit only.
    pub tx: u32,
    /// Combined.
    pub combined: u32,
}

/// A socket to ask through, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    /// Opens the socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system's refusal of a datagram socket.
    pub fn new() -> Result<Self, KernelError> {
        // SAFETY: socket(2) takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(last_error("socket", "AF_INET datagram"));
        }
        // SAFETY: the kernel just returned this descriptor and nobody else holds it.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Driver, firmware version and bus address.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from devices without ethtool operations, `ENODEV` for an unknown interface.
    pub fn driver_info(&self, interface: &str) -> Result<DriverInfo, KernelError> {
        let mut info = [0_u8; DRVINFO_BYTES];
        info[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
        self.call("ETHTOOL_GDRVINFO", interface, &mut info)?;
        let field = |field: usize| {
            let start = 4 + field * ETHTOOL_BUSINFO_LEN;
            text(&info[start..start + ETHTOOL_BUSINFO_LEN])
        };
        Ok(DriverInfo { driver: field(0), firmware: field(2), bus: field(3) })
    }

    /// Channel counts. For drivers that report them, these are the queues in use now.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from drivers without channels, `ENODEV` for an unknown interface.
    pub fn channels(&self, interface: &str) -> Result<Channels, KernelError> {
        let mut raw = [0_u8; 36];
        raw[..4].copy_from_slice(&ETHTOOL_GCHANNELS.to_ne_bytes());
        self.call("ETHTOOL_GCHANNELS", interface, &mut raw)?;
        let field = |i: usize| word(&raw, i * 4);
        Ok(Channels {
            max_rx: field(1),
            max_tx: field(2),
            max_combined: field(4),
            rx: field(5),
            tx: field(6),
            combined: field(8),
        })
    }

    /// Whether generic receive offload is on.
    ///
    /// # Errors
    /// `ENODEV` for an unknown interface.
    pub fn gro(&self, interface: &str) -> Result<bool, KernelError> {
        self.flag("ETHTOOL_GGRO", ETHTOOL_GGRO, interface)
    }

    /// Whether the stack leaves the segmentation of TCP to the device.
    ///
    /// # Errors
    /// `ENODEV` for an unknown interface.
    pub fn tso(&self, interface: &str) -> Result<bool, KernelError> {
        self.flag("ETHTOOL_GTSO", ETHTOOL_GTSO, interface)
    }

    /// The driver's own counters by name, in its order: what `ethtool -S` prints.
    ///
    /// # Errors
    /// `EOPNOTSUPP` from drivers without any, `ENODEV` for an unknown interface, `EAGAIN` where their
    /// number changed meanwhile.
    pub fn statistics(&self, interface: &str) -> Result<Vec<(String, u64)>, KernelError> {
        // struct ethtool_sset_info: command, reserved, mask of sets (64 bits), a number for each.
        let mut sets = [0_u8; 20];
        sets[..4].copy_from_slice(&ETHTOOL_GSSET_INFO.to_ne_bytes());
        sets[8..16].copy_from_slice(&(1_u64 << ETH_SS_STATS).to_ne_bytes());
        self.call("ETHTOOL_GSSET_INFO", interface, &mut sets)?;
        let mask = sets.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes);
        let number = if mask == 0 { 0 } else { word(&sets, 16) as usize };
        if number == 0 || number > MOST_STATISTICS {
            return Err(error("ETHTOOL_GSTATS", interface, libc::EOPNOTSUPP));
        }
        // struct ethtool_gstrings: command, set, number, names. The kernel writes as many as the driver
        // has by then, whatever number it is told; memory that it leaves alone costs nothing.
        let mut names = vec![0_u8; 12 + MOST_STATISTICS * ETH_GSTRING_LEN];
        names[..4].copy_from_slice(&ETHTOOL_GSTRINGS.to_ne_bytes());
        names[4..8].copy_from_slice(&ETH_SS_STATS.to_ne_bytes());
        names[8..12].copy_from_slice(&word(&sets, 16).to_ne_bytes());
        self.call("ETHTOOL_GSTRINGS", interface, &mut names)?;
        // struct ethtool_stats: command, number, values.
        let mut values = vec![0_u8; 8 + MOST_STATISTICS * 8];
        values[..4].copy_from_slice(&ETHTOOL_GSTATS.to_ne_bytes());
        values[4..8].copy_from_slice(&word(&sets, 16).to_ne_bytes());
        self.call("ETHTOOL_GSTATS", interface, &mut values)?;
        if word(&names, 8) as usize != number || word(&values, 4) as usize != number {
            return Err(error("ETHTOOL_GSTATS", interface, libc::EAGAIN));
        }
        let names = names[12..].chunks_exact(ETH_GSTRING_LEN).take(number).map(text);
        let values = values[8..].as_chunks::<8>().0.iter().map(|b| u64::from_ne_bytes(*b));
        Ok(names.zip(values).collect())
    }

    /// One setting of `struct ethtool_value`.
    fn flag(&self, what: &str, command: u32, interface: &str) -> Result<bool, KernelError> {
        let mut raw = [0_u8; 8];
        raw[..4].copy_from_slice(&command.to_ne_bytes());
        self.call(what, interface, &mut raw)?;
        Ok(raw[4..].iter().any(|b| *b != 0))
    }

    fn call(&self, what: &str, interface: &str, data: &mut [u8]) -> Result<(), KernelError> {
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data.as_mut_ptr().cast() },
        };
        if interface.len() >= libc::IFNAMSIZ || interface.is_empty() {
            return Err(error(what, interface, libc::ENODEV));
        }
        for (slot, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *slot = libc::c_char::from_ne_bytes([byte]);
        }
        // SAFETY: the request's name is NUL-terminated (checked above) and its data pointer covers
        // the structure that the command in its first word reads and writes, which the callers size.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &mut request) };
        if result < 0 { Err(last_error(what, interface)) } else { Ok(()) }
    }
}

/// Text up to the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Four bytes at an offset, as a number.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn last_error(operation: &str, object: &str) -> KernelError {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    error(operation, object, errno)
}

fn error(operation: &str, object: &str, errno: i32) -> KernelError {
    KernelError {
        operation: operation.to_owned(),
        object: object.to_owned(),
        errno,
        message: None,
        log: None,
    }
}
