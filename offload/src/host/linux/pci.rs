//! PCI identity. `/sys/bus` is the same in every network namespace, unlike `/sys/class/net`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::device::PciId;

/// Names of PCI vendors and devices, one a line, sorted: `15b3 Mellanox ...`, `15b3:1017 MT27800 ...`.
const NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/pci-names"));

/// Identity of the PCI function behind a parent device, for example `("pci", "0000:3b:00.0")` or
/// `("virtio", "virtio1")`.
pub(super) fn identity(bus: &str, address: &str) -> Option<PciId> {
    if address.contains('/') {
        return None;
    }
    let directory = function(Path::new("/sys/bus"), bus, address)?;
    named(number(&directory.join("vendor"))?, number(&directory.join("device"))?)
}

/// The directory of the PCI function: the device itself, or what a virtio device sits on.
fn function(buses: &Path, bus: &str, address: &str) -> Option<PathBuf> {
    let device = buses.join(bus).join("devices").join(address);
    match bus {
        "pci" => Some(device),
        "virtio" => {
            let parent = fs::canonicalize(device).ok()?.parent()?.to_path_buf();
            // A virtio device may sit on another bus (MMIO), whose devices have no such link.
            let subsystem = fs::canonicalize(parent.join("subsystem")).ok()?;
            (subsystem.file_name()? == "pci").then_some(parent)
        }
        _ => None,
    }
}

fn number(file: &Path) -> Option<u16> {
    let text = fs::read_to_string(file).ok()?;
    u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

fn named(vendor: u16, device: u16) -> Option<PciId> {
    Some(PciId {
        vendor,
        device,
        vendor_name: name(&format!("{vendor:04x} ")),
        device_name: name(&format!("{vendor:04x}:{device:04x} ")),
    })
}

/// The rest of the line of [`NAMES`] that begins with `key`.
fn name(key: &str) -> Option<String> {
    let line_at = |at: usize| NAMES[..at].rfind('\n').map_or(0, |end| end + 1);
    let line_end = |start: usize| NAMES[start..].find('\n').map_or(NAMES.len(), |n| start + n + 1);
    // Every line up to `low` comes before the key, every line from `high` on does not.
    let (mut low, mut high) = (0, NAMES.len());
    while low < high {
        let start = line_at(NAMES.floor_char_boundary(low + (high - low) / 2));
        if NAMES[start..] < *key {
            low = line_end(start);
        } else {
            high = start;
        }
    }
    Some(NAMES[low..line_end(low)].strip_prefix(key)?.trim_end().to_owned())
}

/// The bus that an address in `ethtool -i`'s notation belongs to.
pub(super) fn bus_of(address: &str) -> Option<&'static str> {
    if address.starts_with("virtio") {
        return Some("virtio");
    }
    let mut parts = address.split([':', '.']);
    let lengths = [4, 2, 2, 1];
    let hex =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    let matches = lengths.iter().all(|length| parts.next().is_some_and(|p| hex(p, *length)));
    (matches && parts.next().is_none()).then_some("pci")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn addresses_tell_their_bus() {
        let cases = [
            ("0000:3b:00.0", Some("pci")),
            ("virtio1", Some("virtio")),
            ("", None),
            ("0000:3b:00", None),
            ("usb-0000:00:14.0-1", None),
        ];
        for (address, bus) in cases {
            assert_eq!(bus_of(address), bus, "{address}");
        }
    }

    #[test]
    fn names_come_from_the_database() {
        let id = named(0x15b3, 0x1017).expect("an identity");
        assert_eq!(id.vendor_name.as_deref(), Some("Mellanox Technologies"));
        assert!(id.device_name.expect("a known device").contains("ConnectX-5"));
        assert_eq!(named(0x0002, 1).expect("an identity").vendor_name, None);
    }

    /// Every line is found by its key, the first and the last too.
    #[test]
    fn every_name_is_found() {
        for line in NAMES.lines() {
            let (key, rest) = line.split_at(line.find(' ').expect("a key") + 1);
            assert_eq!(name(key).as_deref(), Some(rest.trim_end()), "{key}");
        }
        assert_eq!([name("0000:0000 "), name("ffff:ffff ")], [None, None]);
    }

    /// A virtio NIC's identity is that of the PCI function under it; one on MMIO has none.
    #[test]
    fn virtio_devices_are_followed_to_their_parent() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |path: &str| root.path().join(path);
        for (parent, bus) in [("devices/0000:00:03.0", "pci"), ("devices/mmio0", "platform")] {
            fs::create_dir_all(at(parent).join("virtio")).expect("a device");
            fs::create_dir_all(at("bus").join(bus)).expect("a bus");
            symlink(at("bus").join(bus), at(parent).join("subsystem")).expect("a link");
        }
        fs::create_dir_all(at("bus/virtio/devices")).expect("a bus");
        symlink(at("devices/0000:00:03.0/virtio"), at("bus/virtio/devices/virtio0"))
            .expect("a link");
        symlink(at("devices/mmio0/virtio"), at("bus/virtio/devices/virtio1")).expect("a link");

        let found = |name| function(&at("bus"), "virtio", name);
        let parent = fs::canonicalize(at("devices/0000:00:03.0")).expect("a directory");
        assert_eq!(found("virtio0"), Some(parent));
        assert_eq!(found("virtio1"), None);
    }
}
