//! What a NIC's receive descriptor says of a frame (`xdp_metadata_ops`).
//!
//! A port that does not know answers like a driver that does not implement the function.

use super::argument::context;
use super::dynptr::int;
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

const UNKNOWN: Errno = Errno::EOPNOTSUPP;

/// `bpf_xdp_metadata_rx_timestamp`.
pub(super) fn timestamp(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_metadata_rx_timestamp", 1, r[0])?;
    let time = run.arrival.metadata.timestamp;
    let to = run.bytes_mut(r[1], 8)?;
    let Some(time) = time else { return Ok(int(Err(UNKNOWN))) };
    to.copy_from_slice(&time.to_ne_bytes());
    Ok(0)
}

/// `bpf_xdp_metadata_rx_hash`.
pub(super) fn hash(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_metadata_rx_hash", 1, r[0])?;
    run.bytes_mut(r[1], 4)?;
    run.bytes_mut(r[2], 4)?;
    let Some((hash, kind)) = run.arrival.metadata.hash else { return Ok(int(Err(UNKNOWN))) };
    run.bytes_mut(r[1], 4)?.copy_from_slice(&hash.to_ne_bytes());
    run.bytes_mut(r[2], 4)?.copy_from_slice(&kind.to_ne_bytes());
    Ok(0)
}

/// `bpf_xdp_metadata_rx_vlan_tag`.
pub(super) fn vlan(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    context("xdp_metadata_rx_vlan_tag", 1, r[0])?;
    run.bytes_mut(r[1], 2)?;
    run.bytes_mut(r[2], 2)?;
    let Some((protocol, tci)) = run.arrival.metadata.vlan else { return Ok(int(Err(UNKNOWN))) };
    run.bytes_mut(r[1], 2)?.copy_from_slice(&protocol.to_ne_bytes());
    run.bytes_mut(r[2], 2)?.copy_from_slice(&tci.to_ne_bytes());
    Ok(0)
}
