//! What rtnetlink says of interfaces (`RTM_GETLINK`). It answers for the calling thread's network
//! namespace, whatever sysfs happens to be mounted.

use hoist_bpf::kernel::netlink::{Attributes, Builder, Message, Refusal, Socket};

const RTM_GETLINK: u16 = 18;
/// `struct ifinfomsg`, in bytes.
const IFINFOMSG: usize = 16;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFF_UP: u32 = 1;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const XDP_ATTACHED_DRV: u8 = 1;
const XDP_ATTACHED_SKB: u8 = 2;
const XDP_ATTACHED_HW: u8 = 3;

/// One `RTM_NEWLINK` message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) altnames: Vec<String>,
    /// `ARPHRD_*`.
    pub(super) link_type: u16,
    pub(super) up: bool,
    pub(super) mac: Option<String>,
    pub(super) mtu_bytes: u32,
    pub(super) max_mtu_bytes: u32,
    pub(super) operstate: u8,
    /// Queues allocated; those in use may be fewer.
    pub(super) rx_queues: u32,
    pub(super) tx_queues: u32,
    pub(super) kind: Option<String>,
    pub(super) master: Option<u32>,
    /// `IFLA_LINK`: the device below, or the other end of a pair.
    pub(super) link: Option<u32>,
    /// In which namespace that device lives, if not in this one.
    pub(super) link_netnsid: Option<i32>,
    /// Bus and address of the parent device, for example `pci` and `0000:3b:00.0`.
    pub(super) parent: Option<(String, String)>,
    pub(super) xdp: XdpSlots,
    /// Whether the message has `IFLA_XDP` at all.
    pub(super) has_xdp: bool,
}

/// `IFLA_XDP`: program ids by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct XdpSlots {
    pub(super) hw: Option<u32>,
    pub(super) native: Option<u32>,
    pub(super) generic: Option<u32>,
}

impl Link {
    /// Whether `IFLA_LINK` names the other end of a pair, not a device below.
    pub(super) fn is_pair(&self) -> bool {
        matches!(self.kind.as_deref(), Some("veth" | "netkit"))
    }

    /// Whether the user may mean this interface by `name`.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.altnames.iter().any(|a| a == name)
    }
}

/// Every interface of the calling thread's namespace, by index.
pub(super) fn links() -> Result<Vec<Link>, Refusal> {
    let payload = header(0).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).build();
    let messages = Socket::route()?.dump(RTM_GETLINK, &payload)?;
    let mut links: Vec<Link> = messages.iter().filter_map(parse).collect();
    links.sort_by_key(|l| l.ifindex);
    Ok(links)
}

/// One interface of the namespace that this one knows by an id. The kernel demands `CAP_NET_ADMIN`
/// over that namespace.
pub(super) fn link_in(netnsid: i32, ifindex: u32) -> Result<Option<Link>, Refusal> {
    let payload = header(ifindex)
        .i32(IFLA_TARGET_NETNSID, netnsid)
        .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        .build();
    let reply = Socket::route()?.request(RTM_GETLINK, 0, &payload)?;
    Ok(reply.messages.iter().find_map(parse))
}

fn header(ifindex: u32) -> Builder {
    let mut header = [0; IFINFOMSG];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    Builder::new(&header)
}

fn parse(message: &Message) -> Option<Link> {
    let (head, _) = message.payload.split_first_chunk::<IFINFOMSG>()?;
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut link = Link {
        link_type: u16::from_ne_bytes([head[2], head[3]]),
        ifindex: word(4),
        up: word(8) & IFF_UP != 0,
        ..Link::default()
    };
    let (mut bus, mut address) = (None, None);
    for a in Attributes::after(&message.payload, IFINFOMSG) {
        let number = || a.u32().unwrap_or(0);
        let text = || a.text().map(str::to_owned);
        match a.kind {
            IFLA_ADDRESS => link.mac = mac(a.value),
            IFLA_IFNAME => link.name = text().unwrap_or_default(),
            IFLA_MTU => link.mtu_bytes = number(),
            IFLA_LINK => link.link = a.u32().filter(|i| *i != 0),
            IFLA_MASTER => link.master = a.u32().filter(|i| *i != 0),
            IFLA_OPERSTATE => link.operstate = a.u8().unwrap_or(0),
            IFLA_LINKINFO => {
                link.kind =
                    a.nested().get(IFLA_INFO_KIND).and_then(|k| k.text()).map(str::to_owned);
            }
            IFLA_NUM_TX_QUEUES => link.tx_queues = number(),
            IFLA_NUM_RX_QUEUES => link.rx_queues = number(),
            IFLA_LINK_NETNSID => link.link_netnsid = a.u32().map(u32::cast_signed),
            IFLA_XDP => {
                link.has_xdp = true;
                link.xdp = slots(a.nested());
            }
            IFLA_MAX_MTU => link.max_mtu_bytes = number(),
            IFLA_PROP_LIST => {
                let names = a.nested().filter(|p| p.kind == IFLA_ALT_IFNAME);
                link.altnames = names.filter_map(|p| p.text().map(str::to_owned)).collect();
            }
            IFLA_PARENT_DEV_NAME => address = text(),
            IFLA_PARENT_DEV_BUS_NAME => bus = text(),
            _ => {}
        }
    }
    link.parent = bus.zip(address);
    (!link.name.is_empty()).then_some(link)
}

/// The ids by slot. With a single program some kernels send only its id and the mode.
fn slots(attributes: Attributes<'_>) -> XdpSlots {
    let id = |kind| attributes.get(kind).and_then(|a| a.u32()).filter(|id| *id != 0);
    let mode = attributes.get(IFLA_XDP_ATTACHED).and_then(|a| a.u8());
    let only = |this| if mode == Some(this) { id(IFLA_XDP_PROG_ID) } else { None };
    XdpSlots {
        hw: id(IFLA_XDP_HW_PROG_ID).or_else(|| only(XDP_ATTACHED_HW)),
        native: id(IFLA_XDP_DRV_PROG_ID).or_else(|| only(XDP_ATTACHED_DRV)),
        generic: id(IFLA_XDP_SKB_PROG_ID).or_else(|| only(XDP_ATTACHED_SKB)),
    }
}

fn mac(bytes: &[u8]) -> Option<String> {
    let text: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    (!text.is_empty()).then(|| text.join(":"))
}

/// `IF_OPER_*` of `linux/if.h` in words.
pub(super) fn operstate(number: u8) -> &'static str {
    const WORDS: [&str; 7] =
        ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
    WORDS.get(usize::from(number)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: Builder) -> Message {
        Message { kind: 16, payload: attributes.build() }
    }

    /// Every attribute lands in its field; a pair's other end is told from a device below.
    #[test]
    fn a_veth_with_a_program_is_read() {
        let xdp =
            Builder::default().u8(IFLA_XDP_ATTACHED, XDP_ATTACHED_DRV).u32(IFLA_XDP_PROG_ID, 7);
        let link = parse(&message(
            header(3)
                .text(IFLA_IFNAME, "v0")
                .raw(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 0xa])
                .u32(IFLA_MTU, 1500)
                .u32(IFLA_LINK, 9)
                .i32(IFLA_LINK_NETNSID, 4)
                .u32(IFLA_NUM_RX_QUEUES, 2)
                .nest(IFLA_LINKINFO, Builder::default().text(IFLA_INFO_KIND, "veth"))
                .nest(IFLA_PROP_LIST, Builder::default().text(IFLA_ALT_IFNAME, "uplink"))
                .nest(IFLA_XDP, xdp),
        ))
        .expect("a name");
        assert!(link.is_pair() && link.is_called("uplink") && !link.is_called("v1"));
        assert_eq!((link.ifindex, link.link, link.link_netnsid), (3, Some(9), Some(4)));
        assert_eq!(link.mac.as_deref(), Some("02:00:00:00:00:0a"));
        assert_eq!(link.xdp, XdpSlots { native: Some(7), ..XdpSlots::default() });
    }

    /// Both a native and an offloaded program: each has its own attribute.
    #[test]
    fn several_slots_are_told_apart() {
        let xdp = Builder::default()
            .u8(IFLA_XDP_ATTACHED, 4)
            .u32(IFLA_XDP_DRV_PROG_ID, 5)
            .u32(IFLA_XDP_HW_PROG_ID, 6);
        let slots = slots(Attributes::new(&xdp.build()));
        assert_eq!(slots, XdpSlots { hw: Some(6), native: Some(5), generic: None });
    }

    #[test]
    fn a_short_message_is_no_link() {
        assert_eq!(parse(&Message { kind: 16, payload: vec![0; 8] }), None);
    }
}
