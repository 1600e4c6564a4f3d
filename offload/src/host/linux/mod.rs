//! The running system as a [`Host`].
//!
//! Facts of interfaces come from netlink and ioctl, which answer for the thread's network namespace
//! however it was entered. `/sys/class/net` is not read: after `nsenter --net` it shows another
//! namespace's interfaces.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hoist_bpf::kernel::Kernel;
use hoist_bpf::kernel::netlink::Refusal;

use crate::device::Device;
use crate::error::Error;
use crate::fact::Fact;
use crate::host::{Finding, Host, HostReport, OffloadReport};

mod attached;
mod btf;
mod cache;
mod devlink;
mod dispatcher;
mod ethtool;
mod link;
mod netdev;
mod offload;
mod pci;
mod peer;
mod report;
mod snapshot;
mod system;
mod trial;

use cache::{Cache, Key, Sections};
use link::Link;
use snapshot::Sources;
use system::Asker;

/// The running system.
#[derive(Debug)]
pub struct LinuxHost {
    kernel: Arc<dyn Kernel>,
    asker: Asker,
    cache: Option<(Cache, Key)>,
    report: OnceLock<HostReport>,
    /// What earlier processes found and what can be read at once, once it was asked for.
    remembered: OnceLock<HostReport>,
}

impl LinuxHost {
    /// The system this process runs on, asked through `kernel` where BPF is concerned. What trial
    /// loads find is remembered until the next boot.
    #[must_use]
    pub fn new(kernel: Arc<dyn Kernel>) -> Self {
        let asker = system::asker();
        let cache = Cache::of(asker).zip(Key::current(asker));
        Self { kernel, asker, cache, report: OnceLock::new(), remembered: OnceLock::new() }
    }

    /// The same, but nothing is remembered or recalled between processes.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    fn recalled(&self) -> Sections {
        self.cache.as_ref().map(|(cache, key)| cache.read(key)).unwrap_or_default()
    }

    fn probe(&self) -> HostReport {
        let (kernel, capabilities) = (&*self.kernel, self.asker.capabilities);
        let recalled = self.recalled();
        let sections = report::probe(kernel, capabilities, recalled.clone());
        if let Some((cache, key)) = &self.cache {
            let conclusive = sections.clone().conclusive();
            if conclusive != recalled {
                cache.write(key, conclusive);
            }
        }
        let permitted = report::permitted(kernel, capabilities);
        report::assemble(kernel, capabilities, permitted, sections)
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

    fn offload(&self, device: &Device) -> Result<BTreeMap<String, Finding>, Error> {
        let trial =
            trial::Trial::new(&*self.kernel, &system::capabilities(self.asker.capabilities));
        Ok(trial::offload(&trial, device.ifindex))
    }

    fn offload_report(&self, device: &Device) -> Result<Option<OffloadReport>, Error> {
        if !trial::is_offload_device(&device.offload) {
            return Ok(None);
        }
        let trial =
            trial::Trial::new(&*self.kernel, &system::capabilities(self.asker.capabilities));
        let tried =
            trial::offload_report(&trial, device.ifindex, device.driver_name(), &device.offload);
        let (declared, free) = (offload::declared(device), offload::free(device));
        Ok(Some(OffloadReport { declared, free, ..tried }))
    }

    fn report(&self) -> Result<&HostReport, Error> {
        Ok(self.report.get_or_init(|| self.probe()))
    }

    fn known(&self) -> Result<Option<&HostReport>, Error> {
        let remembered = self.remembered.get_or_init(|| {
            let why = trial::unknown("not asked");
            report::remembered(&*self.kernel, self.asker.capabilities, why, self.recalled())
        });
        Ok(Some(remembered))
    }

    fn kernel_config(&self) -> Result<Fact<String>, Error> {
        Ok(system::configuration())
    }

    fn kernel_btf(&self) -> Result<Fact<Vec<u8>>, Error> {
        Ok(match self.kernel.kernel_btf()? {
            Some(bytes) => Fact::kernel((*bytes).as_ref().to_vec(), "/sys/kernel/btf/vmlinux"),
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
