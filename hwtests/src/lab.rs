//! A laboratory: network namespaces, interfaces in them, and nothing left behind.
//!
//! ```no_run
//! use hoist_hwtests::lab::Lab;
//!
//! # fn main() -> Result<(), hoist_hwtests::lab::LabError> {
//! let lab = Lab::pair()?; // "v0" here, "v1" there, 10.0.0.1 and 10.0.0.2, MAC addresses ..:01 and ..:02
//! lab.near().namespace.run(|| {
//!     // In here, every system call sees v0.
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Nothing stays
//!
//! A [`Namespace`] is a descriptor: it goes away, with every interface in it, when the last holder
//! is dropped or dies by whatever means. Only a *named* namespace has a trace outside the process,
//! a mount under `/run/netns`. It is unmounted on drop; when its owner was killed, the next
//! laboratory on the machine finds the owner's lock free and sweeps it ([`sweep`]).
//!
//! # Quiet
//!
//! A new namespace sends nothing by itself: no router solicitations, no duplicate address detection,
//! no link-local addresses and so no multicast reports. What a capture shows was sent by the test.
//! (Adding an IPv6 address joins a group, and joining is reported.)

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use hoist_bpf::kernel::KernelError;
use hoist_bpf::kernel::netlink::Refusal;

mod link;
mod named;
mod namespace;
mod port;
mod tap;
mod veth;

pub use link::LinkKind;
pub use named::sweep;
pub use namespace::Namespace;
pub use port::Port;
pub use tap::Tap;
pub use veth::{End, Veth};

/// Something the laboratory could not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {object}: {cause}")]
pub struct LabError {
    /// The operation, for example `RTM_NEWLINK` or `unshare`.
    pub operation: String,
    /// What it was done to.
    pub object: String,
    /// The kernel's or the system's words.
    pub cause: String,
    /// Error number, positive; 0 when there is none.
    pub errno: i32,
}

impl LabError {
    pub(crate) fn new(
        operation: &str,
        object: impl fmt::Display,
        cause: impl fmt::Display,
    ) -> Self {
        Self {
            operation: operation.to_owned(),
            object: object.to_string(),
            cause: cause.to_string(),
            errno: 0,
        }
    }

    pub(crate) fn io(operation: &str, object: impl fmt::Display, error: &io::Error) -> Self {
        Self { errno: error.raw_os_error().unwrap_or(0), ..Self::new(operation, object, error) }
    }

    fn refused(operation: &str, object: impl fmt::Display, refusal: &Refusal) -> Self {
        Self { errno: refusal.errno, ..Self::new(operation, object, refusal) }
    }
}

impl From<KernelError> for LabError {
    fn from(error: KernelError) -> Self {
        Self { errno: error.errno, ..Self::new(&error.operation, &error.object, error.cause()) }
    }
}

/// Two namespaces and a wire: the arrangement most tests need.
///
/// `near` holds the device under test, `far` the one who sends to it. Both ends have an IPv4 address,
/// know each other's hardware address (no ARP), and compute transmit checksums in software, so that
/// what a program sees is what a wire would carry.
#[derive(Debug)]
pub struct Lab {
    /// The wire.
    pub wire: Veth,
}

impl Lab {
    /// Address of the near end.
    pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    /// Address of the far end.
    pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    /// `v0` in one namespace, `v1` in another.
    ///
    /// # Errors
    /// What the kernel would not set up.
    pub fn pair() -> Result<Self, LabError> {
        Self::with(|near| near, |far| far)
    }

    /// Like [`Lab::pair`], with changes to either end before it is made.
    ///
    /// # Errors
    /// What the kernel would not set up.
    pub fn with(
        near: impl FnOnce(End) -> End,
        far: impl FnOnce(End) -> End,
    ) -> Result<Self, LabError> {
        Self::between(&Namespace::new()?, &Namespace::new()?, near, far)
    }

    /// Like [`Lab::with`], in namespaces that exist already, for example named ones.
    ///
    /// # Errors
    /// What the kernel would not set up.
    pub fn between(
        near_namespace: &Namespace,
        far_namespace: &Namespace,
        near: impl FnOnce(End) -> End,
        far: impl FnOnce(End) -> End,
    ) -> Result<Self, LabError> {
        let near = near(End::new("v0", 1).address(Self::NEAR, 24));
        let far = far(End::new("v1", 2).address(Self::FAR, 24));
        let wire = Veth::create((near_namespace, near), (far_namespace, far))?;
        wire.near.neighbour(Self::FAR, wire.far.mac)?;
        wire.far.neighbour(Self::NEAR, wire.near.mac)?;
        Ok(Self { wire })
    }

    /// The device under test.
    #[must_use]
    pub const fn near(&self) -> &Port {
        &self.wire.near
    }

    /// The device that sends to it.
    #[must_use]
    pub const fn far(&self) -> &Port {
        &self.wire.far
    }
}
