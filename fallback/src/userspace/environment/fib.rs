//! Questions about routes: `bpf_fib_lookup` and `bpf_check_mtu`, answered from the snapshot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::argument::{EAFNOSUPPORT, array, context, wrong};
use super::routing::{Flow, Found, Index, Interface, Refused, TABLE_MAIN};
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

/// `struct bpf_fib_lookup`, in bytes.
const PARAMS: usize = 64;

/// Positions within it.
mod at {
    pub(super) const FAMILY: usize = 0;
    pub(super) const PROTOCOL: usize = 1;
    pub(super) const SOURCE_PORT: usize = 2;
    pub(super) const DESTINATION_PORT: usize = 4;
    pub(super) const LENGTH: usize = 6;
    pub(super) const IFINDEX: usize = 8;
    pub(super) const TOS: usize = 12;
    pub(super) const FROM: usize = 16;
    pub(super) const TO: usize = 32;
    pub(super) const VLAN: usize = 48;
    pub(super) const MARK: usize = 52;
    pub(super) const SOURCE_MAC: usize = 52;
    pub(super) const DESTINATION_MAC: usize = 58;
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `BPF_FIB_LOOKUP_*`.
mod flag {
    pub(super) const DIRECT: u32 = 1 << 0;
    pub(super) const OUTPUT: u32 = 1 << 1;
    pub(super) const SKIP_NEIGH: u32 = 1 << 2;
    pub(super) const TBID: u32 = 1 << 3;
    pub(super) const SRC: u32 = 1 << 4;
    pub(super) const MARK: u32 = 1 << 5;
    pub(super) const ALL: u32 = (1 << 6) - 1;
}

/// `BPF_FIB_LKUP_RET_*`.
mod ret {
    pub(super) const SUCCESS: u64 = 0;
    pub(super) const BLACKHOLE: u64 = 1;
    pub(super) const UNREACHABLE: u64 = 2;
    pub(super) const PROHIBIT: u64 = 3;
    pub(super) const NOT_FWDED: u64 = 4;
    pub(super) const FWD_DISABLED: u64 = 5;
    pub(super) const UNSUPP_LWT: u64 = 6;
    pub(super) const NO_NEIGH: u64 = 7;
    pub(super) const FRAG_NEEDED: u64 = 8;
    pub(super) const NO_SRC_ADDR: u64 = 9;
}

/// `bpf_xdp_fib_lookup`.
pub(super) fn fib_lookup(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "fib_lookup";
    context(HELPER, 1, r[0])?;
    run.bytes_mut(r[1], r[2])?;
    let flags = r[3] as u32;
    if r[2] < PARAMS as u64 || flags & !flag::ALL != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    let mut params = Params(array::<PARAMS>(run, r[1])?);
    let routing = Arc::clone(&run.environment.routing);
    let result = match params.0[at::FAMILY] {
        AF_INET | AF_INET6 => params.lookup(&routing, flags),
        _ => EAFNOSUPPORT.as_return(),
    };
    run.bytes_mut(r[1], PARAMS as u64)?.copy_from_slice(&params.0);
    Ok(result)
}

/// A program's question, which is changed into the answer.
struct Params([u8; PARAMS]);

impl Params {
    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.get(at))
    }

    fn is_ipv6(&self) -> bool {
        self.0[at::FAMILY] == AF_INET6
    }

    fn address(&self, at: usize) -> IpAddr {
        if self.is_ipv6() {
            Ipv6Addr::from(self.get::<16>(at)).into()
        } else {
            Ipv4Addr::from(self.get::<4>(at)).into()
        }
    }

    fn put_address(&mut self, at: usize, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.put(at, &v4.octets()),
            IpAddr::V6(v6) => self.put(at, &v6.octets()),
        }
    }

    /// `bpf_ipv4_fib_lookup` and `bpf_ipv6_fib_lookup`.
    fn lookup(&mut self, routing: &Index, flags: u32) -> u64 {
        let ipv6 = self.is_ipv6();
        let (from, to) = (self.address(at::FROM), self.address(at::TO));
        // Link-local addresses are never forwarded, from whatever interface there is or is not.
        if Index::stays_on_link(to) || Index::stays_on_link(from) {
            return ret::NOT_FWDED;
        }
        let Some(incoming) = routing.interface(self.word(at::IFINDEX)) else {
            return Errno::ENODEV.as_return();
        };
        let forwards = if ipv6 { incoming.forward6 } else { incoming.forward4 };
        if forwards != Some(true) {
            return ret::FWD_DISABLED;
        }
        let flow = self.flow(incoming, (from, to), flags);
        let found = match routing.lookup(&flow) {
            Ok(found) => found,
            Err(Refused::Blackhole) => return ret::BLACKHOLE,
            Err(Refused::Unreachable) => return ret::UNREACHABLE,
            Err(Refused::Prohibit) => return ret::PROHIBIT,
            Err(Refused::NotForwarded) => return ret::NOT_FWDED,
        };
        let mtu = routing.mtu(&found, ipv6);
        if u32::from(u16::from_ne_bytes(self.get(at::LENGTH))) > mtu {
            self.put_mtu(mtu);
            return ret::FRAG_NEEDED;
        }
        if found.hop.encapsulates {
            return ret::UNSUPP_LWT;
        }
        self.answer(routing, &found, (mtu, to), flags)
    }

    fn flow(&mut self, incoming: &Interface, (from, to): (IpAddr, IpAddr), flags: u32) -> Flow {
        let port = |bytes: [u8; 2]| u16::from_be_bytes(bytes);
        let table = (flags & flag::DIRECT != 0).then(|| {
            if flags & flag::TBID != 0 {
                let table = self.word(at::VLAN);
                self.put(at::VLAN, &[0; 4]);
                table
            } else {
                incoming.vrf_table.unwrap_or(TABLE_MAIN)
            }
        });
        // For IPv6 the traffic class is in the flow information, four bits in.
        let tos = match self.is_ipv6() {
            true => (u32::from_be_bytes(self.get(at::TOS)) >> 20) as u8,
            false => self.0[at::TOS],
        };
        Flow {
            interface: incoming.index,
            output: flags & flag::OUTPUT != 0,
            from,
            to,
            tos,
            protocol: self.0[at::PROTOCOL],
            ports: (port(self.get(at::SOURCE_PORT)), port(self.get(at::DESTINATION_PORT))),
            mark: if flags & flag::MARK != 0 { self.word(at::MARK) } else { 0 },
            table,
        }
    }

    fn answer(
        &mut self,
        routing: &Index,
        found: &Found<'_>,
        (mtu, to): (u32, IpAddr),
        flags: u32,
    ) -> u64 {
        self.put(at::TOS, &found.route.metric.to_ne_bytes());
        self.put(at::IFINDEX, &found.hop.interface.to_ne_bytes());
        let source = flags & flag::SRC != 0;
        let source = source.then(|| routing.source(found, to));
        // IPv4 says 0.0.0.0 where it has none, IPv6 that it has none; and IPv6 has put the router in
        // place of the destination before.
        if let (Some(source), IpAddr::V4(_)) = (source, to) {
            self.put_address(at::FROM, source.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        }
        let next = found.hop.gateway.unwrap_or(to);
        if found.hop.gateway.is_some() {
            if to.is_ipv4() && next.is_ipv6() {
                self.0[at::FAMILY] = AF_INET6;
            }
            self.put_address(at::TO, next);
        }
        if let (Some(source), IpAddr::V6(_)) = (source, to) {
            match source {
                Some(source) => self.put_address(at::FROM, source),
                None => return ret::NO_SRC_ADDR,
            }
        }
        if flags & flag::SKIP_NEIGH == 0 {
            let device = routing.interface(found.hop.interface);
            let neighbour = device.and_then(|d| Some((d, routing.neighbour(d, next)?)));
            let Some((device, link)) = neighbour else { return ret::NO_NEIGH };
            self.put(at::DESTINATION_MAC, &link);
            self.put(at::SOURCE_MAC, &device.address);
        }
        self.put(at::VLAN, &[0; 4]);
        self.put_mtu(mtu);
        ret::SUCCESS
    }

    /// `mtu_result` has 16 bits.
    fn put_mtu(&mut self, mtu: u32) {
        self.put(at::LENGTH, &(mtu as u16).to_ne_bytes());
    }
}

/// `bpf_xdp_check_mtu`.
pub(super) fn check_mtu(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    const HELPER: &str = "check_mtu";
    const FRAG_NEEDED: u64 = 1;
    context(HELPER, 1, r[0])?;
    if !r[2].is_multiple_of(4) {
        return Err(wrong(HELPER, 3, "not aligned to 4 bytes"));
    }
    let given = u32::from_ne_bytes(array::<4>(run, r[2])?);
    run.bytes_mut(r[2], 4)?;
    if r[4] != 0 {
        return Ok(Errno::EINVAL.as_return());
    }
    let index = match r[1] as u32 {
        0 => run.arrival.ingress_ifindex,
        index => index,
    };
    let Some(interface) = run.environment.routing.interface(index) else {
        return Ok(Errno::ENODEV.as_return());
    };
    let (mtu, header) = (interface.mtu, interface.header);
    let most = mtu.wrapping_add(header).cast_signed();
    let length = match given {
        0 => run.frame.end - run.frame.data,
        given => given.wrapping_add(header),
    };
    let length = length.cast_signed().wrapping_add(r[3] as i32);
    run.bytes_mut(r[2], 4)?.copy_from_slice(&mtu.to_ne_bytes());
    Ok(if length > most { FRAG_NEEDED } else { 0 })
}
