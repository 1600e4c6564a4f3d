//! veth pairs.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};

use hoist_bpf::kernel::netlink::Builder;

use super::link::{
    self, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_NET_NS_FD, IFLA_NUM_RX_QUEUES,
    IFLA_NUM_TX_QUEUES,
};
use super::{LabError, Namespace, Port};
use crate::frame::{Mac, mac};

/// What one end of a pair shall be.
#[derive(Clone, Debug)]
pub struct End {
    name: String,
    mac: Mac,
    mtu_bytes: u32,
    rx_queues: u32,
    tx_queues: u32,
    gro: bool,
    tx_checksum: bool,
    up: bool,
    addresses: Vec<(IpAddr, u8)>,
}

impl End {
    /// An end with the hardware address `02:00:00:00:00:n`, MTU 1500, one queue each way, GRO off
    /// (as the kernel has it), checksums computed in software, up.
    #[must_use]
    pub fn new(name: &str, n: u8) -> Self {
        Self {
            name: name.to_owned(),
            mac: mac(n),
            mtu_bytes: 1500,
            rx_queues: 1,
            tx_queues: 1,
            gro: false,
            tx_checksum: false,
            up: true,
            addresses: Vec::new(),
        }
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// MTU in bytes.
    #[must_use]
    pub const fn mtu(mut self, bytes: u32) -> Self {
        self.mtu_bytes = bytes;
        self
    }

    /// Receive and transmit queues.
    #[must_use]
    pub const fn queues(mut self, rx: u32, tx: u32) -> Self {
        self.rx_queues = rx;
        self.tx_queues = tx;
        self
    }

    /// Generic receive offload, which starts NAPI on this end; without NAPI or a native program here,
    /// the other end's `XDP_TX` and redirects to the other end are lost.
    #[must_use]
    pub const fn gro(mut self, on: bool) -> Self {
        self.gro = on;
        self
    }

    /// Leaves transmit checksums to "hardware", that is, unfinished in the frames the other end sees.
    #[must_use]
    pub const fn tx_checksum(mut self, on: bool) -> Self {
        self.tx_checksum = on;
        self
    }

    /// Leaves the interface down.
    #[must_use]
    pub const fn down(mut self) -> Self {
        self.up = false;
        self
    }

    /// An address with its prefix length.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>, prefix: u8) -> Self {
        self.addresses.push((address.into(), prefix));
        self
    }

    fn message(&self) -> Builder {
        link::header(0, None)
            .text(IFLA_IFNAME, &self.name)
            .raw(IFLA_ADDRESS, &self.mac)
            .u32(IFLA_MTU, self.mtu_bytes)
            .u32(IFLA_NUM_RX_QUEUES, self.rx_queues)
            .u32(IFLA_NUM_TX_QUEUES, self.tx_queues)
    }

    /// What can only be said of an interface that exists.
    fn finish(&self, namespace: &Namespace) -> Result<Port, LabError> {
        let port = Port::find(namespace, &self.name)?;
        port.set_feature("tx-checksum-ip-generic", self.tx_checksum)?;
        port.set_up(self.up)?;
        for (address, prefix) in &self.addresses {
            port.address(*address, *prefix)?;
        }
        Ok(port)
    }
}

/// A veth pair. Dropping it removes both ends, wherever their namespaces go on.
#[derive(Debug)]
pub struct Veth {
    /// One end.
    pub near: Port,
    /// The other.
    pub far: Port,
}

impl Veth {
    /// Makes a pair and, where both ends are up, waits until it carries packets.
    ///
    /// # Errors
    /// What the kernel refused; nothing is left then.
    pub fn create(
        (near_namespace, near): (&Namespace, End),
        (far_namespace, far): (&Namespace, End),
    ) -> Result<Self, LabError> {
        let there = far.message().i32(IFLA_NET_NS_FD, far_namespace.as_fd().as_raw_fd());
        near_namespace.run(|| link::create_veth(near.message(), there)).map_err(|e| {
            LabError::refused("RTM_NEWLINK", format_args!("veth {} - {}", near.name, far.name), &e)
        })?;
        let wire = Self {
            near: Port::find(near_namespace, &near.name)?,
            far: Port::find(far_namespace, &far.name)?,
        };
        near.finish(near_namespace)?;
        far.finish(far_namespace)?;
        // Last: the driver tells the other end that it may transmit by XDP only when GRO is switched
        // on an end that is up, not when an end with GRO on comes up.
        wire.near.set_feature("rx-gro", near.gro)?;
        wire.far.set_feature("rx-gro", far.gro)?;
        if near.up && far.up {
            wire.near.wait_running()?;
            wire.far.wait_running()?;
        }
        Ok(wire)
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        // Gone already when a test deleted it; moved ends go with their namespaces.
        let _ = self.near.clone().delete();
    }
}
