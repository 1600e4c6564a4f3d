//! The running system as a [`Host`].
//!
//! Facts of interfaces come from netlink and ioctl, which answer for the thread's network namespace
//! however it was entered. `/sys/class/net` is not read: after `nsenter --net` it shows another
//! namespace's interfaces.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_bpf::kernel::netlink::Refusal;

use crate::device::Device;
use crate::error::Error;
use crate::fact::Fact;
use crate::host::{Host, HostReport};

mod attached;
mod btf;
mod dispatcher;
mod ethtool;
mod link;
mod netdev;
mod pci;
mod peer;
mod report;
mod snapshot;
mod system;
mod trial;

use link::Link;
use snapshot::Sources;

/// The running system.
#[derive(Clone, Debug)]
pub struct LinuxHost {
    kernel: Arc<dyn Kernel>,
}

impl LinuxHost {
    /// The system this process runs on, asked through `kernel` where BPF is concerned.
    #[must_use]
    pub fn new(kernel: Arc<dyn Kernel>) -> Self {
        Self { kernel }
    }
}

impl Host for LinuxHost {
    fn interfaces(&self) -> Result<Vec<String>, Error> {
        Ok(links()?.into_iter().map(|l| l.name).collect())
    }

    fn device(&self, name: &str) -> Result<Device, Error> {
        let links = links()?;
        let Some(link) = links.iter().find(|l| l.is_called(name)) else {
            return Err(no_interface(name, &links));
        };
        Ok(Sources::one(link).device(&*self.kernel, link, &links))
    }

    fn devices(&self) -> Result<Vec<Device>, Error> {
        let links = links()?;
        let sources = Sources::all();
        Ok(links.iter().map(|link| sources.device(&*self.kernel, link, &links)).collect())
    }

    fn report(&self) -> Result<HostReport, Error> {
        Ok(report::report(&*self.kernel, system::effective()))
    }

    fn known(&self) -> Result<Option<HostReport>, Error> {
        Ok(None)
    }

    fn kernel_config(&self) -> Result<Fact<String>, Error> {
        Ok(system::configuration())
    }

    fn kernel_btf(&self) -> Result<Fact<Vec<u8>>, Error> {
        Ok(match self.kernel.kernel_btf()? {
            Some(bytes) => Fact::kernel(bytes, "/sys/kernel/btf/vmlinux"),
            None => Fact::unknown("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"),
        })
    }
}

fn links() -> Result<Vec<Link>, Error> {
    link::links().map_err(|refusal: Refusal| refusal.about("RTM_GETLINK", "interfaces").into())
}

fn no_interface(name: &str, links: &[Link]) -> Error {
    let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
    crate::host::no_interface(name, &names)
}
