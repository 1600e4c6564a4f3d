//! Where figures are taken: two namespaces, a veth pair, an object file, and commands that are timed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hoist_hwtests::lab::{Lab, Port};

/// A reason in words.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A value or a reason.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Two namespaces joined by a veth pair, and what is measured there.
#[derive(Debug)]
pub(crate) struct World {
    lab: Lab,
    folder: PathBuf,
    hoist: PathBuf,
    /// Pairs per comparison of commands.
    pub(crate) pairs: usize,
}

impl World {
    pub(crate) fn new(hoist: &Path, pairs: usize) -> Outcome<Self> {
        let hoist = fs::canonicalize(hoist).map_err(|e| {
            format!("{}: {e}; build it first: cargo build --release --workspace", hoist.display())
        })?;
        let folder = std::env::temp_dir().join(format!("hoist-compare-{}", std::process::id()));
        fs::create_dir(&folder)?;
        // GRO on the receiving end: with generic XDP there is no other NAPI to take the frames.
        let lab = Lab::with(|near| near.gro(true), |far| far)?;
        Ok(Self { lab, folder, hoist, pairs })
    }

    /// The device that programs are attached to.
    pub(crate) fn near(&self) -> &Port {
        self.lab.near()
    }

    /// The device that sends to it.
    pub(crate) fn far(&self) -> &Port {
        self.lab.far()
    }

    /// A program that comes with hoist, as a file.
    pub(crate) fn object(&self, name: &str) -> Outcome<PathBuf> {
        let prebuilt =
            hoist_bpf::programs::get(name).ok_or_else(|| format!("no program {name}"))?;
        let path = self.folder.join(format!("{name}.bpf.o"));
        fs::write(&path, prebuilt.object)?;
        Ok(path)
    }

    /// A command of hoist, in the near namespace.
    pub(crate) fn hoist(&self, arguments: &[&str]) -> Timed<'_> {
        self.tool(&self.hoist, arguments)
    }

    /// A command in the near namespace.
    pub(crate) fn tool(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Timed<'_> {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Timed { world: self, command }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A leftover in the temporary folder is harmless.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command that is run to its end and timed.
pub(crate) struct Timed<'w> {
    world: &'w World,
    command: Command,
}

impl Timed<'_> {
    /// Wall time from before `fork(2)` to after `wait(2)`.
    pub(crate) fn wall(mut self) -> Outcome<Duration> {
        let (output, took) = self.world.near().namespace.run(|| {
            let start = Instant::now();
            (self.command.output(), start.elapsed())
        });
        let output = output.map_err(|e| self.failed(&e.to_string()))?;
        if !output.status.success() {
            return Err(self.failed(String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(took)
    }

    /// Time the command spent on a CPU, in user space and in the kernel; what it waited for is not
    /// in it. Only the main thread counts, and these commands have no other.
    pub(crate) fn cpu(mut self) -> Outcome<Duration> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut child = self.world.near().namespace.spawn(&mut self.command)?;
        // Looked at as a zombie: complete, and not yet gone.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), options)?;
        let times = fs::read_to_string(format!("/proc/{}/schedstat", child.id()))?;
        if !child.wait()?.success() {
            return Err(self.failed("see above"));
        }
        let nanoseconds = times.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The same of all threads, in the hundredths of a second that the kernel tells.
    pub(crate) fn cpu_of_all_threads(mut self) -> Outcome<Duration> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut child = self.world.near().namespace.spawn(&mut self.command)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), options)?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
        if !child.wait()?.success() {
            return Err(self.failed("see above"));
        }
        // The name may have blanks; utime and stime are the fields 14 and 15 (proc(5)).
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Starts the command; the caller ends it.
    pub(crate) fn start(mut self) -> Outcome<std::process::Child> {
        Ok(self.world.near().namespace.spawn(&mut self.command)?)
    }

    fn failed(&self, why: &str) -> Failure {
        let words = self.command.get_args().map(|a| a.to_string_lossy().into_owned());
        let line = words.collect::<Vec<_>>().join(" ");
        format!("{} {line}: {why}", self.command.get_program().display()).into()
    }
}

/// Milliseconds, for series.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
