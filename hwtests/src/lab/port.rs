//! One interface in one namespace.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::thread;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::netlink::Refusal;

use super::link::{self, LinkKind};
use super::{LabError, Namespace};
use crate::frame::Mac;

/// How long the kernel may take to call a link running. It sends link events once a second.
const UP_WITHIN: Duration = Duration::from_secs(3);

/// An interface and the namespace it is in. A handle: dropping it leaves the interface there.
#[derive(Clone, Debug)]
pub struct Port {
    /// The namespace it is in.
    pub namespace: Namespace,
    /// Its name there.
    pub name: String,
    /// Its index there.
    pub ifindex: u32,
    /// Its hardware address.
    pub mac: Mac,
}

impl Port {
    /// Makes a link of another kind than veth, and sets it up. It lives as long as the namespace.
    ///
    /// # Errors
    /// The kernel's refusal; `EOPNOTSUPP` where the kernel lacks this kind of link.
    pub fn create(
        namespace: &Namespace,
        name: &str,
        mac: Mac,
        kind: LinkKind<'_>,
    ) -> Result<Self, LabError> {
        namespace.run(|| link::create_kind(name, mac, kind)).map_err(|e| {
            LabError::refused("RTM_NEWLINK", format_args!("{} {name}", kind.name()), &e)
        })?;
        let port = Self::find(namespace, name)?;
        port.set_up(true)?;
        Ok(port)
    }

    /// An interface that exists.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn find(namespace: &Namespace, name: &str) -> Result<Self, LabError> {
        let state = namespace
            .run(|| link::get(name))
            .map_err(|e| LabError::refused("RTM_GETLINK", name, &e))?;
        Ok(Self {
            namespace: namespace.clone(),
            name: name.to_owned(),
            ifindex: state.ifindex,
            mac: state.mac,
        })
    }

    /// Adds an address.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn address(&self, address: impl Into<IpAddr>, prefix: u8) -> Result<(), LabError> {
        let address = address.into();
        self.ask("RTM_NEWADDR", || link::add_address(self.ifindex, address, prefix))
    }

    /// Says for good who has an address, so that nobody asks.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn neighbour(&self, address: impl Into<IpAddr>, mac: Mac) -> Result<(), LabError> {
        let address = address.into();
        self.ask("RTM_NEWNEIGH", || link::add_neighbour(self.ifindex, address, mac))
    }

    /// Sets the MTU, in bytes.
    ///
    /// # Errors
    /// The kernel's refusal, in its words.
    pub fn set_mtu(&self, bytes: u32) -> Result<(), LabError> {
        self.ask("RTM_NEWLINK", || link::set_mtu(self.ifindex, bytes))
    }

    /// The MTU, in bytes.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn mtu(&self) -> Result<u32, LabError> {
        Ok(self.ask("RTM_GETLINK", || link::get(&self.name))?.mtu_bytes)
    }

    /// Sets the interface up or down.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_up(&self, up: bool) -> Result<(), LabError> {
        self.ask("RTM_NEWLINK", || link::set_up(self.ifindex, up))
    }

    /// Waits until the kernel says the link carries packets; before, it drops what is sent.
    ///
    /// # Errors
    /// It does not within three seconds.
    pub fn wait_running(&self) -> Result<(), LabError> {
        let start = Instant::now();
        while start.elapsed() < UP_WITHIN {
            if self.ask("RTM_GETLINK", || link::get(&self.name))?.running {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(LabError::new("wait for", &self.name, "the link does not come up"))
    }

    /// Makes it a port of a bridge; `None` releases it.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_master(&self, master: Option<&Self>) -> Result<(), LabError> {
        self.ask("RTM_NEWLINK", || link::set_master(self.ifindex, master.map_or(0, |m| m.ifindex)))
    }

    /// Switches an ethtool feature by the kernel's name: `rx-gro`, `tx-checksum-ip-generic` ...
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_feature(&self, feature: &str, on: bool) -> Result<(), LabError> {
        self.ask("ETHTOOL_MSG_FEATURES_SET", || link::set_feature(&self.name, feature, on))
    }

    /// Moves it to another namespace, where it arrives down.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn move_to(self, namespace: &Namespace) -> Result<Self, LabError> {
        let descriptor = namespace.as_fd().as_raw_fd();
        self.ask("RTM_NEWLINK", || link::move_to(self.ifindex, descriptor))?;
        Self::find(namespace, &self.name)
    }

    /// Removes the interface; for a veth, both ends.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete(self) -> Result<(), LabError> {
        self.ask("RTM_DELLINK", || link::delete(self.ifindex))
    }

    /// Names of every interface in a namespace, loopback included.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn all(namespace: &Namespace) -> Result<Vec<String>, LabError> {
        namespace.run(link::names).map_err(|e| LabError::refused("RTM_GETLINK", "all links", &e))
    }

    fn ask<T: Send>(
        &self,
        operation: &str,
        question: impl FnOnce() -> Result<T, Refusal> + Send,
    ) -> Result<T, LabError> {
        self.namespace.run(question).map_err(|e| LabError::refused(operation, &self.name, &e))
    }
}
