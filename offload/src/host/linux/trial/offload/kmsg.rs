//! The kernel log, where drivers write what they tell nobody else.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// `O_NONBLOCK`, the same on every architecture but alpha, mips, parisc and sparc.
const O_NONBLOCK: i32 = 0o4000;
/// The largest record that `/dev/kmsg` gives (`PRINTKRB_RECORD_MAX`).
const RECORD_BYTES: usize = 8192;

/// What is written to the kernel log from now on.
#[derive(Debug)]
pub(super) struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Listens, where the kernel log may be read (`CAP_SYSLOG`, or `kernel.dmesg_restrict` off).
    pub(super) fn listen() -> Option<Self> {
        let mut file =
            OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open("/dev/kmsg").ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(Self { file })
    }

    /// The last line about this driver or about BPF since it was asked before.
    pub(super) fn last(&mut self, driver: &str) -> Option<String> {
        let mut found = None;
        let mut record = vec![0; RECORD_BYTES];
        // One record a read; nothing new is an error, and so is a record that was overwritten.
        while let Ok(bytes @ 1..) = self.file.read(&mut record) {
            let text = String::from_utf8_lossy(&record[..bytes]).into_owned();
            if let Some(line) = message(&text).filter(|line| concerns(line, driver)) {
                found = Some(line.to_owned());
            }
        }
        found
    }
}

/// The text of a record: `6,339,5140900,-;nfp: Translation failed with error -95`, with lines of
/// properties after it.
fn message(record: &str) -> Option<&str> {
    record.split_once(';').and_then(|(_, text)| text.lines().next())
}

fn concerns(line: &str, driver: &str) -> bool {
    let line = line.to_lowercase();
    line.contains("bpf") || (!driver.is_empty() && line.contains(driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_without_its_head_and_properties() {
        let record = "3,512,98123,-;nfp: Translation failed with error -95\n SUBSYSTEM=pci\n";
        assert_eq!(message(record), Some("nfp: Translation failed with error -95"));
        for (line, is) in [
            ("nfp: Translation failed with error -95", true),
            ("NFP: eBPF translation", true),
            ("usb 1-1: new device", false),
        ] {
            assert_eq!(concerns(line, "nfp"), is, "{line}");
        }
    }
}
