//! Virtual Ethernet pairs: what one end takes depends on the other.
//!
//! Native XDP on one end runs on what the other end sends, in the receiving end's NAPI. The limits
//! follow from `veth_xdp_set`:
//!
//! ```text
//! linear    = SKB_WITH_OVERHEAD(PAGE_SIZE - XDP_PACKET_HEADROOM) - hard_header_len
//!           = 4096 - 256 - 320 - 14 = 3506
//! with frags = linear + PAGE_SIZE * MAX_SKB_FRAGS = 3506 + 4096 * 17 = 73138
//! ```
//!
//! The figures are those of 4 KiB pages; kernels with larger pages take more, so that on other
//! architectures than x86 an MTU above them leaves the answer open.

use hoist_bpf::requirements::{Feature, Need};
use hoist_offload::capability::{Answer, Capabilities, Condition, Severity, When};
use hoist_offload::device::{Peer, PeerInfo, XdpFeatures as X};
use hoist_offload::{Device, Driver, EngineKind, Evidence, Fact, Hook};

use crate::rules::settle_support;
use crate::table::{Entry, Limit, Listed, Reports, Whose};

const PAGE_BYTES: u32 = 4096;
/// `XDP_PACKET_HEADROOM`.
const HEADROOM_BYTES: u32 = 256;
/// `SKB_DATA_ALIGN(sizeof(struct skb_shared_info))`.
const SHARED_INFO_BYTES: u32 = 320;
/// `ETH_HLEN`.
const HEADER_BYTES: u32 = 14;
/// `MAX_SKB_FRAGS`.
const FRAGMENTS: u32 = 17;

/// Largest MTU of the peer for programs that take linear frames only.
pub const LINEAR_MTU: u32 = PAGE_BYTES - HEADROOM_BYTES - SHARED_INFO_BYTES - HEADER_BYTES;
/// Largest MTU of the peer for programs that take multi-buffer frames.
pub const FRAGS_MTU: u32 = LINEAR_MTU + PAGE_BYTES * FRAGMENTS;

/// Linux veth.
#[derive(Clone, Copy, Debug)]
pub struct Veth;

/// See the module.
pub static DRIVER: Veth = Veth;

impl Listed for Veth {
    fn entry(&self) -> Entry {
        let peer = |most, when| Limit { whose: Whose::Peer, most, when };
        Entry {
            name: "veth",
            aliases: &[],
            since: Some("4.19"),
            source: "drivers/net/veth.c: veth_xdp_set",
            reports: Reports::always(&[X::BASIC, X::REDIRECT, X::RX_SG]).sometimes(
                &[X::NDO_XMIT, X::NDO_XMIT_SG],
                "the peer has a native program or GRO; none with fewer receive queues than the peer has \
                 transmit queues",
            ),
            limits: vec![peer(LINEAR_MTU, When::WithoutFrags), peer(FRAGS_MTU, When::WithFrags)],
            asks: vec![
                ("queue-mismatch", "as many receive queues as the peer has transmit queues".to_owned()),
                ("tx-peer-no-napi", "for `XDP_TX`: a native program at the peer".to_owned()),
                (
                    "tx-checksum-partial",
                    "frames of local sockets come with unfinished checksums".to_owned(),
                ),
            ],
            profile: None,
        }
    }
}

impl Driver for Veth {
    fn name(&self) -> &'static str {
        "veth"
    }

    fn claims(&self, device: &Device) -> bool {
        device.kind.as_deref() == Some("veth") || device.driver_name() == "veth"
    }

    fn refine(&self, device: &Device, capabilities: &mut Capabilities) {
        let end = End { device, peer: device.peer.as_ref() };
        if capabilities.engine == EngineKind::User && capabilities.hook == Some(Hook::AfXdp) {
            capabilities.conditions.push(end.reinjected_checksums());
        }
        if capabilities.engine != EngineKind::Native {
            return;
        }
        capabilities.set(
            Need::Feature(Feature::Metadata),
            Answer::Yes,
            evidence("veth_xdp_rcv_skb"),
        );
        capabilities.set(
            Need::Feature(Feature::Redirect),
            Answer::Yes,
            evidence("veth_xdp_rcv_skb"),
        );
        capabilities.conditions.extend([
            end.mtu(LINEAR_MTU, When::WithoutFrags),
            end.mtu(FRAGS_MTU, When::WithFrags),
            end.queues(),
            end.transmit(),
            end.checksums(),
        ]);
        settle_support(device, capabilities, evidence("veth_xdp_set"));
    }
}

fn evidence(function: &str) -> Evidence {
    Evidence::driver(format!("drivers/net/veth.c: {function} (native XDP since Linux 4.19)"))
}

/// One end of a pair, with what is known of the other.
struct End<'a> {
    device: &'a Device,
    peer: Option<&'a Peer>,
}

impl End<'_> {
    fn info(&self) -> Option<&PeerInfo> {
        self.peer.and_then(|p| p.info.value())
    }

    /// The peer in words, with its namespace where that is another one.
    fn peer_name(&self) -> String {
        let Some(peer) = self.peer else { return format!("the peer of {}", self.device.name) };
        let name = match self.info() {
            Some(info) => info.name.clone(),
            None => format!("the peer of {} (index {})", self.device.name, peer.ifindex),
        };
        match &peer.netns {
            Some(netns) => format!("{name} in network namespace {netns}"),
            None => name,
        }
    }

    /// Why nothing is known of the peer, and what would tell.
    fn not_known(&self, what: &str) -> String {
        let why = match self.peer.map(|p| &p.info) {
            Some(Fact::Unknown { why }) => why.clone(),
            _ => "the kernel names no peer".to_owned(),
        };
        format!("{what} of {} is not known ({why}); attaching will tell", self.peer_name())
    }

    /// A command to be run where the peer is.
    fn there(&self, command: &str) -> String {
        match self.peer.and_then(|p| p.netns.as_deref()) {
            Some(netns) if netns.starts_with("netnsid ") => {
                format!("{command} (inside the peer's network namespace, {netns})")
            }
            Some(netns) => format!("ip netns exec {netns} {command}"),
            None => command.to_owned(),
        }
    }

    fn mtu(&self, most: u32, when: When) -> Condition {
        const CODE: &str = "peer-mtu-too-large";
        let who = match when {
            When::WithFrags => "multi-buffer programs",
            _ => "programs that do not declare multi-buffer support",
        };
        let Some(info) = self.info() else {
            let message = self.not_known("the MTU");
            return Condition::new(CODE, Answer::Unknown, message, evidence("veth_xdp_set"))
                .when(when);
        };
        let holds = if info.mtu_bytes <= most {
            Answer::Yes
        } else if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            Answer::No
        } else {
            Answer::Unknown
        };
        let name = &info.name;
        let fix = self.there(&format!("ip link set dev {name} mtu {}", most.min(1500)));
        let remedy = match when {
            When::WithFrags => fix,
            _ => format!("{fix}, or build the program for SEC(\"xdp.frags\")"),
        };
        let message = format!(
            "native XDP on {} takes {who} up to a peer MTU of {most} bytes; the peer {} has {}",
            self.device.name,
            self.peer_name(),
            info.mtu_bytes
        );
        Condition::new(CODE, holds, message, evidence("veth_xdp_set")).when(when).remedy(remedy)
    }

    fn queues(&self) -> Condition {
        const CODE: &str = "queue-mismatch";
        let own = self.device.rx_queues;
        let Some((info, transmit)) = self.info().and_then(|i| Some((i, i.tx_queues?))) else {
            let message = self.not_known("the number of transmit queues");
            return Condition::new(CODE, Answer::Unknown, message, evidence("veth_xdp_set"));
        };
        let holds = if own >= transmit { Answer::Yes } else { Answer::No };
        let message = format!(
            "native XDP wants as many receive queues on {} as {} has transmit queues: {own} against \
             {transmit}",
            self.device.name,
            self.peer_name()
        );
        let remedy = format!(
            "ethtool -L {} rx {transmit}, or {}",
            self.device.name,
            self.there(&format!("ethtool -L {} tx {own}", info.name))
        );
        Condition::new(CODE, holds, message, evidence("veth_xdp_set")).remedy(remedy)
    }

    /// `veth_xdp_flush` wakes the peer only if it has an XDP program; GRO alone is not enough for
    /// `XDP_TX`, though it is for frames redirected from elsewhere.
    fn transmit(&self) -> Condition {
        const CODE: &str = "tx-peer-no-napi";
        let uses = |c: Condition| c.when(When::Uses(Feature::Tx)).severity(Severity::Breaks);
        let proof = evidence("veth_xdp_flush");
        let Some(info) = self.info() else {
            let message = self.not_known("whether XDP_TX is received, by an XDP program,");
            return uses(Condition::new(CODE, Answer::Unknown, message, proof));
        };
        let holds = if info.native_program { Answer::Yes } else { Answer::No };
        let message = match holds {
            Answer::Yes => format!("{} has a native XDP program", self.peer_name()),
            _ => format!(
                "what {} sends by XDP_TX is lost without a trace: {} has no native XDP program, and \
                 without one a veth does not receive XDP frames",
                self.device.name,
                self.peer_name()
            ),
        };
        let remedy = self.there(&format!("hoist load {} pass.o --engine native", info.name));
        uses(Condition::new(CODE, holds, message, proof))
            .remedy(format!("attach a program that passes everything to the peer: {remedy}"))
    }

    /// `xdp_frame` carries no checksum state, so what the peer's host left to the "hardware" is
    /// never finished.
    fn checksums(&self) -> Condition {
        let name = self.info().map_or("PEER", |i| i.name.as_str());
        let message = format!(
            "frames from sockets behind {} arrive with unfinished checksums, and XDP_TX sends them so, \
             unless transmit checksum offload is off there",
            self.peer_name()
        );
        Condition::new("tx-checksum-partial", Answer::No, message, evidence("veth_xdp_rcv_skb"))
            .when(When::Uses(Feature::Tx))
            .severity(Severity::Warns)
            .remedy(self.there(&format!("ethtool -K {name} tx off")))
    }

    /// The stack takes what an AF_XDP socket's program passed as a new frame, of which nobody says
    /// that its checksum is still to be finished.
    fn reinjected_checksums(&self) -> Condition {
        let name = self.info().map_or("PEER", |i| i.name.as_str());
        let message = format!(
            "frames from sockets behind {} arrive with unfinished checksums, and once they went \
             through AF_XDP the stack takes those for wrong and drops them, unless transmit checksum \
             offload is off there",
            self.peer_name()
        );
        let evidence = Evidence::driver("net/bpf/test_run.c: xdp_recv_frames (ip_summed is lost)");
        Condition::new("half-checksum-passed", Answer::No, message, evidence)
            .severity(Severity::Breaks)
            .remedy(self.there(&format!("ethtool -K {name} tx off")))
    }
}
