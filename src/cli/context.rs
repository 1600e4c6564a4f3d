//! What the command line means: a host to ask, a kernel to change, a registry and a shell.

use std::sync::Arc;

use hoist_offload::bpf::kernel::{Capability, Kernel, KernelError, Linux, netns};
use hoist_offload::host::{FakeHost, LinuxHost, Recording};
use hoist_offload::{Device, Error, Host, Registry, privilege};

use super::args::Global;
use super::failure::Failure;
use super::replay;
use super::shell::Shell;
use crate::file;
use crate::session::Session;

const ENOENT: i32 = 2;
const EINVAL: i32 = 22;

/// Needed to load a program.
pub(super) const LOAD: [Capability; 2] = [Capability::CapBpf, Capability::CapNetAdmin];

/// Needed for raw frames of an interface, where hoist itself runs the program.
pub(super) const FRAMES: [Capability; 2] = [Capability::CapNetAdmin, Capability::CapNetRaw];

/// Everything a command works with.
#[derive(Debug)]
pub(super) struct Context<'s> {
    /// All output.
    pub shell: &'s mut Shell,
    /// Engines and drivers.
    pub registry: Registry,
    /// Where facts come from.
    pub host: Arc<dyn Host>,
    /// What can be changed; absent when the host is a recording.
    kernel: Option<Arc<dyn Kernel>>,
}

impl<'s> Context<'s> {
    /// Enters the namespace and opens the host. With `remember` what trial loads found earlier is
    /// taken as it was. Must run before any thread is started: a namespace
    /// belongs to a thread.
    ///
    /// # Errors
    /// The namespace, the recording or the kernel could not be had.
    pub(super) fn open(
        global: &Global,
        remember: bool,
        registry: Registry,
        shell: &'s mut Shell,
    ) -> Result<Self, Failure> {
        if let Some(path) = &global.host {
            if let Some(netns) = &global.netns {
                return Err(Failure::input(
                    format!("--netns {netns}: a recorded host has no namespaces to enter"),
                    "leave --netns or --host away",
                ));
            }
            let host = Arc::new(FakeHost::new(recording(path)?));
            return Ok(Self { shell, registry, host, kernel: None });
        }
        if let Some(name) = &global.netns {
            let what = format!("enter network namespace {name}");
            privilege::require(what, &[Capability::CapSysAdmin])?;
            netns::enter(name).map_err(not_a_namespace)?;
        }
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
        let host = LinuxHost::new(kernel.clone());
        let host = Arc::new(if remember { host } else { host.without_cache() });
        Ok(Self { shell, registry, host, kernel: Some(kernel) })
    }

    /// The kernel, for a command that cannot do without it.
    ///
    /// # Errors
    /// [`Error::Input`] on a recorded host.
    pub(super) fn kernel(&self, what: &str) -> Result<Arc<dyn Kernel>, Failure> {
        self.kernel.clone().ok_or_else(|| {
            Failure::input(
                format!("{what} needs a running kernel, not a recording"),
                "leave --host away; 'hoist plan' and 'hoist probe' work on recordings",
            )
        })
    }

    /// Whether this is a running host, not a recording.
    pub(super) const fn is_live(&self) -> bool {
        self.kernel.is_some()
    }

    /// The planner on this host. It loads only where it may.
    pub(super) fn session(&self) -> Session<'_> {
        self.session_with(&LOAD)
    }

    /// The planner on this host, for engines that need these capabilities: without them it loads
    /// nothing.
    pub(super) fn session_with(&self, needed: &[Capability]) -> Session<'_> {
        let kernel = self.kernel.as_ref().filter(|_| privilege::missing(needed).is_empty());
        Session { host: self.host.as_ref(), kernel, registry: &self.registry }
    }

    /// A snapshot of an interface.
    ///
    /// # Errors
    /// It is not there; a file that stands in its place is named as such.
    pub(super) fn device(&self, name: &str) -> Result<Device, Error> {
        self.host.device(name).map_err(|error| replay::no_interface(name, error))
    }

    /// Snapshots of the named interfaces, each once, in the order given; without names, of all.
    ///
    /// # Errors
    /// The first interface that is not there.
    pub(super) fn devices(&self, names: &[String]) -> Result<Vec<Device>, Error> {
        if names.is_empty() {
            return self.host.devices();
        }
        let mut devices: Vec<Device> = Vec::with_capacity(names.len());
        for name in names {
            let device = self.device(name)?;
            if !devices.iter().any(|d| d.ifindex == device.ifindex) {
                devices.push(device);
            }
        }
        Ok(devices)
    }
}

/// A namespace that is not there, or is none, is a mistake of the caller, not of the kernel.
fn not_a_namespace(error: KernelError) -> Failure {
    match error.errno {
        ENOENT | EINVAL => {
            Failure::input(error.to_string(), "'ip netns list' shows those with a name")
        }
        _ => error.into(),
    }
}

fn recording(path: &std::path::Path) -> Result<Recording, Failure> {
    let name = path.display().to_string();
    let text = file::text(path).map_err(|error| {
        Failure::input(
            format!("cannot read {name}: {}", file::words(&error)),
            "'hoist probe --record FILE' writes one",
        )
    })?;
    Ok(Recording::from_json(&name, &text)?)
}
