//! nf_tables at the ingress of an interface (family `netdev`): what drops frames behind the taps and TC
//! without any BPF.
//!
//! The table belongs to the socket that made it (`NFT_TABLE_F_OWNER`, Linux 5.12): it goes when the
//! last descriptor of that socket closes, so also when its process is killed, and nobody else can
//! change it, `nft flush ruleset` included.

use std::os::fd::OwnedFd;

use super::frame::{Frames, acknowledgement};
use super::{Builder, NLM_F_ACK, Refusal, Socket, encode};

const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_NEWTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8;
const NFT_MSG_NEWCHAIN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 3;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_NETDEV: u8 = 5;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFT_TABLE_F_OWNER: u32 = 2;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NF_NETDEV_INGRESS: u32 = 0;
const NF_DROP: u32 = 0;
/// Before every other chain of the hook.
const FIRST: i32 = i32::MIN;

/// Drops everything that comes in by an interface of the thread's network namespace, for as long as
/// the descriptor is open. `table` names it for nft(8).
///
/// # Errors
/// The kernel's refusal: `EPERM` without the privilege or when somebody else owns such a table, `EOPNOTSUPP` or `ENOENT` where the kernel
/// has no nf_tables for interfaces.
pub fn drop_ingress(table: &str, interface: &str) -> Result<OwnedFd, Refusal> {
    let mut socket = Socket::netfilter()?;
    batch(
        &mut socket,
        &[(NFT_MSG_NEWTABLE, new_table(table)), (NFT_MSG_NEWCHAIN, new_chain(table, interface))],
    )?;
    socket.into_descriptor()
}

fn new_table(table: &str) -> Vec<u8> {
    // Numbers of nf_tables are in network byte order.
    Builder::new(&header(NFPROTO_NETDEV))
        .text(NFTA_TABLE_NAME, table)
        .raw(NFTA_TABLE_FLAGS, &NFT_TABLE_F_OWNER.to_be_bytes())
        .build()
}

fn new_chain(table: &str, interface: &str) -> Vec<u8> {
    let hook = Builder::default()
        .raw(NFTA_HOOK_HOOKNUM, &NF_NETDEV_INGRESS.to_be_bytes())
        .raw(NFTA_HOOK_PRIORITY, &FIRST.to_be_bytes())
        .text(NFTA_HOOK_DEV, interface);
    Builder::new(&header(NFPROTO_NETDEV))
        .text(NFTA_CHAIN_TABLE, table)
        .text(NFTA_CHAIN_NAME, "drop")
        .nest(NFTA_CHAIN_HOOK, hook)
        .raw(NFTA_CHAIN_POLICY, &NF_DROP.to_be_bytes())
        .text(NFTA_CHAIN_TYPE, "filter")
        .build()
}

/// `struct nfgenmsg` of a message about nf_tables.
fn header(family: u8) -> [u8; 4] {
    let [high, low] = if family == NFPROTO_UNSPEC { NFNL_SUBSYS_NFTABLES } else { 0 }.to_be_bytes();
    [family, 0, high, low]
}

/// Sends messages that the kernel carries out together or not at all.
fn batch(socket: &mut Socket, messages: &[(u16, Vec<u8>)]) -> Result<(), Refusal> {
    let border = header(NFPROTO_UNSPEC);
    let mut bytes = encode(NFNL_MSG_BATCH_BEGIN, 0, socket.next_sequence(), &border)?;
    let mut last = 0;
    for (kind, payload) in messages {
        last = socket.next_sequence();
        bytes.extend(encode(*kind, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, last, payload)?);
    }
    bytes.extend(encode(NFNL_MSG_BATCH_END, 0, socket.next_sequence(), &border)?);
    socket.raw.send(&bytes, 0)?;
    loop {
        let datagram = socket.receive()?;
        for message in Frames::new(&datagram) {
            let message = message?;
            acknowledgement(&message)?;
            if message.sequence == last {
                return Ok(());
            }
        }
    }
}
