//! Everything humans read: text out of the same data that machines get as JSON.

pub(crate) mod bench;
pub(crate) mod certificate;
pub(crate) mod device;
pub(crate) mod faults;
mod found;
pub(crate) mod host;
pub(crate) mod lint;
pub(crate) mod offload;
pub(crate) mod plan;
pub(crate) mod style;
pub(crate) mod table;
