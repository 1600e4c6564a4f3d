//! What must be seen, in bytes: the short words of a case worked out.
//!
//! The model is what the kernel documents of XDP on a NIC: the driver builds a socket buffer from the
//! frame as the program left it, `eth_type_trans` decides for whom it is and what protocol it has,
//! and `__netif_receive_skb_core` takes VLAN tags off.

use hoist_offload::Verdict;

use super::case::{At, Expect, PacketType};
use crate::frame::notation::Names;
use crate::frame::{Frame, Mac};

const VLAN: [u16; 2] = [0x8100, 0x88a8];

/// What must be seen of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The program's verdict, where the case has one.
    pub verdict: Option<Verdict>,
    /// Where the frame arrives.
    pub at: At,
    /// The frame, as the program leaves it.
    pub frame: Vec<u8>,
    /// What a protocol handler of the stack gets of it; `None` where the stack drops it before.
    pub handed: Option<Handed>,
}

/// A frame as a protocol handler gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Without the tags that the stack took off.
    pub bytes: Vec<u8>,
    /// `skb->pkt_type`.
    pub packet_type: PacketType,
    /// `skb->protocol`.
    pub protocol: u16,
}

impl Expected {
    /// Works out a case's expectation for the frame that was sent.
    ///
    /// # Errors
    /// The frame or the protocol is not written as it should be.
    pub fn of(expect: &Expect, sent: &[u8], names: &Names) -> Result<Self, String> {
        let frame = frame(expect.frame.as_deref().unwrap_or("same"), sent, names)?;
        let at = expect.at.unwrap_or(match expect.verdict {
            Some(Verdict::Pass) | None => At::Stack,
            Some(Verdict::Tx) => At::Peer,
            Some(Verdict::Redirect) => At::Third,
            Some(Verdict::Drop | Verdict::Aborted) => At::Nowhere,
        });
        let near = names.get("near").map_or([0; 6], |s| s.mac);
        let mut handed = handed(&frame, near);
        if let Some(handed) = &mut handed {
            handed.packet_type = expect.packet_type.unwrap_or(handed.packet_type);
            if let Some(text) = &expect.protocol {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                handed.protocol = u16::from_str_radix(digits, 16)
                    .map_err(|_| format!("protocol '{text}' is not an ethertype such as 0x0800"))?;
            }
        }
        Ok(Self { verdict: expect.verdict, at, frame, handed })
    }
}

/// `same` with changes of length, a line that ends in `...`, or a whole frame.
fn frame(text: &str, sent: &[u8], names: &Names) -> Result<Vec<u8>, String> {
    let parse = |line: &str| {
        Frame::parse(line, names).map(|f| f.bytes()).map_err(|e| format!("frame '{text}': {e}"))
    };
    if let Some(head) = text.strip_suffix("...") {
        let head = head.trim_end().strip_suffix('/').unwrap_or(head);
        let mut bytes = parse(head.trim_end())?;
        // The rest brings its own type field.
        bytes.truncate(bytes.len().saturating_sub(2));
        bytes.extend(sent.get(12..).unwrap_or_default());
        return Ok(bytes);
    }
    match text.strip_prefix("same") {
        Some("") => Ok(sent.to_vec()),
        Some(changes) if changes.trim_start().starts_with('/') => {
            let hex: String = sent.iter().map(|b| format!("{b:02x}")).collect();
            parse(&format!("raw {hex}{changes}"))
        }
        _ => parse(text),
    }
}

/// `eth_type_trans`, and what `__netif_receive_skb_core` does with tags for which there is no VLAN
/// device: the outermost is taken off; a frame with an id other than 0 is for nobody here, behind a
/// tag with id 0 the next tag is looked at.
fn handed(frame: &[u8], near: Mac) -> Option<Handed> {
    let mut bytes = frame.to_vec();
    let destination: Mac = bytes.get(..6)?.try_into().ok()?;
    let mut packet_type = match destination {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => PacketType::Broadcast,
        [first, ..] if first & 1 == 1 => PacketType::Multicast,
        mac if mac == near => PacketType::Host,
        _ => PacketType::Other,
    };
    let mut protocol = protocol_at(&bytes)?;
    while VLAN.contains(&protocol) {
        // The tag and the type behind it must be there (`skb_vlan_untag`).
        let tci = u16::from_be_bytes(bytes.get(14..16)?.try_into().ok()?);
        bytes.get(16..18 + 2)?;
        bytes.drain(12..16);
        protocol = protocol_at(&bytes)?;
        if tci & 0xfff != 0 {
            packet_type = PacketType::Other;
            break;
        }
    }
    Some(Handed { bytes, packet_type, protocol })
}

/// `skb->protocol`: below 1536 the field is a length and the frame's first bytes decide.
fn protocol_at(bytes: &[u8]) -> Option<u16> {
    const ETH_P_802_3: u16 = 1;
    const ETH_P_802_2: u16 = 4;
    let field = u16::from_be_bytes(bytes.get(12..14)?.try_into().ok()?);
    Some(match (field, bytes.get(14..16)) {
        (0x600.., _) => field,
        // Novell's frames without an 802.2 header.
        (_, Some([0xff, 0xff])) => ETH_P_802_3,
        _ => ETH_P_802_2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(line: &str) -> Vec<u8> {
        Frame::parse(line, &Names::lab()).unwrap().bytes()
    }

    #[test]
    fn frames_are_same_or_changed_or_new() {
        let sent = "eth far > near / vlan 7 / ipv4 far > near / udp 1 > 2 / 'hello'";
        for (text, line) in [
            ("same", sent),
            (
                "same / cut 20",
                "eth far > near / vlan 7 / ipv4 far > near / udp 1 > 2 / 'hello' / cut 20",
            ),
            (
                "eth near > far / ...",
                "eth near > far / vlan 7 / ipv4 far > near / udp 1 > 2 / 'hello'",
            ),
            (
                "eth far > near / vlan 9 / ...",
                "eth far > near / vlan 9 / vlan 7 / ipv4 far > near / udp 1 > 2 / 'hello'",
            ),
            ("eth far > near / 'x'", "eth far > near / 'x'"),
        ] {
            assert_eq!(frame(text, &bytes(sent), &Names::lab()).unwrap(), bytes(line), "{text}");
        }
        let error = frame("samething", &[0; 14], &Names::lab()).unwrap_err();
        assert!(error.contains("column 1"), "{error}");
    }

    #[test]
    fn handlers_get_what_the_stack_leaves() {
        use PacketType::{Broadcast, Host, Multicast, Other};
        let ip = "ipv4 far > near / udp 1 > 2";
        for (line, left, packet_type, protocol) in [
            ("eth far > near / IP", "eth far > near / IP", Host, 0x0800),
            ("eth far > broadcast / IP", "eth far > broadcast / IP", Broadcast, 0x0800),
            ("eth far > multicast / IP", "eth far > multicast / IP", Multicast, 0x0800),
            ("eth far > other / IP", "eth far > other / IP", Other, 0x0800),
            ("eth far > near / vlan 7 / IP", "eth far > near / IP", Other, 0x0800),
            ("eth far > near / vlan 0 priority 3 / IP", "eth far > near / IP", Host, 0x0800),
            ("eth far > near / vlan 0 / vlan 5 / IP", "eth far > near / IP", Other, 0x0800),
            (
                "eth far > near / vlan 7 / vlan 8 / IP",
                "eth far > near / vlan 8 / IP",
                Other,
                0x8100,
            ),
            ("eth far > near / llc 0x42 0x42 3", "eth far > near / llc 0x42 0x42 3", Host, 4),
            ("eth far > near type 2 / hex ffff", "eth far > near type 2 / hex ffff", Host, 1),
        ] {
            let (line, left) = (line.replace("IP", ip), left.replace("IP", ip));
            let got = handed(&bytes(&line), [2, 0, 0, 0, 0, 1]).unwrap();
            assert_eq!(got, Handed { bytes: bytes(&left), packet_type, protocol }, "{line}");
        }
        assert_eq!(handed(&bytes("eth far > near / vlan 7 / cut 18"), [0; 6]), None);
    }

    #[test]
    fn the_place_follows_from_the_verdict() {
        for (verdict, at) in [
            (Verdict::Pass, At::Stack),
            (Verdict::Tx, At::Peer),
            (Verdict::Redirect, At::Third),
            (Verdict::Drop, At::Nowhere),
            (Verdict::Aborted, At::Nowhere),
        ] {
            let expect = Expect { verdict: Some(verdict), ..Expect::default() };
            let expected = Expected::of(&expect, &[0; 14], &Names::lab()).unwrap();
            assert_eq!(expected.at, at, "{verdict:?}");
        }
    }
}
