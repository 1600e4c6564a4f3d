//! Starting qemu, watching it, ending it.

use std::fmt;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::port::{Mark, Port};
use super::{Cache, Job, Kernel, Lab, VmError, host, image};

/// From start to the first job, on a busy host under emulation.
const BOOT: Duration = Duration::from_secs(180);

/// What a job may take beyond its own limit, and the end of the machine.
const GRACE: Duration = Duration::from_secs(20);

/// How often the machine is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Lines of the console that an error shows.
const SHOWN: usize = 40;

/// The kernel's command line. An oops ends the machine at once, with its text on the console; a busy
/// host is no lockup; and the check of the timer's interrupt fails on hosts that are busy.
const COMMAND_LINE: &str =
    "console=ttyS0 panic=-1 oops=panic loglevel=5 no_timer_check nowatchdog random.trust_cpu=on";

/// What a kernel prints when it has failed. A warning is a failure too: the kernel met what its
/// authors thought impossible.
const FAULTS: [&str; 6] = [
    "Kernel panic",
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "WARNING: CPU",
    "unregister_netdevice: waiting for",
];

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// qemu's translator.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "emulated (TCG)",
        })
    }
}

impl Accelerator {
    /// KVM where a machine boots with it: the device may be there and yet not work, for example
    /// within another virtual machine. Tried once after each boot of the host. `HOIST_VM_ACCEL=tcg`
    /// or `kvm` decides without a trial.
    pub(super) fn trial(cache: &Cache, kernel: &Kernel) -> Result<Self, VmError> {
        match std::env::var("HOIST_VM_ACCEL").as_deref() {
            Ok("tcg") => return Ok(Self::Tcg),
            Ok("kvm") => return Ok(Self::Kvm),
            _ => {}
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let tried = cache.entry("kvm", boot.trim(), |folder| {
            // A trial that cannot even start has answered, too.
            if kvm_boots(kernel).unwrap_or(false) {
                fs::write(folder.join("works"), "")
                    .map_err(|e| VmError::io("write", folder, &e))?;
            }
            Ok(())
        })?;
        Ok(if tried.join("works").exists() { Self::Kvm } else { Self::Tcg })
    }

    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

fn kvm_boots(kernel: &Kernel) -> Result<bool, VmError> {
    const LIMIT: Duration = Duration::from_secs(20);
    const BOOTED: &str = "hoist: booted";
    let device = Path::new("/dev/kvm");
    if fs::OpenOptions::new().read(true).write(true).open(device).is_err() {
        return Ok(false);
    }
    let folder = host::folder("trial")?;
    let initrd = image::trial(&folder, BOOTED)?;
    let console = folder.join("console.log");
    let mut command = qemu();
    command.args(Accelerator::Kvm.arguments()).args(["-m", "512", "-smp", "1"]);
    boot(&mut command, kernel, &initrd);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    let mut machine = Running::start(&mut command, &folder)?;
    let start = Instant::now();
    let mut booted = false;
    while !booted && start.elapsed() < LIMIT && !machine.ended()? {
        thread::sleep(INTERVAL);
        booted = fs::read_to_string(&console).is_ok_and(|text| text.contains(BOOTED));
    }
    drop(machine);
    // What cannot be removed costs space, nothing else.
    let _ = fs::remove_dir_all(&folder);
    Ok(booted)
}

/// qemu without any device, which dies with the thread that starts it.
fn qemu() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]).args([
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc",
    ]);
    command.env("PATH", host::search_path());
    command
}

fn boot(command: &mut Command, kernel: &Kernel, initrd: &Path) {
    command.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initrd);
    command.args(["-append", COMMAND_LINE]);
}

/// A qemu that is killed when this is dropped.
struct Running {
    child: Child,
}

impl Running {
    fn start(command: &mut Command, folder: &Path) -> Result<Self, VmError> {
        let log = folder.join("qemu.log");
        let file = fs::File::create(&log).map_err(|e| VmError::io("create", &log, &e))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().map_err(|e| VmError::failed("start", "qemu", e))?;
        Ok(Self { child })
    }

    fn ended(&mut self) -> Result<bool, VmError> {
        let status = self.child.try_wait().map_err(|e| VmError::failed("wait for", "qemu", e))?;
        Ok(status.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The first job starts, so long after qemu did.
    Booted(Duration),
    /// A job starts.
    Started(&'a Job),
    /// A job has ended.
    Ended(&'a Done),
}

/// What a job did.
#[derive(Clone, Debug)]
pub struct Done {
    /// Name of the job.
    pub name: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status as a shell has it: 128 and the signal's number when it was killed.
    pub status: i32,
    /// How long it ran.
    pub time: Duration,
    /// Whether it was ended because it took too long.
    pub timed_out: bool,
}

/// What a machine did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its jobs, in order.
    pub done: Vec<Done>,
    /// From qemu's start to the first job.
    pub boot: Duration,
    /// From qemu's start to its end.
    pub time: Duration,
    /// Folder of the logs: console, output of the jobs, qemu's own.
    pub logs: PathBuf,
}

/// A machine about to start.
pub(super) struct Start<'a> {
    pub(super) lab: &'a Lab,
    pub(super) initrd: &'a Path,
    pub(super) folder: &'a Path,
}

impl Start<'_> {
    fn command(&self) -> Command {
        let (lab, mut command) = (self.lab, qemu());
        command.args(lab.accelerator.arguments());
        command.args(["-m", &lab.machine.memory.to_string()]);
        command.args(["-smp", &lab.machine.cpus.to_string()]);
        // A card whose wire leads nowhere, which qemu warns of, for what wants a driver of a real bus.
        command.args(["-netdev", "hubport,id=wire,hubid=0"]);
        command.args(["-device", "virtio-net-pci,netdev=wire,romfile="]);
        boot(&mut command, &lab.kernel, self.initrd);
        command
    }

    /// A shell on this terminal.
    pub(super) fn shell(&self) -> Result<(), VmError> {
        // What a pipe has to say is lost while the machine boots, and its end would end nothing.
        if !std::io::stdin().is_terminal() {
            let cause = "standard input is no terminal; to run a command, name it after --";
            return Err(VmError::failed("start", "a shell in the machine", cause));
        }
        let mut command = self.command();
        command.args(["-chardev", "stdio,id=terminal,signal=off", "-serial", "chardev:terminal"]);
        let status = command.status().map_err(|e| VmError::failed("start", "qemu", e))?;
        // The logs of a shell are what the person saw.
        let _ = fs::remove_dir_all(self.folder);
        if status.success() {
            return Ok(());
        }
        Err(VmError::failed("qemu-system-x86_64", &self.lab.machine.series, status))
    }

    /// Runs the jobs.
    pub(super) fn run(
        &self,
        jobs: &[Job],
        token: &str,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<Run, VmError> {
        let path = |name: &str| self.folder.join(name);
        let ports = ["console.log", "stdout.log", "stderr.log"].map(path);
        let mut command = self.command();
        for port in &ports {
            command.arg("-serial").arg(format!("file:{}", port.display()));
        }
        let start = Instant::now();
        let mut watch = Watch {
            machine: Running::start(&mut command, self.folder)?,
            console: Port::new(&ports[0], token, 0),
            stdout: Port::new(&ports[1], token, jobs.len()),
            stderr: Port::new(&ports[2], token, jobs.len()),
            jobs,
            current: None,
            since: start,
            done: Vec::new(),
        };
        let mut boot = None;
        let outcome = watch.until_done(&mut |event| {
            if boot.is_none() {
                boot = Some(start.elapsed());
                report(Event::Booted(start.elapsed()));
            }
            report(event);
        });
        // The image is large, and made anew each time.
        let _ = fs::remove_file(self.initrd);
        outcome.map_err(|e| self.with_qemus_words(e))?;
        let boot = boot.unwrap_or_default();
        Ok(Run { done: watch.done, boot, time: start.elapsed(), logs: self.folder.to_owned() })
    }

    /// A qemu that refused its arguments printed nothing on the console.
    fn with_qemus_words(&self, error: VmError) -> VmError {
        let words = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        match error {
            VmError::Ended { how, during, console } if !words.trim().is_empty() => {
                let console = format!("{console}\nqemu: {}", host::last_lines(words.trim(), 5));
                VmError::Ended { how, during, console }
            }
            other => other,
        }
    }
}

/// A machine that runs its jobs.
struct Watch<'a> {
    machine: Running,
    console: Port,
    stdout: Port,
    stderr: Port,
    jobs: &'a [Job],
    /// The job that runs.
    current: Option<usize>,
    /// When that started, or the machine.
    since: Instant,
    done: Vec<Done>,
}

impl Watch<'_> {
    fn until_done(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<(), VmError> {
        loop {
            // Asked first: what is read afterwards is all there is.
            let ended = self.machine.ended()?;
            self.console.read()?;
            self.stderr.read()?;
            self.stdout.read()?;
            for mark in self.stdout.marks() {
                self.mark(mark, report);
            }
            if let Some(text) = fault(self.console.all()) {
                return Err(VmError::Kernel { during: self.during(), text });
            }
            if ended && self.done.len() == self.jobs.len() {
                return Ok(());
            }
            if ended {
                return Err(self.stopped("ended".to_owned()));
            }
            let limit = self.current.map_or(BOOT, |n| self.jobs[n].limit + GRACE);
            if self.since.elapsed() > limit {
                return Err(self.stopped(format!("took longer than {} s", limit.as_secs())));
            }
            thread::sleep(INTERVAL);
        }
    }

    fn mark(&mut self, mark: Mark, report: &mut dyn FnMut(Event<'_>)) {
        match mark {
            Mark::Start(number) if number < self.jobs.len() => {
                self.current = Some(number);
                self.since = Instant::now();
                report(Event::Started(&self.jobs[number]));
            }
            Mark::End(number, status) if number < self.jobs.len() => {
                let job = &self.jobs[number];
                let time = self.since.elapsed();
                // The ports are not one stream: what was written before may be read after.
                let until = Instant::now() + GRACE;
                while !self.stderr.has_ended(number) && Instant::now() < until {
                    thread::sleep(INTERVAL);
                    if self.stderr.read().is_err() {
                        break;
                    }
                }
                let done = Done {
                    name: job.name.clone(),
                    stdout: self.stdout.take(number),
                    stderr: self.stderr.take(number),
                    status,
                    time,
                    timed_out: time >= job.limit && status > 128,
                };
                report(Event::Ended(&done));
                self.done.push(done);
                self.since = Instant::now();
            }
            Mark::Start(_) | Mark::End(..) => {}
        }
    }

    fn during(&self) -> String {
        self.current.map_or("it booted".to_owned(), |n| format!("{} ran", self.jobs[n].name))
    }

    fn stopped(&self, how: String) -> VmError {
        let mut console = host::last_lines(self.console.all().trim_end(), SHOWN);
        if let Some(number) = self.current {
            let said = [&self.stdout, &self.stderr].map(|p| host::last_lines(p.text(number), 10));
            console.push_str(&format!("\nits last output:\n{}\n{}", said[0], said[1]));
        }
        VmError::Ended { how, during: self.during(), console }
    }
}

/// The kernel's words when it has failed and finished telling so.
fn fault(console: &str) -> Option<String> {
    let at = FAULTS.iter().filter_map(|fault| console.find(fault)).min()?;
    let start = console[..at].rfind('\n').map_or(0, |n| n + 1);
    let text: Vec<&str> = console[start..].lines().take(SHOWN).collect();
    Some(text.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_faults_are_found_with_their_text() {
        let console = "[ 1.0] netdevsim: loading\n[ 2.0] BUG: kernel NULL pointer\n[ 2.1] RIP: x\n";
        assert_eq!(fault(console).unwrap(), "[ 2.0] BUG: kernel NULL pointer\n[ 2.1] RIP: x");
        let warning = "a\n[ 3.0] WARNING: CPU: 0 PID: 1 at drivers/net/netdevsim/bpf.c:108\n";
        assert!(fault(warning).unwrap().starts_with("[ 3.0] WARNING"));
        assert_eq!(fault("[ 1.0] netdevsim: module verification failed\n"), None);
    }
}
