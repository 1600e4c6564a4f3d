//! The other end of a veth or netkit pair, in this network namespace or another.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use hoist_bpf::kernel::ethtool::Ethtool;
use hoist_bpf::kernel::netlink::{Attributes, Builder, Refusal, Socket};
use hoist_bpf::kernel::netns;

use super::link::{Link, link_in};
use crate::device::{Peer, PeerInfo};
use crate::fact::Fact;

const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`, padded.
const RTGENMSG: usize = 4;
const EPERM: i32 = 1;

/// Where tools keep named network namespaces: iproute2 (and CNI plugins), Docker.
const DIRECTORIES: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// The peer of a link that is half of a pair; `None` for others, and when the peer is gone.
pub(super) fn peer(link: &Link, links: &[Link]) -> Option<Peer> {
    let ifindex = link.link.filter(|_| link.is_pair())?;
    Some(match link.link_netnsid {
        None => Peer { ifindex, netns: None, info: here(ifindex, links) },
        Some(netnsid) => elsewhere(netnsid, ifindex),
    })
}

fn here(ifindex: u32, links: &[Link]) -> Fact<PeerInfo> {
    match links.iter().find(|l| l.ifindex == ifindex) {
        Some(link) => {
            let ethtool = Ethtool::new().ok();
            Fact::kernel(info(link, ethtool.as_ref()), "RTM_GETLINK of the peer")
        }
        None => Fact::unknown("the peer is not among the interfaces of this namespace"),
    }
}

fn elsewhere(netnsid: i32, ifindex: u32) -> Peer {
    let path = namespace(netnsid);
    let name = path.as_deref().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
    let info = match link_in(netnsid, ifindex) {
        Ok(Some(link)) => {
            let ethtool = path.as_deref().and_then(inside);
            Fact::kernel(info(&link, ethtool.as_ref()), "RTM_GETLINK with IFLA_TARGET_NETNSID")
        }
        Ok(None) => Fact::unknown("the kernel knows no such interface in the peer's namespace"),
        Err(refusal) if refusal.errno == EPERM => Fact::unknown(
            "the peer lives in another namespace; CAP_NET_ADMIN over that namespace would tell",
        ),
        Err(refusal) => Fact::unknown(format!("RTM_GETLINK in the peer's namespace: {refusal}")),
    };
    Peer { ifindex, netns: Some(name.unwrap_or_else(|| format!("netnsid {netnsid}"))), info }
}

/// What rtnetlink says, with what only ethtool knows where it can be asked: the queues in use
/// (rtnetlink counts those allocated) and GRO.
fn info(link: &Link, ethtool: Option<&Ethtool>) -> PeerInfo {
    let channels = ethtool.and_then(|e| e.channels(&link.name).ok());
    PeerInfo {
        name: link.name.clone(),
        mtu_bytes: link.mtu_bytes,
        tx_queues: channels.map(|c| c.tx + c.combined),
        rx_queues: channels.map(|c| c.rx + c.combined),
        native_program: link.xdp.native.is_some(),
        gro: ethtool.and_then(|e| e.gro(&link.name).ok()),
        segmentation: ethtool.and_then(|e| e.tso(&link.name).ok()),
        up: link.up,
    }
}

/// The named namespace that this one knows by an id.
fn namespace(netnsid: i32) -> Option<PathBuf> {
    let mut socket = Socket::route().ok()?;
    let files = DIRECTORIES.iter().filter_map(|d| fs::read_dir(d).ok()).flatten();
    files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| matches!(id_of(&mut socket, path), Ok(Some(id)) if id == netnsid))
}

fn id_of(socket: &mut Socket, path: &Path) -> Result<Option<i32>, Refusal> {
    let file = fs::File::open(path)?;
    let payload = Builder::new(&[0; RTGENMSG]).i32(NETNSA_FD, file.as_raw_fd()).build();
    let reply = socket.request(RTM_GETNSID, 0, &payload)?;
    Ok(reply.messages.iter().find_map(|message| {
        let attribute = Attributes::after(&message.payload, RTGENMSG).get(NETNSA_NSID)?;
        attribute.u32().map(u32::cast_signed)
    }))
}

/// An ethtool socket in another namespace: a socket stays in the one it was made in.
fn inside(namespace: &Path) -> Option<Ethtool> {
    let namespace = fs::File::open(namespace).ok()?;
    let _stay = netns::scoped(namespace.as_fd()).ok()?;
    Ethtool::new().ok()
}
