//! The same program without hoist: attached by iproute2.

use std::io;
use std::process::Command;

use hoist_offload::Error;

use super::subject::{Mode, Subject};

/// A program that `ip` attached; taken off on drop.
#[derive(Debug)]
pub(super) struct Control {
    device: String,
    mode: Mode,
    attached: bool,
}

impl Control {
    /// Attaches by `ip link set`, in the calling thread's network namespace.
    pub(super) fn attach(device: &str, mode: Mode, subject: &Subject) -> Result<Self, Error> {
        let program = subject.job.module.program(subject.job.program);
        let object = subject.object.display().to_string();
        ip(&["link", "set", "dev", device, mode.word(), "obj", &object, "program", &program.name])?;
        Ok(Self { device: device.to_owned(), mode, attached: true })
    }

    /// Takes the program off.
    pub(super) fn detach(mut self) -> Result<(), Error> {
        self.attached = false;
        ip(&["link", "set", "dev", &self.device, self.mode.word(), "off"])
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if self.attached {
            // Nobody is left to be told.
            drop(ip(&["link", "set", "dev", &self.device, self.mode.word(), "off"]));
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    let failed = |source| Error::Host {
        operation: "run",
        object: format!("ip {}", arguments.join(" ")),
        source,
    };
    let output = Command::new("ip").args(arguments).output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(failed(io::Error::other(said.join("; "))))
}
