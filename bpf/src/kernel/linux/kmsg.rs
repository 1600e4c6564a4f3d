//! The kernel's log: what drivers say to nobody in particular.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::kernel::{KernelError, LogLines};

const PATH: &str = "/dev/kmsg";
/// `PRINTK_MESSAGE_MAX` (kernel/printk/printk.c): a shorter buffer is refused.
const RECORD_BYTES: usize = 8192;

pub(super) fn from_now_on() -> Result<LogLines, KernelError> {
    let open = || -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(PATH)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    };
    let mut file = open().map_err(|error| KernelError::io("open", PATH, &error))?;
    Ok(Box::new(std::iter::from_fn(move || next(&mut file))))
}

/// One read gives one record: `priority,sequence,time,flags;text`, then lines of key and value.
fn next(file: &mut File) -> Option<String> {
    let mut record = [0; RECORD_BYTES];
    loop {
        match file.read(&mut record) {
            Ok(length) => return text(&record[..length]),
            // Records were overwritten before they were read; the next one is there.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn text(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.split_once(';')?;
    Some(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_is_its_text() {
        let record = b"6,1188,52634109,-;nfp: map flags are not supported\n SUBSYSTEM=pci\n";
        assert_eq!(super::text(record).as_deref(), Some("nfp: map flags are not supported"));
        assert_eq!(super::text(b""), None);
    }
}
