//! clsact and its filters: what runs at TC without tcx.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Attributes, Builder, Message, Refusal, Socket, attribute};
use crate::kernel::tc::EVERY_PROTOCOL;
use crate::kernel::{Filter, FilterKey};

pub(crate) const RTM_NEWQDISC: u16 = 36;
pub(crate) const RTM_DELQDISC: u16 = 37;
pub(crate) const RTM_NEWTFILTER: u16 = 44;
pub(crate) const RTM_DELTFILTER: u16 = 45;
pub(crate) const RTM_GETTFILTER: u16 = 46;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_TAG: u16 = 10;
const TCA_BPF_ID: u16 = 11;
/// `struct tcmsg`, in bytes.
const TCMSG: usize = 20;
/// `TC_H_MAKE(TC_H_CLSACT, 0)`: the handle of the qdisc.
const QDISC: u32 = 0xffff_0000;
/// `TC_H_CLSACT`: its parent.
const CLSACT: u32 = 0xffff_fff1;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and `..._EGRESS`.
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

/// Which way packets go through the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Packets coming in.
    Ingress,
    /// Packets going out.
    Egress,
}

/// The filters on one side of an interface's clsact (or ingress) qdisc, in the order in which they
/// run: by priority, and within one as the kernel lists them. No qdisc, no filters.
///
/// # Errors
/// The kernel's refusal.
pub fn list(ifindex: u32, direction: Direction) -> Result<Vec<Filter>, Refusal> {
    let messages = match Socket::route()?.dump(RTM_GETTFILTER, &list_request(ifindex, direction)) {
        Ok(messages) => messages,
        // Without the qdisc the kernel has no such class to list.
        Err(refusal) if [libc::EINVAL, libc::ENOENT].contains(&refusal.errno) => return Ok(vec![]),
        Err(refusal) => return Err(refusal),
    };
    let mut filters: Vec<_> = messages.iter().filter_map(parse).collect();
    filters.sort_by_key(|filter| (filter.chain, filter.key.priority));
    Ok(filters)
}

/// Gives an interface clsact; refused with `EEXIST` where something sits there already.
///
/// # Errors
/// The kernel's refusal with its sentence.
pub(crate) fn add_clsact(ifindex: u32) -> Result<(), Refusal> {
    let payload = qdisc(ifindex).text(TCA_KIND, "clsact").build();
    Socket::route()?.request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &payload).map(drop)
}

/// Removes clsact with everything in it.
///
/// # Errors
/// The kernel's refusal with its sentence.
pub(crate) fn remove_clsact(ifindex: u32) -> Result<(), Refusal> {
    Socket::route()?.request(RTM_DELQDISC, 0, &remove_clsact_request(ifindex)).map(drop)
}

/// Adds a filter at ingress (`new`), or gives the one that is there another program. `flags` say who
/// runs it ([`SKIP_HW`](crate::kernel::tc::SKIP_HW), [`SKIP_SW`](crate::kernel::tc::SKIP_SW)).
///
/// # Errors
/// The kernel's refusal with its sentence.
pub(crate) fn set(
    ifindex: u32,
    key: FilterKey,
    program: BorrowedFd<'_>,
    name: &str,
    flags: u32,
    new: bool,
) -> Result<(), Refusal> {
    let options = Builder::default()
        .u32(TCA_BPF_FD, program.as_raw_fd().cast_unsigned())
        .text(TCA_BPF_NAME, name)
        .u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
        .u32(TCA_BPF_FLAGS_GEN, flags);
    let payload = filter(ifindex, key).text(TCA_KIND, "bpf").nest(TCA_OPTIONS, options).build();
    let flags = if new { NLM_F_CREATE | NLM_F_EXCL } else { 0 };
    Socket::route()?.request(RTM_NEWTFILTER, flags, &payload).map(drop)
}

/// Removes a filter at ingress.
///
/// # Errors
/// The kernel's refusal with its sentence.
pub(crate) fn remove(ifindex: u32, key: FilterKey) -> Result<(), Refusal> {
    Socket::route()?.request(RTM_DELTFILTER, 0, &filter_request(ifindex, key)).map(drop)
}

/// The payload that asks for one filter or removes it.
pub(crate) fn filter_request(ifindex: u32, key: FilterKey) -> Vec<u8> {
    filter(ifindex, key).text(TCA_KIND, "bpf").build()
}

/// The payload that asks for the filters of one side.
pub(crate) fn list_request(ifindex: u32, direction: Direction) -> Vec<u8> {
    let parent = match direction {
        Direction::Ingress => INGRESS,
        Direction::Egress => EGRESS,
    };
    header(ifindex, 0, parent, 0).build()
}

/// The payload that removes clsact.
pub(crate) fn remove_clsact_request(ifindex: u32) -> Vec<u8> {
    qdisc(ifindex).build()
}

/// The program id in a filter's message. Allocates nothing.
pub(crate) fn program_id(payload: &[u8]) -> Option<u32> {
    Attributes::after(payload, TCMSG).get(TCA_OPTIONS)?.nested().get(TCA_BPF_ID)?.u32()
}

fn filter(ifindex: u32, key: FilterKey) -> Builder {
    let info = u32::from(key.priority) << 16 | u32::from(EVERY_PROTOCOL.to_be());
    header(ifindex, key.handle, INGRESS, info)
}

fn qdisc(ifindex: u32) -> Builder {
    header(ifindex, QDISC, CLSACT, 0)
}

fn header(ifindex: u32, handle: u32, parent: u32, info: u32) -> Builder {
    let mut bytes = [0; TCMSG];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&handle.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes[16..20].copy_from_slice(&info.to_ne_bytes());
    Builder::new(&bytes)
}

/// Reads a filter's message; `None` for that of a classifier, which precedes those of its filters
/// and has no handle.
pub(super) fn parse(message: &Message) -> Option<Filter> {
    let attributes = Attributes::after(&message.payload, TCMSG);
    let handle = attribute::u32_at(&message.payload, 8).filter(|handle| *handle != 0)?;
    let info = attribute::u32_at(&message.payload, 16)?;
    let text = |attribute: super::Attribute<'_>| attribute.text().map(str::to_owned);
    let kind = attributes.get(TCA_KIND).and_then(text)?;
    let bpf = attributes.get(TCA_OPTIONS).map(|a| a.nested()).filter(|_| kind == "bpf");
    let option = |number| bpf.and_then(|options| options.get(number));
    let number = |kind| option(kind).and_then(|a| a.u32());
    Some(Filter {
        key: FilterKey { priority: u16::try_from(info >> 16).unwrap_or(0), handle },
        protocol: u16::from_be(u16::try_from(info & 0xffff).unwrap_or(0)),
        chain: attributes.get(TCA_CHAIN).and_then(|a| a.u32()).unwrap_or(0),
        program_id: number(TCA_BPF_ID),
        name: option(TCA_BPF_NAME).and_then(text),
        tag: option(TCA_BPF_TAG).map(|a| hex(a.value)),
        direct_action: number(TCA_BPF_FLAGS).unwrap_or(0) & TCA_BPF_FLAG_ACT_DIRECT != 0,
        flags: number(TCA_BPF_FLAGS_GEN).unwrap_or(0),
        kind,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
