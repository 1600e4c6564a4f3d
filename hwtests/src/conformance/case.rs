//! Case files as data: what a reader of `cases/*.toml` sees, before names are resolved.
//!
//! The written form is described for other tools by `docs/schemas/cases.v1.json`.

use std::collections::BTreeMap;

use hoist_offload::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report::Evidence;
use crate::require;

/// One file: a program and what it must do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CaseFile {
    /// What the cases are about, in one line.
    pub title: String,
    /// The program: the name of one that comes with hoist or with the suite, or the path of an object
    /// file relative to the case file.
    pub program: String,
    /// Name of the XDP program within the object, where it holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The first release of Linux that has what the program calls. On older ones no case is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Release>,
    /// Global variables (`.rodata`, `.data`, `.bss`) to set before loading, in the JSON form of their
    /// types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Map contents before each case, by map.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// The laboratory's settings, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "Setup::is_usual")]
    pub lab: Setup,
    /// Frames by name, so that cases can say `"@name"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub frames: BTreeMap<String, String>,
    /// Differences that hold for every case of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// A release of Linux: `"6.4"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release(u32, u32);

impl Release {
    /// Whether the running kernel is that release or a later one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        require::kernel(self.0, self.1)
    }
}

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let numbers = text
            .split_once('.')
            .and_then(|(major, minor)| Some(Self(major.parse().ok()?, minor.parse().ok()?)));
        numbers.ok_or_else(|| format!("'{text}' is no release of Linux like \"6.4\""))
    }
}

impl From<Release> for String {
    fn from(Release(major, minor): Release) -> Self {
        format!("{major}.{minor}")
    }
}

/// One map entry, key and value in the JSON form of their BTF types; without BTF as a number or as
/// hex digits. `"@near"` and `"@exit"` stand for the index
/// of the device under test and of the port that redirects go out of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value. Of a per-CPU map: written for every CPU, compared with the sum over the CPUs.
    pub value: Value,
}

/// What is special about the laboratory for a file's cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Setup {
    /// MTU of both ends, in bytes; 1500 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// MTU of the port that redirects go out of, in bytes; 1500 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third_mtu: Option<u32>,
    /// Queues of both ends each way; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<u32>,
    /// The port that redirects go out of is down.
    pub third_down: bool,
    /// The sender leaves transport checksums and segmentation to its "hardware", so that unfinished
    /// checksums and merged frames arrive.
    pub sender_offloads: bool,
    /// The receiver merges frames (GRO).
    pub gro: bool,
    /// The sender's end does not receive by XDP: neither a program there nor GRO.
    pub far_deaf: bool,
    /// The same of the port behind the one that redirects go out of.
    pub third_deaf: bool,
    /// The device under test is a tun, whose packets have no Ethernet header.
    pub no_ethernet: bool,
    /// Cases name hardware addresses of the laboratory where words for them cannot be used, in
    /// maps.
    pub lab_addresses: bool,
}

impl Setup {
    /// What an interface that exists does not have, since nothing is changed there, and the cases
    /// need.
    #[must_use]
    pub fn beyond_given(&self, evidence: Evidence) -> Option<String> {
        if self.no_ethernet {
            return Some("needs an interface without Ethernet header".to_owned());
        }
        if self.lab_addresses {
            return Some("names hardware addresses of the suite's own veth".to_owned());
        }
        if evidence == Evidence::TestRun {
            return None;
        }
        let settings = [
            (self.gro, "GRO"),
            (self.sender_offloads, "a sender that leaves checksums and segments to the device"),
            (self.far_deaf, "a peer that does not receive by XDP"),
        ];
        let needed = settings.iter().find(|(needed, _)| *needed).map(|(_, what)| *what);
        if let Some(queues) = self.queues {
            return Some(format!("needs a veth of {queues} queues"));
        }
        match self.mtu {
            Some(mtu) => Some(format!("needs an MTU of {mtu} on both ends")),
            None => needed.map(|what| format!("needs {what}")),
        }
    }
}

impl Setup {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What goes in and what must come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What is shown, in a few words; unique within the file.
    pub name: String,
    /// The frame, in one line ([`crate::frame::notation`]); `"@name"` for a frame of the file or of
    /// the suite's own list, `"@all"` for that whole list. Several are several cases that expect the
    /// same.
    pub send: OneOrMany<String>,
    /// Leave these out of `"@all"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// How it is sent.
    #[serde(default, skip_serializing_if = "How::is_raw")]
    pub how: How,
    /// How often.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// Global variables for this case alone, on top of the file's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Map contents for this case alone, on top of the file's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// What must come of it.
    #[serde(flatten)]
    pub expect: Expect,
    /// What maps hold is the driver's choice, so they are not compared between engines beyond what is
    /// expected here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maps_vary: bool,
    /// Rows of docs/semantics.md that the case proves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<String>,
    /// What this needs that no laboratory has, in words: the case is written down, and not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Only a PREEMPT_RT kernel can be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preempt_rt: bool,
    /// The first release of Linux that can be asked; the file's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Release>,
    /// Only these engines (`native`, `tc`, `clsact` ...) are asked; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Only this kind of evidence shows it; both when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<super::report::Evidence>,
    /// Where engines are known to do otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
}

const fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_once(times: &u32) -> bool {
    *times == 1
}

/// One thing, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// How a frame is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// As it is, by a raw socket at the far end.
    #[default]
    Raw,
    /// By a raw socket, its transport checksum left unfinished (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    PartialChecksum,
    /// By a raw socket as one merged frame, to be cut into segments of 1000 bytes of payload.
    Merged,
    /// Its payload by an ordinary UDP or TCP socket at the far end, to a real socket at the near end.
    Socket,
    /// By a raw socket behind the port that redirects go out of; a TC program there puts it onto the
    /// ingress of the device under test.
    Requeued,
    /// With its outer 802.1Q tag beside the data, as a NIC or a local sender leaves it that takes tags
    /// out.
    TagBeside,
    /// Out of the far end by the redirect of a TC program there, as between containers.
    Redirected,
    /// By a raw socket on the second CPU past the queueing discipline, so out of the second transmit
    /// queue.
    SecondQueue,
}

impl How {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_raw(&self) -> bool {
        *self == Self::Raw
    }
}

/// What must come of a frame. What is left out follows from the rest, as each field says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Expect {
    /// The program's verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Where the frame arrives. By default where the verdict sends it: pass to the stack, tx to the
    /// peer, redirect to the third, drop and aborted nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// The frame that arrives, in one line or as `"@name"`; `"same"` (the default) is what was sent,
    /// perhaps `"same / cut 64"`; a final `...` is what was sent from its type field on:
    /// `"eth near > far / ..."` changes addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// For whom the stack takes it (`skb->pkt_type`). By default as `eth_type_trans` decides from the
    /// frame's destination, and `other` with a VLAN id other than 0, since nothing listens there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_type: Option<PacketType>,
    /// The protocol whose handler receives it, as an ethertype. By default the frame's, behind its
    /// VLAN tags as far as the stack takes them off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What an ordinary socket receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketExpect>,
    /// Global variables afterwards; those not named may hold anything.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables_after: BTreeMap<String, Value>,
    /// Map entries afterwards. A map that is named holds these and, where keys can be absent, no
    /// others; maps not named may hold anything.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub maps_after: BTreeMap<String, Vec<Entry>>,
    /// What others see who look on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onlookers: Option<Onlookers>,
    /// The program does not run on the frame: no verdict is counted. Say with `at` what becomes of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
    /// The engine refuses the program with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What others see who look on at the device. Each is asked only if it is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Onlookers {
    /// Every frame that a packet capture on the device shows: `"in same"`, `"out eth ..."`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tap: Option<Vec<String>>,
    /// Packets by which the device's statistics grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
    /// Frames that reach a TC program behind ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<u32>,
    /// The receive hash that such a program finds. Frames that are requeued or redirected come with
    /// 0x600df00d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<u32>,
    /// Events of the tracepoint `xdp:xdp_exception`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traced: Option<u32>,
}

/// Where a frame arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// A protocol handler of the stack behind the device.
    Stack,
    /// The other end of the wire it came from.
    Peer,
    /// The other end of the port that redirects go out of.
    Third,
    /// The peer and the third.
    PeerAndThird,
    /// Nowhere.
    Nowhere,
}

/// For whom the stack takes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketType {
    /// `PACKET_HOST`.
    Host,
    /// `PACKET_BROADCAST`.
    Broadcast,
    /// `PACKET_MULTICAST`.
    Multicast,
    /// `PACKET_OTHERHOST`.
    Other,
}

/// What an ordinary socket at the near end receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SocketExpect {
    /// A UDP socket on this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<u16>,
    /// A TCP socket that listens on this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<u16>,
    /// Every datagram it receives, or what it reads in all, as text; nothing when empty.
    #[serde(default)]
    pub receives: Vec<String>,
    /// It receives the payload that was sent, in however many pieces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// A difference that is known and explained. Where it does not show, that is a failure too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Known {
    /// The engines: `hw`, `native`, `generic`, `tc` (both hooks), `tcx`, `clsact`, `user` (both hooks),
    /// `af_xdp`, `af_packet`.
    pub on: Vec<String>,
    /// Only with this evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<super::report::Evidence>,
    /// It shows only sometimes, for example because memory decides: either way is as described.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sometimes: bool,
    /// The release of Linux from which on it always shows; on older ones it shows or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Release>,
    /// Stable kebab-case code; a section of docs/refusals.md.
    pub code: String,
    /// Why, in one sentence.
    pub why: String,
    /// Where the kernel's source makes it so: file and function.
    pub source: String,
    /// What happens instead: the fields given replace the case's. Without it any difference will do,
    /// but there must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Expect>,
}
