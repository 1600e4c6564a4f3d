//! What a machine writes to one of its serial ports, read while it does.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::VmError;

/// A line of the script's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The job of that number starts.
    Start(usize),
    /// It ended with this exit status.
    End(usize, i32),
}

/// A port whose bytes qemu writes to a file.
pub(super) struct Port {
    path: PathBuf,
    token: String,
    read: u64,
    /// Bytes of a line that has not ended.
    partial: Vec<u8>,
    /// Everything, where no job writes to the port.
    all: String,
    /// What each job wrote, and whether it has ended.
    jobs: Vec<(String, bool)>,
    current: Option<usize>,
    marks: Vec<Mark>,
}

impl Port {
    pub(super) fn new(path: &Path, token: &str, jobs: usize) -> Self {
        Self {
            path: path.to_owned(),
            token: token.to_owned(),
            read: 0,
            partial: Vec::new(),
            all: String::new(),
            jobs: vec![(String::new(), false); jobs],
            current: None,
            marks: Vec::new(),
        }
    }

    /// Reads what is new.
    pub(super) fn read(&mut self) -> Result<(), VmError> {
        // qemu makes the file when it starts.
        let Ok(mut file) = File::open(&self.path) else { return Ok(()) };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(|e| VmError::io("read", &self.path, &e))?;
        self.read += bytes.len() as u64;
        self.take_in(&bytes);
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|b| *b == b'\n') else { return };
        let rest = self.partial.split_off(end + 1);
        let lines = std::mem::replace(&mut self.partial, rest);
        for line in String::from_utf8_lossy(&lines).split_inclusive('\n') {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let marked = line.strip_prefix(&self.token).map(|l| l.split_whitespace());
        let Some(mut words) = marked else {
            let text = match self.current {
                Some(number) => &mut self.jobs[number].0,
                None => &mut self.all,
            };
            text.push_str(line);
            return;
        };
        let kind = words.next();
        let mut number = || words.next()?.parse::<i32>().ok();
        let job = number().and_then(|n| usize::try_from(n).ok()).filter(|n| *n < self.jobs.len());
        match (kind, job, number()) {
            (Some("start"), Some(job), _) => {
                self.current = Some(job);
                self.marks.push(Mark::Start(job));
            }
            (Some("end"), Some(job), Some(status)) => {
                self.current = None;
                self.jobs[job].1 = true;
                self.marks.push(Mark::End(job, status));
            }
            _ => {}
        }
    }

    /// Marks since the last call.
    pub(super) fn marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// Whether all is read that a job wrote.
    pub(super) fn has_ended(&self, job: usize) -> bool {
        self.jobs.get(job).is_none_or(|(_, ended)| *ended)
    }

    /// What a job wrote so far.
    pub(super) fn text(&self, job: usize) -> &str {
        self.jobs.get(job).map_or("", |(text, _)| text)
    }

    /// Takes what a job wrote, without the end of line that precedes a mark.
    pub(super) fn take(&mut self, job: usize) -> String {
        let mut text = self.jobs.get_mut(job).map(|(t, _)| std::mem::take(t)).unwrap_or_default();
        if text.ends_with('\n') {
            text.pop();
        }
        text
    }

    /// What no job wrote.
    pub(super) fn all(&self) -> &str {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_separate_jobs_wherever_the_bytes_are_cut() {
        let bytes = b"boot\n\n@@1 start 0\nhello\nno end of line\n@@1 end 0 101\n\n@@1 start 1\n\
                      \n@@1 end 1 0\n\n@@1 done\n@@1 start 7\n";
        for cut in 0..bytes.len() {
            let mut port = Port::new(Path::new("/nowhere"), "@@1", 2);
            port.take_in(&bytes[..cut]);
            port.take_in(&bytes[cut..]);
            let marks = [Mark::Start(0), Mark::End(0, 101), Mark::Start(1), Mark::End(1, 0)];
            assert_eq!(port.marks(), marks, "cut at {cut}");
            assert_eq!(port.take(0), "hello\nno end of line");
            assert_eq!(port.take(1), "");
            assert!(port.has_ended(1));
        }
    }
}
