//! Reading the BPF filters of clsact: what runs at TC without tcx.

use super::{Attributes, Message, Refusal, Socket, attribute};

const RTM_GETTFILTER: u16 = 46;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_TAG: u16 = 10;
const TCA_BPF_ID: u16 = 11;
/// `struct tcmsg`, in bytes.
const TCMSG: usize = 20;
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

/// One cls_bpf filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BpfFilter {
    /// Program id.
    pub program_id: u32,
    /// The name it was given on attach, for example `prog.o:[section]`.
    pub name: String,
    /// Program tag, 16 hexadecimal digits.
    pub tag: String,
    /// Priority: lower runs first.
    pub priority: u16,
    /// `ETH_P_*` it applies to, in host byte order; 3 is `ETH_P_ALL`.
    pub protocol: u16,
    /// Filter handle.
    pub handle: u32,
    /// Whether its return code is the action (`da`).
    pub direct_action: bool,
    /// `TCA_CLS_FLAGS_*`: 1 skip_hw, 2 skip_sw, 4 in_hw, 8 not_in_hw.
    pub flags_gen: u32,
}

/// The BPF filters on one interface's clsact (or ingress) hook, by priority. No qdisc, no filters.
///
/// # Errors
/// The kernel's refusal.
pub fn bpf_filters(ifindex: u32, direction: Direction) -> Result<Vec<BpfFilter>, Refusal> {
    let parent = match direction {
        Direction::Ingress => INGRESS,
        Direction::Egress => EGRESS,
    };
    let mut header = [0; TCMSG];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    let messages = match Socket::route()?.dump(RTM_GETTFILTER, &header) {
        Ok(messages) => messages,
        // Without the qdisc the kernel has no such class to list.
        Err(refusal) if [libc::EINVAL, libc::ENOENT].contains(&refusal.errno) => return Ok(vec![]),
        Err(refusal) => return Err(refusal),
    };
    let mut filters: Vec<_> = messages.iter().filter_map(parse).collect();
    filters.sort_by_key(|filter| (filter.priority, filter.handle));
    Ok(filters)
}

pub(super) fn parse(message: &Message) -> Option<BpfFilter> {
    let attributes = Attributes::after(&message.payload, TCMSG);
    if attributes.get(TCA_KIND)?.text()? != "bpf" {
        return None;
    }
    let options = attributes.get(TCA_OPTIONS)?.nested();
    // Without a program id the message is the classifier's chain head, not a filter.
    let program_id = options.get(TCA_BPF_ID)?.u32()?;
    let info = attribute::u32_at(&message.payload, 16)?;
    let number = |kind| options.get(kind).and_then(|a| a.u32()).unwrap_or(0);
    Some(BpfFilter {
        program_id,
        name: options.get(TCA_BPF_NAME).and_then(|a| a.text()).unwrap_or_default().to_owned(),
        tag: options.get(TCA_BPF_TAG).map(|a| hex(a.value)).unwrap_or_default(),
        priority: u16::try_from(info >> 16).unwrap_or(0),
        protocol: u16::from_be(u16::try_from(info & 0xffff).unwrap_or(0)),
        handle: attribute::u32_at(&message.payload, 8)?,
        direct_action: number(TCA_BPF_FLAGS) & TCA_BPF_FLAG_ACT_DIRECT != 0,
        flags_gen: number(TCA_BPF_FLAGS_GEN),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
