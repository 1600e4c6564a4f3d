//! What is known, and how.

use serde::{Deserialize, Serialize};

/// A value with its source, or the reason why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Fact<T> {
    /// Known.
    Known {
        /// The value.
        value: T,
        /// How it is known.
        evidence: Evidence,
    },
    /// Not known: not "no".
    Unknown {
        /// Why, and what would tell (a capability, a newer kernel).
        why: String,
    },
}

/// How something is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The class of evidence.
    pub kind: EvidenceKind,
    /// The source in one phrase: a netlink attribute, a file, a kernel function, a verifier line.
    pub detail: String,
}

/// Classes of evidence, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// The kernel reported it (netlink, sysfs, ioctl, BTF).
    KernelSaid,
    /// A program or map was loaded to find out.
    TrialLoad,
    /// Known of the driver, from its source.
    DriverTable,
    /// Follows from what the kernel version usually has; not checked.
    Assumed,
}

impl Evidence {
    /// The kernel reported it; `detail` names where.
    pub fn kernel(detail: impl Into<String>) -> Self {
        Self { kind: EvidenceKind::KernelSaid, detail: detail.into() }
    }

    /// A trial load told; `detail` is the telling line.
    pub fn trial(detail: impl Into<String>) -> Self {
        Self { kind: EvidenceKind::TrialLoad, detail: detail.into() }
    }

    /// The driver table says so; `detail` cites the driver's source.
    pub fn driver(detail: impl Into<String>) -> Self {
        Self { kind: EvidenceKind::DriverTable, detail: detail.into() }
    }

    /// Assumed; `detail` says on what ground.
    pub fn assumed(detail: impl Into<String>) -> Self {
        Self { kind: EvidenceKind::Assumed, detail: detail.into() }
    }
}

/// What an older recording does not hold is not known.
impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::unknown("not recorded")
    }
}

impl<T> Fact<T> {
    /// A value the kernel reported.
    pub fn kernel(value: T, detail: impl Into<String>) -> Self {
        Self::Known { value, evidence: Evidence::kernel(detail) }
    }

    /// Not known.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The value made into another, with the same evidence.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known { value, evidence } => Fact::Known { value: make(value), evidence },
            Self::Unknown { why } => Fact::Unknown { why },
        }
    }

    /// The value, if known.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}
